//! From units to chunks of rows: which row groups, which bytes, which records.
//!
//! Flow: unit -> [`Reading::pieces`] (opens a file, leaves row groups out) -> [`Reading::load`] (reads and decodes) -> chunks.
//!
//! Invariants:
//! 1. Records of aborted transactions and of control batches are not shown; neither is what is not wanted by offset or time.
//! 2. Where a count is enough and a file says it, nothing is read for it.
//! 3. What a merge has replaced meanwhile is looked up in the log again by its offsets, and read from what holds them now: no
//!    record is shown twice or left out. What is missing for good is an error.
//! 4. A reading is [`READ_AHEAD`] pieces ahead; a piece is a row group or the bytes of a raw run.

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::limits::DECOMPRESSED_BYTES_MAX;
use alluvium_infra::store::StoreError;
use alluvium_log::{Log, ObjectRef};
use alluvium_reader::{Isolation, Reader, ScanError};
use alluvium_record::batch::RecordBatch as RawBatch;
use alluvium_table::schema::{OFFSET, TIMESTAMP, VALUE};
use alluvium_table::{ReadTableError, RowGroupFacts, TableReader};
use datafusion::arrow::array::RecordBatch;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::bounds::Interval;
use crate::columns::{PARTITION, Projection};
use crate::counts::ScanCounts;
use crate::rows::{self, RowsError, Wanted};
use crate::running::RunningFilters;
use crate::units::{self, Unit};

/// Pieces that are read while others are worked on.
const READ_AHEAD: usize = 4;
/// How often a unit is looked up again when its object is gone.
const LOOKUPS_MAX: u32 = 5;

/// Why a unit could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{topic}/{partition}, offsets {least} to {greatest}: {reason}")]
pub(crate) struct ReadUnitError {
    topic: String,
    partition: i32,
    least: i64,
    greatest: i64,
    reason: String,
}

/// What all readings of a scan share.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) topic: String,
    pub(crate) log: Log,
    pub(crate) reader: Reader,
    pub(crate) runtime: Runtime,
    pub(crate) isolation: Isolation,
    pub(crate) timestamps: Interval,
    pub(crate) projection: Projection,
    /// What the query can still use.
    pub(crate) running: RunningFilters,
    /// Whether units, and row groups of files, are read from the last to the first.
    pub(crate) newest_first: bool,
}

/// What is read at once.
enum Piece {
    /// So many records, of which nothing is read.
    Count(Unit, u64),
    Raw(Unit),
    RowGroup(Unit, TableReader, usize),
}

/// What was read.
enum Loaded {
    Count(Unit, u64),
    Raw(Unit, Vec<RawBatch>),
    Chunks(Vec<RecordBatch>),
    /// The object is gone: these pieces have its records now.
    Instead(Vec<Piece>),
}

type Chunks = BoxStream<'static, Result<RecordBatch, ReadUnitError>>;

/// The rows of units, in their order or from the last to the first.
pub(crate) fn chunks(reading: Arc<Reading>, mut units: Vec<Unit>, counts: ScanCounts, read_ahead: bool) -> Chunks {
    if reading.newest_first {
        units.reverse();
    }
    let ahead = if read_ahead { READ_AHEAD } else { 1 };
    let opening = (Arc::clone(&reading), counts.clone());
    let pieces = stream::iter(units)
        .map(move |unit| {
            let (reading, counts) = opening.clone();
            async move { reading.pieces(unit, &counts, LOOKUPS_MAX).await }
        })
        .buffered(ahead)
        .map_ok(|pieces| stream::iter(pieces.into_iter().map(Ok)))
        .try_flatten();
    loaded_chunks(reading, pieces.boxed(), counts, ahead)
}

fn loaded_chunks(
    reading: Arc<Reading>,
    pieces: BoxStream<'static, Result<Piece, ReadUnitError>>,
    counts: ScanCounts,
    ahead: usize,
) -> Chunks {
    let loading = (Arc::clone(&reading), counts.clone());
    pieces
        .map_ok(move |piece| {
            let (reading, counts) = loading.clone();
            async move { reading.load(piece, &counts).await }
        })
        .try_buffered(ahead)
        .map_ok(move |loaded| Arc::clone(&reading).unpacked(loaded, counts.clone(), ahead))
        .try_flatten()
        .boxed()
}

impl Reading {
    /// Opens what has to be opened, and leaves out what cannot hold a wanted record.
    async fn pieces(&self, unit: Unit, counts: &ScanCounts, lookups: u32) -> Result<Vec<Piece>, ReadUnitError> {
        let table = match unit.at.run.object {
            ObjectRef::Nothing => return Ok(Vec::new()),
            ObjectRef::Entry(_) | ObjectRef::Segment(_) => return Ok(vec![Piece::Raw(unit)]),
            ObjectRef::Table(_) => unit.at.table,
        };
        if !self.is_of_use(
            &unit,
            Interval::new(table.map_or(i64::MIN, |table| table.min_timestamp), unit.at.run.max_timestamp),
        ) {
            return Ok(Vec::new());
        }
        let whole_file = unit.offsets.covers(unit.run_offsets());
        if let Some(table) = table.filter(|_| whole_file && self.projection.is_count()) {
            let times = Interval::new(table.min_timestamp, unit.at.run.max_timestamp);
            if self.timestamps.covers(times) {
                return Ok(vec![Piece::Count(unit, table.record_count)]);
            }
        }
        let reader = match self.reader.table(&unit.at).await {
            Ok(Some(reader)) => reader,
            Ok(None) => return Ok(Vec::new()),
            Err(ScanError::Gone) => return self.looked_up(&unit, counts, lookups).await,
            Err(ScanError::Read(error)) => return Err(self.failed(&unit, &error)),
        };
        counts.files_opened.add(1);
        let groups = reader.row_groups().iter().enumerate();
        let mut pieces: Vec<Piece> =
            groups.filter_map(|(index, group)| self.piece_of_group(&unit, &reader, index, group)).collect();
        if self.newest_first {
            pieces.reverse();
        }
        counts.row_groups_pruned.add(reader.row_groups().len() - pieces.len());
        Ok(pieces)
    }

    fn piece_of_group(&self, unit: &Unit, reader: &TableReader, index: usize, group: &RowGroupFacts) -> Option<Piece> {
        let offsets = Interval::new(group.first_offset, group.last_offset);
        let times = Interval::new(group.min_timestamp, group.max_timestamp);
        if !unit.offsets.meets(offsets) || !self.timestamps.meets(times) {
            return None;
        }
        let is_whole = unit.offsets.covers(offsets) && self.timestamps.covers(times);
        let unit = Unit { offsets: unit.offsets.and(offsets), ..unit.clone() };
        if is_whole && self.projection.is_count() {
            return Some(Piece::Count(unit, group.row_count));
        }
        Some(Piece::RowGroup(unit, reader.clone(), index))
    }

    /// The pieces that hold a unit's offsets by what the log says now.
    async fn looked_up(&self, unit: &Unit, counts: &ScanCounts, lookups: u32) -> Result<Vec<Piece>, ReadUnitError> {
        let Some(lookups) = lookups.checked_sub(1) else { return Err(self.failed(unit, &ScanError::Gone)) };
        let view = self.log.catch_up().await.map_err(|error| self.failed(unit, &error))?;
        let place = unit.at.topic_partition;
        let units = units::of_partition(&view, place, unit.offsets, self.timestamps, self.isolation);
        let mut pieces = Vec::new();
        for instead in units {
            if instead.at.run.object == unit.at.run.object {
                // The log still names it: it is missing, not replaced.
                return Err(self.failed(unit, &ScanError::Gone));
            }
            // What was read of the log at first stays the end of what is shown.
            pieces.extend(Box::pin(self.pieces(instead, counts, lookups)).await?);
        }
        Ok(pieces)
    }

    /// Whether the query can still use any of these offsets and timestamps.
    fn is_of_use(&self, unit: &Unit, timestamps: Interval) -> bool {
        let bounds = self.running.bounds(unit.partition());
        bounds.has_partition(unit.partition())
            && bounds.offsets.meets(unit.offsets)
            && bounds.timestamps.meets(timestamps)
    }

    async fn load(&self, piece: Piece, counts: &ScanCounts) -> Result<Loaded, ReadUnitError> {
        match piece {
            Piece::Raw(unit) if !self.is_of_use(&unit, Interval::new(i64::MIN, unit.at.run.max_timestamp)) => {
                Ok(Loaded::Chunks(Vec::new()))
            }
            Piece::RowGroup(unit, reader, index) if !self.is_group_of_use(&unit, &reader, index) => {
                counts.row_groups_pruned.add(1);
                Ok(Loaded::Chunks(Vec::new()))
            }
            Piece::Count(unit, count) => Ok(Loaded::Count(unit, count)),
            Piece::Raw(unit) => match self.reader.raw_batches(&unit.at).await {
                Ok(batches) => {
                    counts.raw_runs.add(1);
                    counts.bytes_read.add(unit.at.run.length as usize);
                    Ok(Loaded::Raw(unit, batches))
                }
                Err(ScanError::Gone) => Ok(Loaded::Instead(self.looked_up(&unit, counts, LOOKUPS_MAX).await?)),
                Err(ScanError::Read(error)) => Err(self.failed(&unit, &error)),
            },
            Piece::RowGroup(unit, reader, index) => {
                let wanted = self.columns_of(&unit, &reader, index);
                let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
                match reader.read_columns(&self.runtime, index, &names).await {
                    Ok(columns) => {
                        counts.row_groups.add(1);
                        counts.bytes_read.add(usize::try_from(columns.bytes).unwrap_or(usize::MAX));
                        let wanted = self.wanted(&unit);
                        let fitted = rows::fitted(&self.projection, unit.partition(), &columns.columns, wanted);
                        Ok(Loaded::Chunks(fitted.map_err(|error| self.failed(&unit, &error))?))
                    }
                    Err(ReadTableError::Store(StoreError::NotFound)) => {
                        Ok(Loaded::Instead(self.looked_up(&unit, counts, LOOKUPS_MAX).await?))
                    }
                    Err(error) => Err(self.failed(&unit, &error)),
                }
            }
        }
    }

    fn is_group_of_use(&self, unit: &Unit, reader: &TableReader, index: usize) -> bool {
        let times = |group: &RowGroupFacts| Interval::new(group.min_timestamp, group.max_timestamp);
        reader.row_groups().get(index).is_none_or(|group| self.is_of_use(unit, times(group)))
    }

    /// The columns of a row group that are read: those of the projection, and what it takes to cut and to compute.
    fn columns_of(&self, unit: &Unit, reader: &TableReader, index: usize) -> Vec<String> {
        let fields = self.projection.schema.fields().iter().map(|field| field.name().clone());
        let stored = reader.value_columns();
        let is_stale = |name: &String| {
            let asked = self.projection.value_columns.iter().find(|column| column.column_name() == *name);
            asked.is_some_and(|asked| !stored.iter().any(|column| column == asked))
        };
        let mut names: Vec<String> = fields.filter(|name| name != PARTITION && !is_stale(name)).collect();
        let stale = self.projection.value_columns.iter().any(|asked| !stored.iter().any(|column| column == asked));
        let group = reader.row_groups().get(index);
        let cut_by_offset =
            group.is_none_or(|group| !unit.offsets.covers(Interval::new(group.first_offset, group.last_offset)));
        let cut_by_time =
            group.is_none_or(|group| !self.timestamps.covers(Interval::new(group.min_timestamp, group.max_timestamp)));
        for (is_needed, name) in [(stale, VALUE), (cut_by_offset, OFFSET), (cut_by_time, TIMESTAMP)] {
            if is_needed && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }

    fn wanted(&self, unit: &Unit) -> Wanted {
        Wanted { offsets: unit.offsets, timestamps: self.timestamps }
    }

    /// The chunks of what was read. Raw batches are decompressed one by one, as they are asked for.
    fn unpacked(self: Arc<Self>, loaded: Loaded, counts: ScanCounts, ahead: usize) -> Chunks {
        match loaded {
            Loaded::Count(unit, count) => {
                let chunks = rows::counted(&self.projection, unit.partition(), count);
                stream::iter(chunks).map_err(move |error| self.failed(&unit, &error)).boxed()
            }
            Loaded::Chunks(chunks) => stream::iter(chunks.into_iter().map(Ok)).boxed(),
            Loaded::Instead(pieces) => {
                let pieces = stream::iter(pieces.into_iter().map(Ok)).boxed();
                loaded_chunks(self, pieces, counts, ahead)
            }
            Loaded::Raw(unit, batches) => {
                let shown: Vec<RawBatch> = batches.into_iter().filter(|batch| is_shown(&unit, batch)).collect();
                stream::iter(shown)
                    .then(move |batch| {
                        let (reading, unit) = (Arc::clone(&self), unit.clone());
                        async move { reading.decoded(&unit, batch).await }
                    })
                    .map_ok(|chunks| stream::iter(chunks.into_iter().map(Ok)))
                    .try_flatten()
                    .boxed()
            }
        }
    }

    async fn decoded(self: Arc<Self>, unit: &Unit, batch: RawBatch) -> Result<Vec<RecordBatch>, ReadUnitError> {
        let offsets = Interval::new(batch.header.base_offset, batch.header.last_offset());
        if self.projection.is_count() && self.timestamps == Interval::ALL && unit.offsets.covers(offsets) {
            let count = u64::try_from(batch.header.record_count).unwrap_or(0);
            let counted = rows::counted(&self.projection, unit.partition(), count).collect::<Result<_, _>>();
            return counted.map_err(|error| self.failed(unit, &error));
        }
        if batch.header.max_timestamp < self.timestamps.least {
            return Ok(Vec::new());
        }
        let (reading, wanted, partition) = (Arc::clone(&self), self.wanted(unit), unit.partition());
        let gathered = self.runtime.compute(move || {
            let decoded = batch.decode(DECOMPRESSED_BYTES_MAX)?;
            rows::gathered(&reading.projection, partition, &decoded, wanted)
        });
        let gathered: Result<Vec<RecordBatch>, RowsError> =
            gathered.await.map_err(|error| self.failed(unit, &error))?;
        gathered.map_err(|error| self.failed(unit, &error))
    }

    fn failed(&self, unit: &Unit, reason: &dyn std::fmt::Display) -> ReadUnitError {
        ReadUnitError {
            topic: self.topic.clone(),
            partition: unit.partition(),
            least: unit.offsets.least,
            greatest: unit.offsets.greatest,
            reason: reason.to_string(),
        }
    }
}

/// Whether a batch has records for this query: not a control batch, not of an aborted transaction, not out of bounds.
fn is_shown(unit: &Unit, batch: &RawBatch) -> bool {
    let header = &batch.header;
    let offsets = Interval::new(header.base_offset, header.last_offset());
    if header.attributes.is_control() || header.record_count == 0 || !unit.offsets.meets(offsets) {
        return false;
    }
    let is_aborted = |aborted: &alluvium_log::AbortedTransaction| {
        aborted.producer_id == header.producer_id
            && (aborted.first_offset..=aborted.last_offset).contains(&header.base_offset)
    };
    !(header.attributes.is_transactional() && unit.aborted.iter().any(is_aborted))
}
