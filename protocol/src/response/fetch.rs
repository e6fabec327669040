//! The Fetch response, written by hand so that record bytes go out as the slices they came in.
//!
//! Versions 4 to 18. Left out, because this server never sends them: diverging epoch, current leader, snapshot id (partition tags
//! 0 to 2) and node endpoints (response tag 0).
//!
//! Invariants:
//! 1. The bytes, joined, are those of the generated codec for the same response (differential test over all versions).
//! 2. Every `Bytes` in `records` appears in the output as it is.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_wire_core::{ApiVersion, BufferTarget, EncodeError, Encoder, StrBytes, Uuid};

use crate::frame::FRAME_LENGTH_BYTES;
use crate::messages::{FetchResponse, KafkaMessage};

/// First version that names topics by id.
const TOPIC_ID_VERSION_MIN: i16 = 13;

/// A Fetch response before encoding.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchResponseFrame {
    /// How long the client was throttled.
    pub throttle_time_ms: i32,
    /// Error of the whole request (fetch session errors), version 7 and later.
    pub error_code: i16,
    /// Fetch session, 0 for none, version 7 and later.
    pub session_id: i32,
    /// The topics.
    pub topics: Vec<FetchedTopic>,
}

/// One topic of a Fetch response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FetchedTopic {
    /// Its name, sent up to version 12.
    pub name: StrBytes,
    /// Its id, sent from version 13.
    pub topic_id: Uuid,
    /// Its partitions.
    pub partitions: Vec<FetchedPartition>,
}

/// One partition of a Fetch response.
#[derive(Clone, Debug, PartialEq)]
pub struct FetchedPartition {
    /// Partition number.
    pub partition_index: i32,
    /// Error, 0 for none.
    pub error_code: i16,
    /// Next offset to be written.
    pub high_watermark: i64,
    /// First offset that a read_committed consumer may not see.
    pub last_stable_offset: i64,
    /// Oldest offset, version 5 and later.
    pub log_start_offset: i64,
    /// Aborted transactions within the records; `None` for read_uncommitted.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Node that the client should rather read from, -1 for none, version 11 and later.
    pub preferred_read_replica: i32,
    /// Record batches, end to end. Never null on the wire: clients differ in what they make of null.
    pub records: Vec<Bytes>,
}

impl Default for FetchedPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: 0,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: Vec::new(),
        }
    }
}

/// A transaction whose records a read_committed consumer skips.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AbortedTransaction {
    /// Its producer.
    pub producer_id: i64,
    /// Its first offset in this partition.
    pub first_offset: i64,
}

impl FetchResponseFrame {
    /// Encodes the whole frame, its length included, as slices to be sent one after the other.
    pub fn encode(self, correlation_id: i32, version: i16) -> Result<Vec<Bytes>, EncodeError> {
        let mut writer = FrameWriter::new(version)?;
        let mut slice_count = 0_usize;
        let mut structure_bytes = 32_usize;
        for topic in &self.topics {
            structure_bytes += 32 + topic.name.len();
            for partition in &topic.partitions {
                slice_count += partition.records.len() + 1;
                structure_bytes += 48 + 24 * partition.aborted_transactions.as_ref().map_or(0, Vec::len);
            }
        }
        writer.structure.reserve(structure_bytes);
        writer.cuts.reserve(slice_count);
        writer.write_response(self, correlation_id)?;
        writer.finish()
    }
}

/// Gathers what is not records in one buffer and remembers where records go in between.
struct FrameWriter {
    version: i16,
    flexible: bool,
    structure: BytesMut,
    /// Records, each with the position in `structure` in front of which it is sent.
    cuts: Vec<(usize, Bytes)>,
    record_bytes: usize,
}

impl FrameWriter {
    fn new(version: i16) -> Result<Self, EncodeError> {
        let api_version = ApiVersion::new(version);
        if !FetchResponse::supports(api_version) {
            return Err(EncodeError::UnsupportedVersion {
                message: FetchResponse::NAME,
                version: api_version,
                supported: FetchResponse::SUPPORTED_VERSIONS,
            });
        }
        let flexible = FetchResponse::is_flexible(api_version);
        Ok(Self { version, flexible, structure: BytesMut::new(), cuts: Vec::new(), record_bytes: 0 })
    }

    fn write_response(&mut self, response: FetchResponseFrame, correlation_id: i32) -> Result<(), EncodeError> {
        self.structure.put_i32(0); // the length, known at the end
        self.structure.put_i32(correlation_id);
        self.write_tags_end();
        self.structure.put_i32(response.throttle_time_ms);
        if self.version >= 7 {
            self.structure.put_i16(response.error_code);
            self.structure.put_i32(response.session_id);
        }
        self.write_array_length(response.topics.len())?;
        for topic in response.topics {
            self.write_topic(topic)?;
        }
        self.write_tags_end();
        Ok(())
    }

    fn write_topic(&mut self, topic: FetchedTopic) -> Result<(), EncodeError> {
        if self.version >= TOPIC_ID_VERSION_MIN {
            self.structure.put_slice(topic.topic_id.as_bytes());
        } else if self.flexible {
            self.encoder().write_compact_string(&topic.name)?;
        } else {
            self.encoder().write_string(&topic.name)?;
        }
        self.write_array_length(topic.partitions.len())?;
        for partition in topic.partitions {
            self.write_partition(partition)?;
        }
        self.write_tags_end();
        Ok(())
    }

    fn write_partition(&mut self, partition: FetchedPartition) -> Result<(), EncodeError> {
        self.structure.put_i32(partition.partition_index);
        self.structure.put_i16(partition.error_code);
        self.structure.put_i64(partition.high_watermark);
        self.structure.put_i64(partition.last_stable_offset);
        if self.version >= 5 {
            self.structure.put_i64(partition.log_start_offset);
        }
        self.write_aborted_transactions(partition.aborted_transactions.as_deref())?;
        if self.version >= 11 {
            self.structure.put_i32(partition.preferred_read_replica);
        }
        self.write_records(partition.records)?;
        self.write_tags_end();
        Ok(())
    }

    fn write_aborted_transactions(&mut self, aborted: Option<&[AbortedTransaction]>) -> Result<(), EncodeError> {
        let length = aborted.map(<[_]>::len);
        if self.flexible {
            self.encoder().write_compact_nullable_array_len(length)?;
        } else {
            self.encoder().write_nullable_array_len(length)?;
        }
        for transaction in aborted.unwrap_or_default() {
            self.structure.put_i64(transaction.producer_id);
            self.structure.put_i64(transaction.first_offset);
            self.write_tags_end();
        }
        Ok(())
    }

    fn write_records(&mut self, records: Vec<Bytes>) -> Result<(), EncodeError> {
        let length: usize = records.iter().map(Bytes::len).sum();
        // A byte length is written like the length of an array.
        self.write_array_length(length)?;
        self.record_bytes += length;
        let position = self.structure.len();
        self.cuts.extend(records.into_iter().filter(|slice| !slice.is_empty()).map(|slice| (position, slice)));
        Ok(())
    }

    fn write_array_length(&mut self, length: usize) -> Result<(), EncodeError> {
        if self.flexible {
            self.encoder().write_compact_array_len(length)
        } else {
            self.encoder().write_array_len(length)
        }
    }

    /// Ends a structure: no tagged fields.
    fn write_tags_end(&mut self) {
        if self.flexible {
            self.structure.put_u8(0);
        }
    }

    fn encoder(&mut self) -> Encoder<BufferTarget<'_>> {
        Encoder::new(&mut self.structure)
    }

    fn finish(mut self) -> Result<Vec<Bytes>, EncodeError> {
        let frame_bytes = self.structure.len() - FRAME_LENGTH_BYTES + self.record_bytes;
        let length = i32::try_from(frame_bytes).map_err(|_| EncodeError::FrameTooLarge { bytes: frame_bytes })?;
        self.structure[..FRAME_LENGTH_BYTES].copy_from_slice(&length.to_be_bytes());
        let structure = self.structure.freeze();
        let mut slices = Vec::with_capacity(2 * self.cuts.len() + 1);
        let mut sent = 0;
        for (position, records) in self.cuts {
            if position > sent {
                slices.push(structure.slice(sent..position));
                sent = position;
            }
            slices.push(records);
        }
        if sent < structure.len() {
            slices.push(structure.slice(sent..));
        }
        Ok(slices)
    }
}
