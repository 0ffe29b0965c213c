//! Clients that cost as little as they can: one thread for all, a WebSocket each, one send in flight
//! on it, every frame made beforehand but for its request id.
//!
//! What always holds: a client sends its next message when it has read the acknowledgement of the one
//! before; a message that is refused, or a socket that ends, ends the run.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::millis;

/// Bytes read at once.
const READ_BYTES: usize = 16 << 10;
/// Whatever takes longer is not going to happen.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where a request id stands in a frame before it has one.
const NO_ID: &str = "00000000-0000-7000-8000-000000000000";
/// Digits of an id that count.
const COUNT_DIGITS: usize = 12;

/// One client.
#[derive(Debug)]
pub struct Sender {
    stream: TcpStream,
    /// The frame of its next send.
    frame: Vec<u8>,
    id_at: usize,
    count: u64,
    /// The beginning of a frame whose end is still to come.
    rest: Vec<u8>,
    sent: Instant,
}

/// What came of a run.
#[derive(Debug)]
pub struct Sends {
    /// From each send to its acknowledgement, in milliseconds.
    pub samples: Vec<f64>,
    /// How long it took.
    pub span: Duration,
}

impl Sender {
    /// Open a WebSocket, in clear, for whoever has this token.
    ///
    /// # Errors
    /// The node does not let it in.
    pub fn open(node: SocketAddr, token: &str, to: &str, text: &str) -> Result<Self> {
        let mut stream = TcpStream::connect(node)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let head = format!(
            "GET /v1/events HTTP/1.1\r\nHost: {node}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let payload =
            format!(r#"{{"type":"send","request_id":"{NO_ID}","to":"{to}","text":"{text}"}}"#);
        let id = payload.find(NO_ID).context("an id stands in the frame")?;
        let frame = masked(payload.as_bytes())?;
        let id_at = frame.len() - payload.len() + id;
        let rest = Vec::new();
        let mut sender = Self { stream, frame, id_at, count: 0, rest, sent: Instant::now() };
        sender.greeted()?;
        sender.stream.set_nonblocking(true)?;
        Ok(sender)
    }

    /// Reads the answer to the upgrade, and the first frame.
    fn greeted(&mut self) -> Result<()> {
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let count = self.stream.read(&mut buffer)?;
            ensure!(count > 0, "the node hung up: {}", String::from_utf8_lossy(&heard));
            heard.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&heard);
            if text.contains(r#"{"type":"ready""#) && text.ends_with('}') {
                ensure!(text.starts_with("HTTP/1.1 101"), "no WebSocket: {text}");
                return Ok(());
            }
        }
    }

    /// Ids of a run begin with its time.
    fn begin(&mut self, time_ms: u64) {
        let time = format!("{time_ms:012x}");
        self.frame[self.id_at..self.id_at + 8].copy_from_slice(&time.as_bytes()[..8]);
        self.frame[self.id_at + 9..self.id_at + 13].copy_from_slice(&time.as_bytes()[8..]);
    }

    fn send(&mut self) -> Result<()> {
        self.count += 1;
        let end = self.id_at + NO_ID.len();
        let mut left = self.count;
        for digit in self.frame[end - COUNT_DIGITS..end].iter_mut().rev() {
            *digit = b"0123456789abcdef"[usize::try_from(left & 15)?];
            left >>= 4;
        }
        self.sent = Instant::now();
        // One frame in flight always fits the socket's buffer.
        self.stream.write_all(&self.frame).context("a socket takes one frame")
    }

    /// Reads what came. Says whether the send was acknowledged.
    fn hear(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let count = match self.stream.read(buffer) {
            Ok(0) => bail!("the node hung up"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        if self.rest.is_empty() {
            let (acknowledged, taken) = read_frames(&buffer[..count])?;
            self.rest.extend_from_slice(&buffer[taken..count]);
            return Ok(acknowledged);
        }
        self.rest.extend_from_slice(&buffer[..count]);
        let (acknowledged, taken) = read_frames(&self.rest)?;
        self.rest.drain(..taken);
        Ok(acknowledged)
    }
}

/// Have all of them send for so long.
///
/// # Errors
/// A send was refused, or a socket ended.
pub fn send_for(senders: &mut [Sender], span: Duration) -> Result<Sends> {
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let ready = epoll::create(CreateFlags::CLOEXEC)?;
    let start = Instant::now();
    for (place, sender) in senders.iter_mut().enumerate() {
        sender.begin(u64::try_from(time.as_millis())?);
        let data = EventData::new_u64(place as u64);
        epoll::add(&ready, &sender.stream, data, EventFlags::IN)?;
        sender.send()?;
    }
    let mut events = Vec::with_capacity(1_024);
    let mut buffer = vec![0; READ_BYTES];
    let (mut samples, mut waiting) = (Vec::new(), senders.len());
    let patience = PATIENCE.try_into()?;
    while waiting > 0 {
        events.clear();
        epoll::wait(&ready, rustix::buffer::spare_capacity(&mut events), Some(&patience))?;
        ensure!(!events.is_empty(), "nothing came within {PATIENCE:?}");
        for event in &events {
            let sender = &mut senders[usize::try_from(event.data.u64())?];
            if !sender.hear(&mut buffer)? {
                continue;
            }
            samples.push(millis(sender.sent.elapsed()));
            if start.elapsed() < span {
                sender.send()?;
            } else {
                waiting -= 1;
            }
        }
    }
    let span = start.elapsed();
    for sender in senders {
        epoll::delete(&ready, &sender.stream)?;
    }
    Ok(Sends { samples, span })
}

/// A text frame as a client sends it. Masked with zeros it can be changed in place.
fn masked(payload: &[u8]) -> Result<Vec<u8>> {
    let mut frame = vec![0x81];
    match payload.len() {
        length @ ..=125 => frame.push(0x80 | u8::try_from(length)?),
        length => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length)?.to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    Ok(frame)
}

/// Goes through whole frames: was a send acknowledged, and how many bytes are they?
fn read_frames(bytes: &[u8]) -> Result<(bool, usize)> {
    let (mut acknowledged, mut at) = (false, 0);
    while let Some([_, length]) = bytes[at..].first_chunk() {
        let (head, length) = match length {
            127 => bail!("no frame is as long as that"),
            126 => match bytes[at..].first_chunk() {
                Some([_, _, high, low]) => (4, usize::from(u16::from_be_bytes([*high, *low]))),
                None => break,
            },
            short => (2, usize::from(*short)),
        };
        let Some(payload) = bytes.get(at + head..at + head + length) else { break };
        acknowledged |= payload.starts_with(br#"{"type":"sent""#);
        let is_refused = [&br#"{"type":"failed""#[..], br#"{"type":"error""#]
            .iter()
            .any(|start| payload.starts_with(start));
        ensure!(!is_refused, "{}", String::from_utf8_lossy(payload));
        at += head + length;
    }
    Ok((acknowledged, at))
}
