//! What one account sees of the log from a cursor on: first what it missed, then what happens.

use axum::http::StatusCode;
use chat::{Change, Event, MessageId, Posted, State};

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

impl<'a> Feed<'a> {
    /// Says `ready` and sends what was missed after the cursor; without one, it begins now.
    pub(super) async fn begin(
        api: &'a Api,
        caller: Caller,
        after: Option<u64>,
        output: &mut Output,
    ) -> Result<Self, End> {
        let live = api.service.subscribe();
        let now = api.barrier().await?;
        let cursor = after.unwrap_or(now);
        if cursor > now {
            return Err(ahead(cursor, now).into());
        }
        output.feed(&ServerFrame::Ready { cursor: cursor.to_string() }).await?;
        output.flush().await?;
        let mut feed = Self { api, caller, live, cursor };
        if after.is_some() {
            feed.replay(output).await?;
            // The live stream may have run over meanwhile: join it anew, then close what gap is left.
            feed.live = api.service.subscribe();
            feed.replay(output).await?;
        }
        Ok(feed)
    }

    /// Where a later subscription goes on.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next event that this account sees; none for one that it does not.
    pub(super) async fn next(&mut self) -> Result<Option<ServerFrame>, End> {
        let event = self.live.next().await.map_err(|_lagged| End::Slow)?.ok_or(End::Leaving)?;
        if event.index <= self.cursor {
            return Ok(None);
        }
        let frame = self.look(|state, caller| frame_of(state, caller, &event))?;
        self.cursor = event.index;
        Ok(frame)
    }

    /// Ends a socket whose session has ended.
    pub(super) fn check_session(&self) -> Result<(), End> {
        self.look(|_, _| ())
    }

    async fn replay(&mut self, output: &mut Output) -> Result<(), End> {
        loop {
            let (page, applied) = self.look(|state, caller| {
                let page = state.messages_after(caller.account, self.cursor, limits::REPLAY_PAGE);
                (page, state.applied())
            })?;
            for message in api::messages(self.api, self.caller.account, &page).await? {
                let cursor = message.id.clone();
                output.feed(&ServerFrame::Message { cursor, message }).await?;
            }
            output.flush().await?;
            match page.last() {
                Some(last) if page.len() == limits::REPLAY_PAGE => self.cursor = last.id.0,
                Some(_) | None => {
                    self.cursor = self.cursor.max(applied);
                    return Ok(());
                }
            }
        }
    }

    /// Looks at the state, as long as the session has not ended.
    fn look<T>(&self, look: impl FnOnce(&State, &Caller) -> T) -> Result<T, End> {
        let now_us = self.api.service.clock_us();
        self.api.service.query(|state| {
            if state.session(&self.caller.token, now_us).is_none() {
                return Err(session_ended().into());
            }
            Ok(look(state, &self.caller))
        })
    }
}

fn frame_of(state: &State, caller: &Caller, live: &Live) -> Option<ServerFrame> {
    let reader = caller.account;
    if !state.sees(reader, &live.event) {
        return None;
    }
    let cursor = live.index.to_string();
    match live.event {
        Event::Message { index, conversation, seq } => {
            let place = Posted { conversation, seq, id: MessageId(index), time_us: live.time_us };
            let message = Message::of(state, reader, &place, &live.command)?;
            Some(ServerFrame::Message { cursor, message })
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
