//! The transport between nodes: QUIC with mutual TLS. The only module that names quinn or rustls.

pub mod identity;
