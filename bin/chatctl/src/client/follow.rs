//! A subscription: everything visible after a cursor, then live, over failovers.
//!
//! The cursor of the last event that was handed out is where a new connection continues, so nothing is
//! repeated and nothing is skipped. `resync` says that events other than messages may have been missed; it
//! leaves the cursor where it is, because messages come by cursor all the same. A silent node is asked for a
//! sign of life and given up without one.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{
    Client,
    call::Reasons,
    pause,
    socket::{Broken, Socket},
};
use crate::{
    ClientError,
    types::{Event, EventKind},
};

/// After this long without a frame the node is pinged, and after as long again it is given up.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// A running subscription.
#[derive(Debug)]
pub struct Follow {
    client: Client,
    cursor: Option<u64>,
    socket: Option<Socket>,
    /// Whether a connection ever stood; from then on it is tried for ever.
    stood: bool,
    pinged: bool,
}

impl Client {
    /// Subscribes: to everything after the cursor `after` (0 is from the beginning), or live only.
    #[must_use]
    pub fn follow(&self, after: Option<u64>) -> Follow {
        Follow { client: self.clone(), cursor: after, socket: None, stood: false, pinged: false }
    }
}

impl Follow {
    /// Where a later subscription would continue.
    #[must_use]
    pub fn cursor(&self) -> Option<u64> {
        self.cursor
    }

    /// The endpoint that serves it now.
    #[must_use]
    pub fn endpoint(&self) -> Option<String> {
        let socket = self.socket.as_ref()?;
        Some(self.client.inner.endpoints.get(socket.at).to_string())
    }

    /// The next event; `Ready` says that a connection stands, the first one or a new one.
    ///
    /// # Errors
    /// When a node refuses the client, or when none answers within the client's timeout before the first
    /// connection stands. After that it waits for a node as long as it takes.
    pub async fn next(&mut self) -> Result<Event, ClientError> {
        loop {
            let Some(socket) = &mut self.socket else {
                return self.connect().await;
            };
            match timeout(SILENCE_MAX, socket.next_or_sign()).await {
                Ok(Ok(Some(event))) => {
                    self.pinged = false;
                    if self.is_news(&event) {
                        return Ok(event);
                    }
                }
                Ok(Ok(None)) => self.pinged = false,
                Ok(Err(Broken::Refused(error))) => return Err(error),
                Ok(Err(Broken::Down(_))) => self.lost(),
                Err(_elapsed) if self.pinged => self.lost(),
                Err(_elapsed) => {
                    self.pinged = true;
                    if socket.ping().await.is_err() {
                        self.lost();
                    }
                }
            }
        }
    }

    /// Moves the cursor on. What lies behind it was handed out already.
    fn is_news(&mut self, event: &Event) -> bool {
        let Some(new) = event.cursor.filter(|_| event.kind != EventKind::Resync) else {
            return true;
        };
        let is_news = self.cursor.is_none_or(|known| known < new);
        self.cursor = self.cursor.max(Some(new));
        is_news
    }

    fn lost(&mut self) {
        if let Some(socket) = self.socket.take() {
            self.client.inner.endpoints.pass_over(socket.at);
        }
        self.pinged = false;
    }

    async fn connect(&mut self) -> Result<Event, ClientError> {
        let started = Instant::now();
        let mut reasons = Reasons::default();
        for round in 0_u32.. {
            for at in self.client.inner.endpoints.order() {
                match Socket::open(&self.client, at, self.cursor).await {
                    Ok(socket) => {
                        self.client.inner.endpoints.prefer(at);
                        let ready = socket.ready.clone();
                        self.socket = Some(socket);
                        self.stood = true;
                        // A live subscription starts where the first connection stood.
                        self.cursor = self.cursor.or(ready.cursor);
                        return Ok(ready);
                    }
                    Err(Broken::Refused(error)) => return Err(error),
                    Err(Broken::Down(reason)) => {
                        let endpoint = self.client.inner.endpoints.get(at).to_string();
                        reasons.add(endpoint, reason, false);
                    }
                }
                if !self.stood && started.elapsed() >= self.client.inner.timeout {
                    return Err(reasons.give_up(None));
                }
            }
            sleep(pause(round)).await;
        }
        Err(reasons.give_up(None))
    }
}
