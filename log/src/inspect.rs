//! Any object of the bucket, printed for a person.

use std::fmt::Write as _;

use alluvium_record::batch::split_batches;
use bytes::Bytes;

use crate::format::convert::{topic_of, uuid_of};
use crate::format::messages::OperationKind;
use crate::format::{EnvelopeHeader, FormatError, Kind, checkpoint, entry, segment};
use crate::state::State;

/// Describes an object: an envelope of any kind, or the JSON of `cluster.json` and `head`.
///
/// # Errors
/// When the bytes are damaged or nothing that this release knows.
pub fn describe(object: &Bytes) -> Result<String, FormatError> {
    if object.first() == Some(&b'{') {
        let value: serde_json::Value =
            serde_json::from_slice(object).map_err(|error| FormatError::malformed("JSON object", error.to_string()))?;
        return Ok(format!("{value:#}\n"));
    }
    let header = EnvelopeHeader::decode(object)?;
    match header.kind {
        Kind::Entry => describe_entry(object),
        Kind::Checkpoint => checkpoint::decode(object).map(|state| describe_state(&state)),
        Kind::Segment => describe_segment(object),
    }
}

fn describe_entry(object: &Bytes) -> Result<String, FormatError> {
    let entry = entry::decode(object)?;
    let message = &entry.message;
    let mut out = String::new();
    line(&mut out, format_args!("entry {} of shard {}", message.number, message.shard));
    line(&mut out, format_args!("  id         {}", uuid_of(&message.id)?));
    line(&mut out, format_args!("  hash       {}", entry.hash));
    line(&mut out, format_args!("  previous   {}", entry::EntryHash::from_field(&message.previous_hash)?));
    line(&mut out, format_args!("  timestamp  {} ms", message.timestamp_ms));
    line(&mut out, format_args!("  node       {}", message.node));
    line(&mut out, format_args!("  size       {} bytes, {} of data", entry.object_bytes, entry.data.len()));
    for segment in &message.segments {
        line(&mut out, format_args!("  segment    {} (data ends at byte {})", uuid_of(&segment.id)?, segment.data_end));
    }
    for operation in &message.operations {
        match &operation.kind {
            Some(kind) => describe_operation(&mut out, kind, object)?,
            None => line(&mut out, format_args!("  operation of a newer release")),
        }
    }
    Ok(out)
}

fn describe_operation(out: &mut String, kind: &OperationKind, object: &Bytes) -> Result<(), FormatError> {
    match kind {
        OperationKind::Append(append) | OperationKind::TransactionalAppend(append) => {
            let last = append.base_offset + append.offset_count - 1;
            let place = match append.segment {
                0 => "inline".to_owned(),
                index => format!("segment {index}"),
            };
            line(
                out,
                format_args!(
                    "  append {}-{}: offsets {}..={last}, {} bytes at {} ({place})",
                    topic_of(&append.topic)?,
                    append.partition,
                    append.base_offset,
                    append.length,
                    append.position
                ),
            );
            if append.segment == 0 {
                let from = append.position as usize;
                describe_batches(out, object.get(from..from + append.length as usize).unwrap_or_default());
            }
        }
        other => line(out, format_args!("  {other:?}")),
    }
    Ok(())
}

fn describe_batches(out: &mut String, bytes: &[u8]) {
    match split_batches(Bytes::copy_from_slice(bytes)) {
        Ok(batches) => {
            for batch in batches {
                let header = &batch.header;
                line(
                    out,
                    format_args!(
                        "    batch: {} records, {} bytes, {:?}, producer {} epoch {} sequence {}, max timestamp {}",
                        header.record_count,
                        batch.bytes.len(),
                        header.attributes.compression(),
                        header.producer_id,
                        header.producer_epoch,
                        header.base_sequence,
                        header.max_timestamp
                    ),
                );
            }
        }
        Err(error) => line(out, format_args!("    damaged: {error}")),
    }
}

fn describe_segment(object: &Bytes) -> Result<String, FormatError> {
    let (message, data) = segment::decode(object)?;
    let mut out = String::new();
    line(&mut out, format_args!("segment {} of shard {}", uuid_of(&message.id)?, message.shard));
    line(&mut out, format_args!("  created  {} ms", message.created_ms));
    line(&mut out, format_args!("  size     {} bytes, {} of data", object.len(), data.len()));
    for part in &message.parts {
        line(
            &mut out,
            format_args!(
                "  {}-{}: {} batches, {} records, {} bytes at {}",
                topic_of(&part.topic)?,
                part.partition,
                part.batch_count,
                part.record_count,
                part.length,
                part.position
            ),
        );
        let from = part.position as usize;
        describe_batches(&mut out, object.get(from..from + part.length as usize).unwrap_or_default());
    }
    Ok(out)
}

/// Describes the state of a shard.
#[must_use]
pub fn describe_state(state: &State) -> String {
    let mut out = String::new();
    line(&mut out, format_args!("state of shard {} after entry {}", state.shard().0, state.entry_number()));
    line(&mut out, format_args!("  hash       {}", state.entry_hash()));
    line(&mut out, format_args!("  timestamp  {} ms", state.timestamp_ms()));
    for topic in state.topics() {
        line(
            &mut out,
            format_args!(
                "  topic {} ({}), {} partitions, {:?}",
                topic.name, topic.id, topic.partition_count, topic.configs
            ),
        );
    }
    for (topic_partition, partition) in state.partitions() {
        line(
            &mut out,
            format_args!(
                "  partition {topic_partition}: offsets {}..{}, {} runs, {} bytes, {} producers",
                partition.log_start_offset(),
                partition.high_watermark(),
                partition.runs().count(),
                partition.size_bytes(),
                partition.producers().count()
            ),
        );
        for (producer_id, first_offset) in partition.open_transactions() {
            line(&mut out, format_args!("    open transaction of producer {producer_id} from offset {first_offset}"));
        }
        for aborted in partition.aborted_transactions(0, i64::MAX) {
            let (first, last) = (aborted.first_offset, aborted.last_offset);
            line(&mut out, format_args!("    aborted by producer {}: {first}..{last}", aborted.producer_id));
        }
    }
    for (group, known) in state.groups() {
        let generation = known.record().map_or(-1, |record| record.generation);
        line(&mut out, format_args!("  group {group}: generation {generation}, {} offsets", known.offsets().count()));
        for (producer_id, partition, offset) in known.pending_offsets() {
            line(&mut out, format_args!("    pending of producer {producer_id}: {partition} at {}", offset.offset));
        }
    }
    for record in state.transactions() {
        line(
            &mut out,
            format_args!(
                "  transactional id {}: producer {} epoch {}, transaction {} {:?}, {} partitions, {} groups",
                record.transactional_id,
                record.producer_id,
                record.epoch,
                record.number,
                record.status,
                record.partitions().count(),
                record.groups().count()
            ),
        );
    }
    out
}

fn line(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing into a string cannot fail.
    let _written = writeln!(out, "{arguments}");
}
