//! What the coordinator of an id answers.

use super::*;

fn status(record: &TransactionRecord) -> TransactionStatus {
    record.status
}

#[test]
fn in_one_shard_the_whole_end_is_one_entry() {
    Runtime::simulate(1, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let partitions = [node.at(0), node.at(1), node.at(2)];
        let producer = node.init().await.unwrap();
        assert_eq!(producer.1, 0);
        let begun = node.state(node.home()).await.entry_number();
        node.write(producer, &partitions, true).await;
        node.show(&partitions, (1, 0, 0)).await;
        assert_eq!(status(&*node.record().await), TransactionStatus::Ongoing);
        let written = node.state(node.home()).await.entry_number();
        assert_eq!(written, begun + 3, "one entry for each append, and none to begin");

        let next = node.end(producer, true).await.unwrap();
        assert_eq!(next, (producer.0, 1));
        assert_eq!(node.state(node.home()).await.entry_number(), written + 1);
        node.show(&partitions, (2, 2, 0)).await;
        assert_eq!(status(&*node.record().await), TransactionStatus::CompleteCommit);

        node.write(next, &partitions, true).await;
        assert_eq!(node.end(next, false).await.unwrap(), (producer.0, 2));
        node.show(&partitions, (4, 4, 1)).await;
        world.pass(60_000).await;
        assert_eq!(node.state(node.home()).await.entry_number(), written + 5, "nothing is written afterwards");
    });
}

#[test]
fn over_shards_the_end_is_known_everywhere_when_it_is_answered() {
    Runtime::simulate(2, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let partitions = node.everywhere();
        assert_eq!(partitions.len(), 4);
        let producer = node.begun(&partitions).await;
        assert_eq!(node.record().await.partitions().count(), 4);
        let next = node.end(producer, true).await.unwrap();
        for at in &partitions {
            // Without another look at the log.
            let view = node.log.view();
            assert_eq!(view.partition(*at).unwrap().last_stable_offset(), 2, "{at}");
        }
        assert_eq!(status(&*node.record().await), TransactionStatus::CompleteCommit);
        node.write(next, &partitions, true).await;
        node.show(&partitions, (3, 2, 0)).await;
        node.end(next, false).await.unwrap();
        node.show(&partitions, (4, 4, 1)).await;
        assert_eq!(status(&*node.record().await), TransactionStatus::CompleteAbort);
    });
}

#[test]
fn clients_that_add_first_keep_their_epoch() {
    Runtime::simulate(3, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let partitions = node.everywhere();
        let producer = node.init().await.unwrap();
        for number in 0..3 {
            node.add(producer, &partitions).await.unwrap();
            node.add(producer, &partitions[1..]).await.unwrap();
            let tags = node.admit(producer, &partitions, false).await;
            for (at, tag) in partitions.iter().zip(tags) {
                let outcome = node.append(producer, *at, number, tag.unwrap()).await;
                assert!(matches!(outcome, AppendOutcome::Appended { .. }), "{outcome:?}");
            }
            assert_eq!(node.end_as(producer, number != 1, false).await, Ok(producer));
            assert_eq!(node.end_as(producer, number != 1, false).await, Ok(producer), "the answer was lost");
            let wrong = node.end_as(producer, number == 1, false).await;
            assert_eq!(wrong, Err(TransactionError::InvalidTransactionState));
        }
        node.show(&partitions, (6, 6, 1)).await;
    });
}

#[test]
fn ends_that_come_again_are_answered_again() {
    Runtime::simulate(4, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let producer = node.begun(&node.everywhere()).await;
        let next = node.end(producer, true).await.unwrap();
        let entries = node.state(node.home()).await.entry_number();
        assert_eq!(node.end(producer, true).await, Ok(next));
        assert_eq!(node.end(producer, false).await, Err(TransactionError::InvalidTransactionState));
        assert_eq!(node.state(node.home()).await.entry_number(), entries);
        // The next one has nothing to commit, and may be aborted all the same.
        assert_eq!(node.end(next, true).await, Err(TransactionError::InvalidTransactionState));
        let after = node.end(next, false).await.unwrap();
        assert_eq!(after, (producer.0, 2));
        assert_eq!(node.end(next, false).await, Ok(after));
        assert_eq!(node.end(producer, true).await, Err(TransactionError::ProducerFenced));
        assert_eq!(node.end((producer.0 + 1, 2), true).await, Err(TransactionError::InvalidProducerIdMapping));
    });
}

#[test]
fn what_makes_no_sense_is_refused_with_its_reason() {
    Runtime::simulate(5, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let at = node.near();
        for timeout_ms in [0, -1, 15 * 60 * 1000 + 1, i32::MAX] {
            let (transactional_id, producer) = (ID.to_owned(), None);
            let refused = node.transactions.init(InitTransactionalProducer { transactional_id, timeout_ms, producer });
            assert_eq!(refused.await, Err(TransactionError::InvalidTransactionTimeout));
        }
        let unknown = Err(TransactionError::InvalidProducerIdMapping);
        assert_eq!(node.add((5, 0), &[at]).await, unknown);
        assert_eq!(node.transactions.add_group(ID, 5, 0, "g").await, unknown);
        assert_eq!(node.end((5, 0), true).await, Err(TransactionError::InvalidProducerIdMapping));
        let producer = node.init().await.unwrap();
        assert_eq!(node.add((producer.0 + 1, 0), &[at]).await, unknown);
        let fenced = Err(TransactionError::ProducerFenced);
        assert_eq!(node.add((producer.0, 1), &[at]).await, fenced, "an epoch that nobody got");
        let no_topic = TopicPartition::new(TopicId(node.runtime.random_uuid()), 0);
        for nowhere in [no_topic, node.at(PARTITIONS), node.at(-1)] {
            let refused = Err(TransactionError::UnknownTopicOrPartition);
            assert_eq!(node.add(producer, &[at, nowhere]).await, refused);
        }
        assert_eq!(status(&*node.record().await), TransactionStatus::Empty);
        assert_eq!(node.end(producer, true).await, Err(TransactionError::InvalidTransactionState));
        assert_eq!(node.end_as(producer, false, false).await, Err(TransactionError::InvalidTransactionState));
        assert_eq!(node.add(producer, &[]).await, Ok(()));
        assert_eq!(status(&*node.record().await), TransactionStatus::Empty, "nothing is no transaction");
    });
}

#[test]
fn who_does_not_lead_says_so_and_writes_nothing() {
    Runtime::simulate(6, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let (one, two) = (world.node(1, true).await, world.node(2, false).await);
        let producer = one.begun(&[one.at(0)]).await;
        let entries = one.state(one.home()).await.entry_number();
        let other = TransactionError::NotCoordinator;
        assert_eq!(two.init().await, Err(other));
        assert_eq!(two.add(producer, &[two.at(1)]).await, Err(other));
        assert_eq!(two.transactions.add_group(ID, producer.0, producer.1, "g").await, Err(other));
        assert_eq!(two.transactions.verify_partitions(ID, producer.0, producer.1, &[]).await, Err(other));
        assert_eq!(two.end(producer, true).await, Err(other));
        assert_eq!(two.transactions.describe(ID).await, Err(other));
        assert_eq!(two.transactions.list(&TransactionFilter::default()).await, Ok(Vec::new()));
        one.transactions.resign();
        assert_eq!(one.end(producer, true).await, Err(other));
        assert_eq!(two.state(two.home()).await.entry_number(), entries);
    });
}

#[test]
fn ids_are_described_and_listed_by_their_coordinator() {
    Runtime::simulate(7, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        assert_eq!(node.transactions.describe(ID).await, Err(TransactionError::TransactionalIdNotFound));
        let partitions = node.everywhere();
        let producer = node.begun(&partitions).await;
        let began_ms = node.runtime.now_ms();
        world.pass(5_000).await;
        let described = node.transactions.describe(ID).await.unwrap();
        assert_eq!(described.status, TransactionStatus::Ongoing);
        assert_eq!((described.producer_id, described.epoch, described.timeout_ms), (producer.0, 0, TIMEOUT_MS));
        assert_eq!(described.started_ms, Some(began_ms));
        let mut named = described.partitions;
        named.sort_unstable();
        let mut expected = partitions.clone();
        expected.sort_unstable();
        assert_eq!(named, expected);
        let verified = node.transactions.verify_partitions(ID, producer.0, 0, &[partitions[1], node.at(15)]).await;
        assert_eq!(verified, Ok(vec![true, partitions.contains(&node.at(15))]));

        for number in 0..8 {
            let transactional_id = format!("idle-{number}");
            let input = InitTransactionalProducer { transactional_id, timeout_ms: TIMEOUT_MS, producer: None };
            node.transactions.init(input).await.unwrap();
        }
        let list = |filter: TransactionFilter| {
            let transactions = node.transactions.clone();
            async move {
                let listed = transactions.list(&filter).await.unwrap();
                listed.into_iter().map(|listed| listed.transactional_id).collect::<Vec<_>>()
            }
        };
        let all: Vec<String> = (0..8).map(|number| format!("idle-{number}")).chain([ID.to_owned()]).collect();
        assert_eq!(list(TransactionFilter::default()).await, all);
        let statuses = vec![TransactionStatus::Ongoing, TransactionStatus::PrepareAbort];
        assert_eq!(list(TransactionFilter { statuses, ..TransactionFilter::default() }).await, [ID]);
        let producer_ids = vec![producer.0];
        assert_eq!(list(TransactionFilter { producer_ids, ..TransactionFilter::default() }).await, [ID]);
        for (open_for_ms, expected) in [(4_999, vec![ID]), (5_000, vec![])] {
            let open_for_ms = Some(open_for_ms);
            assert_eq!(list(TransactionFilter { open_for_ms, ..TransactionFilter::default() }).await, expected);
        }
        let pattern = TransactionIdPattern::parse("idle-[0-2]").ok();
        assert_eq!(list(TransactionFilter { pattern, ..TransactionFilter::default() }).await, all[..3]);
        assert!(TransactionIdPattern::parse("idle-[").is_err());
        node.end(producer, true).await.unwrap();
        let described = node.transactions.describe(ID).await.unwrap();
        assert_eq!((described.started_ms, described.partitions), (None, Vec::new()));
    });
}

#[test]
fn names_of_statuses_are_kafkas() {
    let all = [
        TransactionStatus::Empty,
        TransactionStatus::Ongoing,
        TransactionStatus::PrepareCommit,
        TransactionStatus::PrepareAbort,
        TransactionStatus::CompleteCommit,
        TransactionStatus::CompleteAbort,
    ];
    for status in all {
        assert_eq!(status_by_name(status_name(status)), Some(status));
    }
    assert_eq!(status_by_name("Dead"), None);
}
