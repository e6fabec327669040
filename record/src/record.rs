//! Records, and reading them out of the bytes of a batch.
//!
//! ```text
//! length varint | attributes i8 | timestamp delta varlong | offset delta varint | key | value | headers
//! key, value: length varint (negative: null), bytes      headers: count varint, then name and value each
//! ```
//!
//! What must stay true:
//! 1. A record's parts never reach beyond its length, and together they fill it.
//! 2. A header name keeps its bytes even where they are not UTF-8: Kafka takes such names, so refusing to read them
//!    would make a batch that was accepted unreadable. [`Header::name_str`] is where the encoding is checked.

use std::ops::Range;

use bytes::Bytes;

use crate::header::{BatchHeader, TimestampType};
use crate::{BatchError, Offset, varint};

/// The bytes of the smallest record: length, attributes, two deltas, two null lengths and a header count.
pub(crate) const RECORD_BYTES_MIN: usize = 7;

/// One record. Its parts are slices of the batch, or of the decompressed batch, and keep that alive.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record {
    /// Its position in the partition.
    pub offset: Offset,
    /// Milliseconds since 1970, or -1 for none.
    pub timestamp: i64,
    /// The key, if there is one.
    pub key: Option<Bytes>,
    /// The value; none makes the record a tombstone where the topic is compacted.
    pub value: Option<Bytes>,
    /// The headers in the producer's order, duplicates included.
    pub headers: Vec<Header>,
}

/// One header of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// The name: UTF-8 by convention, the producer's bytes in fact.
    pub name: Bytes,
    /// The value, if there is one.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header from a name and a value.
    pub fn new(name: impl Into<String>, value: Option<Bytes>) -> Header {
        Header { name: Bytes::from(name.into()), value }
    }

    /// The name as text, where it is text.
    pub fn name_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.name)
    }
}

/// The records of one batch, in order. Ends after the first error.
#[derive(Clone, Debug)]
pub struct RecordIterator {
    header: BatchHeader,
    /// The records as they are when not compressed.
    data: Bytes,
    position: usize,
    index: i32,
}

impl RecordIterator {
    /// The records that `data` holds and `header` describes.
    pub(crate) fn new(header: BatchHeader, data: Bytes) -> RecordIterator {
        RecordIterator { header, data, position: 0, index: 0 }
    }

    /// The most records that can follow, whatever the header claims.
    pub(crate) fn record_count_max(&self) -> usize {
        let claimed = usize::try_from(self.header.record_count.saturating_sub(self.index)).unwrap_or(0);
        claimed.min(self.data.len().saturating_sub(self.position) / RECORD_BYTES_MIN)
    }

    fn read(&mut self) -> Result<Record, BatchError> {
        let mut headers = Vec::new();
        let data = &self.data;
        let layout = read_record(data, &mut self.position, |name, value| {
            headers.push(Header { name: data.slice(name), value: value.map(|value| data.slice(value)) });
        })
        .map_err(|reason| BatchError::InvalidRecord { index: self.index, reason })?;
        Ok(Record {
            offset: self.header.base_offset.wrapping_add(i64::from(layout.offset_delta)),
            timestamp: layout.timestamp(&self.header),
            key: layout.key.map(|key| self.data.slice(key)),
            value: layout.value.map(|value| self.data.slice(value)),
            headers,
        })
    }
}

impl Iterator for RecordIterator {
    type Item = Result<Record, BatchError>;

    fn next(&mut self) -> Option<Result<Record, BatchError>> {
        if self.index >= self.header.record_count {
            if self.position >= self.data.len() {
                return None;
            }
            let index = self.index;
            self.position = self.data.len();
            return Some(Err(BatchError::InvalidRecord { index, reason: BYTES_LEFT }));
        }
        let record = self.read();
        self.index += 1;
        if record.is_err() {
            self.index = self.header.record_count;
            self.position = self.data.len();
        }
        Some(record)
    }
}

impl std::iter::FusedIterator for RecordIterator {}

/// The reason of the error about bytes after the last record that the header counts.
pub(crate) const BYTES_LEFT: &str = "bytes are left after the last record";

/// Where the parts of one record stand in the bytes it was read from.
pub(crate) struct RecordLayout {
    pub(crate) timestamp_delta: i64,
    pub(crate) offset_delta: i32,
    pub(crate) key: Option<Range<usize>>,
    pub(crate) value: Option<Range<usize>>,
    /// All headers, one behind the other.
    pub(crate) headers: Range<usize>,
    pub(crate) header_count: usize,
}

impl RecordLayout {
    /// The record's timestamp in a batch with this header. Wraps on overflow, as Java does.
    pub(crate) fn timestamp(&self, header: &BatchHeader) -> i64 {
        match header.attributes.timestamp_type() {
            TimestampType::CreateTime => header.base_timestamp.wrapping_add(self.timestamp_delta),
            TimestampType::LogAppendTime => header.max_timestamp,
        }
    }
}

/// Reads the record at `position` and moves past it, without allocating; headers go to `on_header`.
pub(crate) fn read_record(
    data: &[u8],
    position: &mut usize,
    mut on_header: impl FnMut(Range<usize>, Option<Range<usize>>),
) -> Result<RecordLayout, &'static str> {
    let length = varint::read_i32(data, position).ok_or("its length is malformed")?;
    let length = usize::try_from(length).map_err(|_| "its length is negative")?;
    let end = position.checked_add(length).filter(|end| *end <= data.len()).ok_or("it is cut off")?;
    let body = &data[..end];
    if *position == end {
        return Err("it is empty");
    }
    // The record attributes: unused in this format.
    *position += 1;
    let timestamp_delta = varint::read_i64(body, position).ok_or("its timestamp delta is malformed")?;
    let offset_delta = varint::read_i32(body, position).ok_or("its offset delta is malformed")?;
    let key = read_nullable(body, position).ok_or("its key is cut off")?;
    let value = read_nullable(body, position).ok_or("its value is cut off")?;
    let header_count = varint::read_i32(body, position).ok_or("its header count is malformed")?;
    let header_count = usize::try_from(header_count).map_err(|_| "its header count is negative")?;
    let headers_from = *position;
    for _ in 0..header_count {
        let (name, header_value) = read_header(body, position)?;
        on_header(name, header_value);
    }
    if *position != end {
        return Err("its length and its contents differ");
    }
    Ok(RecordLayout { timestamp_delta, offset_delta, key, value, headers: headers_from..end, header_count })
}

/// Reads the header at `position` and moves past it: where its name and its value stand.
pub(crate) fn read_header(
    body: &[u8],
    position: &mut usize,
) -> Result<(Range<usize>, Option<Range<usize>>), &'static str> {
    let name = read_nullable(body, position).ok_or("a header name is cut off")?.ok_or("a header name is null")?;
    let value = read_nullable(body, position).ok_or("a header value is cut off")?;
    Ok((name, value))
}

/// Reads a length and the range of that many bytes; the inner `None` is null, the outer one an error.
fn read_nullable(body: &[u8], position: &mut usize) -> Option<Option<Range<usize>>> {
    let length = varint::read_i32(body, position)?;
    let Ok(length) = usize::try_from(length) else {
        return Some(None);
    };
    let start = *position;
    let end = start.checked_add(length).filter(|end| *end <= body.len())?;
    *position = end;
    Some(Some(start..end))
}

#[cfg(test)]
mod tests;
