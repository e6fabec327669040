//! Reading records without owning them: parts are slices of the decompressed batch, and nothing is allocated for a record.
//!
//! What must stay true:
//! 1. A view says of a record what [`crate::Record`] says of it: both are read by the same function.
//! 2. Headers were checked when their record was read, so that reading them again cannot fail.

use bytes::Bytes;

use crate::header::BatchHeader;
use crate::record::{BYTES_LEFT, read_header, read_record};
use crate::{BatchError, Offset};

/// A batch whose records are decompressed.
#[derive(Clone, Debug)]
pub struct DecodedBatch {
    header: BatchHeader,
    data: Bytes,
}

impl DecodedBatch {
    pub(crate) fn new(header: BatchHeader, data: Bytes) -> DecodedBatch {
        DecodedBatch { header, data }
    }

    /// What the batch says of itself.
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The bytes of the records, decompressed.
    pub fn record_bytes(&self) -> usize {
        self.data.len()
    }

    /// The records in order. Ends after the first error.
    pub fn views(&self) -> RecordViews<'_> {
        RecordViews { header: &self.header, data: &self.data, position: 0, index: 0 }
    }
}

/// One record, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct RecordView<'a> {
    /// Its position in the partition.
    pub offset: Offset,
    /// Milliseconds since 1970, or -1 for none.
    pub timestamp: i64,
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The value, if there is one.
    pub value: Option<&'a [u8]>,
    /// The headers in the producer's order.
    pub headers: HeaderViews<'a>,
}

/// One header of a record, borrowed from its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeaderView<'a> {
    /// The name: UTF-8 by convention, the producer's bytes in fact.
    pub name: &'a [u8],
    /// The value, if there is one.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record, in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderViews<'a> {
    /// The headers that are left, as they stand in the batch.
    data: &'a [u8],
    left: usize,
}

impl<'a> Iterator for HeaderViews<'a> {
    type Item = HeaderView<'a>;

    fn next(&mut self) -> Option<HeaderView<'a>> {
        self.left = self.left.checked_sub(1)?;
        let mut position = 0;
        let (name, value) = read_header(self.data, &mut position).ok()?;
        let header = HeaderView { name: &self.data[name], value: value.map(|value| &self.data[value]) };
        self.data = &self.data[position..];
        Some(header)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for HeaderViews<'_> {}

/// The records of one batch, in order, borrowed from it.
#[derive(Clone, Debug)]
pub struct RecordViews<'a> {
    header: &'a BatchHeader,
    data: &'a [u8],
    position: usize,
    index: i32,
}

impl<'a> RecordViews<'a> {
    fn read(&mut self) -> Result<RecordView<'a>, BatchError> {
        let data = self.data;
        let layout = read_record(data, &mut self.position, |_, _| {})
            .map_err(|reason| BatchError::InvalidRecord { index: self.index, reason })?;
        Ok(RecordView {
            offset: self.header.base_offset.wrapping_add(i64::from(layout.offset_delta)),
            timestamp: layout.timestamp(self.header),
            key: layout.key.map(|key| &data[key]),
            value: layout.value.map(|value| &data[value]),
            headers: HeaderViews { data: &data[layout.headers], left: layout.header_count },
        })
    }
}

impl<'a> Iterator for RecordViews<'a> {
    type Item = Result<RecordView<'a>, BatchError>;

    fn next(&mut self) -> Option<Result<RecordView<'a>, BatchError>> {
        if self.index >= self.header.record_count {
            if self.position >= self.data.len() {
                return None;
            }
            self.position = self.data.len();
            return Some(Err(BatchError::InvalidRecord { index: self.index, reason: BYTES_LEFT }));
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

impl std::iter::FusedIterator for RecordViews<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchBuilder, Compression, Header, Record, RecordBatch};

    fn owned(view: RecordView<'_>) -> Record {
        let copy = Bytes::copy_from_slice;
        Record {
            offset: view.offset,
            timestamp: view.timestamp,
            key: view.key.map(copy),
            value: view.value.map(copy),
            headers: view
                .headers
                .map(|header| Header { name: copy(header.name), value: header.value.map(copy) })
                .collect(),
        }
    }

    #[test]
    fn views_say_what_records_say() {
        for codec in Compression::ALL {
            let mut builder = BatchBuilder::new(codec).producer(4, 0, 7);
            for record in crate::golden::java_records() {
                builder.push(record.timestamp, record.key, record.value, record.headers).unwrap();
            }
            let batch = builder.build(i64::MAX - 10);
            let decoded = batch.decode(1024).unwrap();
            assert_eq!(decoded.header(), &batch.header);
            assert_eq!(decoded.views().next().unwrap().unwrap().headers.len(), 4);
            let views: Vec<Record> = decoded.views().map(|view| owned(view.unwrap())).collect();
            assert_eq!(Ok(views), batch.records(1024), "{codec}");
        }
    }

    #[test]
    fn errors_are_those_of_records() {
        let mut builder = BatchBuilder::new(Compression::None);
        builder.push(5, None, Some(Bytes::from_static(b"value")), vec![Header::new("h", None)]).unwrap();
        let whole = builder.build(0);
        for position in crate::BATCH_HEADER_BYTES..whole.bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = whole.bytes.to_vec();
                bytes[position] = value;
                let batch = RecordBatch { header: whole.header, bytes: Bytes::from(bytes) };
                let views: Result<Vec<Record>, BatchError> =
                    batch.decode(1024).unwrap().views().map(|view| view.map(owned)).collect();
                assert_eq!(views, batch.records(1024), "{position} {value}");
            }
        }
    }
}
