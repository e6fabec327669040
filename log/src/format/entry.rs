//! Entries: encoding, decoding and the hash that chains them.
//!
//! Invariants: an entry's hash covers its header and metadata, and through the data checksum in the header its data.

use alluvium_infra::store::Payload;
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};

use super::messages::EntryMessage;
use super::{FormatError, Kind, decode_kind, encode_envelope};

/// SHA-256 of an entry's header and metadata.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryHash(pub [u8; 32]);

impl std::fmt::Debug for EntryHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for EntryHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl EntryHash {
    fn of(header: &[u8], metadata: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(header);
        hasher.update(metadata);
        Self(hasher.finalize().into())
    }

    /// Reads the 32 bytes of a message field; empty means "no entry before".
    pub(crate) fn from_field(bytes: &Bytes) -> Result<Self, FormatError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        <[u8; 32]>::try_from(bytes.as_ref())
            .map(Self)
            .map_err(|_| FormatError::malformed("hash", format!("{} bytes", bytes.len())))
    }

    pub(crate) fn to_field(self) -> Bytes {
        if self == Self::default() { Bytes::new() } else { Bytes::copy_from_slice(&self.0) }
    }
}

/// An entry that was read or is about to be written.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its metadata.
    pub message: EntryMessage,
    /// Its hash.
    pub hash: EntryHash,
    /// The record batches that ride in it.
    pub data: Bytes,
    /// Length of the whole object in bytes.
    pub object_bytes: u64,
}

/// Bytes of an entry, ready to be put, and its hash.
#[derive(Debug, Clone)]
pub struct EncodedEntry {
    /// The object.
    pub payload: Payload,
    /// Its hash.
    pub hash: EntryHash,
}

/// Encodes an entry with its data chunks, which are not copied.
#[must_use]
pub fn encode(message: &EntryMessage, data: Vec<Bytes>) -> EncodedEntry {
    let metadata = Bytes::from(message.encode_to_vec());
    let (payload, header) = encode_envelope(Kind::Entry, data, metadata.clone());
    EncodedEntry { payload, hash: EntryHash::of(&header, &metadata) }
}

/// Decodes an entry and verifies its checksums.
///
/// # Errors
/// When the object is damaged, no entry, or written by a newer release.
pub fn decode(object: &Bytes) -> Result<Entry, FormatError> {
    let envelope = decode_kind(object, Kind::Entry)?;
    let message = EntryMessage::decode(envelope.metadata.clone())
        .map_err(|error| FormatError::malformed("entry", error.to_string()))?;
    if message.id.len() != 16 {
        return Err(FormatError::malformed("entry", "its id is not 16 bytes long"));
    }
    Ok(Entry {
        message,
        hash: EntryHash::of(&envelope.header, &envelope.metadata),
        data: envelope.data,
        object_bytes: object.len() as u64,
    })
}
