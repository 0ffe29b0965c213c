//! What goes wrong in the client API. `HttpError` ends the gateway; `Refusal` is the answer to one
//! request: a status, a stable code, a sentence and a hint, the same object on every route and
//! every socket.

use std::{collections::BTreeSet, io, net::SocketAddr, path::PathBuf, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat::{Kind, Rejection};
use replication::Refusal as Change;
use serde::Serialize;
use utoipa::ToSchema;

use super::limits::RETRY_AFTER;
use crate::service::{ChangeError, ReadError, SubmitError};

/// Why the client API cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The address cannot be listened on.
    #[error("cannot listen for clients on {address}: does another program or node use that port?")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Plain HTTP would be heard by others.
    #[error(
        "tls.client = \"off\" is allowed on a loopback address only, and listen.client is {address}"
    )]
    PlainOutsideLoopback {
        /// The address asked for.
        address: SocketAddr,
    },
    /// A certificate or key file cannot be read or holds no such thing.
    #[error("cannot read {what} from {path}")]
    Pem {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: rustls_pki_types::pem::Error,
    },
    /// The certificate and the key do not make a TLS identity.
    #[error("the certificate {path} cannot be used to serve clients")]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// What TLS says.
        source: rustls::Error,
    },
    /// The listener failed after it had been bound.
    #[error("serving clients on {address} ended")]
    Serve {
        /// The address served.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// What each status of an error means.
pub(super) const STATUSES: &[(u16, &str)] = &[
    (400, "malformed"),
    (401, "no token, or one that opens nothing"),
    (403, "not allowed"),
    (404, "not there, or not to be seen"),
    (405, "not a method of this path"),
    (408, "the body did not come in time"),
    (409, "in conflict with what is there"),
    (413, "too large"),
    (422, "out of bounds"),
    (429, "too fast"),
    (503, "nothing was done: ask another node, or ask again"),
    (504, "the outcome is unknown: ask again under the same key"),
];

/// The codes that the node itself gives, with their statuses; all others are those of
/// [`Rejection`]. Codes are final once released.
pub(super) const OWN_CODES: &[(&str, u16)] = &[
    ("malformed", 400),
    ("not_a_websocket", 400),
    ("unauthenticated", 401),
    ("foreign_origin", 403),
    ("unknown_host", 403),
    ("not_found", 404),
    ("hash_gone", 404),
    ("not_member", 404),
    ("method_not_allowed", 405),
    ("body_late", 408),
    ("cursor_ahead", 409),
    ("already_member", 409),
    ("last_voter", 409),
    ("cluster_full", 409),
    ("would_split", 409),
    ("too_large", 413),
    ("too_fast", 429),
    ("behind", 503),
    ("busy", 503),
    ("draining", 503),
    ("disk_full", 503),
    ("not_ready", 503),
    ("config_pending", 503),
    ("no_quorum", 503),
    ("no_successor", 503),
    ("no_answer", 503),
    ("too_slow", 503),
    ("unavailable", 503),
    ("outcome_unknown", 504),
];

/// Every rejection, in the order of their encoding, which is that of their declaration.
pub(super) fn rejections() -> impl Iterator<Item = Rejection> {
    (0..=i8::MAX).map_while(|variant| postcard::from_bytes(&variant.to_le_bytes()).ok())
}

/// Every code, once.
pub(super) fn codes() -> impl Iterator<Item = &'static str> {
    let own = OWN_CODES.iter().map(|(code, _)| *code);
    let of_the_chat = rejections().map(Rejection::code);
    own.chain(of_the_chat).collect::<BTreeSet<_>>().into_iter()
}

/// The answer to a request that is not done.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: String,
    pub(super) retry_after: Option<Duration>,
}

/// The object under `"error"`, everywhere the same: a stable code, what happened, and what to do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct ErrorObject {
    code: &'static str,
    message: String,
    hint: String,
}

/// The answer to whatever is not done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: ErrorObject,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        debug_assert!(
            codes().any(|known| known == code),
            "{code} is no code that clients are told of"
        );
        Self { status, code, message: message.into(), hint: hint.into(), retry_after: None }
    }

    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed",
            message,
            "compare the request with the API's description",
        )
    }

    pub(super) fn too_large(bytes_max: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("a request's body is {bytes_max} bytes at most"),
            "send less at a time",
        )
    }

    pub(super) fn body_late() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_late",
            "the body did not come in time",
            "send it at once, or over a faster network; ask again under the same key",
        )
    }

    pub(super) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            message,
            "log in and send the token as `Authorization: Bearer TOKEN`",
        )
    }

    pub(super) fn not_found(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message, hint)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "this path does not take that method",
            "see the `Allow` header of this answer",
        )
    }

    pub(super) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                code,
                message,
                "nothing was done: ask another node, or ask again under the same key",
            )
        }
    }

    pub(super) fn too_fast(message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(RETRY_AFTER),
            ..Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_fast",
                message,
                "wait and ask again under the same key",
            )
        }
    }

    /// Whether the same request under the same key may yet succeed.
    pub(super) fn may_retry(&self) -> bool {
        matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT
                | StatusCode::TOO_MANY_REQUESTS
        ) || self.code == "out_of_order"
    }

    pub(super) fn object(&self) -> ErrorObject {
        ErrorObject { code: self.code, message: self.message.clone(), hint: self.hint.clone() }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        let status = match rejection.kind() {
            Kind::Malformed => StatusCode::BAD_REQUEST,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::OutOfBounds => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, rejection.code(), rejection.message(), rejection.hint())
    }
}

impl From<SubmitError> for Refusal {
    fn from(error: SubmitError) -> Self {
        let message = error.to_string();
        match error {
            SubmitError::Unavailable => Self::unavailable("unavailable", message),
            SubmitError::Busy => Self::unavailable("busy", message),
            SubmitError::NoSpace => Self::unavailable("disk_full", message),
            SubmitError::UpgradeUnderWay => Self::unavailable("upgrade_under_way", message),
            SubmitError::TooLarge => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                message,
                "send less at a time",
            ),
            SubmitError::OutcomeUnknown => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "outcome_unknown",
                message,
                "ask again under the same key: it takes effect at most once",
            ),
        }
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => of_change(refusal),
            ChangeError::OutcomeUnknown => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "outcome_unknown",
                "it is not known whether the cluster was changed",
                "look at `chatctl cluster status`, and ask again for what is not done",
            ),
            ChangeError::NoAnswer(_) => Self::unavailable("no_answer", error.to_string()),
        }
    }
}

/// Why the cluster is not changed.
fn of_change(refusal: Change) -> Refusal {
    let conflict =
        |code, message: &str, hint: &str| Refusal::new(StatusCode::CONFLICT, code, message, hint);
    match refusal {
        Change::NoLeader | Change::Draining => {
            Refusal::unavailable("unavailable", "no leader took the change in time")
        }
        Change::Busy | Change::TooLarge => {
            Refusal::unavailable("busy", "too many commands wait for commit")
        }
        Change::NoSpace => {
            Refusal::unavailable("disk_full", "the leader's disk has no room for more")
        }
        Change::NoSuccessor => Refusal::unavailable(
            "no_successor",
            "nobody may lead now: the node asked for, or every other voter, is out of reach, behind, \
             draining, or has no room",
        ),
        Change::ConfigPending => {
            Refusal::unavailable("config_pending", "the change before this one is not done yet")
        }
        Change::NoQuorum => Refusal::unavailable(
            "no_quorum",
            "too few of the voters that would remain have answered lately",
        ),
        Change::NotMember => Refusal::new(
            StatusCode::NOT_FOUND,
            "not_member",
            "no such node is in the cluster, or it is none that this can be done with",
            "look at `chatctl cluster status`",
        ),
        Change::AlreadyMember => conflict(
            "already_member",
            "a node of this number is in the cluster, under other addresses",
            "numbers are never used again: take the next free one",
        ),
        Change::LastVoter => conflict(
            "last_voter",
            "the only voter can be neither removed nor replaced",
            "admit another node first",
        ),
        Change::Full => conflict(
            "cluster_full",
            "the cluster has as many nodes as it may have",
            "remove a node first",
        ),
        Change::WouldSplit => conflict(
            "would_split",
            "quorums before and after this change would not all meet",
            "change one node at a time, and wait until each change is done",
        ),
    }
}

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        match &error {
            ReadError::Unavailable => Self::unavailable("unavailable", error.to_string()),
            ReadError::Behind { .. } => Self::unavailable("behind", error.to_string()),
            ReadError::Log(reason) => {
                // Where the log is damaged is the operator's business, not the client's.
                tracing::error!(%reason, "a message could not be read from the log");
                Self::unavailable("unavailable", "this node cannot read its log now")
            }
        }
    }
}

/// Never less than the wait, and at least one.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: self.object() })).into_response();
        if let Some(wait) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
