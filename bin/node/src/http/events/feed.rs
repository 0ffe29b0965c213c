//! What one account sees of the log from a cursor on: first what it missed, then what happens.

use std::sync::Arc;

use axum::{extract::ws::Utf8Bytes, http::StatusCode};
use bytes::Bytes;
use chat::{AccountId, Change, Event, Posted, State};

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
    /// Events were given out that are not all written.
    is_telling: bool,
}

/// An event, and what the account is told of it.
pub(super) struct Next {
    pub(super) index: u64,
    pub(super) frame: Option<Utf8Bytes>,
}

/// What one reader is told of an event.
enum Told {
    /// Nothing: it may not see it.
    Nothing,
    /// This.
    Text(Utf8Bytes),
    /// The message as it stands now: it was edited after this event.
    Now(Posted),
}

impl<'a> Feed<'a> {
    /// Says `ready`. It begins after the cursor; without one, now.
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
        let live = api.service.subscribe_after(caller.account, cursor);
        Ok(Self { api, caller, live, cursor, is_telling: false })
    }

    /// Sends of what lies too far back to be kept as events what the log brings back.
    pub(super) async fn catch_up(&mut self, output: &mut Output) -> Result<(), End> {
        while let Err(missed) = self.live.ready(0) {
            // Before the messages: they raise the cursor above what was missed, so whoever is cut off
            // among them would never be told.
            if missed.others {
                output.feed(&ServerFrame::Resync { cursor: self.cursor.to_string() }).await?;
            }
            self.messages_upto(missed.upto, output).await?;
            self.live.skip_to(self.cursor);
        }
        output.flush().await
    }

    /// Sends the messages up to and including the index `last`.
    async fn messages_upto(&mut self, last: u64, output: &mut Output) -> Result<(), End> {
        while self.cursor < last {
            let mut page = look(self.api, &self.caller, |state, caller| {
                state.messages_after(caller.account, self.cursor, limits::REPLAY_PAGE)
            })?;
            page.retain(|place| place.id.0 <= last);
            let messages = api::messages(self.api, self.caller.account, &page).await?;
            for (place, message) in page.iter().zip(messages) {
                let cursor = place.id.to_string();
                output.feed(&ServerFrame::Message { cursor, message }).await?;
                self.passed(place.id.0);
            }
            output.flush().await?;
            if page.len() < limits::REPLAY_PAGE {
                self.passed(last);
            }
        }
        Ok(())
    }

    /// Where a later subscription goes on.
    pub(super) fn cursor(&self) -> u64 {
        if self.is_telling { self.cursor } else { self.cursor.max(self.live.cursor()) }
    }

    /// The next events; none, when something was applied that has no event and may have ended the
    /// session. Nothing is lost when it is dropped.
    pub(super) async fn next(&mut self) -> Result<Vec<Arc<Live>>, End> {
        let events = self.live.next(limits::FRAMES_PER_WRITE_MAX).await;
        let events = events.map_err(|_missed| End::Slow)?;
        self.is_telling = true;
        Ok(events)
    }

    /// The same, of what is there now, if anything.
    pub(super) fn ready(&mut self) -> Result<Option<Vec<Arc<Live>>>, End> {
        let events = self.live.ready(limits::FRAMES_PER_WRITE_MAX).map_err(|_missed| End::Slow)?;
        self.is_telling |= events.is_some();
        Ok(events)
    }

    /// The events given out are all written.
    pub(super) fn told_all(&mut self) {
        self.is_telling = false;
    }

    /// What the account is told of these events, if its session has not ended. Each is
    /// [`passed`](Self::passed) when whoever listens has it.
    pub(super) async fn told(&self, events: &[Arc<Live>]) -> Result<Vec<Next>, End> {
        let told: Vec<_> = look(self.api, &self.caller, |state, caller| {
            events.iter().map(|live| told(state, caller.account, live)).collect()
        })?;
        let mut next = Vec::with_capacity(events.len());
        for (live, told) in events.iter().zip(told) {
            let frame = match told? {
                Told::Nothing => None,
                Told::Text(text) => Some(text),
                Told::Now(place) => self.now(live, place).await?,
            };
            next.push(Next { index: live.index, frame });
        }
        Ok(next)
    }

    /// The text of the message was replaced by a later entry: it stands in the log.
    async fn now(&self, live: &Live, place: Posted) -> Result<Option<Utf8Bytes>, End> {
        let message = api::messages(self.api, self.caller.account, &[place]).await?.pop();
        let frame = message.and_then(|message| message_frame(live, message));
        frame.map(|frame| Ok(frame.json()?.into())).transpose()
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

/// Looks at the state, as long as the session has not ended.
fn look<T>(api: &Api, caller: &Caller, look: impl FnOnce(&State, &Caller) -> T) -> Result<T, End> {
    let now_us = api.service.clock_us();
    api.service.query(|state| {
        if !state.is_session(caller.account, caller.session, now_us) {
            return Err(session_ended().into());
        }
        Ok(look(state, caller))
    })
}

fn told(state: &State, reader: AccountId, live: &Live) -> Result<Told, End> {
    if !state.sees(reader, &live.event) {
        return Ok(Told::Nothing);
    }
    let place = match live.event {
        Event::Message { conversation, seq, .. }
        | Event::Edited { conversation, seq, .. }
        | Event::Deleted { conversation, seq, .. } => state.posted(reader, conversation, seq),
        Event::AccountDeleted { .. }
        | Event::Read { .. }
        | Event::Member { .. }
        | Event::Channel { .. } => None,
    };
    if let Some(place) = place
        && place.body.is_some_and(|body| body != live.index)
    {
        return Ok(Told::Now(place));
    }
    let is_shared = is_same_for_all(state, live, place.as_ref());
    if is_shared
        && let Some(shared) = live.shared.get()
        && let Ok(text) = Utf8Bytes::try_from(shared.clone())
    {
        return Ok(Told::Text(text));
    }
    let Some(frame) = frame_of(state, reader, live, place.as_ref()) else {
        return Ok(Told::Nothing);
    };
    let text = frame.json()?;
    if is_shared {
        // Whoever else was first has made the same.
        drop(live.shared.set(Bytes::from(text.clone())));
    }
    Ok(Told::Text(text.into()))
}

/// Is everyone who sees it told the same, now and later? Two have two names for their direct
/// conversation, what one has hidden is hidden for it alone, and a deleted account gives its name up.
fn is_same_for_all(state: &State, live: &Live, place: Option<&Posted>) -> bool {
    match live.event {
        Event::Message { conversation, .. } | Event::Edited { conversation, .. } => {
            place.is_some_and(|place| place.body.is_some() && !state.is_deleted(place.author))
                && state.is_channel(conversation)
        }
        Event::Deleted { conversation, only_for, .. } => {
            only_for.is_none() && state.is_channel(conversation)
        }
        Event::Member { .. } | Event::AccountDeleted { .. } => true,
        Event::Read { .. } | Event::Channel { .. } => false,
    }
}

/// `place` is that of the message which the event is about.
fn frame_of(
    state: &State,
    reader: AccountId,
    live: &Live,
    place: Option<&Posted>,
) -> Option<ServerFrame> {
    let cursor = live.index.to_string();
    match live.event {
        Event::Message { .. } | Event::Edited { .. } | Event::Deleted { .. } => {
            let place = place?;
            let body = place.body.map(|_this| &live.command);
            message_frame(live, Message::of(state, reader, place, body)?)
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

/// The frame of an event about a message.
fn message_frame(live: &Live, message: Message) -> Option<ServerFrame> {
    let cursor = live.index.to_string();
    match live.event {
        Event::Message { .. } => Some(ServerFrame::Message { cursor, message }),
        Event::Edited { .. } => Some(ServerFrame::Edited { cursor, message }),
        Event::Deleted { .. } => Some(ServerFrame::Deleted { cursor, message }),
        Event::AccountDeleted { .. }
        | Event::Read { .. }
        | Event::Member { .. }
        | Event::Channel { .. } => None,
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
