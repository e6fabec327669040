//! Some columns of a row group, for queries.
//!
//! What must stay true:
//! 1. Only the bytes of the columns asked for are read, but for small gaps between them and but for a whole row group where
//!    that is little more.
//! 2. A row group that is read whole is checked against its checksum. Of one that is read in part, what the footer says of it is
//!    checked, as far as the columns show it: the number of rows, offsets that count up from the first to the last, timestamps
//!    between the least and the greatest. A query that leaves columns out trusts the store for the rest, as other query engines do.

use std::ops::Range;

use alluvium_infra::Runtime;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use bytes::{Buf, Bytes};
use futures_util::future::try_join_all;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::facts::RowGroupFacts;
use crate::reader::{ReadTableError, TableReader};
use crate::schema;

/// Bytes between two columns that are read along with them rather than leaving a gap.
const GAP_BYTES_MAX: u64 = 64 * 1024;

/// Columns of a row group.
#[derive(Clone, Debug)]
pub struct ProjectedRows {
    /// The columns, in the order of the file.
    pub columns: RecordBatch,
    /// Bytes that were read for them.
    pub bytes: u64,
}

impl TableReader {
    /// The columns with these names of one row group. Names that the file does not have are passed over.
    pub async fn read_columns(
        &self,
        runtime: &Runtime,
        index: usize,
        names: &[&str],
    ) -> Result<ProjectedRows, ReadTableError> {
        let group = self.row_groups().get(index).copied().ok_or(ReadTableError::NoSuchRowGroup(index))?;
        let (mask, ranges) = self.projection(index, names);
        let wanted: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        let parts = if wanted.saturating_mul(4) >= group.bytes.saturating_mul(3) {
            let bytes = self.read_checked(runtime, group.position..group.end(), group.crc, "a row group").await?;
            vec![(group.position, bytes)]
        } else {
            let merged = merged(ranges);
            if merged.iter().any(|range| range.start < group.position || range.end > group.end()) {
                return Err(damaged(index, "a column lies outside of it"));
            }
            try_join_all(merged.into_iter().map(|range| async move {
                let bytes = self.file.read(range.clone()).await?;
                if bytes.len() as u64 != range.end - range.start {
                    return Err(damaged(index, "it is cut off"));
                }
                Ok((range.start, bytes))
            }))
            .await?
        };
        let bytes = parts.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let reader = self.clone();
        let decoded = runtime.compute(move || reader.decode_columns(index, &group, Parts(parts), mask)).await;
        let columns = decoded.map_err(|error| ReadTableError::CutOff(error.to_string()))??;
        Ok(ProjectedRows { columns, bytes })
    }

    /// Which leaves the columns have, and where the bytes of these are.
    fn projection(&self, index: usize, names: &[&str]) -> (ProjectionMask, Vec<Range<u64>>) {
        let stored = self.parquet().parquet_schema();
        let is_wanted = |leaf: &usize| names.contains(&stored.get_column_root(*leaf).name());
        let leaves: Vec<usize> = (0..stored.num_columns()).filter(is_wanted).collect();
        let group = self.parquet().metadata().row_group(index);
        let range = |leaf: &usize| {
            let (start, length) = group.column(*leaf).byte_range();
            start..start.saturating_add(length)
        };
        let ranges = leaves.iter().map(range).collect();
        (ProjectionMask::leaves(stored, leaves), ranges)
    }

    fn decode_columns(
        &self,
        index: usize,
        group: &RowGroupFacts,
        parts: Parts,
        mask: ProjectionMask,
    ) -> Result<RecordBatch, ReadTableError> {
        let wrong = |reason: &dyn std::fmt::Display| damaged(index, &reason.to_string());
        let rows = usize::try_from(group.row_count).unwrap_or(usize::MAX);
        let mut batches = ParquetRecordBatchReaderBuilder::new_with_metadata(parts, self.parquet().clone())
            .with_row_groups(vec![index])
            .with_projection(mask)
            .with_batch_size(rows)
            .build()
            .map_err(|error| wrong(&error))?;
        let columns = batches.next().ok_or_else(|| wrong(&"it has no rows"))?.map_err(|error| wrong(&error))?;
        if columns.num_rows() != rows {
            return Err(wrong(&format!("{} rows where {rows} should be", columns.num_rows())));
        }
        check(&columns, group).map_err(|reason| wrong(&reason))?;
        Ok(columns)
    }
}

/// Compares columns with what the footer says.
fn check(columns: &RecordBatch, group: &RowGroupFacts) -> Result<(), &'static str> {
    if let Some(offsets) = columns.column_by_name(schema::OFFSET) {
        let offsets = offsets.as_primitive_opt::<Int64Type>().ok_or("a column has another type")?;
        let values = offsets.values();
        let ends = values.first().zip(values.last());
        if offsets.null_count() > 0 || ends != Some((&group.first_offset, &group.last_offset)) {
            return Err("its offsets are not those that the footer names");
        }
        if !values.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err("offsets do not count up");
        }
    }
    if let Some(times) = columns.column_by_name(schema::TIMESTAMP) {
        let times = times.as_primitive_opt::<TimestampMillisecondType>().ok_or("a column has another type")?;
        let within = |time: &i64| (group.min_timestamp..=group.max_timestamp).contains(time);
        if times.null_count() > 0 || !times.values().iter().all(within) {
            return Err("a timestamp is not between those that the footer names");
        }
    }
    Ok(())
}

/// Ranges in order, those side by side as one.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end.saturating_add(GAP_BYTES_MAX) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

fn damaged(index: usize, reason: &str) -> ReadTableError {
    ReadTableError::Damaged(format!("row group {index}: {reason}"))
}

/// Parts of a file, each with its place.
#[derive(Clone)]
struct Parts(Vec<(u64, Bytes)>);

impl Parts {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        self.0
            .iter()
            .find(|(place, bytes)| (*place..=place + bytes.len() as u64).contains(&start))
            .and_then(|(place, bytes)| usize::try_from(start - place).ok().map(|from| bytes.slice(from..)))
            .ok_or_else(|| ParquetError::EOF(format!("byte {start} was not read")))
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.0.iter().map(|(place, bytes)| place + bytes.len() as u64).max().unwrap_or(0)
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!("{length} bytes from {start} were not read")));
        }
        Ok(bytes.slice(..length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_side_by_side_are_one_read() {
        assert_eq!(merged(vec![]), []);
        assert_eq!(merged(vec![10..20, 0..10, 30..40]), std::slice::from_ref(&(0..40)));
        assert_eq!(merged(vec![0..10, 10 + GAP_BYTES_MAX + 1..1_000_000]), [0..10, 10 + GAP_BYTES_MAX + 1..1_000_000]);
        assert_eq!(merged(vec![0..100, 5..10]), std::slice::from_ref(&(0..100)));
    }

    #[test]
    fn parts_give_what_they_hold_and_nothing_else() {
        let parts = Parts(vec![(4, Bytes::from_static(b"abcd")), (100, Bytes::from_static(b"xyz"))]);
        assert_eq!(parts.get_bytes(5, 3).unwrap(), "bcd");
        assert_eq!(parts.get_bytes(100, 3).unwrap(), "xyz");
        assert!(parts.get_bytes(6, 3).is_err());
        assert!(parts.get_bytes(50, 1).is_err());
        assert_eq!(parts.len(), 103);
    }
}
