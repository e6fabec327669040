//! One partition's records as a Parquet file, a *table*: what is retained, for Kafka consumers and for query engines alike.
//!
//! - [`schema`]: the columns; [`TableFacts`] and [`RowGroupFacts`]: what a file says of itself beside them;
//! - [`TableWriter`]: record batches in, bytes of a file out, one row group in memory;
//! - [`TableReader`]: row groups over a [`RangedFile`], and record batches out of them ([`DecodedRows`]);
//! - [`RecordSum`]: what must be the same before and after;
//! - [`ValueColumns`]: columns out of JSON values.
//!
//! What must stay true:
//! 1. What was written comes back exactly: key and value (null is not empty), headers in order with duplicates and with names
//!    of any bytes, timestamps, offsets, and the batches that records came in with their producers, sequences and flags.
//! 2. Every byte of a file is covered by a checksum in it: row groups and indexes by theirs in the footer, and the footer by
//!    its own. What does not match is damaged, and never gives records. (Queries that leave columns out: see [`TableReader::read_columns`].)
//! 3. A file of a newer format is refused with a request to upgrade.
//! 4. No Arrow type is in the public interface but in what is there for queries: [`schema::arrow_schema`],
//!    [`TableReader::read_columns`], which gives columns of a row group instead of records, and [`ValueColumns::arrays`].
//!
//! The format is described in docs/rfcs/2026-11-22-parquet.md and docs/reference/object-layout.md.

mod batches;
mod columns;
mod decoded;
mod facts;
mod file;
mod footer;
mod names;
mod projected;
mod reader;
mod row;
pub mod schema;
mod sink;
mod sum;
mod values;
mod verify;
mod writer;

pub use decoded::DecodedRows;
pub use facts::{FORMAT, RowGroupFacts, TableFacts};
pub use file::{RangedFile, StoreFile};
pub use names::text_of as header_name_text;
pub use projected::ProjectedRows;
pub use reader::{EncodedRows, OpenTableError, ReadTableError, TableReader};
pub use row::{BatchFacts, Headers, Row};
pub use sum::{RecordHasher, RecordSum, RecordTally};
pub use values::{InvalidValueColumns, VALUE_COLUMNS_CONFIG, ValueColumn, ValueColumns, ValueType};
pub use writer::{FinishedTable, Pushed, TableOptions, TableSummary, TableWriter, WriteTableError};

#[cfg(test)]
mod tests;
