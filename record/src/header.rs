//! The 61 bytes that open a record batch of format 2.
//!
//! ```text
//!  0 base offset i64          16 magic i8              27 base timestamp i64     51 producer epoch i16
//!  8 batch length i32         17 crc u32               35 max timestamp i64      53 base sequence i32
//! 12 leader epoch i32         21 attributes i16        43 producer id i64        57 record count i32
//!                             23 last offset delta i32
//! ```
//! All big-endian. The CRC covers everything from the attributes on, so base offset and leader epoch may be patched
//! without touching it. Decoding checks magic and length, nothing else: the other fields are the caller's to judge.

use crate::{BatchError, Compression, Offset};

/// The bytes of a batch header.
pub const BATCH_HEADER_BYTES: usize = 61;

/// The bytes of base offset and batch length, which the batch length does not count.
pub(crate) const LENGTH_PREFIX_BYTES: usize = 12;

/// Where magic stands, in this format and in both older ones.
pub(crate) const MAGIC_POSITION: usize = 16;

/// Where the bytes that the CRC covers begin.
pub(crate) const CRC_COVERS_FROM: usize = 21;

/// The one format version that is served.
pub(crate) const MAGIC: i8 = 2;

/// The producer id of a producer that is not idempotent.
pub(crate) const NO_PRODUCER_ID: i64 = -1;

/// The timestamp of a record that has none.
pub(crate) const NO_TIMESTAMP: i64 = -1;

/// Where a batch's timestamps come from.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum TimestampType {
    /// The producer gave each record its own.
    CreateTime,
    /// The broker gave all records of the batch one.
    LogAppendTime,
}

/// The flags of a batch.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const COMPRESSION_MASK: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The codec of the records.
    pub fn compression(self) -> Result<Compression, BatchError> {
        let codec = self.0 & Self::COMPRESSION_MASK;
        Compression::from_id(codec).ok_or(BatchError::UnsupportedCompression(codec))
    }

    /// Where the timestamps come from.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether the batch is part of a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds control records, such as the end of a transaction.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the time from which tombstones may be dropped (KIP-534).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same flags with another codec.
    #[must_use]
    pub fn with_compression(self, compression: Compression) -> Attributes {
        Attributes((self.0 & !Self::COMPRESSION_MASK) | compression.id())
    }

    /// The same flags with another timestamp type.
    #[must_use]
    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Attributes {
        self.with_bit(Self::LOG_APPEND_TIME, timestamp_type == TimestampType::LogAppendTime)
    }

    /// The same flags, transactional or not.
    #[must_use]
    pub fn with_transactional(self, transactional: bool) -> Attributes {
        self.with_bit(Self::TRANSACTIONAL, transactional)
    }

    /// The same flags, control batch or not.
    #[must_use]
    pub fn with_control(self, control: bool) -> Attributes {
        self.with_bit(Self::CONTROL, control)
    }

    /// The same flags, with or without a delete horizon.
    #[must_use]
    pub fn with_delete_horizon(self, delete_horizon: bool) -> Attributes {
        self.with_bit(Self::DELETE_HORIZON, delete_horizon)
    }

    fn with_bit(self, bit: i16, set: bool) -> Attributes {
        Attributes(if set { self.0 | bit } else { self.0 & !bit })
    }
}

/// What the first 61 bytes of a batch say.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// The offset of the first record. Outside the CRC.
    pub base_offset: Offset,
    /// The bytes that follow this field. Outside the CRC.
    pub batch_length: i32,
    /// The epoch of the leader that wrote the batch. Outside the CRC.
    pub partition_leader_epoch: i32,
    /// The format version, always 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// The flags.
    pub attributes: Attributes,
    /// The offset of the last record less the base offset; kept when compaction drops that record.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from, in ms; the delete horizon where that flag is set.
    pub base_timestamp: i64,
    /// The largest timestamp of the batch in ms, or the append time of all its records.
    pub max_timestamp: i64,
    /// The idempotent producer's id, or -1.
    pub producer_id: i64,
    /// The idempotent producer's epoch, or -1.
    pub producer_epoch: i16,
    /// The sequence number of the first record, or -1.
    pub base_sequence: i32,
    /// The number of records.
    pub record_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`; what follows it is not looked at.
    ///
    /// Magic is judged first, since an old message may be shorter than a header of this format.
    pub fn decode(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        if let Some(&magic) = bytes.get(MAGIC_POSITION)
            && magic as i8 != MAGIC
        {
            return Err(BatchError::UnsupportedMagic(magic as i8));
        }
        let header: &[u8; BATCH_HEADER_BYTES] = bytes
            .first_chunk()
            .ok_or(BatchError::Truncated { needed_bytes: BATCH_HEADER_BYTES, available_bytes: bytes.len() })?;
        let batch_length = i32::from_be_bytes(field(header, 8));
        if batch_length < (BATCH_HEADER_BYTES - LENGTH_PREFIX_BYTES) as i32 {
            return Err(BatchError::InvalidLength(batch_length));
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(field(header, 0)),
            batch_length,
            partition_leader_epoch: i32::from_be_bytes(field(header, 12)),
            magic: header[MAGIC_POSITION] as i8,
            crc: u32::from_be_bytes(field(header, 17)),
            attributes: Attributes(i16::from_be_bytes(field(header, CRC_COVERS_FROM))),
            last_offset_delta: i32::from_be_bytes(field(header, 23)),
            base_timestamp: i64::from_be_bytes(field(header, 27)),
            max_timestamp: i64::from_be_bytes(field(header, 35)),
            producer_id: i64::from_be_bytes(field(header, 43)),
            producer_epoch: i16::from_be_bytes(field(header, 51)),
            base_sequence: i32::from_be_bytes(field(header, 53)),
            record_count: i32::from_be_bytes(field(header, 57)),
        })
    }

    /// The bytes of this header, the CRC as it stands in the field.
    pub fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut header = [0; BATCH_HEADER_BYTES];
        header[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        header[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        header[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        header[MAGIC_POSITION] = self.magic as u8;
        header[17..21].copy_from_slice(&self.crc.to_be_bytes());
        header[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        header[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        header[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        header[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        header[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        header[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        header[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        header[57..61].copy_from_slice(&self.record_count.to_be_bytes());
        header
    }

    /// The bytes of the whole batch, header included.
    pub fn total_bytes(&self) -> usize {
        // Decoding refuses negative lengths; a header made by hand counts as empty rather than as huge.
        LENGTH_PREFIX_BYTES.saturating_add(usize::try_from(self.batch_length).unwrap_or(0))
    }

    /// The offset of the last record.
    pub fn last_offset(&self) -> Offset {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// The offset after the last record.
    pub fn next_offset(&self) -> Offset {
        self.last_offset().wrapping_add(1)
    }

    /// The sequence number of the last record, or -1 where there are none. After `i32::MAX` comes 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        add_to_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// The sequence number that the next batch of this producer must begin with.
    pub fn next_sequence(&self) -> i32 {
        add_to_sequence(self.last_sequence(), 1)
    }

    /// Whether an idempotent (or transactional) producer sent the batch.
    pub fn is_idempotent(&self) -> bool {
        self.producer_id > NO_PRODUCER_ID
    }
}

/// `sequence` moved on by `count`, modulo 2^31 as Kafka's `DefaultRecordBatch.incrementSequence` does it.
pub(crate) fn add_to_sequence(sequence: i32, count: i32) -> i32 {
    let modulus = i64::from(i32::MAX) + 1;
    (i64::from(sequence) + i64::from(count)).rem_euclid(modulus) as i32
}

/// The `N` bytes at `position`; positions are constants within the header.
fn field<const N: usize>(header: &[u8; BATCH_HEADER_BYTES], position: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[position..position + N]);
    bytes
}
