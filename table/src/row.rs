//! One record with the batch that it came in, borrowed from a decompressed batch or from the columns of a file.
//!
//! What must stay true: making a row costs no allocation and copies no byte of the record.

use alluvium_record::{BatchFrame, BatchHeader, HeaderView, HeaderViews, Offset, RecordView, TimestampType};

use crate::decoded::HeaderColumns;

/// What a batch says of itself. The same as a [`BatchFrame`], since that is what it is made into again.
pub type BatchFacts = BatchFrame;

/// One record.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its position in the partition.
    pub offset: Offset,
    /// Milliseconds since 1970, or -1 for none.
    pub timestamp: i64,
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The value, if there is one.
    pub value: Option<&'a [u8]>,
    /// The headers in the producer's order.
    pub headers: Headers<'a>,
    /// The batch that it came in.
    pub batch: BatchFacts,
}

/// What row and file framing add to the bytes of a record, about what Kafka's format takes for it.
const RECORD_OVERHEAD_BYTES: usize = 12;
const HEADER_OVERHEAD_BYTES: usize = 2;

impl<'a> Row<'a> {
    /// The row of a record in its batch.
    pub fn of(header: &BatchHeader, record: RecordView<'a>) -> Row<'a> {
        Row::in_batch(BatchFrame::of(header), record)
    }

    pub(crate) fn in_batch(batch: BatchFacts, record: RecordView<'a>) -> Row<'a> {
        let RecordView { offset, timestamp, key, value, headers } = record;
        Row { offset, timestamp, key, value, headers: Headers(Source::Batch(headers)), batch }
    }

    /// Where the timestamp comes from.
    pub fn timestamp_type(&self) -> TimestampType {
        self.batch.attributes.timestamp_type()
    }

    /// Whether this is a tombstone: a key without value.
    pub fn is_tombstone(&self) -> bool {
        self.value.is_none()
    }

    /// How much of a row group the record takes: its bytes, and a little for its framing.
    pub fn raw_bytes(&self) -> usize {
        let headers: usize = self
            .headers
            .map(|header| HEADER_OVERHEAD_BYTES + header.name.len() + header.value.map_or(0, <[u8]>::len))
            .sum();
        RECORD_OVERHEAD_BYTES + self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len) + headers
    }
}

/// The headers of a record, in order.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Batch(HeaderViews<'a>),
    /// Those of the columns from one position to another; the raw names begin elsewhere, if there are any.
    Columns {
        columns: &'a HeaderColumns,
        position: usize,
        end: usize,
        raw_position: Option<usize>,
    },
}

impl<'a> Headers<'a> {
    pub(crate) fn in_columns(
        columns: &'a HeaderColumns,
        range: std::ops::Range<usize>,
        raw_position: Option<usize>,
    ) -> Headers<'a> {
        Headers(Source::Columns { columns, position: range.start, end: range.end, raw_position })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = HeaderView<'a>;

    fn next(&mut self) -> Option<HeaderView<'a>> {
        match &mut self.0 {
            Source::Batch(views) => views.next(),
            Source::Columns { columns, position, end, raw_position } => {
                if *position >= *end {
                    return None;
                }
                let header = columns.header(*position, *raw_position);
                *position += 1;
                *raw_position = raw_position.map(|raw| raw + 1);
                Some(header)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Source::Batch(views) => views.len(),
            Source::Columns { position, end, .. } => end.saturating_sub(*position),
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for Headers<'_> {}
