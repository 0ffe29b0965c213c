//! `GET /v1/events`: a WebSocket that is both a subscription and a pipeline of sends.
//!
//! A subscription is "fold from a cursor": after `ready` comes everything that the account may see
//! after the cursor, in the order of the log. The newest events are kept in memory, those of before
//! a restart too, once for all sockets; of what lies further back the messages are read from the
//! log, and `resync` says if anything else was missed.
//!
//! What always holds:
//! - No gap and no repeat: a socket goes through the kept events by index, and ends when one that it
//!   has not seen is dropped.
//! - Nothing is shown to a session that has ended.
//! - Sends of one connection are proposed in the order of its frames.
//! - Nothing is held back without bound: who reads too slowly is closed, and told the cursor to go
//!   on from.

mod feed;
pub(super) mod frame;
mod output;
mod picture;

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use axum::{
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::Response,
};
use chat::{Action, Body, Command, RequestId};
use feed::Feed;
use frame::{ClientFrame, Hello, Named, Send, ServerFrame};
use futures_util::{
    FutureExt as _, StreamExt as _,
    future::BoxFuture,
    stream::{FuturesUnordered, SplitStream},
};
use output::{End, Output};
pub(super) use picture::Gallery;
use picture::Watched;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Interval, MissedTickBehavior, interval_at, timeout},
};
use utoipa::OpenApi;

use super::{
    Api,
    api::message,
    auth::{self, Caller},
    error::Refusal,
    limits,
    request::{Params, parse},
    wire,
};
use crate::service::Live;

/// Who is at the other end, and where the subscription begins.
struct Greeting {
    caller: Caller,
    after: Option<u64>,
    /// It wants to be told how the cluster does.
    cluster: bool,
}

/// The frames, for the description of the API.
#[derive(OpenApi)]
#[openapi(components(schemas(Hello, ClientFrame, ServerFrame)))]
pub(super) struct Frames;

/// A WebSocket of live events and pipelined sends.
///
/// Its frames are JSON text. The client's first is a `Hello`, unless it sends its token in the
/// header; every later one is a `ClientFrame`, many in flight. The node's are `ServerFrame`s: first
/// `ready`, and before it closes the socket an `error`. A reconnect with `after` = the last cursor
/// repeats and skips nothing.
#[utoipa::path(
    get, path = "/v1/events", tag = "message", security(("token" = []), ()),
    params(wire::EventsQuery),
    responses(
        (status = 101, description = "the WebSocket stands"),
    ),
)]
pub(super) async fn upgrade(
    State(api): State<Api>,
    headers: HeaderMap,
    Params(query): Params<wire::EventsQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|rejection| {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "not_a_websocket",
            rejection.body_text(),
            "open this path as a WebSocket",
        )
    })?;
    let place = api.websockets.take().ok_or_else(|| {
        Refusal::unavailable("busy", "as many WebSockets are open as this node allows")
    })?;
    let greeting = match auth::bearer(&headers)? {
        None => None,
        Some(token) => {
            let caller = Caller::find(&api, token).await?;
            Some(Greeting { caller, after: query.after.map(|id| id.0), cluster: query.cluster })
        }
    };
    Ok(upgrade
        .max_message_size(limits::size(api.limits.frame_bytes))
        .max_frame_size(limits::size(api.limits.frame_bytes))
        .read_buffer_size(limits::READ_BUFFER_BYTES)
        .write_buffer_size(limits::WRITE_BUFFER_BYTES)
        .max_write_buffer_size(limits::size(api.limits.websocket_buffer_bytes))
        .on_upgrade(async move |socket| {
            serve(api, socket, greeting).await;
            drop(place);
        }))
}

async fn serve(api: Api, socket: WebSocket, greeting: Option<Greeting>) {
    let metrics = &api.service.metrics().clients;
    let _open = metrics.subscribed();
    let (sink, stream) = socket.split();
    let mut output = Output::new(sink, api.sockets.write_timeout);
    let (end, cursor) = match begin(&api, &mut output, stream, greeting).await {
        Err(end) => (end, None),
        Ok(mut connection) => {
            let end = connection.run(&mut output).await;
            (end, Some(connection.feed.cursor()))
        }
    };
    tracing::debug!(?end, ?cursor, "a WebSocket ends");
    if matches!(end, End::Slow) {
        metrics.slow.inc();
    }
    output.close(&end, cursor).await;
}

async fn begin<'a>(
    api: &'a Api,
    output: &mut Output,
    mut stream: SplitStream<WebSocket>,
    greeting: Option<Greeting>,
) -> Result<Connection<'a>, End> {
    let greeting = match greeting {
        Some(greeting) => greeting,
        None => greet(api, &mut stream).await?,
    };
    let feed = Feed::begin(api, greeting.caller, greeting.after, output).await?;
    let pictures = api.pictures.watch(greeting.cluster);
    let (caller, sends) = (greeting.caller, FuturesUnordered::new());
    Ok(Connection { api, caller, stream, feed, pictures, sends })
}

async fn greet(api: &Api, stream: &mut SplitStream<WebSocket>) -> Result<Greeting, End> {
    let hello = timeout(api.patience.hello, async {
        loop {
            match stream.next().await {
                Some(Ok(Message::Text(text))) => return Ok(parse::<Hello>(text.as_bytes())?),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_))) => return Err(not_text().into()),
                Some(Ok(Message::Close(_))) | None => return Err(End::Gone),
                Some(Err(_)) => return Err(unreadable(api)),
            }
        }
    });
    let Hello::Hello { token, after, cluster } =
        hello.await.map_err(|_elapsed| Refusal::unauthenticated("no `hello` came in time"))??;
    let caller = Caller::find(api, auth::hash_of(&token)).await?;
    Ok(Greeting { caller, after: after.map(|id| id.0), cluster })
}

/// One WebSocket at work.
struct Connection<'a> {
    api: &'a Api,
    caller: Caller,
    stream: SplitStream<WebSocket>,
    feed: Feed<'a>,
    pictures: Watched,
    sends: FuturesUnordered<BoxFuture<'a, ServerFrame>>,
}

impl<'a> Connection<'a> {
    /// Works until there is a reason to end.
    async fn run(&mut self, output: &mut Output) -> End {
        match self.work(output).await {
            Ok(()) => End::Leaving,
            Err(end) => end,
        }
    }

    /// Ends well when the node is about to stop and every send begun is answered.
    async fn work(&mut self, output: &mut Output) -> Result<(), End> {
        self.feed.catch_up(output).await?;
        let mut ticks = ticks(self.api.sockets.ping_interval);
        let mut heard = Instant::now();
        let mut stop = self.api.shutdown.clone();
        let mut is_leaving = *stop.borrow_and_update();
        while !(is_leaving && self.sends.is_empty()) {
            let has_room = self.sends.len() < limits::size(self.api.limits.sends_in_flight);
            if !has_room {
                // Whoever is not listened to is not silent.
                heard = Instant::now();
            }
            tokio::select! {
                Some(answer) = self.sends.next(), if !self.sends.is_empty() => {
                    output.feed(&answer).await?;
                    self.answer(output).await?;
                    if let Some(events) = self.feed.ready()? {
                        self.tell(events, output).await?;
                    }
                }
                events = self.feed.next() => {
                    self.tell(events?, output).await?;
                    self.answer(output).await?;
                }
                picture = self.pictures.next() => output.feed_text(picture).await?,
                message = self.stream.next(), if has_room && !is_leaving => {
                    heard = Instant::now();
                    if let Some(frame) = self.take(message).await? {
                        output.feed(&frame).await?;
                    }
                }
                _ = ticks.tick() => {
                    if heard.elapsed() > self.api.sockets.silence_max {
                        return Err(End::Gone);
                    }
                    self.feed.check_session()?;
                    output.ping().await?;
                }
                _ = stop.changed(), if !is_leaving => is_leaving = true,
            }
            output.flush().await?;
        }
        Ok(())
    }

    /// Puts what else is answered into the same write.
    async fn answer(&mut self, output: &mut Output) -> Result<(), End> {
        while let Some(Some(answer)) = self.sends.next().now_or_never() {
            output.feed(&answer).await?;
        }
        Ok(())
    }

    /// Writes events. Only then does the cursor stand behind them.
    async fn tell(&mut self, events: Vec<Arc<Live>>, output: &mut Output) -> Result<(), End> {
        for event in self.feed.told(&events).await? {
            if let Some(frame) = event.frame {
                output.feed_text(frame).await?;
                self.api.service.metrics().clients.events.inc();
            }
            self.feed.passed(event.index);
        }
        self.feed.told_all();
        Ok(())
    }

    /// Takes what the client sent: begins a send, or tells why not.
    async fn take(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
    ) -> Result<Option<ServerFrame>, End> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(None),
            Some(Ok(Message::Binary(_))) => return Err(not_text().into()),
            Some(Ok(Message::Close(_))) | None => return Err(End::Gone),
            Some(Err(_)) => return Err(unreadable(self.api)),
        };
        match self.prepare(text.as_bytes()) {
            Ok(mut send) => {
                // The first poll proposes: it happens here, so that the order of frames is the
                // order in the log.
                match poll_fn(|context| Poll::Ready(send.as_mut().poll(context))).await {
                    Poll::Ready(frame) => Ok(Some(frame)),
                    Poll::Pending => {
                        self.sends.push(send);
                        Ok(None)
                    }
                }
            }
            Err(refusal) => match parse::<Named>(text.as_bytes()) {
                Ok(named) => Ok(Some(ServerFrame::failed(named.request_id, &refusal))),
                Err(_) => Err(refusal.into()),
            },
        }
    }

    fn prepare(&self, text: &[u8]) -> Result<BoxFuture<'a, ServerFrame>, Refusal> {
        let ClientFrame::Send(asked) = parse(text)?;
        let place = self.api.room.take(text.len().max(limits::REQUEST_BYTES_MIN))?;
        self.api.rates.count(self.caller.account.0)?;
        let Send { request_id, message } = asked.split();
        let request = RequestId::parse(&request_id)?;
        let action = message::action(message)?;
        Ok(send(self.api, self.caller, request, action, place).boxed())
    }
}

async fn send(
    api: &Api,
    caller: Caller,
    request: RequestId,
    action: Action,
    place: OwnedSemaphorePermit,
) -> ServerFrame {
    let Caller { account, session, .. } = caller;
    let command = Command::new(request, Body::Act { account, session, action });
    let result = message::send_command(api, account, command).await;
    drop(place);
    match result {
        Ok((_, message)) => ServerFrame::sent(request, message),
        Err(refusal) => ServerFrame::failed(request.to_string(), &refusal),
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn unreadable(api: &Api) -> End {
    End::Unreadable { bytes_max: api.limits.frame_bytes }
}

fn not_text() -> Refusal {
    Refusal::malformed("frames are JSON text")
}
