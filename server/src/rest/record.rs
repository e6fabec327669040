//! Keys and values in JSON documents: the embedded formats binary (base64), JSON and string.
//!
//! Invariants: JSON is taken and given byte for byte, neither reordered nor rounded; null is a record's null in every format.

use alluvium_record::Header;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::error::{RestError, code};

/// A record that a client sent.
#[derive(Clone, Debug, Default)]
pub(super) struct NewRecord {
    pub(super) partition: Option<i32>,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<Header>,
    /// When the client gave one.
    pub(super) timestamp_ms: Option<i64>,
}

impl NewRecord {
    /// Bytes that it takes in a batch at most, without its headers' names and lengths counted exactly.
    pub(super) fn bytes_max(&self) -> usize {
        let field = |bytes: Option<&Bytes>| bytes.map_or(0, Bytes::len) + 5;
        let headers: usize =
            self.headers.iter().map(|header| header.name.len() + 5 + field(header.value.as_ref())).sum();
        field(self.key.as_ref()) + field(self.value.as_ref()) + headers + 32
    }
}

/// How keys and values are written into JSON documents.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Binary,
    Json,
    String,
}

impl Format {
    /// By its name in paths, parameters and media types, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "binary" => Some(Self::Binary),
            "json" => Some(Self::Json),
            "string" => Some(Self::String),
            _ => None,
        }
    }

    /// Its name in v3 documents.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Binary => "BINARY",
            Self::Json => "JSON",
            Self::String => "STRING",
        }
    }

    /// The bytes that a client means; `what` is key or value.
    pub(super) fn decode(self, what: &str, given: Option<&RawValue>) -> Result<Option<Bytes>, RestError> {
        let Some(given) = given.filter(|given| given.get() != "null") else { return Ok(None) };
        if self == Self::Json {
            return Ok(Some(Bytes::copy_from_slice(given.get().as_bytes())));
        }
        let text: String = serde_json::from_str(given.get()).map_err(|_| {
            RestError::invalid(format!("the {what} must be a JSON string, in the format {}", self.name()))
        })?;
        if self == Self::String {
            return Ok(Some(Bytes::from(text)));
        }
        base64_of(&text).map(Some).ok_or_else(|| RestError::invalid(format!("the {what} is no base64")))
    }

    /// What a client is shown; `what` is the key or the value of some offset.
    pub(super) fn encode<'a>(self, what: &dyn Fn() -> String, bytes: Option<&'a [u8]>) -> Result<Shown<'a>, RestError> {
        let Some(bytes) = bytes else { return Ok(Shown::Null) };
        match self {
            Self::Binary => Ok(Shown::Text(STANDARD.encode(bytes))),
            Self::String => Ok(Shown::Text(String::from_utf8_lossy(bytes).into_owned())),
            Self::Json => serde_json::from_slice::<&RawValue>(bytes).map(Shown::Json).map_err(|_| {
                let told = format!("{} is no JSON: read it in the format binary", what());
                RestError::new(code::INVALID_JSON_STORED, told)
            }),
        }
    }
}

/// Base64 with or without padding.
pub(super) fn base64_of(text: &str) -> Option<Bytes> {
    use base64::engine::general_purpose::STANDARD_NO_PAD;
    STANDARD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok().map(Bytes::from)
}

/// Base64 of bytes.
pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A key or value in an answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Shown<'a> {
    Null,
    Text(String),
    Json(&'a RawValue),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    fn decode(format: Format, text: &str) -> Result<Option<Bytes>, RestError> {
        format.decode("value", Some(&raw(text)))
    }

    #[test]
    fn formats_take_what_they_are_for() {
        assert_eq!(decode(Format::Binary, "\"aGk=\"").unwrap().unwrap(), "hi");
        assert_eq!(decode(Format::Binary, "\"aGk\"").unwrap().unwrap(), "hi");
        assert_eq!(decode(Format::String, "\"h\\u0069\"").unwrap().unwrap(), "hi");
        assert_eq!(decode(Format::Json, "{\"b\":1e400, \"a\" :2}").unwrap().unwrap(), "{\"b\":1e400, \"a\" :2}");
        for format in [Format::Binary, Format::Json, Format::String] {
            assert_eq!(decode(format, "null").unwrap(), None);
            assert_eq!(format.decode("key", None).unwrap(), None);
        }
        for (format, wrong) in [(Format::Binary, "\"?\""), (Format::Binary, "7"), (Format::String, "{}")] {
            assert_eq!(decode(format, wrong).unwrap_err().code, code::INVALID_VALUE, "{wrong}");
        }
    }

    #[test]
    fn formats_show_what_they_took() {
        let show = |format: Format, bytes: &'static [u8]| {
            format.encode(&|| "the value".to_owned(), Some(bytes)).map(|shown| serde_json::to_string(&shown).unwrap())
        };
        assert_eq!(show(Format::Binary, b"hi").unwrap(), "\"aGk=\"");
        assert_eq!(show(Format::String, b"hi").unwrap(), "\"hi\"");
        assert_eq!(show(Format::Json, b"{\"b\":1e400,\"a\":2}").unwrap(), "{\"b\":1e400,\"a\":2}");
        assert_eq!(show(Format::Json, b"hi").unwrap_err().code, code::INVALID_JSON_STORED);
    }
}
