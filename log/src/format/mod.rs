//! The bytes in the bucket. They are a public API: described in docs/reference/object-layout.md, pinned by golden files.
//!
//! Every object but `cluster.json`, `head` and the producer id blocks is an *envelope*:
//!
//! ```text
//! 0   8  magic "ALLUVIUM"
//! 8   2  kind               1 entry, 2 checkpoint, 3 segment
//! 10  2  version            1
//! 12  4  metadata length    bytes, protobuf, at the end of the object
//! 16  8  data length        bytes, raw record batches, right behind this header
//! 24  4  CRC32C of the data
//! 28  4  CRC32C of the metadata
//! 32 28  zero
//! 60  4  CRC32C of bytes 0..60
//! 64     data, then metadata
//! ```
//! All integers are big endian, as Kafka's are. Data comes first so that its place does not depend on the metadata
//! that names it: a run's position counts from byte 0 of the object.
//!
//! Invariants: kinds, versions and protobuf tags are never reused; the same value always gives the same bytes.

pub mod checkpoint;
pub mod cluster;
pub mod consumer_group_messages;
pub(crate) mod convert;
pub(crate) mod convert_consumer_group;
pub(crate) mod convert_table;
pub(crate) mod convert_transaction;
pub mod entry;
pub mod messages;
pub mod node;
pub mod segment;
pub mod stored_messages;
pub mod table_messages;
pub mod transaction_messages;

use alluvium_infra::store::Payload;
use bytes::{BufMut, Bytes, BytesMut};

/// First bytes of every envelope.
pub const MAGIC: &[u8; 8] = b"ALLUVIUM";
/// Length of the fixed header; data starts here.
pub const ENVELOPE_HEADER_BYTES: usize = 64;
/// The envelope version that this code writes, and the newest that it reads.
pub const ENVELOPE_VERSION: u16 = 1;

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// One entry of a shard's log.
    Entry = 1,
    /// The state of a shard after an entry.
    Checkpoint = 2,
    /// The record batches of one flush.
    Segment = 3,
}

impl Kind {
    fn from_code(code: u16) -> Option<Self> {
        match code {
            1 => Some(Self::Entry),
            2 => Some(Self::Checkpoint),
            3 => Some(Self::Segment),
            _ => None,
        }
    }
}

/// Why an object could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The object is shorter than it says.
    #[error("object is cut short: {have} bytes where {need} are needed")]
    Truncated {
        /// Bytes that are there.
        have: usize,
        /// Bytes that are needed.
        need: usize,
    },
    /// The object does not start with the magic.
    #[error("not an alluvium object: it does not start with the magic")]
    Magic,
    /// The object was written by a newer release.
    #[error("object has format version {found}, this release reads up to {newest}: upgrade alluvium")]
    NewerVersion {
        /// Version in the object.
        found: u16,
        /// Newest version that this code reads.
        newest: u16,
    },
    /// The object is of another kind than expected.
    #[error("object is of kind {found}, expected {expected:?}")]
    Kind {
        /// Kind code in the object.
        found: u16,
        /// What was expected.
        expected: Kind,
    },
    /// A checksum does not match.
    #[error("checksum of the {part} does not match: stored {stored:08x}, computed {computed:08x}")]
    Checksum {
        /// Which part of the object.
        part: &'static str,
        /// The stored value.
        stored: u32,
        /// The value over the bytes that were read.
        computed: u32,
    },
    /// The metadata is not what the format says.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// The message that was read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl FormatError {
    /// Whether the bytes are not what was written, or another object's; reading again may help when they were damaged on
    /// their way.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Truncated { .. } | Self::Magic | Self::Checksum { .. } | Self::Malformed { .. } => true,
            Self::NewerVersion { .. } | Self::Kind { .. } => false,
        }
    }

    pub(crate) fn malformed(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed { what, reason: reason.into() }
    }
}

/// An envelope that was read and whose checksums were verified.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// What the object is.
    pub kind: Kind,
    /// The fixed header, as stored.
    pub header: Bytes,
    /// Raw record batches.
    pub data: Bytes,
    /// Protobuf metadata.
    pub metadata: Bytes,
}

/// Builds the object from its data chunks, which are not copied, and its metadata.
pub(crate) fn encode_envelope(kind: Kind, data: Vec<Bytes>, metadata: Bytes) -> (Payload, Bytes) {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    let mut data_length = 0_u64;
    for chunk in &data {
        digest.update(chunk);
        data_length += chunk.len() as u64;
    }
    let mut header = BytesMut::with_capacity(ENVELOPE_HEADER_BYTES);
    header.put_slice(MAGIC);
    header.put_u16(kind as u16);
    header.put_u16(ENVELOPE_VERSION);
    header.put_u32(metadata.len() as u32);
    header.put_u64(data_length);
    header.put_u32(digest.finalize() as u32);
    header.put_u32(alluvium_record::crc32c(&metadata));
    header.put_bytes(0, 28);
    let checksum = alluvium_record::crc32c(&header);
    header.put_u32(checksum);
    let header = header.freeze();
    let mut chunks = Vec::with_capacity(data.len() + 2);
    chunks.push(header.clone());
    chunks.extend(data);
    chunks.push(metadata);
    (Payload(chunks), header)
}

/// The fixed header, decoded.
#[derive(Debug, Clone, Copy)]
pub struct EnvelopeHeader {
    /// What the object is.
    pub kind: Kind,
    /// Bytes of metadata.
    pub metadata_length: usize,
    /// Bytes of data.
    pub data_length: u64,
    data_checksum: u32,
    metadata_checksum: u32,
}

impl EnvelopeHeader {
    /// Reads and verifies the fixed header.
    ///
    /// # Errors
    /// When the bytes are not a header that this release reads.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        if bytes.len() < ENVELOPE_HEADER_BYTES {
            return Err(FormatError::Truncated { have: bytes.len(), need: ENVELOPE_HEADER_BYTES });
        }
        if &bytes[..8] != MAGIC {
            return Err(FormatError::Magic);
        }
        let stored = be_u32(bytes, 60);
        let computed = alluvium_record::crc32c(&bytes[..60]);
        if stored != computed {
            return Err(FormatError::Checksum { part: "header", stored, computed });
        }
        let version = be_u16(bytes, 10);
        if version > ENVELOPE_VERSION {
            return Err(FormatError::NewerVersion { found: version, newest: ENVELOPE_VERSION });
        }
        let code = be_u16(bytes, 8);
        let kind =
            Kind::from_code(code).ok_or_else(|| FormatError::malformed("header", format!("unknown kind {code}")))?;
        Ok(Self {
            kind,
            metadata_length: be_u32(bytes, 12) as usize,
            data_length: u64::from_be_bytes(array(bytes, 16)),
            data_checksum: be_u32(bytes, 24),
            metadata_checksum: be_u32(bytes, 28),
        })
    }
}

/// Reads an envelope of any kind and verifies every checksum.
///
/// # Errors
/// When the object is cut, damaged, foreign or newer than this release.
pub fn decode_envelope(object: &Bytes) -> Result<Envelope, FormatError> {
    let header = EnvelopeHeader::decode(object)?;
    let need = (header.data_length as usize)
        .checked_add(header.metadata_length)
        .and_then(|sum| sum.checked_add(ENVELOPE_HEADER_BYTES))
        .ok_or_else(|| FormatError::malformed("header", "lengths overflow"))?;
    if object.len() != need {
        if object.len() < need {
            return Err(FormatError::Truncated { have: object.len(), need });
        }
        return Err(FormatError::malformed("object", format!("{} bytes too long", object.len() - need)));
    }
    let data_end = need - header.metadata_length;
    let data = object.slice(ENVELOPE_HEADER_BYTES..data_end);
    let metadata = object.slice(data_end..);
    verify("data", &data, header.data_checksum)?;
    verify("metadata", &metadata, header.metadata_checksum)?;
    Ok(Envelope { kind: header.kind, header: object.slice(..ENVELOPE_HEADER_BYTES), data, metadata })
}

/// Reads an envelope that must be of `expected` kind.
pub(crate) fn decode_kind(object: &Bytes, expected: Kind) -> Result<Envelope, FormatError> {
    let envelope = decode_envelope(object)?;
    if envelope.kind != expected {
        return Err(FormatError::Kind { found: envelope.kind as u16, expected });
    }
    Ok(envelope)
}

fn verify(part: &'static str, bytes: &[u8], stored: u32) -> Result<(), FormatError> {
    let computed = alluvium_record::crc32c(bytes);
    if stored == computed { Ok(()) } else { Err(FormatError::Checksum { part, stored, computed }) }
}

fn be_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

fn be_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

/// Copies `N` bytes at `at`; callers have checked the length.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
