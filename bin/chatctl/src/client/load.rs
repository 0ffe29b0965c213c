//! Load: many connections, each with many sends under way, as fast as they are answered.
//!
//! Every send is told twice: when it goes out, and when it ends as acknowledged, refused or unknown. A send
//! whose connection is lost is unknown, and is not sent again: that is what a checker wants to see.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::try_join_all;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use uuid::Uuid;

use super::{
    Client,
    call::Reasons,
    pause,
    socket::{Broken, Socket},
};
use crate::{
    ClientError,
    types::{Event, EventKind, Target},
};

/// How much of what.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where to.
    pub to: Target,
    /// Connections.
    pub clients: u32,
    /// Sends under way on each.
    pub in_flight: u32,
    /// Bytes of each text.
    pub size_bytes: usize,
    /// How long new sends go out.
    pub duration: Duration,
}

/// One step of one send.
#[derive(Debug)]
pub struct LoadEvent {
    /// Which connection, from 0.
    pub client: u32,
    /// Which send.
    pub request_id: Uuid,
    /// How it ended, and how long after it went out; none when it goes out.
    pub ended: Option<(Ended, Duration)>,
}

/// How a send ended.
#[derive(Debug)]
pub enum Ended {
    /// Acknowledged.
    Sent {
        /// The message's id.
        id: u64,
        /// Its place in the conversation.
        seq: u64,
    },
    /// Refused: it is not in the log.
    Refused {
        /// The stable code.
        code: String,
    },
    /// It may be in the log.
    Unknown {
        /// Why that is not known.
        reason: String,
    },
}

impl Client {
    /// Puts load on the cluster until the time is over or `stop` holds true; `observer` is told everything,
    /// in the order in which it happens.
    ///
    /// # Errors
    /// A node refuses the client, or none is reached within the client's timeout at the beginning.
    pub async fn load(
        &self,
        load: &Load,
        stop: watch::Receiver<bool>,
        observer: impl FnMut(&LoadEvent) + Send,
    ) -> Result<(), ClientError> {
        if !self.inner.ids.is_timed() {
            // Only the node's clock in the headers is wanted.
            drop(self.cluster().await);
        }
        let observer = Mutex::new(observer);
        let until = Instant::now() + load.duration;
        let speakers = (0..load.clients).map(|number| {
            let speaker = Speaker {
                client: self,
                number,
                load,
                until,
                stop: stop.clone(),
                observer: &observer,
                waiting: BTreeMap::new(),
            };
            speaker.run()
        });
        try_join_all(speakers).await.map(drop)
    }
}

/// One connection's worth of load.
struct Speaker<'a, F> {
    client: &'a Client,
    number: u32,
    load: &'a Load,
    until: Instant,
    stop: watch::Receiver<bool>,
    observer: &'a Mutex<F>,
    /// What is under way, and since when. Ids rise, so the first is the oldest.
    waiting: BTreeMap<Uuid, Instant>,
}

impl<F: FnMut(&LoadEvent)> Speaker<'_, F> {
    async fn run(mut self) -> Result<(), ClientError> {
        let endpoints = &self.client.inner.endpoints;
        let mut reasons = Reasons::default();
        let begun = Instant::now();
        let mut stood = false;
        // Each begins at another node.
        let order: Vec<usize> = endpoints.order().collect();
        let own = usize::try_from(self.number).unwrap_or(0);
        let mut order = order.iter().copied().cycle().skip(own);
        let mut failures = 0_u32;
        while self.goes_on() {
            let at = order.next().unwrap_or_default();
            let broken = match Socket::open(self.client, at, None).await {
                Ok(socket) => {
                    (stood, failures) = (true, 0);
                    match self.converse(socket).await {
                        Ok(()) => return Ok(()),
                        Err(broken) => broken,
                    }
                }
                Err(broken) => broken,
            };
            match broken {
                Broken::Refused(error) => return Err(error),
                Broken::Down(reason) => {
                    self.give_up_waiting(&reason);
                    reasons.add(endpoints.get(at).to_string(), reason, false);
                }
            }
            if !stood && begun.elapsed() >= self.client.inner.timeout {
                break;
            }
            failures += 1;
            let rounds = failures / u32::try_from(endpoints.len()).unwrap_or(1);
            if rounds > 0 {
                sleep(pause(rounds)).await;
            }
        }
        if stood { Ok(()) } else { Err(reasons.give_up(None)) }
    }

    /// Uses one connection until it breaks, or time is up and everything is answered.
    async fn converse(&mut self, mut socket: Socket) -> Result<(), Broken> {
        let patience = self.client.inner.timeout;
        loop {
            self.fill(&mut socket).await?;
            match timeout(patience, socket.flush()).await {
                Ok(flushed) => flushed?,
                Err(_elapsed) => return Err(Broken::Down("the node takes no data".to_owned())),
            }
            let Some((_, oldest)) = self.waiting.first_key_value() else { return Ok(()) };
            match timeout_at(*oldest + patience, socket.next()).await {
                Ok(event) => self.take(event?).await,
                Err(_elapsed) => {
                    return Err(Broken::Down(format!("no answer within {patience:?}")));
                }
            }
        }
    }

    async fn fill(&mut self, socket: &mut Socket) -> Result<(), Broken> {
        let most = usize::try_from(self.load.in_flight).unwrap_or(usize::MAX);
        while self.waiting.len() < most && self.goes_on() {
            let id = self.client.inner.ids.next();
            let frame = serde_json::json!({
                "type": "send", "request_id": id, "to": self.load.to.to_string(),
                "text": text(id, self.load.size_bytes),
            });
            self.waiting.insert(id, Instant::now());
            self.tell(id, None);
            socket.feed(frame.to_string()).await?;
        }
        Ok(())
    }

    async fn take(&mut self, event: Event) {
        let Some(id) = event.request_id else { return };
        let ended = match (event.kind, event.message, event.error) {
            (EventKind::Sent, Some(message), _) => Ended::Sent { id: message.id, seq: message.seq },
            (EventKind::Failed, _, error) => {
                let error = error.unwrap_or_default();
                if error.code == "outcome_unknown" {
                    Ended::Unknown { reason: error.message }
                } else {
                    Ended::Refused { code: error.code }
                }
            }
            _ => return,
        };
        let Some(since) = self.waiting.remove(&id) else { return };
        self.tell(id, Some((ended, since.elapsed())));
        if event.retry {
            // Nobody takes sends now: asking without a pause would only be noise.
            sleep(pause(0)).await;
        }
    }

    fn give_up_waiting(&mut self, reason: &str) {
        for (id, since) in std::mem::take(&mut self.waiting) {
            let ended = Ended::Unknown { reason: reason.to_owned() };
            self.tell(id, Some((ended, since.elapsed())));
        }
    }

    fn tell(&self, request_id: Uuid, ended: Option<(Ended, Duration)>) {
        let event = LoadEvent { client: self.number, request_id, ended };
        (self.observer.lock().unwrap_or_else(PoisonError::into_inner))(&event);
    }

    fn goes_on(&self) -> bool {
        Instant::now() < self.until && !*self.stop.borrow()
    }
}

/// A text of this size that begins with the request id, as far as it fits.
fn text(id: Uuid, size_bytes: usize) -> String {
    let mut text = id.to_string();
    text.truncate(size_bytes);
    text.extend(std::iter::repeat_n('.', size_bytes - text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_size_and_begins_with_its_id() {
        let id = Uuid::now_v7();
        for size in [1, 35, 36, 37, 16_384] {
            assert_eq!(text(id, size).len(), size);
        }
        assert!(text(id, 100).starts_with(&id.to_string()));
    }
}
