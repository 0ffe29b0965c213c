//! The TLS half of an identity: chains are checked by webpki against the cluster's authority alone,
//! and then the certificate must name the right node of this cluster. TLS 1.3 only, certificates on
//! both sides, no early data and no resumption: every connection proves itself anew.

use core::fmt;
use std::sync::Arc;

use election::NodeId;
use ring::{hkdf, hmac};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, OtherError, RootCertStore,
    SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    server::{
        NoServerSessionStorage, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, UnixTime,
    pem::{self, PemObject},
};

use super::{ALPN, IdentityError, read_identity, server_name};
use crate::quic::{
    TlsOptions,
    error::{StartError, TlsError},
};

/// The certificates of a node, found fit for it.
#[derive(Debug)]
pub(in crate::quic) struct Credentials {
    cluster: u128,
    provider: Arc<CryptoProvider>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    servers: Arc<WebPkiServerVerifier>,
    clients: Arc<dyn ClientCertVerifier>,
}

impl Credentials {
    /// Read the certificates and check that they are this node's and would be accepted by its peers.
    pub(in crate::quic) fn load(
        tls: &TlsOptions,
        cluster: u128,
        me: NodeId,
    ) -> Result<Self, StartError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let ca = |source| StartError::Tls { what: "CA certificate", source };
        let roots = Arc::new(roots(&tls.ca_pem).map_err(ca)?);
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let servers = builder.build().map_err(|error| ca(TlsError::Verifier(error)))?;
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let clients = builder.build().map_err(|error| ca(TlsError::Verifier(error)))?;

        let cert = |source| StartError::Tls { what: "node certificate", source };
        let chain = certificates(&tls.cert_pem).map_err(cert)?;
        let key = PrivateKeyDer::from_pem_slice(&tls.key_pem)
            .map_err(|error| StartError::Tls { what: "node key", source: TlsError::Pem(error) })?;
        let credentials = Self { cluster, provider, chain, key, servers, clients };
        credentials.check_own(me).map_err(cert)?;
        // Refuses a key that does not belong to the certificate.
        credentials.client(me).map_err(|error| StartError::Tls {
            what: "node key",
            source: TlsError::Rustls(error),
        })?;
        Ok(credentials)
    }

    /// To dial `peer`, and only `peer`.
    pub(in crate::quic) fn client(
        &self,
        peer: NodeId,
    ) -> Result<rustls::ClientConfig, rustls::Error> {
        let verifier =
            DialledVerifier { chain: Arc::clone(&self.servers), cluster: self.cluster, peer };
        let mut config = rustls::ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(config)
    }

    /// To let nodes of this cluster in. Which of them is the caller's to decide.
    pub(in crate::quic) fn server(&self) -> Result<rustls::ServerConfig, rustls::Error> {
        let verifier = IncomingVerifier { chain: Arc::clone(&self.clients), cluster: self.cluster };
        let mut config = rustls::ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    /// The key that signs stateless resets. It is derived from the node's private key, so that it
    /// outlives the process: peers of the one before learn from the next at once that it is gone.
    pub(in crate::quic) fn reset_key(&self) -> hmac::Key {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"holdfast quic");
        let secret = salt.extract(self.key.secret_der());
        let key = secret.expand(&[b"stateless reset"], hmac::HMAC_SHA256);
        key.expect("the length of an HMAC key is within what HKDF gives").into()
    }

    /// Peers will check what is checked here; this side says it first, and says it better.
    fn check_own(&self, me: NodeId) -> Result<(), TlsError> {
        let Some((own, between)) = self.chain.split_first() else {
            return Err(TlsError::Pem(pem::Error::NoItemsFound));
        };
        let found = read_identity(own, self.cluster)?;
        if found != me {
            return Err(IdentityError::Node { found, expected: me }.into());
        }
        let now = UnixTime::now();
        let name = ServerName::try_from(server_name(me)).expect("a DNS name by construction");
        self.servers.verify_server_cert(own, between, &name, &[], now)?;
        self.clients.verify_client_cert(own, between, now)?;
        Ok(())
    }
}

/// The certificate of a node that was dialled.
#[derive(Debug)]
struct DialledVerifier {
    chain: Arc<WebPkiServerVerifier>,
    cluster: u128,
    peer: NodeId,
}

impl ServerCertVerifier for DialledVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.chain.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        let found = read_identity(end_entity, self.cluster).map_err(refuse)?;
        if found != self.peer {
            return Err(refuse(IdentityError::Node { found, expected: self.peer }));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// The certificate of a node that dialled this one.
#[derive(Debug)]
struct IncomingVerifier {
    chain: Arc<dyn ClientCertVerifier>,
    cluster: u128,
}

impl ClientCertVerifier for IncomingVerifier {
    fn client_auth_mandatory(&self) -> bool {
        true
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        read_identity(end_entity, self.cluster).map_err(refuse)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

fn refuse(error: IdentityError) -> rustls::Error {
    CertificateError::Other(OtherError(Arc::new(Said(error)))).into()
}

/// An error whose debug form, which rustls puts into its own, is its text.
#[derive(thiserror::Error)]
#[error(transparent)]
struct Said(IdentityError);

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(text).collect::<Result<_, _>>().map_err(TlsError::Pem)
}

fn roots(text: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots.add(certificate)?;
    }
    if roots.is_empty() {
        return Err(TlsError::Pem(pem::Error::NoItemsFound));
    }
    Ok(roots)
}
