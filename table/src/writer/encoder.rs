//! Chunks of rows become the row groups of a file.
//!
//! What must stay true:
//! 1. Of a row group that is complete nothing stays in memory but what the end of the file says of it, and its bloom filter in the
//!    length that it has there.
//! 2. Bytes are given out once and in order: those before the first row group, each row group, the end.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::Schema;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, ArrowWriterOptions, compute_leaves};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use super::WriteTableError;
use crate::sink::Sink;

/// Encodes one file.
pub(super) struct Encoder {
    file: SerializedFileWriter<Sink>,
    schema: Arc<Schema>,
    row_groups: ArrowRowGroupWriterFactory,
    /// Those of the row group that is open; none before its first rows.
    columns: Vec<ArrowColumnWriter>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Encoder").field("memory_bytes", &self.memory_bytes()).finish_non_exhaustive()
    }
}

impl Encoder {
    /// A file of these columns, and what it begins with.
    pub(super) fn new(schema: &Arc<Schema>, properties: WriterProperties) -> Result<(Self, Bytes), WriteTableError> {
        // The Arrow schema follows from the Parquet one, so that it is not written a second time.
        let options = ArrowWriterOptions::new()
            .with_skip_arrow_metadata(true)
            .with_schema_root("records".to_owned())
            .with_properties(properties);
        let whole = ArrowWriter::try_new_with_options(Sink::default(), Arc::clone(schema), options)?;
        let (file, row_groups) = whole.into_serialized_writer()?;
        let mut encoder = Self { file, schema: Arc::clone(schema), row_groups, columns: Vec::new() };
        let magic = encoder.written()?;
        Ok((encoder, Bytes::from(magic)))
    }

    /// Adds rows to the row group that is open.
    pub(super) fn write(&mut self, chunk: &RecordBatch) -> Result<(), WriteTableError> {
        if chunk.num_rows() == 0 {
            return Ok(());
        }
        if self.columns.is_empty() {
            self.columns = self.row_groups.create_column_writers(self.file.flushed_row_groups().len())?;
        }
        let mut columns = self.columns.iter_mut();
        for (field, array) in self.schema.fields().iter().zip(chunk.columns()) {
            for leaf in compute_leaves(field, array)? {
                let column = columns.next().ok_or_else(|| WriteTableError::Encoding("a column is missing".into()))?;
                column.write(&leaf)?;
            }
        }
        Ok(())
    }

    /// Ends the row group that is open, and gives its bytes.
    pub(super) fn end_row_group(&mut self) -> Result<Bytes, WriteTableError> {
        let columns = std::mem::take(&mut self.columns);
        let mut row_group = self.file.next_row_group()?;
        for column in columns {
            let mut chunk = column.close()?;
            // It was folded to what its keys need, in memory for as many as a row group may have.
            let filter = &mut chunk.close_mut().bloom_filter;
            *filter = filter.as_ref().cloned();
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        Ok(Bytes::from(self.written()?))
    }

    /// Ends the file, and gives what is behind its last row group.
    pub(super) fn finish(mut self, metadata: Vec<KeyValue>) -> Result<Vec<u8>, WriteTableError> {
        for pair in metadata {
            self.file.append_key_value_metadata(pair);
        }
        self.file.finish()?;
        self.written()
    }

    /// Bytes of memory that the row group that is open takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.columns.iter().map(ArrowColumnWriter::memory_size).sum()
    }

    fn written(&mut self) -> Result<Vec<u8>, WriteTableError> {
        self.file.flush()?;
        Ok(self.file.inner_mut().take())
    }
}
