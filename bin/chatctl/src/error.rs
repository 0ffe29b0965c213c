//! How a request can fail, and the exit code that says so.
//!
//! The three outcomes that a script must tell apart never blur: refused (a node decided), unavailable
//! (nothing was done) and unknown (it may have been done). A check that was done and found something wrong
//! is a [`Finding`].

use uuid::Uuid;

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A node understood the request and refused it.
    #[error("{message}")]
    Refused {
        /// The HTTP status; 0 for a refusal that came in a WebSocket frame.
        status: u16,
        /// The stable code.
        code: String,
        /// What happened.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// No node was reached, or none had a quorum: nothing was done.
    #[error("nothing was done: {detail}")]
    Unavailable {
        /// What each node said or failed with.
        detail: String,
    },
    /// It was sent and no answer came: it may or may not have been done.
    #[error("the outcome is unknown: {detail}")]
    Unknown {
        /// Ask again under this id; of a stream, that of the first unanswered message.
        request_id: Uuid,
        /// What each node said or failed with.
        detail: String,
    },
    /// Wrong usage or configuration, found before anything was sent.
    #[error("{message}")]
    Usage {
        /// What is wrong, and where.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A node answered with something this version does not understand.
    #[error("{endpoint} answered with something that is not understood: {detail}")]
    Protocol {
        /// Which node.
        endpoint: String,
        /// What was wrong with the answer.
        detail: String,
    },
    /// The command was done, and what it found is not as it should be.
    #[error("{message}")]
    Found {
        /// What kind of thing was found.
        finding: Finding,
        /// What was found, and where.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Reading input or writing output failed on this machine.
    #[error("{action}: {source}")]
    Io {
        /// What was being done, and to what.
        action: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// What a command can find that is not as it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Finding {
    /// Something is wrong with the cluster, or the way to it.
    Unhealthy,
    /// Some of what was asked for was refused.
    PartlyRefused,
    /// Of some of what was asked for it is not known whether it was done.
    Undecided,
    /// Not everything could be compared.
    Incomplete,
    /// Nodes that must hold the same data do not.
    Damaged,
}

impl ClientError {
    /// A usage error without a hint.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// A usage error that says what to do instead.
    pub(crate) fn usage_hint(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: Some(hint.into()) }
    }

    /// The same refusal that a node gives to a request without a token.
    pub(crate) fn not_logged_in(hint: String) -> Self {
        Self::Refused {
            status: 401,
            code: "unauthenticated".to_owned(),
            message: "not logged in".to_owned(),
            hint: Some(hint),
        }
    }

    /// The stable code, as in `{"error":{"code"}}`.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            Self::Unavailable { .. } => "unavailable",
            Self::Unknown { .. } => "outcome_unknown",
            Self::Usage { .. } => "usage",
            Self::Protocol { .. } => "bad_answer",
            Self::Found { finding, .. } => match finding {
                Finding::Unhealthy => "unhealthy",
                Finding::PartlyRefused => "partly_refused",
                Finding::Undecided => "outcome_unknown",
                Finding::Incomplete => "incomplete",
                Finding::Damaged => "damaged",
            },
            Self::Io { .. } => "io",
        }
    }

    /// What to do about it, when there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { hint, .. } | Self::Usage { hint, .. } | Self::Found { hint, .. } => {
                hint.clone()
            }
            Self::Unavailable { .. } => {
                Some("check the endpoints and that a majority of the nodes runs".to_owned())
            }
            Self::Unknown { request_id, .. } => Some(format!(
                "look whether it was done; `send` may be repeated with --request-id {request_id}"
            )),
            Self::Protocol { .. } => {
                Some("compare `chatctl --version` with the version of the nodes".to_owned())
            }
            Self::Io { .. } => None,
        }
    }

    /// The exit code of the program.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::Protocol { .. } | Self::Io { .. } => 1,
            Self::Found { finding: Finding::Unhealthy | Finding::PartlyRefused, .. } => 1,
            Self::Usage { .. } => 2,
            Self::Unavailable { .. } | Self::Found { finding: Finding::Incomplete, .. } => 3,
            Self::Found { finding: Finding::Damaged, .. } => 4,
            Self::Unknown { .. } | Self::Found { finding: Finding::Undecided, .. } => 5,
        }
    }
}
