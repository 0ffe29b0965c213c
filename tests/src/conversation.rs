//! Speakers that keep talking while nodes die, and the check of what they were promised.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use chatctl::{Client, ClientError, HistoryQuery, Message, Outgoing, Target};
use tokio::task::JoinHandle;

/// What one speaker said, in order.
#[derive(Clone, Debug, Default)]
pub struct Spoken {
    /// Acknowledged: must be there, once, in this order.
    pub acknowledged: Vec<Message>,
    /// Outcome unknown: may be there, once.
    pub unknown: Vec<String>,
    /// How many were refused for a while.
    pub unavailable: usize,
}

/// A speaker that sends one message after the other until told to stop.
#[derive(Debug)]
pub struct Speaker {
    task: JoinHandle<Spoken>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Speaker {
    /// Start speaking to `target`; every text starts with `name`.
    #[must_use]
    pub fn start(client: Client, target: Target, name: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let speech = Speech {
            client,
            target,
            name: name.to_owned(),
            stop: Arc::clone(&stop),
            acknowledged: Arc::clone(&acknowledged),
        };
        Self { task: tokio::spawn(speech.speak()), stop, acknowledged }
    }

    /// How many messages have been acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Wait until `more` further messages are acknowledged.
    pub async fn goes_on(&self, more: usize) {
        let wanted = self.acknowledged() + more;
        crate::cluster::eventually("the speaker is acknowledged", async || {
            self.acknowledged() >= wanted
        })
        .await;
    }

    /// Stop, and hear what was said.
    ///
    /// # Panics
    /// When the speaker was refused.
    pub async fn stop(self) -> Spoken {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.expect("the speaker was never refused")
    }
}

struct Speech {
    client: Client,
    target: Target,
    name: String,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
}

impl Speech {
    async fn speak(self) -> Spoken {
        let mut spoken = Spoken::default();
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let text = format!("{} {number}", self.name);
            let outgoing = Outgoing {
                to: self.target.clone(),
                text: text.clone(),
                reply_to: None,
                after_request: None,
                request_id: None,
            };
            match self.client.send(&outgoing).await {
                Ok(message) => {
                    spoken.acknowledged.push(message);
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Err(ClientError::Unknown { .. }) => spoken.unknown.push(text),
                Err(ClientError::Unavailable { .. }) => spoken.unavailable += 1,
                Err(error) => panic!("a send was refused: {error}"),
            }
        }
        spoken
    }
}

/// The whole conversation, oldest first.
///
/// # Panics
/// When it cannot be read.
pub async fn whole_history(client: &Client, target: &Target) -> Vec<Message> {
    const PAGE: u64 = 200;
    let mut messages: Vec<Message> = Vec::new();
    loop {
        let after = Some(messages.last().map_or(0, |last| last.seq));
        let query = HistoryQuery { after, limit: Some(PAGE), ..HistoryQuery::default() };
        let page = client.history(target, query).await.expect("history can be read");
        let done = !page.more_after;
        messages.extend(page.items);
        if done {
            return messages;
        }
    }
}

/// Nothing acknowledged lost, nothing twice, nothing out of order, nothing invented.
///
/// # Panics
/// When one of these does not hold.
pub fn check_promises(history: &[Message], speakers: &[Spoken]) {
    for (place, message) in history.iter().enumerate() {
        assert_eq!(message.seq, place as u64 + 1, "seq is gapless");
    }
    assert!(history.is_sorted_by(|a, b| a.id < b.id && a.time < b.time), "ids and times ascend");
    let texts: Vec<&str> = history.iter().filter_map(|message| message.text.as_deref()).collect();
    let once: BTreeSet<&str> = texts.iter().copied().collect();
    assert_eq!(once.len(), texts.len(), "no message stands twice");
    let by_id: BTreeMap<u64, &Message> =
        history.iter().map(|message| (message.id, message)).collect();
    let mut allowed = BTreeSet::new();
    for spoken in speakers {
        for message in &spoken.acknowledged {
            let found = by_id.get(&message.id);
            let found = found.unwrap_or_else(|| panic!("acknowledged and lost: {message:?}"));
            assert_eq!((found.seq, &found.text), (message.seq, &message.text), "as acknowledged");
        }
        assert!(
            spoken.acknowledged.is_sorted_by(|a, b| a.seq < b.seq),
            "a sender's messages keep their order"
        );
        allowed.extend(spoken.acknowledged.iter().filter_map(|message| message.text.as_deref()));
        allowed.extend(spoken.unknown.iter().map(String::as_str));
    }
    for text in texts {
        assert!(allowed.contains(text), "nobody said {text:?}");
    }
}
