//! Decisions, and who carries them out.

use super::*;

#[test]
fn a_decision_is_finished_by_the_next_coordinator() {
    Runtime::simulate(11, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (one, two) = (world.node(1, true).await, world.node(2, false).await);
        let partitions = one.everywhere();
        for commit in [true, false] {
            let before = one.shape(partitions[1]).await;
            let producer = one.begun(&partitions).await;
            one.cut_off_all_but_home();
            let begun = world.runtime.monotonic();
            let next = one.end(producer, commit).await.unwrap();
            assert_eq!(next, (producer.0, producer.1 + 1), "the decision stands");
            assert_eq!(begun.elapsed(), Duration::from_secs(1), "and is not waited for longer");
            assert!(two.record().await.status.is_decided());
            two.show(&one.far(), (before.0 + 1, before.0, before.2)).await;
            // Only the shard of the id knows.
            assert_eq!(two.shape(one.near()).await.1, before.0 + 2);

            hand_over(&one, &two);
            world.pass(1_000).await;
            two.show(&partitions, (before.0 + 2, before.0 + 2, usize::from(!commit))).await;
            let status = if commit { TransactionStatus::CompleteCommit } else { TransactionStatus::CompleteAbort };
            assert_eq!(two.record().await.status, status);
            assert_eq!(two.end(producer, commit).await, Ok(next), "the client asks again");
            hand_over(&two, &one);
            one.store.clear();
        }
    });
}

#[test]
fn a_decision_of_a_node_that_died_is_finished() {
    Runtime::simulate(12, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (one, two) = (world.node(1, true).await, world.node(2, false).await);
        let partitions = one.everywhere();
        let producer = one.begun(&partitions).await;
        one.cut_off_all_but_home();
        one.end(producer, true).await.unwrap();
        one.runtime.crash();
        // Nobody has told this node of any of it.
        two.beliefs.leads_from_now_on(true);
        world.pass(500).await;
        two.show(&partitions, (2, 2, 0)).await;
        // Nor a node that is started later.
        let producer = two.begun(&partitions).await;
        two.cut_off_all_but_home();
        two.end(producer, false).await.unwrap();
        two.runtime.crash();
        let three = world.node(3, true).await;
        world.pass(500).await;
        three.show(&partitions, (4, 4, 1)).await;
        assert_eq!(three.record().await.status, TransactionStatus::CompleteAbort);
    });
}

#[test]
fn the_next_transaction_waits_for_the_markers_of_the_last() {
    Runtime::simulate(13, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let (near, far) = (node.near(), node.far());
        let producer = node.begun(&node.everywhere()).await;
        node.cut_off_all_but_home();
        let next = node.end(producer, true).await.unwrap();
        let late = Err(TransactionError::ConcurrentTransactions);
        let begun = world.runtime.monotonic();
        assert_eq!(node.add(next, &[near]).await, late);
        assert!(begun.elapsed() >= Duration::from_secs(1), "it is waited for");
        assert_eq!(node.admit(next, &far[..1], true).await, [Err(TransactionError::ConcurrentTransactions)]);
        assert_eq!(node.init().await, Err(TransactionError::ConcurrentTransactions));
        assert_eq!(node.init_as(Some(next)).await, Err(TransactionError::ConcurrentTransactions));
        assert_eq!(node.end(next, false).await, Err(TransactionError::ConcurrentTransactions));
        assert_eq!(node.end(producer, true).await, Ok(next), "what is decided is decided");
        // The store comes back while the next request waits.
        let (added, ()) = join(node.add(next, &[near]), async {
            world.pass(300).await;
            node.store.clear();
        })
        .await;
        // Markers are tried again every now and then.
        if added.is_err() {
            assert_eq!(added, late);
            world.pass(20_000).await;
            node.add(next, &[near]).await.unwrap();
        }
        node.show(&far, (2, 2, 0)).await;
    });
}

#[test]
fn a_request_that_waits_goes_on_as_soon_as_the_markers_are_there() {
    Runtime::simulate(14, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let producer = node.begun(&node.everywhere()).await;
        let slow = Fault::Slow(Duration::from_millis(400));
        for at in node.far() {
            let path = node.log.shard(node.shard_of(at)).unwrap().paths().entry_prefix();
            node.store.script(FaultRule::always(StoreOperation::PutIfAbsent, &path, slow.clone()));
        }
        let next = (producer.0, producer.1 + 1);
        let begun = world.runtime.monotonic();
        let (ended, added) = join(node.end(producer, true), async {
            world.pass(100).await;
            let added = node.admit(next, &node.far(), true).await;
            assert!(begun.elapsed() < Duration::from_millis(500), "took {:?}", begun.elapsed());
            added
        })
        .await;
        assert_eq!(ended, Ok(next));
        assert!(added.iter().all(Result::is_ok), "{added:?}");
    });
}

#[test]
fn two_nodes_that_both_lead_do_no_harm() {
    Runtime::simulate(15, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (one, two) = (world.node(1, true).await, world.node(2, true).await);
        let partitions = one.everywhere();
        let mut producer = one.init().await.unwrap();
        for round in 0..6 {
            one.write(producer, &partitions, true).await;
            // The client asks one of them, hears nothing in time, and asks the other.
            let (here, there) = join(one.end(producer, round % 2 == 0), two.end(producer, round % 2 == 0)).await;
            assert_eq!(here, Ok((producer.0, producer.1 + 1)));
            assert_eq!(there, here);
            producer = here.unwrap();
        }
        world.pass(60_000).await;
        // Six batches, six markers: none is there twice.
        two.show(&partitions, (12, 12, 3)).await;
        // Both at once cannot have their way.
        one.write(producer, &partitions, true).await;
        let (here, there) = join(one.end(producer, true), two.end(producer, false)).await;
        assert_eq!(usize::from(here.is_ok()) + usize::from(there.is_ok()), 1, "{here:?} {there:?}");
        let refused = here.err().or(there.err());
        let expected = match here.is_ok() {
            true => TransactionError::InvalidTransactionState,
            false => TransactionError::ProducerFenced,
        };
        assert_eq!(refused, Some(expected));
        world.pass(1_000).await;
        one.show(&partitions, (14, 14, if here.is_ok() { 3 } else { 4 })).await;
    });
}

#[test]
fn a_coordinator_that_was_frozen_decides_nothing_against_the_next_one() {
    Runtime::simulate(16, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (one, two) = (world.node(1, true).await, world.node(2, false).await);
        let partitions = one.everywhere();
        let producer = one.begun(&partitions).await;
        // A commit gets stuck on its way.
        one.runtime.freeze();
        let transactions = one.transactions.clone();
        let committing = one.runtime.spawn("commit", async move {
            let (transactional_id, (producer_id, epoch)) = (ID.to_owned(), producer);
            let (commit, raises_epoch) = (true, true);
            transactions
                .end(EndTransactionalProducer { transactional_id, producer_id, epoch, commit, raises_epoch })
                .await
        });
        world.pass(1_000).await;
        two.beliefs.leads_from_now_on(true);
        let next = two.end(producer, false).await.unwrap();
        two.write(next, &partitions, true).await;
        one.runtime.thaw();
        assert_eq!(committing.await.unwrap(), Err(TransactionError::ProducerFenced));
        world.pass(120_000).await;
        assert_eq!(two.record().await.epoch, next.1 + 1, "the abort of what took too long is the only change");
        two.show(&partitions, (4, 4, 2)).await;
    });
}

#[test]
fn an_end_whose_fate_is_unknown_is_looked_for() {
    Runtime::simulate(17, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let at = [node.at(0)];
        let mut producer = node.init().await.unwrap();
        let path = node.log.meta().paths().entry_prefix();
        let in_the_dark = |seconds| {
            let late = Duration::from_secs(seconds);
            node.store.script(FaultRule::always(StoreOperation::PutIfAbsent, &path, Fault::SlowReply(late)));
            node.store.script(FaultRule::always(StoreOperation::Get, &path, Fault::Slow(late)));
        };
        // The entry is written, and neither the reply nor a look at it comes before the deadline.
        for seconds in [16, 18, 20] {
            node.write(producer, &at, true).await;
            in_the_dark(seconds);
            let (next, ()) = join(node.end(producer, true), async {
                world.pass(1_000 * seconds - 100).await;
                node.store.clear();
            })
            .await;
            assert_eq!(next, Ok((producer.0, producer.1 + 1)), "{seconds} seconds");
            producer = next.unwrap();
        }
        // The store says nothing at all for long.
        node.write(producer, &at, true).await;
        let begun = world.runtime.monotonic();
        in_the_dark(50);
        assert_eq!(node.end(producer, true).await, Err(TransactionError::Unknown));
        assert!(begun.elapsed() < Duration::from_secs(30));
        node.store.clear();
        world.pass(60_000).await;
        assert_eq!(node.end(producer, true).await, Ok((producer.0, producer.1 + 1)));
        assert_eq!(node.record().await.status, TransactionStatus::CompleteCommit);
    });
}

#[test]
fn a_store_that_is_away_is_no_reason_to_give_up_or_to_lie() {
    Runtime::simulate(18, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let partitions = node.everywhere();
        let producer = node.begun(&partitions).await;
        node.store.set_down(true);
        let ended = node.end(producer, true).await;
        assert!(
            matches!(ended, Err(TransactionError::Unknown | TransactionError::CoordinatorNotAvailable)),
            "{ended:?}"
        );
        let added = node.add(producer, &[node.at(0), node.at(1), node.at(2)]).await;
        assert!(
            matches!(added, Err(TransactionError::Unknown | TransactionError::CoordinatorNotAvailable)),
            "{added:?}"
        );
        world.pass(600_000).await;
        node.store.set_down(false);
        world.pass(60_000).await;
        assert!(!node.record().await.status.is_under_way());
        for at in &partitions {
            let (high_watermark, stable, _) = node.shape(*at).await;
            assert_eq!((high_watermark, stable), (2, 2));
        }
    });
}

#[test]
fn partitions_of_a_deleted_topic_keep_no_transaction_open() {
    Runtime::simulate(19, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let producer = node.begun(&node.everywhere()).await;
        node.log.commit_topic(Operation::DeleteTopic { id: world.topic }, None).await.unwrap();
        assert!(node.end(producer, true).await.is_ok());
        assert_eq!(node.record().await.status, TransactionStatus::CompleteCommit);
    });
}
