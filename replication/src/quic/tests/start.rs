//! What a transport refuses to start with.

use election::NodeId;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::CertificateError;

use super::kit::{CLUSTER, Ca, Names, Node, options};
use crate::quic::{
    StartError, TlsError, TlsOptions, Transport,
    identity::{IdentityError, san_uri, server_name},
};

fn refusal(node: u64, tls: TlsOptions) -> (&'static str, TlsError) {
    let (options, _events) = options(node, tls);
    match Transport::start(options) {
        Err(StartError::Tls { what, source }) => (what, source),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let ca = Ca::new();
    let first = Node::start(1, ca.node(1));
    let (mut options, _events) = options(1, ca.node(1));
    options.listen = first.transport.local_addr();
    let error = Transport::start(options).unwrap_err();
    assert!(matches!(error, StartError::Bind { .. }), "{error:?}");
    assert!(error.to_string().contains(&first.address()), "{error}");
}

#[tokio::test]
async fn certificates_of_others_are_refused() {
    let ca = Ca::new();
    let (what, error) = refusal(1, ca.node(2));
    let other = IdentityError::Node { found: NodeId(2), expected: NodeId(1) };
    assert_eq!(what, "node certificate");
    assert!(matches!(error, TlsError::Identity(found) if found == other));

    let names = Names { uris: vec![san_uri(7, NodeId(1))], ..Names::of(1) };
    let (_, error) = refusal(1, ca.issue(&names));
    let other = IdentityError::Cluster { found: 7, expected: CLUSTER };
    assert!(matches!(error, TlsError::Identity(found) if found == other));

    for uris in [vec![], vec![san_uri(CLUSTER, NodeId(1)), san_uri(CLUSTER, NodeId(2))]] {
        let (_, error) = refusal(1, ca.issue(&Names { uris, ..Names::of(1) }));
        assert!(matches!(error, TlsError::Identity(IdentityError::Absent)), "{error}");
    }
}

#[tokio::test]
async fn certificates_that_peers_would_refuse_are_refused() {
    let ca = Ca::new();
    let invalid = |tls| match refusal(1, tls) {
        (_, TlsError::Rustls(rustls::Error::InvalidCertificate(error))) => error,
        other => panic!("{other:?}"),
    };
    let error = invalid(ca.issue(&Names { years: (2020, 2021), ..Names::of(1) }));
    assert!(matches!(error, CertificateError::ExpiredContext { .. }), "{error}");
    let error = invalid(ca.issue(&Names { years: (2110, 2120), ..Names::of(1) }));
    assert!(matches!(error, CertificateError::NotValidYetContext { .. }), "{error}");
    let error = invalid(ca.issue(&Names { dns: server_name(NodeId(2)), ..Names::of(1) }));
    assert!(matches!(error, CertificateError::NotValidForNameContext { .. }), "{error}");
    for usage in [ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth] {
        let error = invalid(ca.issue(&Names { usages: vec![usage], ..Names::of(1) }));
        assert!(matches!(error, CertificateError::InvalidPurposeContext { .. }), "{error}");
    }
    let foreign = TlsOptions { ca_pem: Ca::new().node(1).ca_pem, ..ca.node(1) };
    let error = invalid(foreign);
    // The two authorities have the same name, so it is the signature that gives it away.
    assert!(matches!(error, CertificateError::BadSignature), "{error}");
}

#[tokio::test]
async fn files_that_are_no_certificates_are_named() {
    let good = Ca::new().node(1);
    let junk = || b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n".to_vec();
    for bad in [Vec::new(), b"junk".to_vec(), junk()] {
        let (what, _) = refusal(1, TlsOptions { ca_pem: bad.clone(), ..good.clone() });
        assert_eq!(what, "CA certificate");
        let (what, _) = refusal(1, TlsOptions { cert_pem: bad.clone(), ..good.clone() });
        assert_eq!(what, "node certificate");
        let (what, _) = refusal(1, TlsOptions { key_pem: bad, ..good.clone() });
        assert_eq!(what, "node key");
    }
    let (what, _) = refusal(1, TlsOptions { key_pem: Ca::new().node(1).key_pem, ..good });
    assert_eq!(what, "node key");
}
