//! What a file says of itself beside its records: key-value metadata in its footer.
//!
//! What must stay true: keys are never reused for anything else, and values are text that people can read.

use alluvium_record::{Offset, PartitionIndex, TopicId, TopicPartition};
use parquet::file::metadata::KeyValue;

use crate::sum::RecordTally;
use crate::values::ValueColumns;

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;

const FORMAT_KEY: &str = "alluvium.format";
const CLUSTER_ID: &str = "alluvium.cluster_id";
const TOPIC_ID: &str = "alluvium.topic_id";
const TOPIC_NAME: &str = "alluvium.topic_name";
const PARTITION: &str = "alluvium.partition";
const BASE_OFFSET: &str = "alluvium.base_offset";
const LAST_OFFSET: &str = "alluvium.last_offset";
const VALUE_COLUMNS: &str = "alluvium.value_columns";
const RECORD_COUNT: &str = "alluvium.record_count";
const SUM: &str = "alluvium.sum";
const ROW_GROUPS: &str = "alluvium.row_groups";
/// Of all bytes between the last row group and the footer.
pub(crate) const INDEX_CRC: &str = "alluvium.index_crc32c";
/// Of the footer, with zeros in this place.
pub(crate) const FOOTER_CRC: &str = "alluvium.footer_crc32c";
/// What stands for a checksum that is not computed yet: as many digits.
pub(crate) const NO_CRC: &str = "00000000";

/// Whose records a file holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableFacts {
    /// The cluster that wrote it.
    pub cluster_id: String,
    /// The topic.
    pub topic_id: TopicId,
    /// The topic's name when the file was written.
    pub topic_name: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// The first offset that the file stands for, whether it has a record or not.
    pub base_offset: Offset,
    /// The last offset that the file stands for, whether it has a record or not.
    pub last_offset: Offset,
    /// The format of the file: [`FORMAT`] for a new one.
    pub format: u32,
}

impl TableFacts {
    /// The partition.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic_id, self.partition)
    }
}

/// What a file says of one row group.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct RowGroupFacts {
    /// Its first byte in the file.
    pub position: u64,
    /// Its length in the file.
    pub bytes: u64,
    /// CRC-32C of these bytes.
    pub crc: u32,
    /// The offset of its first record.
    pub first_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// How many records it has, at least one.
    pub row_count: u64,
    /// The smallest timestamp.
    pub min_timestamp: i64,
    /// The largest timestamp.
    pub max_timestamp: i64,
    /// Raw bytes of its records.
    pub raw_bytes: u64,
}

impl RowGroupFacts {
    /// Behind its last byte.
    pub fn end(&self) -> u64 {
        self.position.saturating_add(self.bytes)
    }

    /// Bytes of memory that its rows take when they are decoded, about.
    pub fn memory_bytes(&self) -> usize {
        let bytes = self.row_count.saturating_mul(crate::decoded::ROW_BYTES as u64).saturating_add(self.raw_bytes);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// All that the metadata says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Metadata {
    pub(crate) facts: TableFacts,
    pub(crate) value_columns: ValueColumns,
    pub(crate) tally: RecordTally,
    pub(crate) row_groups: Vec<RowGroupFacts>,
}

/// Why metadata does not say what it must.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum MetadataError {
    /// A key is missing, or its value is none.
    Wrong(&'static str),
    /// Of a format that this release does not know.
    Newer(u32),
}

impl Metadata {
    /// The keys and values, the checksums last and not computed yet.
    pub(crate) fn encode(&self) -> Vec<KeyValue> {
        let facts = &self.facts;
        let mut pairs = vec![
            pair(FORMAT_KEY, &facts.format),
            pair(CLUSTER_ID, &facts.cluster_id),
            pair(TOPIC_ID, &facts.topic_id),
            pair(TOPIC_NAME, &facts.topic_name),
            pair(PARTITION, &facts.partition),
            pair(BASE_OFFSET, &facts.base_offset),
            pair(LAST_OFFSET, &facts.last_offset),
        ];
        if !self.value_columns.is_empty() {
            pairs.push(pair(VALUE_COLUMNS, &self.value_columns));
        }
        let row_groups: Vec<String> = self.row_groups.iter().map(encode_row_group).collect();
        pairs.extend([
            pair(RECORD_COUNT, &self.tally.record_count),
            pair(SUM, &self.tally.sum),
            pair(ROW_GROUPS, &format!("[{}]", row_groups.join(","))),
            pair(INDEX_CRC, &NO_CRC),
            pair(FOOTER_CRC, &NO_CRC),
        ]);
        pairs
    }

    pub(crate) fn decode(pairs: &[KeyValue]) -> Result<Metadata, MetadataError> {
        let format: u32 = field(pairs, FORMAT_KEY)?;
        if format == 0 {
            return Err(MetadataError::Wrong(FORMAT_KEY));
        }
        if format > FORMAT {
            return Err(MetadataError::Newer(format));
        }
        let facts = TableFacts {
            cluster_id: field(pairs, CLUSTER_ID)?,
            topic_id: field(pairs, TOPIC_ID)?,
            topic_name: field(pairs, TOPIC_NAME)?,
            partition: field(pairs, PARTITION)?,
            base_offset: field(pairs, BASE_OFFSET)?,
            last_offset: field(pairs, LAST_OFFSET)?,
            format,
        };
        let value_columns = match text(pairs, VALUE_COLUMNS) {
            None => ValueColumns::default(),
            Some(text) => text.parse().map_err(|_| MetadataError::Wrong(VALUE_COLUMNS))?,
        };
        let tally = RecordTally { record_count: field(pairs, RECORD_COUNT)?, sum: field(pairs, SUM)? };
        let row_groups = text(pairs, ROW_GROUPS).and_then(decode_row_groups).ok_or(MetadataError::Wrong(ROW_GROUPS))?;
        Ok(Metadata { facts, value_columns, tally, row_groups })
    }
}

fn pair(key: &str, value: &impl ToString) -> KeyValue {
    KeyValue::new(key.to_owned(), value.to_string())
}

fn text<'a>(pairs: &'a [KeyValue], key: &str) -> Option<&'a str> {
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}

fn field<T: std::str::FromStr>(pairs: &[KeyValue], key: &'static str) -> Result<T, MetadataError> {
    text(pairs, key).and_then(|text| text.parse().ok()).ok_or(MetadataError::Wrong(key))
}

/// The checksum that stands under this key.
pub(crate) fn crc_field(pairs: &[KeyValue], key: &'static str) -> Option<u32> {
    u32::from_str_radix(text(pairs, key)?, 16).ok()
}

fn encode_row_group(group: &RowGroupFacts) -> String {
    let RowGroupFacts { position, bytes, crc, first_offset, last_offset, .. } = group;
    let RowGroupFacts { row_count, min_timestamp, max_timestamp, raw_bytes, .. } = group;
    format!(
        "[{position},{bytes},{crc},{first_offset},{last_offset},{row_count},{min_timestamp},{max_timestamp},{raw_bytes}]"
    )
}

fn decode_row_groups(text: &str) -> Option<Vec<RowGroupFacts>> {
    type Fields = (u64, u64, u32, i64, i64, u64, i64, i64, u64);
    let groups: Vec<Fields> = serde_json::from_str(text).ok()?;
    let groups = groups.into_iter().map(
        |(position, bytes, crc, first_offset, last_offset, row_count, min_timestamp, max_timestamp, raw_bytes)| {
            RowGroupFacts {
                position,
                bytes,
                crc,
                first_offset,
                last_offset,
                row_count,
                min_timestamp,
                max_timestamp,
                raw_bytes,
            }
        },
    );
    Some(groups.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sum::RecordSum;

    fn metadata() -> Metadata {
        let group = RowGroupFacts {
            position: 4,
            bytes: u64::MAX,
            crc: u32::MAX,
            first_offset: 0,
            last_offset: i64::MAX,
            row_count: 1,
            min_timestamp: i64::MIN,
            max_timestamp: i64::MAX,
            raw_bytes: 12,
        };
        Metadata {
            facts: TableFacts {
                cluster_id: "a cluster".into(),
                topic_id: TopicId::NIL,
                topic_name: "orders".into(),
                partition: 3,
                base_offset: 0,
                last_offset: i64::MAX,
                format: FORMAT,
            },
            value_columns: "amount:int64".parse().unwrap(),
            tally: RecordTally { record_count: 1, sum: RecordSum(u128::MAX) },
            row_groups: vec![group, group],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let metadata = metadata();
        let pairs = metadata.encode();
        assert_eq!(Metadata::decode(&pairs), Ok(metadata.clone()));
        assert_eq!(crc_field(&pairs, FOOTER_CRC), Some(0));
        for key in [
            FORMAT_KEY,
            CLUSTER_ID,
            TOPIC_ID,
            TOPIC_NAME,
            PARTITION,
            BASE_OFFSET,
            LAST_OFFSET,
            RECORD_COUNT,
            SUM,
            ROW_GROUPS,
        ] {
            let without: Vec<KeyValue> = pairs.iter().filter(|pair| pair.key != key).cloned().collect();
            assert_eq!(Metadata::decode(&without), Err(MetadataError::Wrong(key)));
        }
    }

    #[test]
    fn a_newer_format_is_told_apart() {
        let mut newer = metadata();
        newer.facts.format = 2;
        assert_eq!(Metadata::decode(&newer.encode()), Err(MetadataError::Newer(2)));
        newer.facts.format = 0;
        assert_eq!(Metadata::decode(&newer.encode()), Err(MetadataError::Wrong(FORMAT_KEY)));
    }
}
