//! Invariant 3: no reader sees what is not durable, and all readers see the same record at an offset.

use super::Violations;
use super::durable::Durable;
use crate::history::{History, Operation, Outcome};

pub(super) fn durable(history: &History, durable: &Durable, violations: &mut Violations) {
    for call in &history.calls {
        let (
            Operation::Fetch { topic_partition, .. },
            Outcome::Fetched { high_watermark, records, .. },
            Some(answered_us),
        ) = (&call.operation, &call.outcome, call.answered_us)
        else {
            continue;
        };
        let log = durable.records.get(topic_partition);
        for seen in records {
            let Some(record) = log.and_then(|log| log.get(&seen.offset)) else {
                violations.add(3, format!("{seen:?} of {topic_partition} was read and is not in the log"));
                continue;
            };
            violations.require(3, record.at_us <= answered_us, || {
                format!("{seen:?} of {topic_partition} was read before it was durable")
            });
            violations.require(
                1,
                (record.batch, record.index, record.digest) == (seen.batch, seen.index, seen.digest),
                || {
                    format!(
                        "{seen:?} of {topic_partition} was read, the log holds {}.{} ({})",
                        record.batch, record.index, record.digest
                    )
                },
            );
        }
        if *high_watermark > 0 {
            let last = log.and_then(|log| log.get(&(high_watermark - 1)));
            violations.require(3, last.is_some_and(|last| last.at_us <= answered_us), || {
                format!("high watermark {high_watermark} of {topic_partition} was told before it was durable")
            });
        }
    }
}
