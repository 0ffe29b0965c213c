//! The cluster's own certificate authority, the certificates of its nodes, and the check that a
//! node passes before it starts.
//!
//! A node's certificate names its cluster and number (URI), the name it is dialled by
//! (`node-N.holdfast`) and its host; it serves and dials (both extended key usages). Keys are P-256,
//! which every TLS client takes. A CA lasts ten years, a node's certificate one.

mod folder;
#[cfg(test)]
mod tests;

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use election::NodeId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, string::Ia5String,
};
use replication::quic::identity;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

pub(crate) use self::folder::command;
use crate::{
    NodeError,
    config::Config,
    genesis::{ClusterId, Genesis, random_u128},
};

/// How long a CA is good for.
const CA_DAYS: u64 = 3_653;
/// How long a node's certificate is good for.
const NODE_DAYS: u64 = 365;
/// Certificates are good from a day before they are made, because clocks differ.
const BACKDATED_DAYS: u64 = 1;
const DAY_SECONDS: u64 = 86_400;

/// What a node's certificate says, after the check.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeCertificate {
    /// The cluster.
    pub cluster: ClusterId,
    /// The node's number in it.
    pub node: NodeId,
    /// The DNS names and IP addresses that it serves.
    pub hosts: Vec<String>,
    /// Good until then, in seconds since 1970.
    pub not_after_s: i64,
}

/// A certificate and its private key, PEM.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) cert_pem: String,
    pub(crate) key_pem: String,
}

/// A certificate authority: who holds it can make nodes.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    from: SystemTime,
}

/// Check the node's certificate before anything is started with it: under the cluster's CA, good
/// today, of this cluster and this node, and with the right key. Without a genesis (a node that asks
/// to join) the certificate itself says which cluster.
///
/// # Errors
/// Which file is wrong, why, and what to do.
pub fn check_node_certificate(
    config: &Config,
    genesis: Option<&Genesis>,
) -> Result<NodeCertificate, NodeError> {
    check_at(config, genesis, seconds_since_1970(SystemTime::now()))
}

fn check_at(
    config: &Config,
    genesis: Option<&Genesis>,
    now_s: i64,
) -> Result<NodeCertificate, NodeError> {
    let (ca_path, path) = (&config.tls.ca, &config.tls.cert);
    let ca_der = read_certificate(ca_path)?;
    let ca = parse(ca_path, &ca_der)?;
    let der = read_certificate(path)?;
    let certificate = parse(path, &der)?;
    let wrong = |problem: String| NodeError::Certificate { path: path.clone(), problem };

    check_dates(ca_path, &ca, now_s, "make a new cluster CA and new certificates")?;
    let found = describe(&certificate).map_err(wrong)?;
    if let Some(genesis) = genesis
        && found.cluster != genesis.cluster
    {
        return Err(wrong(format!(
            "it is a certificate of cluster {}, and the data is of cluster {} (\"{}\"): use the \
             folder that was made for this cluster",
            found.cluster, genesis.cluster, genesis.cluster_name
        )));
    }
    if found.node != config.node.id {
        return Err(wrong(format!(
            "it is the certificate of node {}, and this is node {}: use the folder that was made \
             for this node",
            found.node, config.node.id
        )));
    }
    if certificate.verify_signature(Some(ca.public_key())).is_err() {
        return Err(wrong(format!(
            "it was not issued by the CA in {}: use the two of one cluster",
            ca_path.display()
        )));
    }
    let mend = format!("issue a new one with `node certs renew --node {}`", config.node.id);
    check_dates(path, &certificate, now_s, &mend)?;
    check_key(&config.tls.key, &certificate)?;
    Ok(found)
}

impl Authority {
    /// A new one, and what to keep of it.
    pub(crate) fn create(cluster: ClusterId, name: &str) -> Result<(Self, Issued), NodeError> {
        Self::create_from(cluster, name, SystemTime::now())
    }

    /// The one that was kept.
    pub(crate) fn load(cert: &Path, key: &Path) -> Result<Self, NodeError> {
        let key_pair = read_key(key)?;
        let pem = fs::read_to_string(cert).map_err(NodeError::io("read", cert))?;
        let issuer =
            Issuer::from_ca_cert_pem(&pem, key_pair).map_err(|error| unusable(cert, &error))?;
        Ok(Self { issuer, from: SystemTime::now() })
    }

    /// A certificate for a node with a new key.
    pub(crate) fn issue(
        &self,
        cluster: ClusterId,
        node: NodeId,
        hosts: &[String],
    ) -> Result<Issued, NodeError> {
        let key = new_key()?;
        let cert_pem = self.certify(cluster, node, hosts, &key)?;
        Ok(Issued { cert_pem, key_pem: key.serialize_pem() })
    }

    /// A certificate for a node's key, good for another year.
    pub(crate) fn certify(
        &self,
        cluster: ClusterId,
        node: NodeId,
        hosts: &[String],
        key: &KeyPair,
    ) -> Result<String, NodeError> {
        let mut params = params(&format!("Holdfast node {node}"), self.from, NODE_DAYS);
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![
            SanType::URI(ascii(&identity::san_uri(cluster.0, node))?),
            SanType::DnsName(ascii(&identity::server_name(node))?),
        ];
        for host in hosts {
            params.subject_alt_names.push(match host.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(ascii(host)?),
            });
        }
        let certificate =
            params.signed_by(key, &self.issuer).map_err(|error| generator("sign", &error))?;
        Ok(certificate.pem())
    }

    fn create_from(
        cluster: ClusterId,
        name: &str,
        from: SystemTime,
    ) -> Result<(Self, Issued), NodeError> {
        let key = new_key()?;
        let common_name = format!("Holdfast cluster {name} {cluster}");
        let mut params = params(&common_name, from, CA_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(|error| generator("sign", &error))?;
        let kept = Issued { cert_pem: certificate.pem(), key_pem: key.serialize_pem() };
        Ok((Self { issuer: Issuer::new(params, key), from }, kept))
    }
}

fn describe(certificate: &X509Certificate<'_>) -> Result<NodeCertificate, String> {
    let names = match certificate.subject_alternative_name() {
        Ok(Some(names)) => &names.value.general_names,
        Ok(None) | Err(_) => return Err("it names neither cluster nor node".to_owned()),
    };
    let mut identities = Vec::new();
    let mut hosts = Vec::new();
    for name in names {
        if let GeneralName::URI(uri) = name {
            identities.extend(identity::parse_san_uri(uri));
        } else if let GeneralName::DNSName(host) = name {
            hosts.push((*host).to_owned());
        } else if let GeneralName::IPAddress(bytes) = name {
            hosts.extend(ip(bytes).map(|address| address.to_string()));
        }
    }
    let [(cluster, node)] = identities[..] else {
        return Err(format!(
            "it names {} cluster nodes and must name one: `node certs issue` makes such",
            identities.len()
        ));
    };
    let cluster = ClusterId(cluster);
    let own_name = identity::server_name(node);
    if !hosts.contains(&own_name) {
        return Err(format!("it lacks the name {own_name}: `node certs renew` makes it anew"));
    }
    hosts.retain(|host| *host != own_name);
    let usage = certificate.extended_key_usage().ok().flatten();
    if !usage.is_some_and(|usage| usage.value.server_auth && usage.value.client_auth) {
        return Err("it must be allowed to serve and to dial (extended key usage)".to_owned());
    }
    let not_after_s = certificate.validity().not_after.timestamp();
    Ok(NodeCertificate { cluster, node, hosts, not_after_s })
}

fn check_dates(
    path: &Path,
    certificate: &X509Certificate<'_>,
    now_s: i64,
    mend: &str,
) -> Result<(), NodeError> {
    let from_s = certificate.validity().not_before.timestamp();
    let until_s = certificate.validity().not_after.timestamp();
    let problem = if now_s > until_s {
        format!("it expired at {}: {mend}", show_time(until_s))
    } else if now_s < from_s {
        format!("it is not valid before {}: check this host's clock", show_time(from_s))
    } else {
        return Ok(());
    };
    Err(NodeError::Certificate { path: path.to_path_buf(), problem })
}

fn check_key(path: &Path, certificate: &X509Certificate<'_>) -> Result<(), NodeError> {
    let key = read_key(path)?;
    let certified = certificate.public_key().subject_public_key.data.as_ref();
    if key.public_key_raw() == certified {
        return Ok(());
    }
    let problem =
        "it is not the key of the node's certificate: use the two of one folder".to_owned();
    Err(NodeError::Certificate { path: path.to_path_buf(), problem })
}

fn params(common_name: &str, from: SystemTime, days: u64) -> CertificateParams {
    // Positive, and never used twice by one CA: a renewed certificate has the same key and names.
    let serial = random_u128() >> 1;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    let from_s = u64::try_from(seconds_since_1970(from)).unwrap_or(0);
    let from_s = from_s.saturating_sub(BACKDATED_DAYS * DAY_SECONDS);
    let date = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    let mut params = CertificateParams::default();
    params.serial_number = Some(serial.to_be_bytes().to_vec().into());
    params.distinguished_name = name;
    params.not_before = date(from_s);
    params.not_after = date(from_s + (BACKDATED_DAYS + days) * DAY_SECONDS);
    params
}

fn new_key() -> Result<KeyPair, NodeError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|error| generator("make", &error))
}

fn read_key(path: &Path) -> Result<KeyPair, NodeError> {
    let pem = fs::read_to_string(path).map_err(NodeError::io("read", path))?;
    KeyPair::from_pem(&pem).map_err(|error| unusable(path, &error))
}

fn read_certificate(path: &Path) -> Result<CertificateDer<'static>, NodeError> {
    let pem = fs::read(path).map_err(NodeError::io("read", path))?;
    CertificateDer::from_pem_slice(&pem).map_err(|error| NodeError::Certificate {
        path: path.to_path_buf(),
        problem: format!("it is no PEM certificate: {error}"),
    })
}

fn parse<'a>(
    path: &Path,
    der: &'a CertificateDer<'static>,
) -> Result<X509Certificate<'a>, NodeError> {
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(NodeError::Certificate {
            path: path.to_path_buf(),
            problem: format!("it is no certificate: {error}"),
        }),
    }
}

fn ascii(text: &str) -> Result<Ia5String, NodeError> {
    Ia5String::try_from(text).map_err(|error| generator("name", &error))
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from);
    v4.or_else(|| <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from))
}

fn unusable(path: &Path, error: &rcgen::Error) -> NodeError {
    let path = PathBuf::from(path);
    NodeError::Certificate { path, problem: format!("it cannot be used: {error}") }
}

fn generator(action: &str, error: &rcgen::Error) -> NodeError {
    NodeError::Stopped(format!("cannot {action} a certificate: {error}"))
}

fn show_time(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.to_string(),
        Err(_) => format!("second {seconds}"),
    }
}

fn seconds_since_1970(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
