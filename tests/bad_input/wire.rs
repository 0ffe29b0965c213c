//! A client that writes its own bytes, and reads whatever comes back.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Nothing that a node answers or closes takes longer.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// Everything that a node said on one connection.
#[derive(Debug)]
pub(crate) struct Answers(pub(crate) Vec<u8>);

/// One answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// Something that must happen soon.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = timeout(SOON, future).await else { panic!("never happened: {what}") };
    value
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    soon("a connection", TcpStream::connect(address)).await.unwrap()
}

/// Writes the bytes while it reads, until the node closes the connection. That it does so is part
/// of what is asked of it.
pub(crate) async fn exchange(address: SocketAddr, bytes: &[u8]) -> Answers {
    let (mut from, mut to) = connect(address).await.into_split();
    let write = async {
        // A node that has heard enough closes the connection, and the rest cannot be written.
        drop(to.write_all(bytes).await);
        to
    };
    let read = read_to_end(&mut from);
    let (_to, answers) =
        soon("the end of the connection", async { tokio::join!(write, read) }).await;
    answers
}

/// All that comes until the connection is closed, however it is.
pub(crate) async fn read_to_end(from: &mut (impl tokio::io::AsyncRead + Unpin)) -> Answers {
    let mut read = Vec::new();
    // An end by reset is an end.
    drop(from.read_to_end(&mut read).await);
    Answers(read)
}

/// The head of an answer, and no byte more.
pub(crate) async fn read_head(from: &mut TcpStream) -> String {
    let mut head = Vec::new();
    soon("an answer", async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(from.read_u8().await.unwrap());
        }
    })
    .await;
    String::from_utf8(head).unwrap()
}

impl Answers {
    /// The connection was closed without a word.
    pub(crate) fn is_silence(&self) -> bool {
        self.0.is_empty()
    }

    /// How many answers there are.
    pub(crate) fn count(&self) -> usize {
        String::from_utf8_lossy(&self.0).matches("HTTP/1.1 ").count()
    }

    /// The first answer.
    #[track_caller]
    pub(crate) fn first(&self) -> Answer {
        let text = String::from_utf8_lossy(&self.0);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { panic!("no answer: {text:?}") };
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Answer { status, headers: lines.map(header).collect(), body: body.to_owned() }
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A refusal with this status: its code, told in the one error object.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.json()["error"];
        for key in ["code", "message", "hint"] {
            let text = error[key].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "no {key}: {self:?}");
        }
        error["code"].as_str().unwrap().to_owned()
    }
}
