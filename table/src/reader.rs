//! Reading a table: its footer, then row groups, each with one ranged read and then decoded.
//!
//! What must stay true:
//! 1. A footer is believed when its checksum is right, and a row group when its is; what arrives damaged is read once again
//!    before it is believed to be.
//! 2. The positions of row groups are within the file and follow each other.

use std::ops::Range;
use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::limits::{TABLE_FOOTER_BYTES_GUESSED, TABLE_FOOTER_BYTES_MAX};
use alluvium_infra::runtime::Courtesy;
use alluvium_infra::store::StoreError;
use alluvium_record::{Offset, TopicPartition, crc32c};
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};

use crate::decoded::DecodedRows;
use crate::facts::{INDEX_CRC, Metadata, MetadataError, RowGroupFacts, TableFacts, crc_field};
use crate::file::RangedFile;
use crate::footer;
use crate::schema;
use crate::sum::RecordTally;
use crate::values::ValueColumns;
use crate::writer::TableSummary;

/// Why a table cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenTableError {
    /// The bytes cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is not what was written.
    #[error("the table is damaged: {0}")]
    Damaged(String),
    /// The file was written by a newer release.
    #[error("the table has format {0}, which is newer than this release: upgrade")]
    NewerFormat(u32),
    /// The file holds the records of another partition, or other offsets.
    #[error("the table holds {found} from offset {found_base} to {found_last}, not {wanted} from {base} to {last}")]
    Foreign {
        /// Whose records it holds.
        found: TopicPartition,
        /// From which offset.
        found_base: Offset,
        /// To which offset.
        found_last: Offset,
        /// Whose were expected.
        wanted: TopicPartition,
        /// From which offset.
        base: Offset,
        /// To which offset.
        last: Offset,
    },
}

/// Why a row group, or a whole table, cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadTableError {
    /// The bytes cannot be had.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is not what was written.
    #[error("the table is damaged: {0}")]
    Damaged(String),
    /// There is no such row group.
    #[error("the table has no row group {0}")]
    NoSuchRowGroup(usize),
    /// The decoder panicked, or the process is ending.
    #[error("decoding was cut off: {0}")]
    CutOff(String),
}

/// An open table.
#[derive(Clone)]
pub struct TableReader {
    pub(crate) file: Arc<dyn RangedFile>,
    pub(crate) bytes: u64,
    pub(crate) footer_bytes: u64,
    pub(crate) index_crc: u32,
    pub(crate) metadata: Arc<Metadata>,
    parquet: ArrowReaderMetadata,
    /// The same, with the types of [`schema::decoded_schema`].
    records: ArrowReaderMetadata,
}

impl std::fmt::Debug for TableReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TableReader").field("facts", &self.metadata.facts).finish_non_exhaustive()
    }
}

impl TableReader {
    /// Opens a file of `bytes`. With the length of its footer ([`TableSummary::footer_bytes`]) that is one read; without it
    /// one, or two where the footer is long.
    pub async fn open(
        file: Arc<dyn RangedFile>,
        bytes: u64,
        footer_bytes: Option<u64>,
    ) -> Result<TableReader, OpenTableError> {
        let mut footer = read_footer(&*file, bytes, footer_bytes).await;
        if footer.as_ref().map_or_else(is_damage, |footer| !footer::check(footer)) {
            footer = read_footer(&*file, bytes, footer_bytes).await;
        }
        let footer = footer?;
        if !footer::check(&footer) {
            return Err(damaged("the checksum of its footer is wrong"));
        }
        let metadata = ParquetMetaDataReader::decode_metadata(&footer[..footer.len() - footer::TRAILER_BYTES])
            .map_err(|error| damaged(error.to_string()))?;
        let metadata = Arc::new(metadata);
        let none = Vec::new();
        let pairs: &Vec<KeyValue> = metadata.file_metadata().key_value_metadata().unwrap_or(&none);
        let index_crc = crc_field(pairs, INDEX_CRC).ok_or_else(|| damaged("its indexes have no checksum"))?;
        let facts = Metadata::decode(pairs).map_err(|error| match error {
            MetadataError::Newer(format) => OpenTableError::NewerFormat(format),
            MetadataError::Wrong(key) => damaged(format!("{key} is missing or wrong")),
        })?;
        let typed = |options: ArrowReaderOptions| {
            let options = options.with_skip_arrow_metadata(true);
            ArrowReaderMetadata::try_new(Arc::clone(&metadata), options).map_err(|error| damaged(error.to_string()))
        };
        let parquet = typed(ArrowReaderOptions::new())?;
        check_columns(&parquet, &facts).map_err(damaged)?;
        let records = typed(ArrowReaderOptions::new().with_schema(schema::decoded_schema(&facts.value_columns)))?;
        let reader = TableReader {
            file,
            bytes,
            footer_bytes: footer.len() as u64,
            index_crc,
            metadata: Arc::new(facts),
            parquet,
            records,
        };
        reader.check_consistency().map_err(damaged)?;
        Ok(reader)
    }

    /// Refuses the file unless it holds this partition and these offsets.
    pub fn expect(&self, wanted: TopicPartition, base: Offset, last: Offset) -> Result<(), OpenTableError> {
        let facts = &self.metadata.facts;
        let found = facts.topic_partition();
        if found == wanted && facts.base_offset == base && facts.last_offset == last {
            return Ok(());
        }
        let (found_base, found_last) = (facts.base_offset, facts.last_offset);
        Err(OpenTableError::Foreign { found, found_base, found_last, wanted, base, last })
    }

    /// What an open table takes in memory, about.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Metadata>() + size_of_val(self.row_groups()) + self.parquet.metadata().memory_size()
    }

    pub(crate) fn parquet(&self) -> &ArrowReaderMetadata {
        &self.parquet
    }

    fn check_consistency(&self) -> Result<(), &'static str> {
        let groups = &self.metadata.row_groups;
        let stored = self.parquet.metadata().row_groups();
        if groups.len() != stored.len() {
            return Err("it has another number of row groups than it says");
        }
        let mut position = footer::MAGIC.len() as u64;
        let mut previous: Option<Offset> = None;
        let mut record_count = 0_u64;
        for (group, stored) in groups.iter().zip(stored) {
            let in_order = previous.is_none_or(|previous| previous < group.first_offset);
            if group.position != position || !in_order || group.first_offset > group.last_offset {
                return Err("its row groups are out of order");
            }
            if group.row_count == 0 || u64::try_from(stored.num_rows()) != Ok(group.row_count) {
                return Err("a row group has another number of rows than it says");
            }
            position = group.end();
            previous = Some(group.last_offset);
            record_count = record_count.saturating_add(group.row_count);
        }
        let facts = &self.metadata.facts;
        let within = groups.first().is_none_or(|first| first.first_offset >= facts.base_offset)
            && groups.last().is_none_or(|last| last.last_offset <= facts.last_offset);
        if position > self.bytes.saturating_sub(self.footer_bytes) || !within {
            return Err("its row groups are outside of it");
        }
        if record_count != self.metadata.tally.record_count {
            return Err("it has another number of records than it says");
        }
        Ok(())
    }

    /// Whose records the file holds.
    pub fn facts(&self) -> &TableFacts {
        &self.metadata.facts
    }

    /// Columns out of values that the file has.
    pub fn value_columns(&self) -> &ValueColumns {
        &self.metadata.value_columns
    }

    /// How many records the file says that it has, and their sum.
    pub fn tally(&self) -> RecordTally {
        self.metadata.tally
    }

    /// What the file says of itself. [`TableReader::verify`] finds out whether it is true.
    pub fn summary(&self) -> TableSummary {
        crate::writer::summary(&self.metadata, self.bytes, self.footer_bytes)
    }

    /// The row groups in order.
    pub fn row_groups(&self) -> &[RowGroupFacts] {
        &self.metadata.row_groups
    }

    /// The row group with the first record at `offset` or behind it; none when there is no such record.
    pub fn row_group_of(&self, offset: Offset) -> Option<usize> {
        let index = self.row_groups().partition_point(|group| group.last_offset < offset);
        (index < self.row_groups().len()).then_some(index)
    }

    /// The first row group with a record of `timestamp` or later.
    pub fn row_group_since(&self, timestamp: i64) -> Option<usize> {
        self.row_groups().iter().position(|group| group.max_timestamp >= timestamp)
    }

    /// The rows of one row group.
    pub async fn read_row_group(&self, runtime: &Runtime, index: usize) -> Result<DecodedRows, ReadTableError> {
        self.fetch_row_group(runtime, index).await?.decode(runtime).await
    }

    /// One row group as it is in the file, checked and not yet decoded.
    pub async fn fetch_row_group(&self, runtime: &Runtime, index: usize) -> Result<EncodedRows, ReadTableError> {
        let group = self.row_groups().get(index).copied().ok_or(ReadTableError::NoSuchRowGroup(index))?;
        let bytes = self.read_checked(runtime, group.position..group.end(), group.crc, "a row group").await?;
        Ok(EncodedRows { reader: self.clone(), index, group, bytes })
    }

    /// Bytes with this checksum, read again once if they have another.
    pub(crate) async fn read_checked(
        &self,
        runtime: &Runtime,
        range: Range<u64>,
        crc: u32,
        what: &str,
    ) -> Result<Bytes, ReadTableError> {
        for _ in 0..2 {
            let bytes = self.file.read(range.clone()).await?;
            if bytes.len() as u64 != range.end - range.start {
                continue;
            }
            // A checksum of megabytes takes as long as many requests of others.
            let read = bytes.clone();
            let found = runtime.compute(move || crc32c(&read)).await;
            if found.map_err(|error| ReadTableError::CutOff(error.to_string()))? == crc {
                return Ok(bytes);
            }
        }
        Err(ReadTableError::Damaged(format!("the checksum of {what} is wrong, bytes {range:?}")))
    }

    fn decode(&self, index: usize, group: &RowGroupFacts, bytes: Bytes) -> Result<DecodedRows, ReadTableError> {
        let wrong = |reason: String| ReadTableError::Damaged(format!("row group {index}: {reason}"));
        let schema = self.parquet.parquet_schema();
        let columns = ProjectionMask::roots(schema, 0..schema::RECORD_COLUMNS);
        let rows = usize::try_from(group.row_count).unwrap_or(usize::MAX);
        let input = RowGroupBytes { position: group.position, bytes, courtesy: Arc::default() };
        let mut batches = ParquetRecordBatchReaderBuilder::new_with_metadata(input, self.records.clone())
            .with_row_groups(vec![index])
            .with_projection(columns)
            .with_batch_size(rows)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let batch =
            batches.next().ok_or_else(|| wrong("it has no rows".into()))?.map_err(|error| wrong(error.to_string()))?;
        if batch.num_rows() != rows {
            return Err(wrong(format!("{} rows where {rows} should be", batch.num_rows())));
        }
        let behind = self.row_groups().get(index + 1).map(|next| next.first_offset);
        let before = index.checked_sub(1).and_then(|index| self.row_groups().get(index)).map(|group| group.last_offset);
        let decoded = DecodedRows::new(&batch, (before, behind)).map_err(|reason| wrong(reason.into()))?;
        let ends =
            decoded.rows().next().zip(decoded.rows().next_back()).map(|(first, last)| (first.offset, last.offset));
        if ends != Some((group.first_offset, group.last_offset)) {
            return Err(wrong("its offsets are not those that the footer names".into()));
        }
        Ok(decoded)
    }
}

/// A row group that was read and is still to be decoded.
#[derive(Debug)]
pub struct EncodedRows {
    reader: TableReader,
    index: usize,
    group: RowGroupFacts,
    bytes: Bytes,
}

impl EncodedRows {
    /// Its rows.
    pub async fn decode(self, runtime: &Runtime) -> Result<DecodedRows, ReadTableError> {
        let decoded = runtime.compute(move || self.reader.decode(self.index, &self.group, self.bytes)).await;
        decoded.map_err(|error| ReadTableError::CutOff(error.to_string()))?
    }
}

fn check_columns(parquet: &ArrowReaderMetadata, metadata: &Metadata) -> Result<(), &'static str> {
    if parquet.schema().fields() == schema::arrow_schema(&metadata.value_columns).fields() {
        return Ok(());
    }
    Err("its columns are not those of its format")
}

/// A footer with its trailer.
async fn read_footer(file: &dyn RangedFile, bytes: u64, known: Option<u64>) -> Result<Bytes, OpenTableError> {
    let guess = known.unwrap_or(TABLE_FOOTER_BYTES_GUESSED as u64).min(bytes);
    if guess > TABLE_FOOTER_BYTES_MAX as u64 {
        return Err(damaged("its footer is too long"));
    }
    let end = file.read(bytes - guess..bytes).await?;
    let footer_bytes = footer::footer_bytes(&end).ok_or_else(|| damaged("it does not end as a Parquet file"))?;
    if footer_bytes > TABLE_FOOTER_BYTES_MAX || footer_bytes as u64 > bytes {
        return Err(damaged("its footer is too long"));
    }
    if footer_bytes <= end.len() {
        return Ok(end.slice(end.len() - footer_bytes..));
    }
    Ok(file.read(bytes - footer_bytes as u64..bytes).await?)
}

fn is_damage(error: &OpenTableError) -> bool {
    matches!(error, OpenTableError::Damaged(_))
}

fn damaged(reason: impl Into<String>) -> OpenTableError {
    OpenTableError::Damaged(reason.into())
}

/// A row group, at its place in the file.
#[derive(Clone)]
struct RowGroupBytes {
    position: u64,
    bytes: Bytes,
    courtesy: Arc<Courtesy>,
}

impl RowGroupBytes {
    fn starting_at(&self, start: u64) -> Result<Bytes, ParquetError> {
        start
            .checked_sub(self.position)
            .and_then(|start| usize::try_from(start).ok())
            .filter(|start| *start <= self.bytes.len())
            .map(|start| self.bytes.slice(start..))
            .ok_or_else(|| ParquetError::EOF(format!("byte {start} is outside of the row group")))
    }
}

impl Length for RowGroupBytes {
    fn len(&self) -> u64 {
        self.position + self.bytes.len() as u64
    }
}

impl ChunkReader for RowGroupBytes {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.starting_at(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.starting_at(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} are outside of the row group")));
        }
        // A page is decoded after each call.
        self.courtesy.worked(length);
        Ok(bytes.slice(..length))
    }
}
