//! Addresses as people write them: `HOST:PORT` for peers, a URL for clients.
//!
//! A host is a DNS name, an IPv4 address or an IPv6 address in brackets; names are resolved when
//! they are used, not here.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// The peer port when none is written; the client port is the next one.
pub const PEER_PORT_DEFAULT: u16 = 7410;

/// The longest host: as a URL it still fits where the log keeps it. DNS allows 253.
const HOST_BYTES_MAX: usize = replication::ADDRESS_BYTES_MAX - "https://[]:65535".len();

/// A host and a port.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostPort {
    /// A DNS name or an IP address, without brackets.
    pub host: String,
    /// The port; never 0.
    pub port: u16,
}

/// The base URL of a node's client API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientUrl {
    /// TLS or not.
    pub https: bool,
    /// Host and port; the port is 443 or 80 when none is written.
    pub at: HostPort,
}

impl HostPort {
    /// What [`FromStr`] allows, in words.
    pub const ALLOWED: &'static str = "HOST:PORT with a DNS name, an IPv4 address or an IPv6 address in brackets, port 1 to 65535";

    /// Parse `HOST[:PORT]`; `None` when it is neither.
    #[must_use]
    pub fn parse_or_port(text: &str, port_default: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, tail) = rest.split_once(']')?;
                let host: Ipv6Addr = host.parse().ok()?;
                (host.to_string(), tail)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (host, tail) = text.split_at(end);
                (host.to_ascii_lowercase(), tail)
            }
        };
        let port = match port.strip_prefix(':') {
            Some(digits) => parse_port(digits)?,
            None if port.is_empty() => port_default,
            None => return None,
        };
        (is_host(&host) && port != 0).then_some(Self { host, port })
    }

    /// The host, if it is an IP address and no name.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl FromStr for HostPort {
    type Err = ();

    /// # Errors
    /// It is not [`HostPort::ALLOWED`].
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::parse_or_port(text, 0).ok_or(())
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl ClientUrl {
    /// What [`FromStr`] allows, in words.
    pub const ALLOWED: &'static str = "https://HOST[:PORT], or http://HOST[:PORT] with \
                                       tls.client = \"off\", without a path";
}

impl FromStr for ClientUrl {
    type Err = ();

    /// # Errors
    /// It is not [`ClientUrl::ALLOWED`].
    fn from_str(text: &str) -> Result<Self, ()> {
        let (https, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) | None => return Err(()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let at = HostPort::parse_or_port(rest, if https { 443 } else { 80 }).ok_or(())?;
        Ok(Self { https, at })
    }
}

impl fmt::Display for ClientUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.at)
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.contains(':') {
        return host.parse::<Ipv6Addr>().is_ok();
    }
    let all_numeric = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if all_numeric {
        return host.parse::<std::net::Ipv4Addr>().is_ok();
    }
    host.len() <= HOST_BYTES_MAX && host.split('.').all(is_label)
}
