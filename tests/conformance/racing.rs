//! Two nodes on one store: put-if-absent decides.

use std::collections::BTreeSet;

use alluvium_log::format::entry;
use alluvium_log::invariants;
use alluvium_tests::node::Node;
use alluvium_tests::records;
use futures_util::future::join_all;

use crate::corner::{Corner, at};

pub(crate) async fn two_nodes_race_and_every_slot_has_one_winner(corner: &Corner) {
    const ROUNDS: i32 = 12;
    const PARTITIONS: i32 = 2;
    let (one, other) = (corner.node().await, corner.other_node().await);
    let topic = one.create_topic("orders", PARTITIONS, &[]).await;
    let write = async |node: &Node, name: &str, producer_id: i64| {
        let mut offsets = Vec::new();
        for round in 0..ROUNDS {
            let place = at(topic, round % PARTITIONS);
            let value = format!("{name} {round}");
            let sequence = (producer_id, 0, round / PARTITIONS);
            let batch = records::sequenced(corner.now_ms(), sequence, &[&value]);
            offsets.push((place, node.must_produce(place, batch).await, value));
        }
        offsets
    };
    let answers = join_all([
        write(&one, "one", 1),
        write(&other, "other", 2),
        write(&one, "third", 3),
        write(&other, "fourth", 4),
    ])
    .await;
    one.log.meta().catch_up().await.unwrap();
    other.log.meta().catch_up().await.unwrap();
    assert_eq!(one.state_bytes(), other.state_bytes(), "both nodes hold the same state");
    invariants::check_state(&one.state()).unwrap();
    for partition in 0..PARTITIONS {
        let place = at(topic, partition);
        let values = one.values(place).await;
        assert_eq!(values, other.values(place).await);
        assert_eq!(values.len() as i32, 4 * ROUNDS / PARTITIONS, "each record is there once");
        assert_eq!(values.iter().collect::<BTreeSet<_>>().len(), values.len());
        for (_, offset, value) in answers.iter().flatten().filter(|(answered, _, _)| *answered == place) {
            assert_eq!(&values[*offset as usize], value, "what was acknowledged is at its offset");
        }
    }
    // The log is a chain without a hole, each entry built on the one before it.
    let keys = corner.keys("/log/").await;
    assert_eq!(keys.len() as u64, one.state().entry_number());
    let mut previous = entry::EntryHash::default();
    for (key, number) in keys.iter().zip(1..) {
        let object = corner.store.get(key).await.unwrap();
        let entry = entry::decode(&object).unwrap();
        assert_eq!(entry.message.number, number);
        if number > 1 {
            assert_eq!(entry.message.previous_hash[..], previous.0);
        }
        previous = entry.hash;
    }
}
