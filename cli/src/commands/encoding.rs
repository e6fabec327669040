//! How bytes of records are written as text, and read from it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// The form of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Encoding {
    /// As it is
    Text,
    /// JSON documents
    Json,
    /// Hexadecimal digits
    Hex,
    /// Base64
    Base64,
}

impl Encoding {
    /// The bytes that `text` stands for.
    pub(crate) fn decode(self, text: &[u8]) -> Result<Bytes, String> {
        match self {
            Encoding::Text => Ok(Bytes::copy_from_slice(text)),
            Encoding::Json => match serde_json::from_slice::<serde::de::IgnoredAny>(text) {
                Ok(_) => Ok(Bytes::copy_from_slice(text)),
                Err(error) => Err(format!("not a JSON document: {error}")),
            },
            Encoding::Hex => from_hex(text).map(Bytes::from),
            Encoding::Base64 => {
                STANDARD.decode(text.trim_ascii()).map(Bytes::from).map_err(|error| format!("not base64: {error}"))
            }
        }
    }

    /// What stands for these bytes, as text.
    pub(crate) fn encode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Encoding::Text => bytes.to_vec(),
            Encoding::Json => self.json(bytes).to_string().into_bytes(),
            Encoding::Hex => to_hex(bytes).into_bytes(),
            Encoding::Base64 => STANDARD.encode(bytes).into_bytes(),
        }
    }

    /// What stands for these bytes, as a part of a JSON document. Bytes that are no text become `{"base64": "..."}`.
    pub(crate) fn json(self, bytes: &[u8]) -> serde_json::Value {
        let text = || match std::str::from_utf8(bytes) {
            Ok(text) => serde_json::Value::from(text),
            Err(_) => serde_json::json!({ "base64": STANDARD.encode(bytes) }),
        };
        match self {
            Encoding::Text => text(),
            Encoding::Json => serde_json::from_slice(bytes).unwrap_or_else(|_not_json| text()),
            Encoding::Hex => to_hex(bytes).into(),
            Encoding::Base64 => STANDARD.encode(bytes).into(),
        }
    }

    /// The bytes that a part of a JSON document stands for, as [`Encoding::json`] of text and JSON writes it.
    pub(crate) fn bytes_of_json(value: &serde_json::Value) -> Result<Option<Bytes>, String> {
        match value {
            serde_json::Value::Null => Ok(None),
            serde_json::Value::String(text) => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
            serde_json::Value::Object(fields) if fields.len() == 1 && fields.contains_key("base64") => {
                let text = fields["base64"].as_str().ok_or("\"base64\" must be a text")?;
                Encoding::Base64.decode(text.as_bytes()).map(Some)
            }
            other => Ok(Some(Bytes::from(other.to_string()))),
        }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    let digits: Vec<u8> = text
        .iter()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| char::from(*byte).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()
        .ok_or("not hexadecimal: there is another character")?;
    if !digits.len().is_multiple_of(2) {
        return Err("not hexadecimal: the number of digits is odd".to_owned());
    }
    Ok(digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_make_the_round_trip() {
        let bytes = [0_u8, 1, 0xab, 0xff];
        for encoding in [Encoding::Text, Encoding::Hex, Encoding::Base64] {
            assert_eq!(encoding.decode(&encoding.encode(&bytes)).unwrap(), bytes.as_slice());
        }
        assert_eq!(Encoding::Hex.encode(&bytes), b"0001abff");
        for value in ["text", "{\"a\":1}", "\u{e4}"] {
            for encoding in [Encoding::Text, Encoding::Json] {
                let json = encoding.json(value.as_bytes());
                assert_eq!(Encoding::bytes_of_json(&json).unwrap().unwrap(), value.as_bytes());
            }
        }
        let json = Encoding::Text.json(&bytes);
        assert_eq!(Encoding::bytes_of_json(&json).unwrap().unwrap(), bytes.as_slice());
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        assert!(Encoding::Hex.decode(b"abc").is_err());
        assert!(Encoding::Hex.decode(b"zz").is_err());
        assert!(Encoding::Base64.decode(b"!").is_err());
        assert!(Encoding::Json.decode(b"{").is_err());
        assert_eq!(Encoding::Json.decode(b"{\"a\": 1}").unwrap(), b"{\"a\": 1}".as_slice());
    }
}
