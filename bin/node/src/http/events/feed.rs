//! What one account sees of the log from a cursor on: first what it missed, then what happens.

use axum::http::StatusCode;
use chat::{Change, Event, State};

use super::{
    frame::ServerFrame,
    output::{End, Output},
};
use crate::{
    http::{
        Api, api,
        auth::{Caller, session_ended},
        error::Refusal,
        limits,
        wire::{Channel, Message},
    },
    service::{Live, Subscription},
};

/// The events of one account, in the order of the log.
pub(super) struct Feed<'a> {
    api: &'a Api,
    caller: Caller,
    live: Subscription,
    /// Everything at or below is sent, or not to be seen.
    cursor: u64,
}

/// An event, and what the account is told of it.
pub(super) struct Next {
    pub(super) index: u64,
    pub(super) frame: Option<ServerFrame>,
}

impl<'a> Feed<'a> {
    /// Says `ready` and sends what was missed after the cursor; without one, it begins now.
    pub(super) async fn begin(
        api: &'a Api,
        caller: Caller,
        after: Option<u64>,
        output: &mut Output,
    ) -> Result<Self, End> {
        let now = api.barrier().await?;
        let cursor = after.unwrap_or(now);
        if cursor > now {
            return Err(ahead(cursor, now).into());
        }
        output.feed(&ServerFrame::Ready { cursor: cursor.to_string() }).await?;
        output.flush().await?;
        let mut replay = Replay { api, caller, cursor };
        let live = loop {
            match api.service.subscribe_after(replay.cursor) {
                Ok(live) => break live,
                Err(since) => replay.upto(since, output).await?,
            }
        };
        Ok(Self { api, caller, live, cursor: replay.cursor })
    }

    /// Where a later subscription goes on.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next event. It is [`passed`](Self::passed) when whoever listens has it.
    pub(super) async fn next(&mut self) -> Result<Next, End> {
        let event = self.live.next().await.map_err(|_lagged| End::Slow)?.ok_or(End::Leaving)?;
        let frame = if event.index > self.cursor {
            look(self.api, &self.caller, |state, caller| frame_of(state, caller, &event))?
        } else {
            None
        };
        Ok(Next { index: event.index, frame })
    }

    /// The event at this index is written, or is not to be seen.
    pub(super) fn passed(&mut self, index: u64) {
        self.cursor = self.cursor.max(index);
    }

    /// Ends a socket whose session has ended.
    pub(super) fn check_session(&self) -> Result<(), End> {
        look(self.api, &self.caller, |_, _| ())
    }
}

/// What lies too far back to be kept as events: of that, the messages, read from the log.
struct Replay<'a> {
    api: &'a Api,
    caller: Caller,
    cursor: u64,
}

impl Replay<'_> {
    /// Sends the messages up to and including the index `last`.
    async fn upto(&mut self, last: u64, output: &mut Output) -> Result<(), End> {
        while self.cursor < last {
            let mut page = look(self.api, &self.caller, |state, caller| {
                state.messages_after(caller.account, self.cursor, limits::REPLAY_PAGE)
            })?;
            page.retain(|place| place.id.0 <= last);
            for message in api::messages(self.api, self.caller.account, &page).await? {
                let cursor = message.id().to_owned();
                output.feed(&ServerFrame::Message { cursor, message }).await?;
            }
            output.flush().await?;
            self.cursor = match page.last() {
                Some(place) if page.len() == limits::REPLAY_PAGE => place.id.0,
                Some(_) | None => last,
            };
        }
        Ok(())
    }
}

/// Looks at the state, as long as the session has not ended.
fn look<T>(api: &Api, caller: &Caller, look: impl FnOnce(&State, &Caller) -> T) -> Result<T, End> {
    let now_us = api.service.clock_us();
    api.service.query(|state| {
        if state.session(&caller.token, now_us).is_none() {
            return Err(session_ended().into());
        }
        Ok(look(state, caller))
    })
}

fn frame_of(state: &State, caller: &Caller, live: &Live) -> Option<ServerFrame> {
    let reader = caller.account;
    if !state.sees(reader, &live.event) {
        return None;
    }
    let cursor = live.index.to_string();
    match live.event {
        Event::Message { index, conversation, seq } => {
            let made = (index, &*live.command);
            let message = Message::as_of(state, reader, (conversation, seq), made)?;
            Some(ServerFrame::Message { cursor, message })
        }
        Event::Edited { index, conversation, seq } => {
            let made = (index, &*live.command);
            let message = Message::as_of(state, reader, (conversation, seq), made)?;
            Some(ServerFrame::Edited { cursor, message })
        }
        Event::Deleted { index, conversation, seq, .. } => {
            let made = (index, &*live.command);
            let message = Message::as_of(state, reader, (conversation, seq), made)?;
            Some(ServerFrame::Deleted { cursor, message })
        }
        Event::AccountDeleted { account, erased, .. } => {
            Some(ServerFrame::Account { cursor, user: state.name(account)?, deleted: true, erased })
        }
        Event::Read { conversation, upto, .. } => {
            let conversation = state.label(reader, conversation)?;
            Some(ServerFrame::Read { cursor, conversation, upto })
        }
        Event::Member { conversation, account, change, .. } => Some(ServerFrame::Member {
            cursor,
            conversation: state.label(reader, conversation)?,
            user: state.name(account)?,
            change: match change {
                Change::Joined => "joined",
                Change::Left => "left",
            },
        }),
        Event::Channel { conversation, .. } => {
            let label = state.label(reader, conversation)?;
            let view = state.channel(reader, label.strip_prefix('#')?).ok()?;
            Some(ServerFrame::Channel { cursor, channel: Channel::from(view) })
        }
    }
}

fn ahead(cursor: u64, now: u64) -> Refusal {
    Refusal::new(
        StatusCode::CONFLICT,
        "cursor_ahead",
        format!("the cursor {cursor} lies beyond the log, which ends at {now}"),
        "a cursor is of one cluster: begin without one",
    )
}
