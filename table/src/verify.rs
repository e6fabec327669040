//! Reading a whole table to find out whether it is what it says.
//!
//! What must stay true: after it every byte of the file was compared with a checksum, and every record was decoded, counted
//! and summed.

use alluvium_infra::Runtime;

use crate::footer;
use crate::reader::{ReadTableError, TableReader};
use crate::row::Row;
use crate::sum::{RecordHasher, RecordTally};
use crate::writer::TableSummary;

/// What was found in a row group.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Found {
    tally: RecordTally,
    min_timestamp: i64,
    max_timestamp: i64,
    raw_bytes: u64,
}

impl TableReader {
    /// Reads the file to its last byte and gives what it is, which is what it says: otherwise it is damaged. `progress` is told
    /// the bytes that were read, from time to time.
    pub async fn verify(
        &self,
        runtime: &Runtime,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<TableSummary, ReadTableError> {
        let magic = self.file.read(0..footer::MAGIC.len() as u64).await?;
        if magic[..] != footer::MAGIC[..] {
            return Err(ReadTableError::Damaged("it does not begin as a Parquet file".into()));
        }
        let mut tally = RecordTally::default();
        for (index, group) in self.row_groups().iter().enumerate() {
            let rows = self.read_row_group(runtime, index).await?;
            let found = runtime.compute(move || count(rows.rows())).await;
            let found = found.map_err(|error| ReadTableError::CutOff(error.to_string()))?;
            let said = (group.min_timestamp, group.max_timestamp, group.raw_bytes);
            if said != (found.min_timestamp, found.max_timestamp, found.raw_bytes) {
                return Err(ReadTableError::Damaged(format!("row group {index} is not what the footer says")));
            }
            tally += found.tally;
            progress(group.end());
        }
        if tally != self.tally() {
            return Err(ReadTableError::Damaged(format!(
                "it has {} records with the sum {} and says {} with {}",
                tally.record_count,
                tally.sum,
                self.tally().record_count,
                self.tally().sum
            )));
        }
        let index_from = self.row_groups().last().map_or(footer::MAGIC.len() as u64, |group| group.end());
        self.read_checked(runtime, index_from..self.bytes - self.footer_bytes, self.index_crc, "the indexes").await?;
        progress(self.bytes);
        Ok(self.summary())
    }
}

fn count<'a>(rows: impl Iterator<Item = Row<'a>>) -> Found {
    let mut hasher = RecordHasher::default();
    let mut found =
        Found { tally: RecordTally::default(), min_timestamp: i64::MAX, max_timestamp: i64::MIN, raw_bytes: 0 };
    for row in rows {
        found.tally.count(hasher.sum(&row));
        found.min_timestamp = found.min_timestamp.min(row.timestamp);
        found.max_timestamp = found.max_timestamp.max(row.timestamp);
        found.raw_bytes += row.raw_bytes() as u64;
    }
    found
}
