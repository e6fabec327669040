//! Consumers without a group: from the start or from the tail, long polls, small and large budgets.

use std::time::Duration;

use super::Client;
use crate::history::{Operation, Outcome};

pub(super) async fn consume(mut client: Client, operations: u32, mut from_start: bool) {
    let topic_partition = client.any_partition();
    // Where nobody writes transactions there is no difference.
    let has_transactions = client.cluster.world.scenario.has_transactions();
    let committed = has_transactions && client.random.chance(600);
    let compacts = client.cluster.world.scenario.compacts;
    let mut position = if from_start { Some(0) } else { None };
    for _ in 0..operations {
        if !client.goes_on() {
            break;
        }
        let Some(offset) = position else {
            let list = Operation::ListOffsets { topic_partition, earliest: from_start, committed };
            if let Outcome::Offset(offset) = client.call(list, Duration::from_secs(10)).await {
                position = Some(offset);
            }
            client.pause(50).await;
            continue;
        };
        let wait_ms = client.random.pick(&[0, 100, 500, 30_000]);
        let bytes_max = client.random.pick(&[1, 300, 2_000, 1 << 20]);
        let fetch = Operation::Fetch { topic_partition, offset, bytes_max, wait_ms, committed };
        match client.call(fetch, Duration::from_millis(wait_ms + 20_000)).await {
            Outcome::Fetched { next, .. } => position = Some(next),
            Outcome::Refused(reason) if reason.contains("is not between") => position = None,
            _ => {}
        }
        if compacts && client.random.chance(150) {
            // What was read once is to be the same when it lies in other objects.
            (from_start, position) = (true, None);
        }
        client.pause(100).await;
    }
}
