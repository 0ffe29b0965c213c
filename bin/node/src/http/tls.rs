//! The listener's TLS identity: read once before the node starts, and read again on request without
//! a restart. A failed reload leaves the identity in use as it is.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::error::HttpError;

/// How clients are spoken to.
#[derive(Clone, Debug)]
pub enum Tls {
    /// Plain HTTP, on loopback only.
    Off,
    /// TLS under this certificate chain and key, both PEM files.
    Files {
        /// The certificate chain.
        cert: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
}

/// Takes a renewed certificate up. It does nothing for a plain listener.
#[derive(Clone, Debug)]
pub struct Reload {
    identity: Option<(PathBuf, PathBuf, RustlsConfig)>,
}

impl Reload {
    /// Reads the files again and serves new connections under what they hold.
    ///
    /// # Errors
    /// The files do not hold a usable certificate and key; the old ones stay in use.
    pub fn reload(&self) -> Result<(), HttpError> {
        if let Some((cert, key, config)) = &self.identity {
            config.reload_from_config(read(cert, key)?);
        }
        Ok(())
    }

    pub(super) fn new(tls: &Tls) -> Result<Self, HttpError> {
        let identity = match tls {
            Tls::Off => None,
            Tls::Files { cert, key } => {
                let config = RustlsConfig::from_config(read(cert, key)?);
                Some((cert.clone(), key.clone(), config))
            }
        };
        Ok(Self { identity })
    }

    pub(super) fn config(&self) -> Option<RustlsConfig> {
        self.identity.as_ref().map(|(_, _, config)| config.clone())
    }
}

fn read(cert: &Path, key: &Path) -> Result<Arc<ServerConfig>, HttpError> {
    let pem = |what, path: &Path| {
        let path = path.to_path_buf();
        move |source| HttpError::Pem { what, path, source }
    };
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem("a certificate", cert))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(pem("a private key", key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = |source| HttpError::Certificate { path: cert.to_path_buf(), source };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(certificate)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(certificate)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
