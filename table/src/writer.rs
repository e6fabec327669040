//! Writing a table: record batches in, the bytes of a Parquet file out.
//!
//! What must stay true:
//! 1. Memory is bounded by one row group, encoded, and one chunk of rows: finished bytes are taken by the caller as they come.
//! 2. A batch is checked against its CRC before a record of it is written.
//! 3. Offsets count up through the file, within what it stands for. Records of control batches are never written.
//! 4. Every record that was pushed is counted and summed, as kept or as left out.
//! 5. The same rows under the same facts and options give the same bytes.
//!
//! Encoding keeps a core busy: call it away from the tasks (`Runtime::compute`).

use alluvium_infra::limits;
use alluvium_record::{BatchError, Offset, RecordBatch, crc32c};
use bytes::Bytes;
use parquet::errors::ParquetError;

use crate::columns::RowColumns;
use crate::decoded::DecodedRows;
use crate::facts::{Metadata, RowGroupFacts, TableFacts};
use crate::footer;
use crate::row::Row;
use crate::sum::{RecordHasher, RecordSum, RecordTally};
use crate::values::ValueColumns;

mod encoder;
mod properties;

use encoder::Encoder;

/// How a table is written.
#[derive(Clone, Debug)]
pub struct TableOptions {
    /// Raw record bytes of a row group, unless one record alone is longer.
    pub row_group_bytes_max: usize,
    /// Rows of a row group.
    pub row_group_rows_max: usize,
    /// Whether each row group has a bloom filter of its keys.
    pub key_bloom_filter: bool,
    /// Columns out of values.
    pub value_columns: ValueColumns,
    /// What the records of one batch may decompress to.
    pub decompressed_bytes_max: usize,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            row_group_bytes_max: limits::TABLE_ROW_GROUP_BYTES_MAX,
            row_group_rows_max: limits::TABLE_ROW_GROUP_ROWS_MAX,
            key_bloom_filter: false,
            value_columns: ValueColumns::default(),
            decompressed_bytes_max: limits::DECOMPRESSED_BYTES_MAX,
        }
    }
}

/// What became of the records that were pushed.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Pushed {
    /// Those that the table has.
    pub kept: RecordTally,
    /// Those that the caller left out.
    pub left_out: RecordTally,
}

/// What a whole table is, for the log.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct TableSummary {
    /// Records in the file.
    pub record_count: u64,
    /// The first offset that it stands for.
    pub base_offset: Offset,
    /// The last offset that it stands for.
    pub last_offset: Offset,
    /// The smallest timestamp; -1 without records.
    pub min_timestamp: i64,
    /// The largest timestamp; -1 without records.
    pub max_timestamp: i64,
    /// The length of the file.
    pub bytes: u64,
    /// The length of its footer, which opens the file with one read.
    pub footer_bytes: u64,
    /// Raw bytes of its records.
    pub raw_bytes: u64,
    /// The sum of its records.
    pub sum: RecordSum,
}

/// A finished table.
#[derive(Clone, Debug)]
pub struct FinishedTable {
    /// The bytes that were not taken yet; the file ends with them.
    pub rest: Vec<Bytes>,
    /// What the table is.
    pub summary: TableSummary,
    /// What became of all records that were pushed.
    pub pushed: Pushed,
    /// Its row groups.
    pub row_groups: Vec<RowGroupFacts>,
}

/// Why a table cannot be written. The writer is of no use then, and neither is what it gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteTableError {
    /// A batch is damaged, or unpacks to more than is allowed.
    #[error("the batch at offset {base_offset}: {source}")]
    Batch {
        /// Where it is.
        base_offset: Offset,
        /// What is wrong with it.
        source: BatchError,
    },
    /// A record's offset is not behind that of the record before, not in its batch, or not in the table.
    #[error(
        "offset {offset} comes after {previous:?} in the batch from {batch_base} to {batch_last} in the table from {base} to {last}"
    )]
    Offset {
        /// The offset.
        offset: Offset,
        /// The one before.
        previous: Option<Offset>,
        /// Where its batch begins.
        batch_base: Offset,
        /// Where its batch ends.
        batch_last: Offset,
        /// Where the table begins.
        base: Offset,
        /// Where the table ends.
        last: Offset,
    },
    /// The caller wants to keep a record of a control batch.
    #[error("the control batch at offset {base_offset} has no place in a table")]
    ControlBatch {
        /// Where it is.
        base_offset: Offset,
    },
    /// The facts contradict themselves, or name a format that is not written.
    #[error("a table of format {format} from offset {base_offset} to {last_offset} cannot be written")]
    Facts {
        /// The format.
        format: u32,
        /// The first offset.
        base_offset: Offset,
        /// The last offset.
        last_offset: Offset,
    },
    /// The encoder fails, in its words.
    #[error("the table cannot be encoded: {0}")]
    Encoding(String),
}

impl From<ParquetError> for WriteTableError {
    fn from(error: ParquetError) -> WriteTableError {
        WriteTableError::Encoding(error.to_string())
    }
}

impl From<arrow_schema::ArrowError> for WriteTableError {
    fn from(error: arrow_schema::ArrowError) -> WriteTableError {
        WriteTableError::Encoding(error.to_string())
    }
}

impl From<std::io::Error> for WriteTableError {
    fn from(error: std::io::Error) -> WriteTableError {
        WriteTableError::Encoding(error.to_string())
    }
}

/// Writes one table.
#[derive(Debug)]
pub struct TableWriter {
    options: TableOptions,
    facts: TableFacts,
    encoder: Encoder,
    columns: RowColumns,
    hasher: RecordHasher,
    finished: Vec<Bytes>,
    /// Bytes of the file up to the row group that is open.
    position: u64,
    last_seen: Option<Offset>,
    /// What is known of the row group that is open, if it has rows.
    open: Option<RowGroupFacts>,
    row_groups: Vec<RowGroupFacts>,
    pushed: Pushed,
}

impl TableWriter {
    /// A table without records.
    pub fn new(facts: TableFacts, options: TableOptions) -> Result<TableWriter, WriteTableError> {
        let TableFacts { format, base_offset, last_offset, .. } = facts;
        if format != crate::FORMAT || base_offset < 0 || last_offset < base_offset {
            return Err(WriteTableError::Facts { format, base_offset, last_offset });
        }
        let columns = RowColumns::new(options.value_columns.clone());
        let (encoder, magic) = Encoder::new(columns.schema(), properties::of(&options)?)?;
        Ok(TableWriter {
            options,
            facts,
            encoder,
            columns,
            hasher: RecordHasher::default(),
            position: magic.len() as u64,
            finished: vec![magic],
            last_seen: None,
            open: None,
            row_groups: Vec::new(),
            pushed: Pushed::default(),
        })
    }

    /// Adds the records of a batch for which `keep` says so; its base offset is that of the header.
    pub fn push(
        &mut self,
        batch: &RecordBatch,
        mut keep: impl FnMut(&Row<'_>) -> bool,
    ) -> Result<Pushed, WriteTableError> {
        let base_offset = batch.header.base_offset;
        let wrong = |source| WriteTableError::Batch { base_offset, source };
        batch.verify_crc().map_err(wrong)?;
        let decoded = batch.decode(self.options.decompressed_bytes_max).map_err(wrong)?;
        // A batch is not divided between row groups without need.
        let batch_bytes = decoded.record_bytes();
        if let Some(open) = &self.open
            && batch_bytes <= self.options.row_group_bytes_max
            && open.raw_bytes as usize + batch_bytes > self.options.row_group_bytes_max
        {
            self.end_row_group()?;
        }
        let before = self.pushed;
        let is_control = batch.header.attributes.is_control();
        for record in decoded.views() {
            let row = Row::of(&batch.header, record.map_err(wrong)?);
            let keeps = keep(&row);
            if keeps && is_control {
                return Err(WriteTableError::ControlBatch { base_offset });
            }
            self.push_row(&row, keeps)?;
        }
        Ok(since(before, self.pushed))
    }

    /// Adds the rows of another table's row group for which `keep` says so. Their batches stay what they were.
    pub fn push_rows(
        &mut self,
        rows: &DecodedRows,
        mut keep: impl FnMut(&Row<'_>) -> bool,
    ) -> Result<Pushed, WriteTableError> {
        let before = self.pushed;
        for row in rows.rows() {
            let keeps = keep(&row);
            self.push_row(&row, keeps)?;
        }
        Ok(since(before, self.pushed))
    }

    /// Bytes of the file that are complete since the last call, in order: whole row groups.
    pub fn take_finished(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.finished)
    }

    /// What became of all records so far.
    pub fn pushed(&self) -> Pushed {
        self.pushed
    }

    /// Bytes of memory that the writer holds, about.
    pub fn memory_bytes(&self) -> usize {
        let finished: usize = self.finished.iter().map(Bytes::len).sum();
        self.columns.raw_bytes() + self.encoder.memory_bytes() + finished
    }

    /// Ends the file.
    pub fn finish(mut self) -> Result<FinishedTable, WriteTableError> {
        self.end_row_group()?;
        let metadata = Metadata {
            facts: self.facts,
            value_columns: self.options.value_columns,
            tally: self.pushed.kept,
            row_groups: self.row_groups,
        };
        let mut end = self.encoder.finish(metadata.encode())?;
        let footer_bytes = footer::seal(&mut end)
            .ok_or_else(|| WriteTableError::Encoding("the footer has no place for checksums".into()))?;
        let bytes = self.position + end.len() as u64;
        self.finished.push(Bytes::from(end));
        Ok(FinishedTable {
            rest: self.finished,
            summary: summary(&metadata, bytes, footer_bytes as u64),
            pushed: self.pushed,
            row_groups: metadata.row_groups,
        })
    }

    fn push_row(&mut self, row: &Row<'_>, keeps: bool) -> Result<(), WriteTableError> {
        self.check_offset(row)?;
        let sum = self.hasher.sum(row);
        if !keeps {
            self.pushed.left_out.count(sum);
            return Ok(());
        }
        self.pushed.kept.count(sum);
        let raw_bytes = row.raw_bytes();
        if let Some(open) = &self.open
            && (open.raw_bytes as usize + raw_bytes > self.options.row_group_bytes_max
                || open.row_count as usize >= self.options.row_group_rows_max)
        {
            self.end_row_group()?;
        } else if self.columns.len() > 0 && self.columns.raw_bytes() + raw_bytes > limits::TABLE_CHUNK_BYTES_MAX {
            self.encode_chunk()?;
        }
        self.columns.push(row, raw_bytes);
        let open = self.open.get_or_insert(RowGroupFacts {
            position: self.position,
            bytes: 0,
            crc: 0,
            first_offset: row.offset,
            last_offset: row.offset,
            row_count: 0,
            min_timestamp: row.timestamp,
            max_timestamp: row.timestamp,
            raw_bytes: 0,
        });
        open.last_offset = row.offset;
        open.row_count += 1;
        open.min_timestamp = open.min_timestamp.min(row.timestamp);
        open.max_timestamp = open.max_timestamp.max(row.timestamp);
        open.raw_bytes += raw_bytes as u64;
        Ok(())
    }

    fn check_offset(&mut self, row: &Row<'_>) -> Result<(), WriteTableError> {
        let (offset, batch) = (row.offset, row.batch);
        let previous = self.last_seen.replace(offset);
        let in_order = previous.is_none_or(|previous| offset > previous);
        let in_batch = (batch.base_offset..=batch.last_offset).contains(&offset);
        let in_table = (self.facts.base_offset..=self.facts.last_offset).contains(&offset);
        if in_order && in_batch && in_table {
            return Ok(());
        }
        Err(WriteTableError::Offset {
            offset,
            previous,
            batch_base: batch.base_offset,
            batch_last: batch.last_offset,
            base: self.facts.base_offset,
            last: self.facts.last_offset,
        })
    }

    fn encode_chunk(&mut self) -> Result<(), WriteTableError> {
        let chunk = self.columns.take()?;
        self.encoder.write(&chunk)
    }

    fn end_row_group(&mut self) -> Result<(), WriteTableError> {
        let Some(mut group) = self.open.take() else { return Ok(()) };
        self.encode_chunk()?;
        let bytes = self.encoder.end_row_group()?;
        group.bytes = bytes.len() as u64;
        group.crc = crc32c(&bytes);
        self.position += group.bytes;
        self.row_groups.push(group);
        self.finished.push(bytes);
        Ok(())
    }
}

fn since(before: Pushed, now: Pushed) -> Pushed {
    let less = |now: RecordTally, before: RecordTally| RecordTally {
        record_count: now.record_count - before.record_count,
        sum: now.sum - before.sum,
    };
    Pushed { kept: less(now.kept, before.kept), left_out: less(now.left_out, before.left_out) }
}

/// What a file with this metadata is.
pub(crate) fn summary(metadata: &Metadata, bytes: u64, footer_bytes: u64) -> TableSummary {
    let groups = || metadata.row_groups.iter();
    TableSummary {
        record_count: metadata.tally.record_count,
        base_offset: metadata.facts.base_offset,
        last_offset: metadata.facts.last_offset,
        min_timestamp: groups().map(|group| group.min_timestamp).min().unwrap_or(-1),
        max_timestamp: groups().map(|group| group.max_timestamp).max().unwrap_or(-1),
        bytes,
        footer_bytes,
        raw_bytes: groups().map(|group| group.raw_bytes).fold(0, u64::saturating_add),
        sum: metadata.tally.sum,
    }
}
