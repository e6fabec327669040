//! Operations and outcomes in words, for traces and for people.

use super::{Operation, Outcome, Part, short};

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Produce { topic_partition, batch, count, producer, part } => {
                write!(f, "produce {} batch {batch} of {count}", short(*topic_partition))?;
                if let Some((id, epoch, sequence)) = producer {
                    write!(f, ", producer {id}/{epoch} sequence {sequence}")?;
                }
                part.as_ref().map_or(Ok(()), |part| write!(f, ", {part}"))
            }
            Self::Fetch { topic_partition, offset, bytes_max, wait_ms, committed } => {
                let at = short(*topic_partition);
                let which = if *committed { ", committed" } else { "" };
                write!(f, "fetch {at} from {offset}, {bytes_max} bytes, wait {wait_ms} ms{which}")
            }
            Self::ListOffsets { topic_partition, earliest, committed } => {
                let which = if *committed { ", committed" } else { "" };
                let end = if *earliest { "earliest" } else { "latest" };
                write!(f, "list offsets {} {end}{which}", short(*topic_partition))
            }
            Self::CommitOffset { group, topic_partition, offset, tag, .. } => {
                write!(f, "commit {group} {} at {offset} ({tag})", short(*topic_partition))
            }
            Self::FetchOffset { group, topic_partition, stable } => {
                let which = if *stable { ", stable" } else { "" };
                write!(f, "fetch offset {group} {}{which}", short(*topic_partition))
            }
            Self::Join { group, member } => write!(f, "join {group} as {member:?}"),
            Self::Sync { group, member, generation, assignments } => {
                write!(f, "sync {group} as {member:?} generation {generation}, {} assignments", assignments.len())
            }
            Self::Heartbeat { group, member, generation } => {
                write!(f, "heartbeat {group} as {member:?} generation {generation}")
            }
            Self::CreateTopic { topic, name, partitions, .. } => {
                write!(f, "create topic {name} {topic} with {partitions}")
            }
            Self::DeleteTopic { topic } => write!(f, "delete topic {topic}"),
            Self::CreatePartitions { topic, partitions } => write!(f, "create partitions {topic} up to {partitions}"),
            Self::AlterTopic { topic, value } => write!(f, "alter topic {topic} to {value}"),
            Self::DeleteRecords { topic_partition, before } => {
                write!(f, "delete records {} before {before}", short(*topic_partition))
            }
            Self::AllocateProducerId => f.write_str("allocate producer id"),
            Self::SetShardCount { count } => write!(f, "set shard count {count}"),
            _ => self.fmt_transactional(f),
        }
    }
}

impl Operation {
    fn fmt_transactional(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InitTransactional { id, timeout_ms, producer: None } => {
                write!(f, "init {id}, timeout {timeout_ms} ms")
            }
            Self::InitTransactional { id, timeout_ms, producer: Some((producer_id, epoch)) } => {
                write!(f, "init {id}, timeout {timeout_ms} ms, as {producer_id}/{epoch}")
            }
            Self::AddPartitions { id, producer: (producer_id, epoch), partitions } => {
                write!(f, "add to {id} as {producer_id}/{epoch}:")?;
                partitions.iter().try_for_each(|partition| write!(f, " {}", short(*partition)))
            }
            Self::AddGroup { id, producer: (producer_id, epoch), group } => {
                write!(f, "add to {id} as {producer_id}/{epoch}: group {group}")
            }
            Self::CommitTransactionOffset { part, producer, group, topic_partition, offset, tag, .. } => {
                let (producer_id, epoch) = producer;
                let at = short(*topic_partition);
                write!(f, "commit {group} {at} at {offset} ({tag}) as {producer_id}/{epoch}, {part}")
            }
            Self::EndTransaction { part, producer: (producer_id, epoch), commit } => {
                let how = if *commit { "commit" } else { "abort" };
                write!(f, "{how} {part} as {producer_id}/{epoch}")
            }
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "attempt {} of {}", self.attempt, self.id)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Produced { base_offset, duplicate: false } => write!(f, "written at {base_offset}"),
            Self::Produced { base_offset, duplicate: true } => write!(f, "was written at {base_offset}"),
            Self::Fetched { high_watermark, last_stable, log_start, records, hidden, .. } => {
                write!(f, "read {log_start}..{high_watermark}")?;
                if last_stable != high_watermark {
                    write!(f, " (stable up to {last_stable})")?;
                }
                f.write_str(":")?;
                for seen in records {
                    match (seen.is_marker(), seen.index, hidden.contains(&seen.offset)) {
                        (true, 0, _) => write!(f, " {}=abort", seen.offset)?,
                        (true, _, _) => write!(f, " {}=commit", seen.offset)?,
                        (false, _, true) => write!(f, " {}=({}.{})", seen.offset, seen.batch, seen.index)?,
                        (false, _, false) => write!(f, " {}={}.{}", seen.offset, seen.batch, seen.index)?,
                    }
                }
                Ok(())
            }
            Self::Offset(offset) => write!(f, "offset {offset}"),
            Self::CommittedOffset(None) => f.write_str("nothing committed"),
            Self::CommittedOffset(Some((offset, tag))) => write!(f, "committed {offset} ({tag})"),
            Self::Joined { member, generation, members } => {
                write!(f, "joined as {member:?} generation {generation}, leads {}", members.len())
            }
            Self::Synced(assignment) => write!(f, "synced {assignment:?}"),
            Self::Done { entry } => write!(f, "done in entry {entry}"),
            Self::ProducerId(id) => write!(f, "producer id {id}"),
            Self::Identity(id, epoch) => write!(f, "is producer {id}/{epoch}"),
        }
    }
}
