//! One request over all endpoints, until it is answered or time is up.
//!
//! - A write keeps its id over all attempts.
//! - A node that is down is passed over at once, one that hangs after a short while that grows per round.
//! - 503 means that this attempt did nothing: the next node is asked, and after a whole round there is a
//!   short, jittered pause.
//! - Once an attempt may have taken effect without an answer, only an answer under the same id ends in
//!   anything but "unknown".

use std::{error::Error as _, time::Duration};

use reqwest::{Method, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{Client, Consistency, pause};
use crate::{ClientError, types::FailureBody};

/// How long the first round waits for one node; doubled per round up to the maximum.
pub(super) const TRY_MIN: Duration = Duration::from_millis(1_500);
const TRY_MAX: Duration = Duration::from_secs(6);
/// With less time left than this no further node is asked: cut off in the middle, the outcome would be
/// unknown, where nothing was done so far.
const TRY_LEFT_MIN: Duration = Duration::from_millis(50);
/// What is kept of that for the answer's way back.
const ANSWER_TIME: Duration = Duration::from_millis(300);
/// Bytes of the largest answer that is read: 200 messages of 16 KiB, escaped, fit well.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// What to ask.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) method: Method,
    pub(super) path: Vec<&'a str>,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    pub(super) key: Key,
    pub(super) anonymous: bool,
}

/// Under which request id.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    /// A read has none.
    Read,
    /// A new one.
    Fresh,
    /// The caller's.
    Given(Uuid),
}

/// A positive answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    pub(super) request_id: Option<Uuid>,
    endpoint: String,
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| ClientError::Protocol {
            endpoint: self.endpoint.clone(),
            detail: error.to_string(),
        })
    }
}

/// What one attempt came to.
enum Verdict {
    Done(Answer),
    Final(ClientError),
    /// The node's clock and that of the id differ; the right one is known now.
    Mistimed(ClientError),
    Elsewhere {
        reason: String,
        /// Whether it may have taken effect all the same.
        maybe: bool,
    },
    Slower(Duration, ClientError),
}

impl Client {
    /// Asks until there is an answer or time is up.
    pub(super) async fn call(&self, call: &Call<'_>) -> Result<Answer, ClientError> {
        let deadline = Instant::now() + self.inner.timeout;
        let mut key = match call.key {
            Key::Read => None,
            Key::Fresh => Some(self.inner.ids.next()),
            Key::Given(id) => Some(id),
        };
        let mut reasons = Reasons::default();
        let mut renewable = call.key == Key::Fresh;
        for round in 0_u32.. {
            let mut wait = pause(round);
            for at in self.inner.endpoints.order() {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() || (left < TRY_LEFT_MIN && !reasons.last.is_empty()) {
                    return Err(reasons.give_up(key));
                }
                let limit = left.min(TRY_MAX).min(TRY_MIN * 2_u32.pow(round.min(2)));
                match self.attempt(at, call, key, limit).await {
                    Verdict::Done(answer) => {
                        self.inner.endpoints.prefer(at);
                        return Ok(answer);
                    }
                    Verdict::Mistimed(_) if renewable && !reasons.maybe => {
                        renewable = false;
                        key = Some(self.inner.ids.next());
                        wait = Duration::ZERO;
                        break;
                    }
                    // Whoever has no session is answered before the id is looked up: that says
                    // nothing about an attempt before.
                    Verdict::Final(ClientError::Refused { status: 401, message, .. })
                        if reasons.maybe =>
                    {
                        let endpoint = self.inner.endpoints.get(at).to_string();
                        reasons.add(endpoint, message, true);
                        return Err(reasons.give_up(key));
                    }
                    Verdict::Final(error) | Verdict::Mistimed(error) => {
                        self.inner.endpoints.prefer(at);
                        return Err(error);
                    }
                    Verdict::Slower(after, error) => {
                        if after >= deadline.saturating_duration_since(Instant::now()) {
                            return Err(error);
                        }
                        wait = after;
                        break;
                    }
                    Verdict::Elsewhere { reason, maybe } => {
                        reasons.add(self.inner.endpoints.get(at).to_string(), reason, maybe);
                    }
                }
            }
            sleep(wait.min(deadline.saturating_duration_since(Instant::now()))).await;
        }
        Err(reasons.give_up(key))
    }

    async fn attempt(
        &self,
        at: usize,
        call: &Call<'_>,
        key: Option<Uuid>,
        limit: Duration,
    ) -> Verdict {
        let endpoint = self.inner.endpoints.get(at);
        let request = self.request(at, call, key).header("holdfast-timeout-ms", patience_ms(limit));
        let exchange = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok::<_, reqwest::Error>((status, headers, read_body(response).await?))
        };
        // What is not an answer may have taken effect if it could be sent and is a write.
        let write = key.is_some();
        let (status, headers, body) = match timeout(limit, exchange).await {
            Ok(Ok(parts)) => parts,
            Ok(Err(error)) => {
                let maybe = write && !error.is_connect();
                return Verdict::Elsewhere { reason: root_cause(&error), maybe };
            }
            Err(_elapsed) => {
                let reason = format!("no answer within {limit:?}");
                return Verdict::Elsewhere { reason, maybe: write };
            }
        };
        self.learn(&headers);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let Some(body) = body else {
            return Verdict::Final(ClientError::Protocol {
                endpoint: endpoint.to_string(),
                detail: format!("more than {ANSWER_BYTES_MAX} bytes"),
            });
        };
        if status.is_success() {
            let request_id = text("idempotency-key").and_then(|id| id.parse().ok()).or(key);
            return Verdict::Done(Answer { body, request_id, endpoint: endpoint.to_string() });
        }
        let retry_after = text("retry-after").and_then(|seconds| seconds.parse().ok());
        judge(status, &body, retry_after.map(Duration::from_secs), write)
    }

    fn request(&self, at: usize, call: &Call<'_>, key: Option<Uuid>) -> reqwest::RequestBuilder {
        let mut query = call.query.clone();
        if call.key == Key::Read && self.inner.read == Consistency::Stale {
            query.push(("consistency", "stale".to_owned()));
        }
        let url = self.inner.endpoints.get(at).api(&call.path, &query);
        let mut request = self.inner.http.request(call.method.clone(), url);
        if let (Key::Read, Consistency::Session) = (call.key, self.inner.read) {
            request = request.header("holdfast-min-index", self.index());
        }
        if let (false, Some(token)) = (call.anonymous, self.token()) {
            request = request.bearer_auth(token);
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key.to_string());
        }
        match &call.body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    /// Learns the node's clock and index from the headers of any answer.
    pub(super) fn learn(&self, headers: &header::HeaderMap) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(time) = text("holdfast-time") {
            self.inner.ids.learn(time);
        }
        if let Some(index) = text("holdfast-index").and_then(|index| index.parse().ok()) {
            self.saw(index);
        }
    }
}

/// How long the node may take: a little less than is waited for its answer, so that it can still say
/// whether anything was done.
fn patience_ms(limit: Duration) -> u64 {
    let spared = (limit / 4).min(ANSWER_TIME);
    u64::try_from((limit - spared).as_millis()).unwrap_or(u64::MAX)
}

/// The body, or none when it is larger than any answer may be.
async fn read_body(mut response: reqwest::Response) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// What a negative answer means for the whole request.
fn judge(status: StatusCode, body: &[u8], retry_after: Option<Duration>, write: bool) -> Verdict {
    let failure = failure(status, body);
    match status {
        StatusCode::SERVICE_UNAVAILABLE => {
            Verdict::Elsewhere { reason: failure.message, maybe: false }
        }
        StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY => {
            Verdict::Elsewhere { reason: failure.message, maybe: write }
        }
        StatusCode::TOO_MANY_REQUESTS => {
            Verdict::Slower(retry_after.unwrap_or(Duration::from_secs(1)), failure.refusal(429))
        }
        StatusCode::CONFLICT
            if matches!(failure.code.as_str(), "request_id_ahead" | "request_id_expired") =>
        {
            Verdict::Mistimed(failure.refusal(409))
        }
        _ => Verdict::Final(failure.refusal(status.as_u16())),
    }
}

/// The error object of an answer, or one made of its status.
pub(super) fn failure(status: StatusCode, body: &[u8]) -> FailureBody {
    #[derive(serde::Deserialize)]
    struct Wrapped {
        error: FailureBody,
    }
    match serde_json::from_slice::<Wrapped>(body) {
        Ok(wrapped) => wrapped.error,
        Err(_not_ours) => FailureBody {
            code: format!("http_{}", status.as_u16()),
            message: format!("HTTP status {status}"),
            hint: None,
        },
    }
}

/// The innermost reason: "connection refused" says more than "error sending request".
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.source().is_none() && error.is_timeout() {
        return "no answer".to_owned();
    }
    cause.to_string()
}

/// Why each endpoint did not answer, last reason each, and whether anything may have been done.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    last: Vec<(String, String)>,
    pub(super) maybe: bool,
}

impl Reasons {
    pub(super) fn add(&mut self, endpoint: String, reason: String, maybe: bool) {
        self.maybe |= maybe;
        match self.last.iter_mut().find(|(known, _)| *known == endpoint) {
            Some((_, last)) => *last = reason,
            None => self.last.push((endpoint, reason)),
        }
    }

    /// The end of a request under this id that nobody answered.
    pub(super) fn give_up(&self, key: Option<Uuid>) -> ClientError {
        let detail = self.detail();
        match key {
            Some(request_id) if self.maybe => ClientError::Unknown { request_id, detail },
            _ => ClientError::Unavailable { detail },
        }
    }

    pub(super) fn detail(&self) -> String {
        if self.last.is_empty() {
            return "time was up before any node was asked".to_owned();
        }
        let each: Vec<_> = self.last.iter().map(|(node, why)| format!("{node}: {why}")).collect();
        each.join("; ")
    }
}
