//! From bytes to lines, and from a line to a record.

use std::io::Read;

use alluvium_record::Header;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use crate::client::producer::OutgoingRecord;
use crate::commands::encoding::Encoding;

/// Chunks of lines that are read ahead.
pub(super) const CHUNKS_WAITING_MAX: usize = 16;
const READ_BYTES: usize = 64 * 1024;

/// Reads lines until the end and sends them in chunks, each as soon as it is there. A last line needs no line feed.
pub(super) fn read_lines(mut input: impl Read, lines: &Sender<std::io::Result<Vec<Vec<u8>>>>) {
    let mut buffer = vec![0; READ_BYTES];
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let count = match input.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                drop(lines.blocking_send(Err(error)));
                return;
            }
        };
        let read = &buffer[..count];
        let chunk = match read.iter().rposition(|byte| *byte == b'\n') {
            _ if count == 0 && rest.is_empty() => return,
            _ if count == 0 => vec![std::mem::take(&mut rest)],
            None => {
                rest.extend_from_slice(read);
                continue;
            }
            Some(last) => {
                let mut whole = std::mem::take(&mut rest);
                whole.extend_from_slice(&read[..last]);
                rest.extend_from_slice(&read[last + 1..]);
                whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
            }
        };
        let ended = count == 0;
        if lines.blocking_send(Ok(chunk)).is_err() || ended {
            return;
        }
    }
}

/// How a line becomes a record.
#[derive(Clone, Debug)]
pub(super) enum LineFormat {
    /// A value, perhaps with a key in front.
    Values {
        encoding: Encoding,
        key: Option<Bytes>,
        key_separator: Option<String>,
        headers: Vec<Header>,
        empty_as_null: bool,
        partition: Option<i32>,
    },
    /// A JSON document with the parts of the record.
    Records { partition: Option<i32> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRecord {
    #[serde(default)]
    key: Value,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    headers: Vec<JsonHeader>,
    timestamp: Option<i64>,
    partition: Option<i32>,
    // What `consume --json` prints beside; where a record was says nothing about where it goes.
    #[serde(rename = "topic")]
    _topic: Option<String>,
    #[serde(rename = "offset")]
    _offset: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonHeader {
    name: String,
    #[serde(default)]
    value: Value,
}

impl LineFormat {
    /// The record in a line; the error completes the sentence "line 7 is ...".
    pub(super) fn record(&self, line: &[u8]) -> Result<OutgoingRecord, String> {
        match self {
            LineFormat::Values { encoding, key, key_separator, headers, empty_as_null, partition } => {
                let (key, value) = match key_separator {
                    Some(separator) => divided(*encoding, line, separator.as_bytes())?,
                    None => (key.clone(), line),
                };
                let value = match value.is_empty() && *empty_as_null {
                    true => None,
                    false => Some(encoding.decode(value)?),
                };
                Ok(OutgoingRecord { key, value, headers: headers.clone(), timestamp_ms: None, partition: *partition })
            }
            LineFormat::Records { partition } => json_record(line, *partition),
        }
    }
}

fn divided<'a>(encoding: Encoding, line: &'a [u8], separator: &[u8]) -> Result<(Option<Bytes>, &'a [u8]), String> {
    match line.windows(separator.len()).position(|window| window == separator) {
        Some(at) => Ok((Some(encoding.decode(&line[..at])?), &line[at + separator.len()..])),
        None => Ok((None, line)),
    }
}

fn json_record(line: &[u8], partition: Option<i32>) -> Result<OutgoingRecord, String> {
    let parsed: JsonRecord = serde_json::from_slice(line).map_err(|error| format!("not a record: {error}"))?;
    let header = |header: JsonHeader| Ok(Header::new(header.name, Encoding::bytes_of_json(&header.value)?));
    Ok(OutgoingRecord {
        key: Encoding::bytes_of_json(&parsed.key)?,
        value: Encoding::bytes_of_json(&parsed.value)?,
        headers: parsed.headers.into_iter().map(header).collect::<Result<_, String>>()?,
        timestamp_ms: parsed.timestamp.filter(|timestamp| *timestamp >= 0),
        partition: partition.or(parsed.partition),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(input: &[u8]) -> Vec<Vec<u8>> {
        let (send, mut receive) = tokio::sync::mpsc::channel(CHUNKS_WAITING_MAX);
        read_lines(input, &send);
        drop(send);
        let mut lines = Vec::new();
        while let Some(chunk) = receive.blocking_recv() {
            lines.extend(chunk.unwrap());
        }
        lines
    }

    fn values(key_separator: Option<&str>, empty_as_null: bool) -> LineFormat {
        LineFormat::Values {
            encoding: Encoding::Text,
            key: None,
            key_separator: key_separator.map(str::to_owned),
            headers: Vec::new(),
            empty_as_null,
            partition: None,
        }
    }

    #[test]
    fn lines_are_found() {
        assert!(lines_of(b"").is_empty());
        assert_eq!(lines_of(b"a\n\nb"), [b"a".to_vec(), b"".to_vec(), b"b".to_vec()]);
        assert_eq!(lines_of(b"a\n"), [b"a".to_vec()]);
        let long = vec![b'x'; 3 * READ_BYTES];
        assert_eq!(lines_of(&long), [long]);
    }

    #[test]
    fn keys_and_nulls_are_told_apart() {
        let record = values(Some("::"), false).record(b"k::v::w").unwrap();
        assert_eq!((record.key.unwrap(), record.value.unwrap()), ("k".into(), "v::w".into()));
        let record = values(Some("::"), true).record(b"k::").unwrap();
        assert_eq!((record.key.unwrap(), record.value), ("k".into(), None));
        let record = values(Some("::"), false).record(b"v").unwrap();
        assert_eq!((record.key, record.value.unwrap()), (None, "v".into()));
    }

    #[test]
    fn json_records_are_read() {
        let format = LineFormat::Records { partition: None };
        let line = br#"{"topic":"t","offset":3,"partition":2,"timestamp":7,"key":"k","value":{"a":1},
            "headers":[{"name":"h","value":{"base64":"/w=="}}]}"#;
        let record = format.record(line).unwrap();
        assert_eq!(record.value.unwrap(), r#"{"a":1}"#.as_bytes());
        assert_eq!((record.partition, record.timestamp_ms), (Some(2), Some(7)));
        assert_eq!(record.headers, [Header::new("h", Some(Bytes::from_static(&[0xff])))]);
        assert!(format.record(b"{\"keys\":1}").is_err());
    }
}
