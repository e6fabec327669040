//! Which producer is the one.

use super::*;

#[test]
fn a_second_process_fences_the_first_and_aborts_what_it_had_open() {
    for shard_count in [1, 4] {
        Runtime::simulate(21, |runtime| async move {
            let world = World::new(runtime, shard_count).await;
            let node = world.node(1, true).await;
            let partitions = node.everywhere();
            let first = node.begun(&partitions).await;
            let second = node.init().await.unwrap();
            assert_eq!(second, (first.0, 2), "one epoch for the abort, one for the new process");
            node.show(&partitions, (2, 2, 1)).await;
            let fenced = TransactionError::ProducerFenced;
            for commit in [true, false] {
                assert_eq!(node.end(first, commit).await, Err(fenced));
                assert_eq!(node.end_as(first, commit, false).await, Err(fenced));
            }
            assert_eq!(node.add(first, &partitions).await, Err(fenced));
            assert_eq!(node.init_as(Some(first)).await, Err(fenced));
            for admitted in node.admit(first, &node.far(), true).await {
                assert_eq!(admitted, Err(fenced));
            }
            // In the shard of the id the log says so itself.
            for tag in node.admit(first, &[node.near()], true).await {
                let outcome = node.append(first, node.near(), 1, tag.unwrap()).await;
                assert!(matches!(outcome, AppendOutcome::Rejected(_)), "{outcome:?}");
            }
            node.write(second, &partitions, true).await;
            node.end(second, true).await.unwrap();
            node.show(&partitions, (4, 4, 1)).await;
        });
    }
}

#[test]
fn the_fenced_process_is_not_taken_for_the_new_one() {
    Runtime::simulate(22, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let first = node.init().await.unwrap();
        let second = node.init().await.unwrap();
        assert_eq!(second, (first.0, 1));
        // It may only ask to go on with what it has, and that is over.
        assert_eq!(node.init_as(Some(first)).await, Err(TransactionError::ProducerFenced));
        assert_eq!(node.init_as(Some(second)).await, Ok((first.0, 2)));
        assert_eq!(node.init_as(Some(second)).await, Ok((first.0, 2)), "the answer was lost");
        assert_eq!(node.init_as(Some(first)).await, Err(TransactionError::ProducerFenced));
        assert_eq!(node.init_as(Some((first.0 + 1, 2))).await, Err(TransactionError::ProducerFenced));
        assert_eq!(node.init().await, Ok((first.0, 3)));
        assert_eq!(node.init_as(Some(second)).await, Err(TransactionError::ProducerFenced));
    });
}

#[test]
fn a_producer_that_goes_on_aborts_its_own_transaction() {
    Runtime::simulate(23, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let partitions = node.everywhere();
        let producer = node.begun(&partitions).await;
        let next = node.init_as(Some(producer)).await.unwrap();
        assert_eq!(next, (producer.0, 1));
        node.show(&partitions, (2, 2, 1)).await;
        assert_eq!(node.init_as(Some(producer)).await, Ok(next), "the answer was lost");
        // A request that was late on its way aborts nothing of what came after it.
        node.write(next, &partitions, true).await;
        assert_eq!(node.init_as(Some(producer)).await, Ok(next));
        node.end(next, true).await.unwrap();
        node.show(&partitions, (4, 4, 1)).await;
    });
}

#[test]
fn an_id_that_is_forgotten_begins_anew() {
    Runtime::simulate(24, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let producer = node.init_as(Some((77, 5))).await.unwrap();
        assert_ne!(producer.0, 77);
        assert_eq!(producer.1, 0);
    });
}

/// An id that has used up so many epochs.
async fn used_up(node: &Node, epoch: i16) -> Producer {
    let (producer_id, seen) = (4711, None);
    let transactional_id = ID.to_owned();
    let operation = Operation::InitTransaction {
        transactional_id,
        timeout_ms: TIMEOUT_MS,
        seen,
        producer_id,
        epoch,
        repeatable: false,
    };
    node.log.shard(node.home()).unwrap().commit(operation, None).await.unwrap();
    (producer_id, epoch)
}

#[test]
fn used_up_epochs_bring_a_new_producer_id_at_the_end() {
    for shard_count in [1, 4] {
        Runtime::simulate(25, |runtime| async move {
            let world = World::new(runtime, shard_count).await;
            let node = world.node(1, true).await;
            let partitions = node.everywhere();
            let producer = used_up(&node, EPOCH_MAX - 1).await;
            node.write(producer, &partitions, true).await;
            let last = node.end(producer, true).await.unwrap();
            assert_eq!(last, (producer.0, EPOCH_MAX));
            node.write(last, &partitions, true).await;
            let next = node.end(last, false).await.unwrap();
            assert_ne!(next.0, producer.0);
            assert_eq!(next.1, 0);
            assert_eq!(node.end(last, false).await, Ok(next), "the answer was lost");
            assert_eq!(node.end(producer, true).await, Err(TransactionError::InvalidProducerIdMapping));
            node.show(&partitions, (4, 4, 1)).await;
            let tag = TransactionTag::Here { transactional_id: Arc::from(ID), implicit: true };
            let late = node.append(last, node.near(), 1, tag).await;
            assert!(matches!(late, AppendOutcome::Rejected(_)), "{late:?}");
            node.write(next, &partitions, true).await;
            node.end(next, true).await.unwrap();
            node.show(&partitions, (6, 6, 1)).await;
        });
    }
}

#[test]
fn used_up_epochs_bring_a_new_producer_id_to_who_begins_anew() {
    Runtime::simulate(26, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let last = used_up(&node, EPOCH_MAX).await;
        let next = node.init_as(Some(last)).await.unwrap();
        assert_ne!(next.0, last.0);
        assert_eq!(next.1, 0);
        assert_eq!(node.init_as(Some(last)).await, Ok(next), "the answer was lost");
        assert_eq!(node.init().await, Ok((next.0, 1)));
        assert_eq!(node.init_as(Some(last)).await, Err(TransactionError::ProducerFenced));
    });
}

#[test]
fn an_abort_that_uses_up_the_epochs_fences_all_the_same() {
    Runtime::simulate(27, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let at = [node.at(0)];
        let last = used_up(&node, EPOCH_MAX).await;
        node.write(last, &at, true).await;
        let second = node.init().await.unwrap();
        assert_ne!(second.0, last.0);
        assert_eq!(second.1, 1);
        node.show(&at, (2, 2, 1)).await;
        assert_eq!(node.end(last, true).await, Err(TransactionError::InvalidProducerIdMapping));
    });
}

#[test]
fn processes_that_begin_at_once_get_epochs_of_their_own() {
    Runtime::simulate(28, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let (one, two) = (world.node(1, true).await, world.node(2, true).await);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let ((a, b), (c, d)) = join(join(one.init(), two.init()), join(one.init(), two.init())).await;
            for producer in [a, b, c, d] {
                assert!(seen.insert(producer.unwrap()), "{producer:?} was given out twice");
            }
        }
    });
}

#[test]
fn what_became_of_a_new_process_is_looked_for() {
    Runtime::simulate(29, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        // The entry is written, and neither the reply nor a look at it comes in time.
        let in_the_dark = || async {
            let path = node.log.meta().paths().entry_prefix();
            let late = Duration::from_secs(17);
            node.store.script(FaultRule::always(StoreOperation::PutIfAbsent, &path, Fault::SlowReply(late)));
            node.store.script(FaultRule::always(StoreOperation::Get, &path, Fault::Slow(late)));
            world.pass(16_000).await;
            node.store.clear();
        };
        let (first, ()) = join(node.init(), in_the_dark()).await;
        let first = first.unwrap();
        assert_eq!(first.1, 0, "the producer id shows that it is ours");
        let (second, ()) = join(node.init(), in_the_dark()).await;
        // Another process could have got the same epoch, so it would take the one after it, but there is no time left.
        assert_eq!(second, Err(TransactionError::CoordinatorNotAvailable));
        assert_eq!(node.record().await.epoch, 1);
        assert_eq!(node.init().await, Ok((first.0, 2)));
    });
}
