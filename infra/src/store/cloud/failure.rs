//! From object_store's errors to ours.
//!
//! The library folds 409 into "already exists" and most else into "generic"; what it lost is taken from the status of the last
//! reply, from the error code in the reply's body, and from the kind of the transport error.

use std::error::Error as _;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use crate::store::StoreError;

/// The length at which a store's own words are cut in our messages.
const WORDS_BYTES_MAX: usize = 300;

/// Knows what to call the place in messages.
pub(crate) struct Failures {
    bucket: String,
    place: String,
}

impl Failures {
    pub(crate) fn new(bucket: &str, endpoint: Option<&str>) -> Failures {
        let place =
            endpoint.map_or_else(|| format!("bucket {bucket}"), |endpoint| format!("bucket {bucket} at {endpoint}"));
        Failures { bucket: bucket.to_owned(), place }
    }

    /// `status` is that of the last reply, when there was one.
    pub(crate) fn classify(&self, error: &object_store::Error, status: Option<u16>) -> StoreError {
        let words = error.to_string();
        if words.contains("NoSuchBucket") || words.contains("ContainerNotFound") {
            return StoreError::BucketMissing(format!("create the bucket \"{}\" first ({})", self.bucket, self.place));
        }
        if let Some(kind) = transport_kind(error) {
            return self.classify_transport(kind, error, &words);
        }
        match (status, error) {
            (Some(412), _) | (_, object_store::Error::Precondition { .. }) => StoreError::AlreadyExists,
            // Azure says so with a 409, S3 means a competing request by it.
            (Some(409), _) if words.contains("BlobAlreadyExists") => StoreError::AlreadyExists,
            (Some(409), _) => StoreError::Conflict,
            _ if is_wrong_region(&words) => StoreError::Other(format!(
                "{}: the bucket is in another region; set AWS_REGION (or the region setting) to its region",
                self.place
            )),
            (_, object_store::Error::AlreadyExists { .. }) => StoreError::AlreadyExists,
            (Some(429), _) => StoreError::Throttled,
            (Some(503), _) if words.contains("SlowDown") || words.contains("ServerBusy") => StoreError::Throttled,
            (Some(401 | 403), _)
            | (_, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. }) => {
                StoreError::PermissionDenied(self.denied(&words))
            }
            (Some(408), _) => StoreError::Timeout,
            (Some(501), _) => StoreError::Unsupported(self.told(&words)),
            (Some(500..=599), _) => StoreError::Unavailable(self.told(&words)),
            (_, object_store::Error::NotFound { .. }) => StoreError::NotFound,
            (_, object_store::Error::NotSupported { .. } | object_store::Error::NotImplemented { .. }) => {
                StoreError::Unsupported(self.told(&words))
            }
            _ => StoreError::Other(self.told(&words)),
        }
    }

    fn classify_transport(&self, kind: HttpErrorKind, error: &object_store::Error, words: &str) -> StoreError {
        // Only a machine on AWS has this address; elsewhere it means that no credentials were given.
        if words.contains("169.254.169.254") || words.contains("169.254.170.2") {
            return StoreError::PermissionDenied(format!(
                "no credentials for {}: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (the machine's own role did not answer)",
                self.place
            ));
        }
        match kind {
            HttpErrorKind::Timeout => StoreError::Timeout,
            HttpErrorKind::Decode => StoreError::Other(self.told(words)),
            HttpErrorKind::Connect => {
                StoreError::Unavailable(format!("cannot connect to {}: {}", self.place, innermost(error)))
            }
            _ => StoreError::Unavailable(format!("the connection to {} broke: {}", self.place, innermost(error))),
        }
    }

    fn denied(&self, words: &str) -> String {
        for (code, meaning) in [
            ("InvalidAccessKeyId", "the access key id is unknown there"),
            ("SignatureDoesNotMatch", "the secret access key is wrong"),
            ("ExpiredToken", "the session token has expired"),
            ("RequestTimeTooSkewed", "the clock of this machine is wrong"),
            ("AccessDenied", "the credentials lack the right to do this"),
        ] {
            if words.contains(code) {
                return format!("{}: {meaning} ({code})", self.place);
            }
        }
        self.told(words)
    }

    fn told(&self, words: &str) -> String {
        let mut end = words.len().min(WORDS_BYTES_MAX);
        while !words.is_char_boundary(end) {
            end -= 1;
        }
        let words = words[..end].replace(['\n', '\r'], " ");
        format!("{}: {words}", self.place)
    }
}

fn is_wrong_region(words: &str) -> bool {
    ["AuthorizationHeaderMalformed", "PermanentRedirect", "incorrectly configured region"]
        .iter()
        .any(|sign| words.contains(sign))
}

fn transport_kind(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<HttpError>() {
            return Some(error.kind());
        }
        source = cause.source();
    }
    None
}

fn innermost(error: &object_store::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = cause.to_string();
        source = cause.source();
    }
    words
}

/// How soon the retrying client tries again; small, because a store that is well answers in tens of milliseconds.
pub(crate) const RETRY_WAIT_FIRST: Duration = Duration::from_millis(50);
/// The longest wait between two attempts.
pub(crate) const RETRY_WAIT_MAX: Duration = Duration::from_secs(1);
