//! What goes wrong in the client API. `HttpError` ends the gateway; `Refusal` is the answer to one
//! request: a status, a stable code, a sentence and a hint, the same object on every route and
//! every socket.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat::{Kind, Rejection};
use serde::Serialize;

use super::limits::RETRY_AFTER;
use crate::service::{ReadError, SubmitError};

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

/// The answer to a request that is not done.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) hint: String,
    pub(super) retry_after: Option<Duration>,
}

/// The object under `"error"`, everywhere the same.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ErrorObject {
    code: &'static str,
    message: String,
    hint: String,
}

#[derive(Debug, Serialize)]
struct ErrorBody {
    error: ErrorObject,
}

impl Refusal {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
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

    pub(super) fn too_large() -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("a request's body is {} bytes at most", super::limits::BODY_BYTES_MAX),
            "send less at a time",
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
            SubmitError::NoSpace => Self::unavailable("no_space", message),
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

impl From<ReadError> for Refusal {
    fn from(error: ReadError) -> Self {
        if let ReadError::Log(reason) = &error {
            // Where the log is damaged is the operator's business, not the client's.
            tracing::error!(%reason, "a message could not be read from the log");
            return Self::unavailable("unavailable", "this node cannot read its log now");
        }
        Self::unavailable("unavailable", error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: self.object() })).into_response();
        if let Some(wait) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
