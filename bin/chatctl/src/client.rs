//! The client: typed requests on top of one retrying call, streams and subscriptions.
//!
//! A [`Client`] is cheap to clone; clones share connections, the token, the clock and the preferred node.

mod account;
mod call;
mod cluster;
mod endpoint;
mod follow;
mod load;
mod message;
mod node;
mod request_id;
mod socket;
mod stream;
mod tls;
mod window;

use std::{
    hash::{BuildHasher, RandomState},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

pub(crate) use self::endpoint::ENDPOINTS_MAX;
use self::{
    call::{Answer, Call, Key},
    endpoint::Endpoints,
    request_id::RequestIds,
};
pub use self::{
    endpoint::Endpoint,
    follow::Follow,
    load::{Ended, Load, LoadEvent},
    node::{Probe, ProbeAnswer},
    stream::{Stop, StreamSummary},
};
use crate::{
    ClientError,
    types::{Channel, Conversation, Page, Signed, Target, User},
};

/// Most items that a node gives in one answer.
pub(crate) const PAGE_ITEMS_MAX: u64 = chat::limits::PAGE_MAX as u64;
/// How long a TCP connection may take to come up.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// The first and the longest pause between two rounds.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// How fresh reads are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Consistency {
    /// Everything that was acknowledged to anyone before the read.
    #[default]
    Linearizable,
    /// At least what this session wrote or saw.
    Session,
    /// What the asked node has.
    Stale,
}

/// What a [`Client`] is made of.
#[derive(Clone, Debug)]
pub struct Options {
    /// The nodes; any one of them will do.
    pub endpoints: Vec<Endpoint>,
    /// The CA certificates (PEM) to accept; the system's without it.
    pub ca: Option<PathBuf>,
    /// The bearer token of an earlier login.
    pub token: Option<String>,
    /// How long one request may take over all attempts, and a stream without an acknowledgement.
    pub timeout: Duration,
    /// How fresh reads are.
    pub read: Consistency,
}

impl Options {
    /// Defaults for these nodes: no token, ten seconds, linearizable.
    #[must_use]
    pub fn new(endpoints: Vec<Endpoint>) -> Self {
        Self {
            endpoints,
            ca: None,
            token: None,
            timeout: Duration::from_secs(10),
            read: Consistency::Linearizable,
        }
    }
}

/// A message to send.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where to.
    pub to: Target,
    /// What.
    pub text: String,
    /// The id of the message that it replies to.
    pub reply_to: Option<u64>,
    /// The request that must have been decided before it.
    pub after_request: Option<Uuid>,
    /// The request id; a new one is made without it.
    pub request_id: Option<Uuid>,
}

/// Which part of a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct HistoryQuery {
    /// Older than this `seq`.
    pub before: Option<u64>,
    /// Newer than this `seq`.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: Option<u64>,
}

/// A client of one cluster.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoints: Endpoints,
    http: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    token: Mutex<Option<String>>,
    ids: RequestIds,
    index: AtomicU64,
    timeout: Duration,
    read: Consistency,
}

impl Client {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// When there is no endpoint, or the CA file cannot be used.
    pub fn new(options: Options) -> Result<Self, ClientError> {
        let endpoints = Endpoints::new(options.endpoints)?;
        let tls = tls::config(options.ca.as_deref(), endpoints.any_tls())?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&tls))
            .connect_timeout(CONNECT_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tcp_nodelay(true)
            .user_agent(concat!("chatctl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                ClientError::usage(format!("the HTTP client cannot be set up: {error}"))
            })?;
        let inner = Inner {
            endpoints,
            http,
            tls,
            token: Mutex::new(options.token),
            ids: RequestIds::new(),
            index: AtomicU64::new(0),
            timeout: options.timeout,
            read: options.read,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Makes an account and signs in; the owner's token, or an invite, goes into `invite`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn register(
        &self,
        name: &str,
        password: &str,
        invite: Option<&str>,
    ) -> Result<Signed, ClientError> {
        let mut body = json!({"name": name, "password": password});
        if let Some(invite) = invite {
            body["invite"] = invite.into();
        }
        self.sign_in("register", body).await
    }

    /// Signs in; from then on every request carries the token.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn login(&self, name: &str, password: &str) -> Result<Signed, ClientError> {
        self.sign_in("login", json!({"name": name, "password": password})).await
    }

    async fn sign_in(&self, what: &str, body: Value) -> Result<Signed, ClientError> {
        let call = Call {
            method: Method::POST,
            path: vec![what],
            query: Vec::new(),
            body: Some(body),
            key: Key::Fresh,
            anonymous: true,
        };
        let signed: Signed = self.call(&call).await?.json()?;
        self.set_token(Some(signed.token.clone()));
        Ok(signed)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn logout(&self) -> Result<(), ClientError> {
        self.write(Method::POST, vec!["logout"], None, Key::Fresh).await?;
        self.set_token(None);
        Ok(())
    }

    /// Accounts by wildcard, by name; `after` is exclusive.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn users(
        &self,
        glob: Option<&str>,
        after: Option<&str>,
        limit: Option<u64>,
    ) -> Result<Page<User>, ClientError> {
        self.get(vec!["users"], page_query(glob, after, limit)).await
    }

    /// Channels by wildcard, by name; `after` is exclusive.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn channels(
        &self,
        glob: Option<&str>,
        after: Option<&str>,
        limit: Option<u64>,
    ) -> Result<Page<Channel>, ClientError> {
        self.get(vec!["channels"], page_query(glob, after, limit)).await
    }

    /// Makes a channel; its creator is a member.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_channel(
        &self,
        name: &str,
        private: bool,
        topic: Option<&str>,
    ) -> Result<Channel, ClientError> {
        let mut body = json!({"name": name, "private": private});
        if let Some(topic) = topic {
            body["topic"] = topic.into();
        }
        self.write(Method::POST, vec!["channels"], Some(body), Key::Fresh).await?.json()
    }

    /// Joins a channel; joining twice is no error.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn join(&self, channel: &str) -> Result<(), ClientError> {
        self.write(Method::POST, vec!["channels", channel, "join"], None, Key::Fresh).await?;
        Ok(())
    }

    /// Leaves a channel.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn leave(&self, channel: &str) -> Result<(), ClientError> {
        self.write(Method::POST, vec!["channels", channel, "leave"], None, Key::Fresh).await?;
        Ok(())
    }

    /// Lets a user join a private channel.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn invite(&self, channel: &str, user: &str) -> Result<(), ClientError> {
        let (path, body) = (vec!["channels", channel, "invites"], json!({"user": user}));
        self.write(Method::POST, path, Some(body), Key::Fresh).await?;
        Ok(())
    }

    /// The members of a channel; `after` is exclusive.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn members(
        &self,
        channel: &str,
        after: Option<&str>,
    ) -> Result<Page<User>, ClientError> {
        self.get(vec!["channels", channel, "members"], page_query(None, after, None)).await
    }

    /// Conversations with their unread counts, latest first; `after` is the `next` of the page before.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn conversations(
        &self,
        after: Option<&str>,
    ) -> Result<Page<Conversation>, ClientError> {
        self.get(vec!["conversations"], page_query(None, after, None)).await
    }

    /// A new request id, timed by the nodes' clock as far as it is known.
    #[must_use]
    pub fn request_id(&self) -> Uuid {
        self.inner.ids.next()
    }

    /// The bearer token, once signed in.
    #[must_use]
    pub fn token(&self) -> Option<String> {
        self.inner.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The greatest log index that any answer told.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.inner.index.load(Ordering::Relaxed)
    }

    /// Session reads are to see at least this log index.
    pub fn saw(&self, index: u64) {
        self.inner.index.fetch_max(index, Ordering::Relaxed);
    }

    /// The node that answered last.
    #[must_use]
    pub fn preferred(&self) -> &Endpoint {
        self.inner.endpoints.preferred()
    }

    fn set_token(&self, token: Option<String>) {
        *self.inner.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    async fn get<T: serde::de::DeserializeOwned>(
        &self,
        path: Vec<&str>,
        query: Vec<(&'static str, String)>,
    ) -> Result<T, ClientError> {
        let method = Method::GET;
        let call = Call { method, path, query, body: None, key: Key::Read, anonymous: false };
        self.call(&call).await?.json()
    }

    async fn write(
        &self,
        method: Method,
        path: Vec<&str>,
        body: Option<Value>,
        key: Key,
    ) -> Result<Answer, ClientError> {
        let call = Call { method, path, query: Vec::new(), body, key, anonymous: false };
        self.call(&call).await
    }
}

fn page_query(
    glob: Option<&str>,
    after: Option<&str>,
    limit: Option<u64>,
) -> Vec<(&'static str, String)> {
    let parts =
        [("match", glob.map(str::to_owned)), ("after", after.map(str::to_owned))].into_iter();
    parts
        .chain([("limit", limit.map(|limit| limit.to_string()))])
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// A growing pause with jitter, so that clients do not come back in step.
fn pause(round: u32) -> Duration {
    let longest = PAUSE_MAX.min(PAUSE_MIN * 2_u32.pow(round.min(8)));
    let half_ms = u64::try_from(longest.as_millis() / 2).unwrap_or_default();
    let random = RandomState::new().hash_one(round);
    Duration::from_millis(half_ms + random % (half_ms + 1))
}

#[cfg(test)]
mod tests;
