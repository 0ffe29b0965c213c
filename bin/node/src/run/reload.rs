//! SIGHUP: certificates and the log level are read again, without a restart.
//!
//! What cannot be used is told in the log and leaves everything as it was. Connections that stand
//! are not touched.

use std::sync::Arc;

use replication::quic::Transport;

use super::boot;
use crate::{
    certs,
    config::{Config, LogLevel},
    error::NodeError,
    genesis::Genesis,
    http, telemetry,
};

/// What can be changed while the node runs.
pub(super) struct Reload {
    config: Config,
    transport: Arc<Transport>,
    clients: http::Reload,
}

impl Reload {
    pub(super) fn new(config: &Config, transport: &Arc<Transport>, clients: http::Reload) -> Self {
        Self { config: config.clone(), transport: Arc::clone(transport), clients }
    }

    /// Reads again what may have changed.
    pub(super) fn run(&self) {
        match self.certificates() {
            Ok(()) => tracing::info!("certificates read again"),
            Err(error) => tracing::warn!(%error, "the certificates in use stay"),
        }
        match self.log_level() {
            Ok(level) => tracing::info!(?level, "log level read again"),
            Err(error) => tracing::warn!(%error, "the log level stays"),
        }
    }

    fn certificates(&self) -> Result<(), NodeError> {
        let genesis = Genesis::load(&self.config.node.data_dir)?;
        certs::check_node_certificate(&self.config, genesis.as_ref())?;
        self.transport.set_tls(&boot::read_tls(&self.config)?)?;
        Ok(self.clients.reload()?)
    }

    fn log_level(&self) -> Result<LogLevel, NodeError> {
        let level = Config::load(&self.config.file)?.log.level;
        telemetry::set_level(level);
        Ok(level)
    }
}
