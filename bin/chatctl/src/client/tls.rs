//! One TLS configuration for HTTP and WebSocket: rustls with ring, and the roots that were asked for.
//!
//! With a CA given, certificates of that CA are accepted and no others; without one, the system's roots.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_pki_types::{CertificateDer, pem::PemObject};

use crate::ClientError;

/// The configuration for all connections of one client.
pub(crate) fn config(ca: Option<&Path>, needed: bool) -> Result<Arc<ClientConfig>, ClientError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => add_file(&mut roots, path)?,
        // Reading the system's roots takes milliseconds; plain HTTP on loopback needs none.
        None if needed => {
            let (_added, _ignored) =
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        None => {}
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::usage(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), ClientError> {
    let wrong = |what: String| {
        ClientError::usage_hint(
            format!("CA certificate {}: {what}", path.display()),
            "give the cluster's ca.pem with --ca or as `ca` in the configuration",
        )
    };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<_, _>>)
        .map_err(|error| wrong(error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong("no certificate in it".to_owned()));
    }
    for certificate in certificates {
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    Ok(())
}
