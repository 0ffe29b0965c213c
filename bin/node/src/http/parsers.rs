//! Every parser of what clients send, each as a function of bytes: a list to try them by.
//!
//! What always holds: what stands here is what the routes, the sockets and the guard before them read
//! by, and nothing made for a test; every body and every query that the API describes is on the list.
//! What comes before (TLS, HTTP, the framing of a WebSocket) is read by libraries.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use chat::Action;
use serde::de::DeserializeOwned;

use super::{
    api::message,
    auth, cookie,
    error::Refusal,
    events::frame::{ClientFrame, Hello, Named},
    origin,
    request::{self, Consistency, Freshness, Key},
    wire,
};

/// One parser.
#[derive(Clone, Copy, Debug)]
pub struct Parser {
    /// Where its bytes stand.
    pub place: Place,
    /// What it reads: an object of the API's description, or a header.
    pub name: &'static str,
    read: fn(&[u8]) -> Result<Option<Action>, Refusal>,
}

/// Where in a request something stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// In its body.
    Body,
    /// In a text frame of a WebSocket.
    Frame,
    /// In the path of its URL.
    Path,
    /// In the query of its URL.
    Query,
    /// In a header.
    Header,
}

/// All of them.
pub const PARSERS: &[Parser] = &[
    body::<wire::Register>("Register"),
    body::<wire::Login>("Login"),
    body::<wire::DeleteAccount>("DeleteAccount"),
    body::<wire::SetPassword>("SetPassword"),
    body::<wire::CreateChannel>("CreateChannel"),
    body::<wire::Invite>("Invite"),
    body::<wire::EditMessage>("EditMessage"),
    body::<wire::Mark>("Mark"),
    body::<wire::AddNode>("AddNode"),
    body::<wire::Replace>("Replace"),
    body::<wire::Transfer>("Transfer"),
    parser(Place::Body, "SendMessage", |bytes| kept(message::action(request::parse(bytes)?))),
    parser(Place::Frame, "Hello", |bytes| unkept(request::parse::<Hello>(bytes))),
    parser(Place::Frame, "ClientFrame", |bytes| {
        let ClientFrame::Send(asked) = request::parse(bytes)?;
        kept(message::action(asked.split().message))
    }),
    parser(Place::Frame, "Named", |bytes| unkept(request::parse::<Named>(bytes))),
    parser(Place::Path, "id", |bytes| found(wire::parse_id(text(bytes)?))),
    parser(Place::Path, "name", |bytes| unkept(chat::limits::name(text(bytes)?))),
    query::<wire::Listing>("Listing"),
    query::<wire::Paging>("Paging"),
    query::<wire::InboxQuery>("InboxQuery"),
    query::<wire::EventsQuery>("EventsQuery"),
    query::<wire::HashQuery>("HashQuery"),
    parser(Place::Query, "HistoryQuery", |bytes| unkept(message::window(&read_query(bytes)?))),
    parser(Place::Query, "Freshness", |bytes| {
        unkept(Freshness::of(&read_query(bytes)?, &HeaderMap::new()))
    }),
    parser(Place::Header, "Authorization", |bytes| {
        found(auth::bearer(&headers(header::AUTHORIZATION, bytes)?)?)
    }),
    parser(Place::Header, "Cookie", |bytes| {
        found(cookie::cookie(&headers(header::COOKIE, bytes)?))
    }),
    parser(Place::Header, "Host", |bytes| found(origin::host(text(bytes)?))),
    parser(Place::Header, "Origin", |bytes| found(origin::parse(&value(bytes)?))),
    parser(Place::Header, "Idempotency-Key", |bytes| unkept(Key::parse(&value(bytes)?))),
    parser(Place::Header, "Holdfast-Min-Index", |bytes| {
        let headers = headers(request::MIN_INDEX, bytes)?;
        unkept(Freshness::of(&Consistency::default(), &headers))
    }),
    parser(Place::Header, "Holdfast-Timeout-Ms", |bytes| {
        found(request::patience(&headers(request::TIMEOUT_MS, bytes)?)?)
    }),
];

impl Parser {
    /// Read these bytes: what the log is to keep of them, if anything.
    ///
    /// # Errors
    /// They are refused; the message is for the client.
    pub fn parse(&self, bytes: &[u8]) -> Result<Option<Action>, String> {
        (self.read)(bytes).map_err(|refusal| refusal.message)
    }
}

type Read = Result<Option<Action>, Refusal>;

const fn parser(place: Place, name: &'static str, read: fn(&[u8]) -> Read) -> Parser {
    Parser { place, name, read }
}

const fn body<T: DeserializeOwned>(name: &'static str) -> Parser {
    parser(Place::Body, name, |bytes| unkept(request::parse::<T>(bytes)))
}

const fn query<T: DeserializeOwned>(name: &'static str) -> Parser {
    parser(Place::Query, name, |bytes| unkept(read_query::<T>(bytes)))
}

fn read_query<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    let uri = Uri::try_from([b"/?", bytes].concat());
    request::query(&uri.map_err(|error| Refusal::malformed(error.to_string()))?)
}

fn kept(action: Result<Action, Refusal>) -> Read {
    action.map(Some)
}

fn unkept<T, E: Into<Refusal>>(read: Result<T, E>) -> Read {
    read.map(|_| None).map_err(Into::into)
}

fn found<T>(read: Option<T>) -> Read {
    read.map(|_| None).ok_or_else(|| Refusal::malformed("there is no such thing in it"))
}

fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    str::from_utf8(bytes).map_err(|error| Refusal::malformed(error.to_string()))
}

fn value(bytes: &[u8]) -> Result<HeaderValue, Refusal> {
    HeaderValue::from_bytes(bytes).map_err(|error| Refusal::malformed(error.to_string()))
}

fn headers(name: HeaderName, bytes: &[u8]) -> Result<HeaderMap, Refusal> {
    Ok(HeaderMap::from_iter([(name, value(bytes)?)]))
}
