//! What can go wrong between this client and a server.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::messages::StrBytes;

use crate::failure::Failure;

/// Why a request has no good answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody answers at the address.
    #[error(
        "cannot connect to {address}: {reason}: start a server with `alluvium dev`, or name another one with --bootstrap"
    )]
    Connect { address: String, reason: String },
    /// The connection broke.
    #[error("the connection to {address} broke: {reason}")]
    Broken { address: String, reason: String },
    /// No answer in time.
    #[error("{address} did not answer {api} within {waited_ms} ms")]
    TimedOut { address: String, api: &'static str, waited_ms: u128 },
    /// The server does not have the API, or no version that we have.
    #[error("the server at {address} does not serve {api} in a version that this client speaks")]
    NotServed { address: String, api: &'static str },
    /// A message that cannot be understood or made.
    #[error("{api} with {address}: {reason}")]
    Codec { address: String, api: &'static str, reason: String },
    /// The server said no.
    #[error("{what}: {code}{message}")]
    Refused { what: String, code: ErrorCode, message: String },
}

impl ClientError {
    /// A Kafka error with what it is about. `None` when the code is that of success.
    pub(crate) fn refused(what: impl Into<String>, code: i16, message: Option<&StrBytes>) -> Result<(), ClientError> {
        if code == 0 {
            return Ok(());
        }
        let message = message.filter(|message| !message.is_empty());
        Err(ClientError::Refused {
            what: what.into(),
            code: ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError),
            message: message.map_or_else(String::new, |message| format!(" ({message})")),
        })
    }

    /// Whether the same request may go well later.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            ClientError::Connect { .. } | ClientError::Broken { .. } | ClientError::TimedOut { .. } => true,
            ClientError::NotServed { .. } | ClientError::Codec { .. } => false,
            ClientError::Refused { code, .. } => code.is_retriable(),
        }
    }

    /// What happened, without advice on what to do.
    pub(crate) fn reason(&self) -> String {
        match self {
            ClientError::Connect { reason, .. } | ClientError::Broken { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }

    /// The Kafka error, where it is one.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::failed(error)
    }
}
