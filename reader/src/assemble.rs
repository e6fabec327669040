//! From the bytes of runs to what a client gets: whole batches, with their base offset and leader epoch patched in.
//!
//! Invariants: a batch is never cut; only 16 bytes of it are written anew, all others are sent as they are stored.

use alluvium_record::batch::{BATCH_HEADER_BYTES, BatchHeader, RecordBatch};
use bytes::{Bytes, BytesMut};

use crate::{LEADER_EPOCH, ReadError};

/// A batch of a run, at its offset.
#[derive(Debug, Clone)]
pub(crate) struct StoredBatch {
    /// Its header, with the offset that it has in the log.
    pub(crate) header: BatchHeader,
    /// Its bytes, as they are stored.
    pub(crate) slices: Vec<Bytes>,
}

impl StoredBatch {
    pub(crate) fn total_bytes(&self) -> usize {
        self.header.total_bytes()
    }

    /// The batch in one piece, for decoding.
    pub(crate) fn contiguous(self) -> RecordBatch {
        let bytes = match <[Bytes; 1]>::try_from(self.slices) {
            Ok([only]) => only,
            Err(slices) => {
                let mut joined = BytesMut::with_capacity(self.header.total_bytes());
                slices.iter().for_each(|slice| joined.extend_from_slice(slice));
                joined.freeze()
            }
        };
        RecordBatch { header: self.header, bytes }
    }

    /// What the client gets.
    pub(crate) fn patched(self, out: &mut Vec<Bytes>) {
        let mut slices = self.slices.into_iter();
        let Some(first) = slices.next() else { return };
        let batch = RecordBatch { header: self.header, bytes: first };
        out.extend(batch.patched(self.header.base_offset, LEADER_EPOCH));
        out.extend(slices);
    }
}

/// The bytes of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunBytes {
    pub(crate) slices: Vec<Bytes>,
    /// Whether batches carry their offsets; otherwise they follow each other from the run's base offset on.
    pub(crate) placed: bool,
    /// Whether they go to the end of the run.
    pub(crate) complete: bool,
}

impl RunBytes {
    pub(crate) fn dense(slices: Vec<Bytes>) -> Self {
        Self { slices, placed: false, complete: true }
    }

    pub(crate) fn batches(self, base_offset: i64) -> Batches {
        if self.placed { Batches::placed(self.slices) } else { Batches::new(self.slices, base_offset) }
    }
}

/// Walks the batches of a run.
pub(crate) struct Batches {
    slices: std::collections::VecDeque<Bytes>,
    /// `None` when each batch says itself where it stands.
    next_offset: Option<i64>,
}

impl Batches {
    pub(crate) fn new(slices: Vec<Bytes>, base_offset: i64) -> Self {
        Self { slices: slices.into(), next_offset: Some(base_offset) }
    }

    /// Batches that carry their offsets.
    pub(crate) fn placed(slices: Vec<Bytes>) -> Self {
        Self { slices: slices.into(), next_offset: None }
    }

    fn header(&self) -> Result<BatchHeader, ReadError> {
        let corrupt = |error: &dyn std::fmt::Display| ReadError::Corrupt(error.to_string());
        match self.slices.front() {
            Some(front) if front.len() >= BATCH_HEADER_BYTES => {
                BatchHeader::decode(front).map_err(|error| corrupt(&error))
            }
            _ => {
                let mut copied = Vec::with_capacity(BATCH_HEADER_BYTES);
                for slice in &self.slices {
                    let missing = BATCH_HEADER_BYTES - copied.len();
                    copied.extend_from_slice(&slice[..slice.len().min(missing)]);
                }
                BatchHeader::decode(&copied).map_err(|error| corrupt(&error))
            }
        }
    }

    fn take(&mut self, mut length: usize) -> Result<Vec<Bytes>, ReadError> {
        let mut taken = Vec::with_capacity(1);
        while length > 0 {
            let Some(front) = self.slices.front_mut() else {
                return Err(ReadError::Corrupt("batch is longer than its run".to_owned()));
            };
            if front.len() <= length {
                length -= front.len();
                taken.extend(self.slices.pop_front());
            } else {
                taken.push(front.split_to(length));
                length = 0;
            }
        }
        // The first 16 bytes are replaced when the batch is sent: they have to lie in one slice.
        if taken.first().is_some_and(|first| first.len() < BATCH_HEADER_BYTES) {
            let mut joined = BytesMut::new();
            taken.iter().for_each(|slice| joined.extend_from_slice(slice));
            taken = vec![joined.freeze()];
        }
        Ok(taken)
    }
}

impl Iterator for Batches {
    type Item = Result<StoredBatch, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.slices.iter().all(Bytes::is_empty) {
            return None;
        }
        let batch = self.header().and_then(|mut header| {
            if let Some(next_offset) = &mut self.next_offset {
                header.base_offset = *next_offset;
                *next_offset = header.next_offset();
            }
            Ok(StoredBatch { slices: self.take(header.total_bytes())?, header })
        });
        if batch.is_err() {
            self.slices.clear();
        }
        Some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alluvium_record::Compression;
    use alluvium_record::batch::BatchBuilder;

    fn batch(values: &[&'static str]) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None);
        for value in values {
            builder.push(5, None, Some(Bytes::from_static(value.as_bytes())), Vec::new()).expect("fits");
        }
        builder.build(0).bytes
    }

    #[test]
    fn batches_are_found_however_the_bytes_are_cut() {
        let whole: Vec<u8> = [batch(&["a", "b"]), batch(&["c"])].concat();
        for cut in 1..whole.len() {
            let slices = vec![Bytes::copy_from_slice(&whole[..cut]), Bytes::copy_from_slice(&whole[cut..])];
            let found: Vec<_> = Batches::new(slices, 40).map(|batch| batch.expect("whole")).collect();
            assert_eq!(found.len(), 2);
            assert_eq!(found[0].header.base_offset, 40);
            assert_eq!(found[1].header.base_offset, 42);
            let mut sent = Vec::new();
            found.into_iter().for_each(|batch| batch.patched(&mut sent));
            let sent: Vec<u8> = sent.concat();
            assert_eq!(sent.len(), whole.len());
            let batches = alluvium_record::batch::split_batches(Bytes::from(sent)).expect("valid");
            assert_eq!(batches[1].header.base_offset, 42);
            batches[1].verify_crc().expect("checksum holds");
        }
    }

    #[test]
    fn a_cut_batch_is_corrupt_and_never_a_shorter_one() {
        let whole = batch(&["a", "b"]);
        for length in 1..whole.len() {
            let mut batches = Batches::new(vec![whole.slice(..length)], 0);
            assert!(batches.next().expect("something").is_err());
            assert!(batches.next().is_none());
        }
    }
}
