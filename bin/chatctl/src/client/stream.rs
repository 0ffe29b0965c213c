//! A stream of messages to one conversation: pipelined, in order, exactly once, over failovers.
//!
//! One connection at a time carries the [`Window`]. When it breaks, or the node falls silent while messages
//! are in flight, the next endpoint gets everything unanswered again, under the same ids.

use std::time::Duration;

use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    Client,
    call::Reasons,
    pause,
    socket::{Broken, Socket},
    window::Window,
};
use crate::{
    ClientError,
    types::{Event, EventKind, Message, Target},
};

/// A node that answers nothing for this long, with messages in flight, is given up.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// How a stream ended.
#[derive(Debug, Default)]
pub struct StreamSummary {
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Why it ended before its input did.
    pub stopped: Option<Stop>,
}

/// The end of a stream before the end of its input. Everything before `position` was acknowledged.
#[derive(Debug)]
pub struct Stop {
    /// Which message, counted from 1.
    pub position: u64,
    /// What happened to it.
    pub error: ClientError,
}

/// What ended a connection.
enum End {
    Finished,
    Broken(Broken),
}

/// The state of one stream over all its connections.
struct Stream<'a, F> {
    client: &'a Client,
    to: String,
    lines: mpsc::Receiver<String>,
    input_ended: bool,
    window: Window,
    observer: F,
    summary: StreamSummary,
    popped: u64,
    /// When something was last acknowledged or, with nothing under way, given.
    progress: Instant,
    rewinds: u32,
}

impl Client {
    /// Sends every line, in order and exactly once; `observer` sees each acknowledged message, in order.
    ///
    /// Without an acknowledgement for as long as the client's timeout the stream stops. It stops as well
    /// at the first message that is refused; later ones may have been accepted by then and are counted.
    pub async fn stream_send(
        &self,
        to: &Target,
        lines: mpsc::Receiver<String>,
        observer: impl FnMut(&Message),
    ) -> StreamSummary {
        if !self.inner.ids.is_timed() {
            // Only the node's clock in the headers is wanted, from any node, with or without a quorum; the
            // stream itself finds out what is wrong.
            drop(self.cluster().await);
        }
        let stream = Stream {
            client: self,
            to: to.to_string(),
            lines,
            input_ended: false,
            window: Window::default(),
            observer,
            summary: StreamSummary::default(),
            popped: 0,
            progress: Instant::now(),
            rewinds: 0,
        };
        stream.run().await
    }
}

impl<F: FnMut(&Message)> Stream<'_, F> {
    async fn run(mut self) -> StreamSummary {
        let mut reasons = Reasons::default();
        let mut failures = 0_u32;
        let mut connected_before = false;
        loop {
            if self.is_finished() {
                return self.summary;
            }
            if self.progress.elapsed() >= self.client.inner.timeout {
                return self.give_up(&reasons);
            }
            let at = self.client.inner.endpoints.order().next().unwrap_or_default();
            let end = match Socket::open(self.client, at, None).await {
                Ok(socket) => {
                    self.summary.reconnects += u64::from(connected_before);
                    connected_before = true;
                    failures = 0;
                    self.converse(socket).await
                }
                Err(broken) => End::Broken(broken),
            };
            self.window.rewind();
            self.hand_out();
            match end {
                End::Finished => return self.summary,
                End::Broken(Broken::Refused(error)) => return self.stop(error),
                End::Broken(Broken::Down(reason)) => {
                    let endpoints = &self.client.inner.endpoints;
                    reasons.add(endpoints.get(at).to_string(), reason, false);
                    endpoints.pass_over(at);
                    // The next endpoint at once; a pause only after a whole round.
                    failures += 1;
                    let rounds = failures / u32::try_from(endpoints.len()).unwrap_or(1);
                    if rounds > 0 {
                        sleep(pause(rounds)).await;
                    }
                }
            }
        }
    }

    /// Uses one connection until it breaks or everything is done.
    async fn converse(&mut self, mut socket: Socket) -> End {
        loop {
            if self.is_finished() {
                return End::Finished;
            }
            if self.progress.elapsed() >= self.client.inner.timeout {
                return End::Broken(Broken::Down("no acknowledgement".to_owned()));
            }
            if self.window.must_rewind() {
                if self.summary.stopped.is_some() {
                    return End::Finished;
                }
                sleep(pause(self.rewinds)).await;
                self.rewinds += 1;
                self.window.rewind();
            }
            if let Err(broken) = self.fill(&mut socket).await {
                return End::Broken(broken);
            }
            match self.wait(&mut socket).await {
                Ok(Some(event)) => self.take(event),
                Ok(None) => {}
                Err(broken) => return End::Broken(broken),
            }
            self.hand_out();
        }
    }

    /// Puts what there is of input into the window and on the wire.
    async fn fill(&mut self, socket: &mut Socket) -> Result<(), Broken> {
        while self.wants_input() {
            match self.lines.try_recv() {
                Ok(line) => self.push(line),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => self.input_ended = true,
            }
        }
        let mut any = false;
        while let Some(frame) = self.window.next_frame(&self.to) {
            socket.feed(frame).await?;
            any = true;
        }
        if any {
            match timeout(SILENCE_MAX, socket.flush()).await {
                Ok(flushed) => flushed?,
                Err(_elapsed) => return Err(Broken::Down("the node takes no data".to_owned())),
            }
        }
        Ok(())
    }

    /// Waits for an answer or for more input, whichever is first.
    async fn wait(&mut self, socket: &mut Socket) -> Result<Option<Event>, Broken> {
        let silence = if self.window.awaits_answers() { SILENCE_MAX } else { Duration::MAX };
        let takes_input = self.wants_input();
        tokio::select! {
            event = timeout(silence, socket.next()) => match event {
                Ok(event) => event.map(Some),
                Err(_elapsed) => Err(Broken::Down(format!("no answer within {SILENCE_MAX:?}"))),
            },
            line = self.lines.recv(), if takes_input => {
                match line {
                    Some(line) => self.push(line),
                    None => self.input_ended = true,
                }
                Ok(None)
            }
        }
    }

    fn take(&mut self, event: Event) {
        let Some(id) = event.request_id else { return };
        match (event.kind, event.message, event.error) {
            (EventKind::Sent, Some(message), _) => {
                self.window.sent(id, Message { request_id: Some(id), ..message });
            }
            (EventKind::Failed, _, error) => {
                self.window.failed(id, error.unwrap_or_default(), event.retry);
            }
            _ => {}
        }
    }

    fn push(&mut self, line: String) {
        if self.window.is_empty() {
            self.progress = Instant::now();
        }
        let id = self.client.inner.ids.next_above(self.window.last());
        self.window.push(id, line);
    }

    /// Passes on what is answered, in order.
    fn hand_out(&mut self) {
        while let Some(outcome) = self.window.pop() {
            self.popped += 1;
            self.progress = Instant::now();
            self.rewinds = 0;
            match outcome {
                Ok(message) => {
                    self.summary.acknowledged += 1;
                    (self.observer)(&message);
                }
                Err(error) => {
                    let stop = Stop { position: self.popped, error: error.refusal(0) };
                    self.summary.stopped.get_or_insert(stop);
                    self.input_ended = true;
                }
            }
        }
    }

    fn wants_input(&self) -> bool {
        !self.input_ended && self.window.has_room()
    }

    fn is_finished(&self) -> bool {
        self.input_ended && self.window.is_empty()
    }

    fn give_up(self, reasons: &Reasons) -> StreamSummary {
        let detail = reasons.detail();
        let error = match self.window.first_unknown() {
            Some(request_id) => ClientError::Unknown { request_id, detail },
            None => ClientError::Unavailable { detail },
        };
        self.stop(error)
    }

    fn stop(mut self, error: ClientError) -> StreamSummary {
        let stop = Stop { position: self.popped + 1, error };
        self.summary.stopped.get_or_insert(stop);
        self.summary
    }
}
