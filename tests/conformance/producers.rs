//! Idempotent producers: duplicates, gaps, epochs.

use alluvium_ingest::AppendError;
use alluvium_record::TopicPartition;
use alluvium_tests::node::Node;
use alluvium_tests::records::{Sequence, sequenced};

use crate::corner::{Corner, at};

async fn send(
    node: &Node,
    place: TopicPartition,
    sequence: Sequence,
    values: &[&str],
) -> Result<(i64, bool), AppendError> {
    let batch = sequenced(node.runtime.now_ms(), sequence, values);
    node.produce(place, batch).await.map(|appended| (appended.base_offset, appended.duplicate))
}

pub(crate) async fn a_duplicate_is_answered_with_its_first_offset(corner: &Corner) {
    let node = corner.node().await;
    let place = at(node.create_topic("orders", 2, &[]).await, 0);
    for n in 0..7 {
        assert_eq!(send(&node, place, (4, 0, n * 2), &["a", "b"]).await, Ok((i64::from(n) * 2, false)));
    }
    let other = corner.other_node().await;
    for reading in [&node, &other] {
        for n in 2..7 {
            let answer = send(reading, place, (4, 0, n * 2), &["a", "b"]).await;
            assert_eq!(answer, Ok((i64::from(n) * 2, true)), "the last five are remembered");
        }
        let forgotten = send(reading, place, (4, 0, 2), &["a", "b"]).await;
        assert!(matches!(forgotten, Err(AppendError::OutOfOrderSequence { .. })), "{forgotten:?}");
        // The same sequence with another count is no duplicate.
        let shorter = send(reading, place, (4, 0, 12), &["a"]).await;
        assert!(matches!(shorter, Err(AppendError::OutOfOrderSequence { .. })), "{shorter:?}");
    }
    // Twice in one request for another partition, which knows nothing of the first.
    let place = TopicPartition { partition: 1, ..place };
    let batch = sequenced(corner.now_ms(), (4, 0, 0), &["x"]);
    let answers = node.produce_all(vec![(place, batch.clone()), (place, batch)]).await;
    let answers: Vec<_> =
        answers.into_iter().map(|answer| answer.map(|appended| (appended.base_offset, appended.duplicate))).collect();
    assert_eq!(answers, [Ok((0, false)), Ok((0, true))]);
    assert_eq!(node.values(place).await, ["x"]);
}

pub(crate) async fn a_gap_in_sequences_is_refused_and_not_written(corner: &Corner) {
    let node = corner.node().await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    // A producer that is not known may start anywhere (KIP-360).
    assert_eq!(send(&node, place, (9, 0, 40), &["a"]).await, Ok((0, false)));
    let gap = send(&node, place, (9, 0, 42), &["b"]).await;
    assert_eq!(gap, Err(AppendError::OutOfOrderSequence { expected: 41, found: 42 }));
    let back = send(&node, place, (9, 0, 39), &["b"]).await;
    assert_eq!(back, Err(AppendError::OutOfOrderSequence { expected: 41, found: 39 }));
    assert_eq!(send(&node, place, (9, 0, 41), &["b"]).await, Ok((1, false)));
    // Sequences wrap to zero behind the largest.
    assert_eq!(send(&node, place, (10, 0, i32::MAX - 1), &["c", "d", "e"]).await, Ok((2, false)));
    assert_eq!(send(&node, place, (10, 0, 1), &["f"]).await, Ok((5, false)));
    assert_eq!(send(&node, place, (10, 0, i32::MAX - 1), &["c", "d", "e"]).await, Ok((2, true)));
    // Five requests at once, in order, with the second one missing: those behind the gap are refused.
    let mut answers = Vec::new();
    for sequence in [42, 44, 45] {
        let batch = sequenced(corner.now_ms(), (9, 0, sequence), &["g"]);
        answers.push(node.begin(vec![(place, batch)], alluvium_tests::node::PATIENCE).await);
    }
    let answers: Vec<_> = futures_util::future::join_all(answers).await.into_iter().flatten().collect();
    assert_eq!(answers[0].as_ref().unwrap().base_offset, 6);
    assert!(answers[1..].iter().all(|answer| matches!(answer, Err(AppendError::OutOfOrderSequence { .. }))));
    assert_eq!(node.values(place).await, ["a", "b", "c", "d", "e", "f", "g"]);
}

pub(crate) async fn an_old_epoch_is_fenced(corner: &Corner) {
    let node = corner.node().await;
    let place = at(node.create_topic("orders", 1, &[]).await, 0);
    assert_eq!(send(&node, place, (3, 1, 0), &["a"]).await, Ok((0, false)));
    let skipped = send(&node, place, (3, 2, 1), &["b"]).await;
    assert_eq!(skipped, Err(AppendError::OutOfOrderSequence { expected: 0, found: 1 }), "an epoch begins at zero");
    assert_eq!(send(&node, place, (3, 2, 0), &["b"]).await, Ok((1, false)));
    for reading in [&node, &corner.other_node().await] {
        for sequence in [0, 1] {
            let fenced = send(reading, place, (3, 1, sequence), &["a"]).await;
            assert_eq!(fenced, Err(AppendError::InvalidProducerEpoch { current: 2, found: 1 }));
        }
    }
    assert_eq!(node.values(place).await, ["a", "b"]);
}
