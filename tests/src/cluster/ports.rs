//! Ports that nobody uses.

use std::{
    net::{TcpListener, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
};

/// Below the range from which the system hands out ports by itself.
const FIRST: u16 = 12_000;
const LAST: u16 = 32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// `count` ports p such that UDP p and TCP p + 1 are free now on loopback.
///
/// # Panics
/// When there are not that many.
#[must_use]
pub fn free_ports(count: usize) -> Vec<u16> {
    // Test processes that run side by side start looking in different places.
    let spread = u16::try_from(std::process::id() % 97).unwrap_or(0) * 200;
    let mut found = Vec::new();
    for _ in 0..(LAST - FIRST) / 2 {
        let step = NEXT.fetch_add(2, Ordering::Relaxed);
        let port = FIRST + spread.wrapping_add(step) % (LAST - FIRST) / 2 * 2;
        let free = UdpSocket::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("127.0.0.1", port + 1)).is_ok();
        if free {
            found.push(port);
        }
        if found.len() == count {
            return found;
        }
    }
    panic!("fewer than {count} free ports");
}
