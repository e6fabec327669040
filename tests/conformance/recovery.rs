//! Starting again: head hint, checkpoints, entries.

use std::time::Duration;

use alluvium_infra::store::{Payload, StoreOperation};
use alluvium_log::paths::ShardPaths;
use alluvium_record::ShardId;
use alluvium_tests::node::{Node, NodeOptions};
use alluvium_tests::records;

use crate::corner::{Corner, at};

fn often(corner: &Corner) -> NodeOptions {
    let mut options = corner.options();
    options.log.commit.checkpoint_entries = 10;
    options
}

/// Writes until there are several checkpoints and entries behind the last one; closes the node.
async fn history(corner: &Corner) -> Vec<u8> {
    let node = corner.node_with(&often(corner)).await;
    let topic = node.create_topic("orders", 2, &[]).await;
    for n in 0..34 {
        let batch = match n % 5 {
            0 => records::large(corner.now_ms(), n as u64, 600 << 10),
            _ => records::sequenced(corner.now_ms(), (i64::from(n % 3), 0, n / 15 * 4), &["a", "b", "c", "d"]),
        };
        // Sequences that do not follow are refused; which ones is the same for every store.
        let _answer = node.produce(at(topic, n % 2), batch).await;
    }
    let state = node.state_bytes();
    settle(corner).await;
    node.log.meta().catch_up().await.unwrap();
    state
}

/// Lets checkpoints that are being written come to their end.
async fn settle(corner: &Corner) {
    for _ in 0..100 {
        let before = corner.keys("").await.len();
        corner.runtime.sleep(Duration::from_millis(100)).await;
        if corner.keys("").await.len() == before && !corner.keys("/head").await.is_empty() {
            return;
        }
    }
}

async fn delete(corner: &Corner, text: &str) {
    for key in corner.keys(text).await {
        corner.store.delete(&key).await.unwrap();
    }
}

pub(crate) async fn a_checkpoint_and_entries_equal_replay_from_zero(corner: &Corner) {
    let expected = history(corner).await;
    let checkpoints = corner.keys("/checkpoint/").await;
    assert!(checkpoints.len() >= 2, "{checkpoints:?}");
    let (from_head, metered) = corner.metered_node(&often(corner)).await;
    assert_eq!(from_head.state_bytes(), expected, "head, checkpoint, entries");
    let snapshot = metered.snapshot();
    let (gets, lists) = (snapshot.gets(), snapshot.of(StoreOperation::List).requests);
    assert!(gets < 34, "{gets} GETs: the checkpoint saves most of them");
    assert!(lists <= 2, "{lists} LISTs");
    // Each checkpoint holds exactly what replaying to its entry gives: another writer would write the same bytes.
    let mut stored = Vec::new();
    for key in &checkpoints {
        stored.push(corner.store.get(key).await.unwrap());
    }
    delete(corner, "/checkpoint/").await;
    delete(corner, "/head").await;
    let from_zero = corner.node_with(&often(corner)).await;
    assert_eq!(from_zero.state_bytes(), expected, "entries alone");
    let mut state = alluvium_log::apply::genesis(ShardId(0));
    for key in corner.keys("/log/").await {
        let entry = alluvium_log::format::entry::decode(&corner.store.get(&key).await.unwrap()).unwrap();
        state = alluvium_log::apply::apply(&state, &entry).unwrap();
        let number = ShardPaths::parse_number(key.as_str()).unwrap();
        let matching = checkpoints.iter().position(|path| ShardPaths::parse_number(path.as_str()) == Some(number));
        if let Some(index) = matching {
            let encoded = alluvium_log::format::checkpoint::encode(&state).into_bytes();
            assert_eq!(encoded, stored[index], "checkpoint {number}");
        }
    }
    assert_eq!(alluvium_log::format::checkpoint::state_bytes(&state), expected);
    // And a node that closes in good order leaves a checkpoint from which nothing has to be replayed.
    let topic = from_zero.state().topic_by_name("orders").unwrap().id;
    from_zero.say(at(topic, 0), &["last"]).await;
    let expected = from_zero.state_bytes();
    let end = from_zero.state().entry_number();
    from_zero.close().await;
    settle(corner).await;
    let newest = corner.keys("/checkpoint/").await.pop().expect("a checkpoint was written");
    assert_eq!(ShardPaths::parse_number(newest.as_str()), Some(end));
    assert_eq!(corner.node().await.state_bytes(), expected);
}

pub(crate) async fn the_head_hint_may_be_missing_wrong_or_garbage(corner: &Corner) {
    let expected = history(corner).await;
    let head = corner.paths().shard(ShardId(0)).head();
    let end = corner.keys("/log/").await.len();
    let oldest = ShardPaths::parse_number(corner.keys("/checkpoint/").await[0].as_str()).unwrap();
    let hints = [
        String::new(),
        "not JSON".to_owned(),
        "{}".to_owned(),
        "[1,2]".to_owned(),
        r#"{"entry":-3,"checkpoint":"x"}"#.to_owned(),
        r#"{"entry":1,"checkpoint":0}"#.to_owned(),
        // An older checkpoint, one that does not exist, one that never will.
        format!(r#"{{"entry":{oldest},"checkpoint":{oldest}}}"#),
        format!(r#"{{"entry":{end},"checkpoint":7}}"#),
        format!(r#"{{"entry":{end},"checkpoint":{}}}"#, u64::MAX),
    ];
    for hint in hints {
        corner.store.put(&head, Payload::from(hint.clone().into_bytes())).await.unwrap();
        assert_eq!(corner.node_with(&often(corner)).await.state_bytes(), expected, "hint {hint:?}");
    }
    delete(corner, "/head").await;
    let node: Node = corner.node_with(&often(corner)).await;
    assert_eq!(node.state_bytes(), expected, "no hint");
    // A hint beyond the end is either wrong or the last trace of entries that were deleted: opening would reuse offsets that
    // clients have seen, so it is refused.
    let hint = format!(r#"{{"entry":{},"checkpoint":0}}"#, end + 3);
    corner.store.put(&head, Payload::from(hint.into_bytes())).await.unwrap();
    let refused = Node::open(corner.store.clone(), &corner.options(), &corner.runtime).await.unwrap_err().to_string();
    assert!(refused.contains("missing"), "{refused}");
}
