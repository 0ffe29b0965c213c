//! Is a node ready? One small HTTP request over loopback, asked again until the answer is yes.

use std::{io, net::SocketAddr, time::Duration};

use election::NodeId;
use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};

use super::Event;

const ASK_EVERY: Duration = Duration::from_millis(50);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// Tell when the node answers that it is ready, unless its process ends before (`process` closes).
pub(super) async fn watch(
    node: NodeId,
    address: SocketAddr,
    process: mpsc::Sender<Signal>,
    events: mpsc::Sender<Event>,
) {
    let mut ticks = tokio::time::interval(ASK_EVERY);
    loop {
        tokio::select! {
            () = process.closed() => return,
            _ = ticks.tick() => {}
        }
        let asked = tokio::time::timeout(ANSWER_WITHIN, is_ready(address)).await;
        if let Ok(Ok(true)) = asked {
            // Nobody listens: the parent is ending.
            drop(events.send(Event::Ready { node }).await);
            return;
        }
    }
}

/// Does `GET /readyz` say 200?
pub(super) async fn is_ready(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status_line = [0; 12];
    stream.read_exact(&mut status_line).await?;
    Ok(status_line == *b"HTTP/1.1 200")
}
