//! Invariant 12: bytes in flight are bounded, and a fetch with data waiting is woken within its bound.

use super::Violations;
use super::durable::Durable;
use crate::history::{Call, History, Operation, Outcome};

/// A waiting fetch is answered so long after its node knows of data, however slow the store is.
const WAKE_BOUND_US: u64 = 20_000_000;

/// Where nothing goes wrong, whoever waits hears of a record of any node so long after it was durable: through a push.
const PUSHED_US: u64 = 100_000;
/// The same where nodes have no links: by looking once a second, and what a look and a read take.
const PROBED_US: u64 = 1_300_000;

/// On a healthy cluster a fetch that waits is answered soon after there is something to read, whichever node wrote it.
pub(super) fn woken(history: &History, durable: &Durable, violations: &mut Violations) {
    if !history.healthy {
        return;
    }
    let bound_us = if history.linked { PUSHED_US } else { PROBED_US };
    for call in &history.calls {
        // What is committed is there to be read when its transaction ends.
        let (
            Operation::Fetch { topic_partition, offset, committed: false, .. },
            Outcome::Fetched { .. },
            Some(answered_us),
        ) = (&call.operation, &call.outcome, call.answered_us)
        else {
            continue;
        };
        let Some(record) = durable.records.get(topic_partition).and_then(|records| records.get(offset)) else {
            continue;
        };
        if record.at_us > call.asked_us {
            violations.require(12, answered_us <= record.at_us + bound_us, || {
                let late_ms = (answered_us - record.at_us) / 1000;
                format!("{} at node {} was answered {late_ms} ms after there was a record", call.operation, call.node)
            });
        }
    }
}

pub(super) fn check(history: &History, violations: &mut Violations) {
    for (node, (peak, bound)) in &history.bytes_in_flight {
        // Room is given back as an answer is given; whoever waited for it may run before whoever hears the answer, and is
        // counted beside him for that moment.
        violations.require(12, *peak <= bound * 2, || {
            format!("node {node} had {peak} bytes in flight, its bound is {bound}")
        });
    }
    for call in &history.calls {
        let (Operation::Fetch { topic_partition, offset, committed, .. }, Some(answered_us)) =
            (&call.operation, call.answered_us)
        else {
            continue;
        };
        if answered_us - call.asked_us <= WAKE_BOUND_US || was_out(history, call, answered_us) {
            continue;
        }
        let known = history.samples.iter().find(|sample| {
            sample.node == call.node
                && sample.at_us >= call.asked_us
                && sample.state.partition(*topic_partition).is_some_and(|found| match committed {
                    true => found.last_stable_offset() > *offset,
                    false => found.high_watermark() > *offset,
                })
        });
        if let Some(sample) = known {
            violations.require(12, answered_us <= sample.at_us + WAKE_BOUND_US, || {
                let late_ms = (answered_us - sample.at_us) / 1000;
                format!("{} was answered {late_ms} ms after node {} knew of data", call.operation, call.node)
            });
        }
    }
}

/// Whether its node stood still or was gone at some time of a call.
fn was_out(history: &History, call: &Call, answered_us: u64) -> bool {
    history
        .outages
        .iter()
        .any(|outage| outage.node == call.node && outage.from_us <= answered_us && outage.to_us >= call.asked_us)
}
