//! What handlers take out of requests, with refusals in the shape of all others.
//!
//! Invariants: a body is read to a limit and within a time; room for what is produced is taken before it is read.

use std::collections::BTreeMap;
use std::str::FromStr;

use alluvium_infra::runtime::Instant;
use alluvium_ingest::Permit;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;

use super::Rest;
use super::error::{RestError, code};

/// The named parts of the path.
pub(super) struct Names<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Names<T> {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RestError> {
        let refuse = |error: PathRejection| RestError::new(code::BAD_REQUEST, error.body_text());
        Path::<T>::from_request_parts(parts, state).await.map(|Path(names)| Self(names)).map_err(refuse)
    }
}

/// The parameters behind the question mark.
pub(super) struct Parameters(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, RestError> {
        let refuse = |error: QueryRejection| RestError::new(code::BAD_REQUEST, error.body_text());
        Query::from_request_parts(parts, state).await.map(|Query(given)| Self(given)).map_err(refuse)
    }
}

impl Parameters {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A parameter that is no text; `form` says what it should look like.
    pub(super) fn parsed<T: FromStr>(&self, name: &str, form: &str) -> Result<Option<T>, RestError> {
        let wrong = |text: &str| RestError::invalid(format!("{name}={text}: {form}"));
        self.text(name).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }
}

/// A partition as it stands in a path.
pub(super) fn partition(text: &str) -> Result<i32, RestError> {
    text.parse().ok().filter(|index| *index >= 0).ok_or_else(|| RestError::partition_not_found(text))
}

/// When an answer must be given, where somebody else than the client sets a time.
#[derive(Clone, Copy, Debug)]
pub struct AnswerBy(pub Instant);

impl<S: Send + Sync> FromRequestParts<S> for Answering {
    type Rejection = RestError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, RestError> {
        Ok(Self { by: parts.extensions.get::<AnswerBy>().map(|AnswerBy(by)| *by) })
    }
}

/// How long there is for an answer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answering {
    by: Option<Instant>,
}

impl Answering {
    /// This moment, or earlier when an answer must be given before.
    pub(super) fn at_most(self, deadline: Instant) -> Instant {
        self.by.map_or(deadline, |by| by.min(deadline))
    }
}

/// The whole body, at most `bytes_max`.
pub(super) async fn read_body(rest: &Rest, body: Body, bytes_max: usize) -> Result<Bytes, RestError> {
    let mut pieces = body.into_data_stream();
    let mut whole = BytesMut::new();
    loop {
        match next_piece(rest, &mut pieces).await? {
            None => return Ok(whole.freeze()),
            Some(piece) if whole.len() + piece.len() > bytes_max => return Err(beyond(bytes_max)),
            Some(piece) => whole.extend_from_slice(&piece),
        }
    }
}

/// The next piece of a body; nothing at its end.
pub(super) async fn next_piece(
    rest: &Rest,
    pieces: &mut axum::body::BodyDataStream,
) -> Result<Option<Bytes>, RestError> {
    let stall_max = rest.node().settings.transfer_stall_max();
    match rest.node().runtime.timeout(stall_max, pieces.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(piece))) => Ok(Some(piece)),
        Ok(Some(Err(error))) => Err(RestError::new(code::BAD_REQUEST, format!("the body broke off: {error}"))),
        Err(_elapsed) => Err(RestError::new(code::REQUEST_TIMEOUT, "the body stopped arriving")),
    }
}

/// What is said about a body that is too large.
pub(super) fn beyond(bytes_max: usize) -> RestError {
    RestError::too_large(format!("the request is larger than {bytes_max} bytes: send fewer records in each"))
}

/// Room in ingest for a body of this length, or of the largest when its length is not known.
pub(super) async fn admit(rest: &Rest, headers: &HeaderMap) -> Result<Permit, RestError> {
    let bytes_max = rest.settings().request_bytes_max;
    let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    match told {
        Some(bytes) if bytes > bytes_max => Err(beyond(bytes_max)),
        told => Ok(rest.node().ingest.admit(told.unwrap_or(bytes_max)).await),
    }
}

/// The media type without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// A JSON body with these fields.
pub(super) fn json<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, RestError> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => RestError::invalid(error.to_string()),
        _ => RestError::new(code::BAD_REQUEST, format!("the body is no JSON: {error}")),
    })
}
