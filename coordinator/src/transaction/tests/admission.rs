//! Who is let into a transaction.

use super::*;

#[test]
fn partitions_of_all_shards_become_part_of_one_transaction_in_one_entry() {
    Runtime::simulate(51, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let producer = node.init().await.unwrap();
        let before = node.state(node.home()).await.entry_number();
        let far: Vec<TopicPartition> =
            (0..PARTITIONS).map(|number| node.at(number)).filter(|at| node.shard_of(*at) != node.home()).collect();
        let tags = node.admit(producer, &far, true).await;
        for tag in &tags {
            let Ok(TransactionTag::Verified { number: 1, verified_ms }) = tag else { panic!("{tag:?}") };
            assert!((verified_ms - node.runtime.now_ms()).abs() < 1_000);
        }
        assert_eq!(node.state(node.home()).await.entry_number(), before + 1);
        assert_eq!(node.record().await.partitions().count(), far.len());
        // It is known now.
        let before = node.count_requests();
        assert_eq!(node.admit(producer, &far, true).await.len(), far.len());
        assert_eq!(node.store.injected_count(), before, "no request to the store");
    });
}

#[test]
fn requests_of_one_producer_side_by_side_begin_one_transaction() {
    Runtime::simulate(52, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let far = node.far();
        let producer = node.init().await.unwrap();
        let one = node.admit(producer, &far[..1], true);
        let two = node.admit(producer, &far[1..], true);
        let (one, two) = join(join(one, two), node.admit(producer, &far, true)).await;
        for tag in [one.0, one.1, two].concat() {
            assert!(matches!(tag, Ok(TransactionTag::Verified { number: 1, .. })), "{tag:?}");
        }
        assert_eq!(node.record().await.partitions().count(), far.len());
    });
}

#[test]
fn old_clients_write_only_to_what_they_have_added() {
    Runtime::simulate(53, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let (near, far) = (node.near(), node.far());
        let producer = node.init().await.unwrap();
        let never_added = Err(TransactionError::InvalidTransactionState);
        assert_eq!(node.admit(producer, &far, false).await, vec![never_added.clone(); far.len()]);
        node.add(producer, &far[..1]).await.unwrap();
        let admitted = node.admit(producer, &far, false).await;
        assert!(matches!(admitted[0], Ok(TransactionTag::Verified { number: 1, .. })));
        assert_eq!(admitted[1..], vec![never_added; far.len() - 1]);
        // In the shard of the id the log says so itself.
        let tag = node.admit(producer, &[near], false).await.remove(0).unwrap();
        let outcome = node.append(producer, near, 0, tag).await;
        assert!(matches!(outcome, AppendOutcome::Rejected(_)), "{outcome:?}");
    });
}

#[test]
fn who_is_not_known_is_not_let_in() {
    Runtime::simulate(54, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (node, other) = (world.node(1, true).await, world.node(2, false).await);
        let far = node.far();
        let unknown = TransactionError::InvalidProducerIdMapping;
        assert_eq!(node.admit((1, 0), &far[..1], true).await, [Err(unknown)]);
        let producer = node.init().await.unwrap();
        assert_eq!(other.admit((producer.0 + 1, 0), &far[..1], true).await, [Err(unknown)]);
        let fenced = Err(TransactionError::ProducerFenced);
        assert_eq!(other.admit((producer.0, 1), &far[..1], true).await, [fenced], "an epoch that nobody got");
        let nowhere = [node.at(PARTITIONS), far[0]];
        let admitted = other.admit(producer, &nowhere, true).await;
        assert_eq!(admitted[0], Err(TransactionError::UnknownTopicOrPartition));
        assert!(admitted[1].is_ok());
    });
}

#[test]
fn a_node_that_was_told_nothing_refuses_nobody() {
    Runtime::simulate(55, |runtime| async move {
        let world = World::new(runtime, 4).await;
        // Nodes without links: nothing is pushed.
        let (coordinator, other) = (world.node(1, true).await, world.node(2, false).await);
        let far = coordinator.far();
        for implicit in [true, false] {
            let mut producer = coordinator.init().await.unwrap();
            for round in 0..4 {
                if !implicit {
                    coordinator.add(producer, &far).await.unwrap();
                }
                for (at, tag) in far.iter().zip(other.admit(producer, &far, implicit).await) {
                    // What the last transaction was is old, and this node knows it.
                    let sequence = if implicit { 0 } else { round };
                    let outcome = other.append(producer, *at, sequence, tag.unwrap()).await;
                    assert!(matches!(outcome, AppendOutcome::Appended { .. }), "{implicit} {round} {outcome:?}");
                }
                producer = coordinator.end_as(producer, true, implicit).await.unwrap();
            }
        }
        other.show(&far, (16, 16, 0)).await;
    });
}

#[test]
fn what_was_let_in_before_the_end_is_kept_out_after_it() {
    Runtime::simulate(56, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (node, frozen) = (world.node(1, true).await, world.node(2, false).await);
        let far = node.far();
        for raises_epoch in [true, false] {
            let producer = node.init().await.unwrap();
            node.add(producer, &far).await.unwrap();
            let tags = frozen.admit(producer, &far, false).await;
            let before = node.shape(far[0]).await;
            let next = node.end_as(producer, false, raises_epoch).await.unwrap();
            for (at, tag) in far.iter().zip(tags) {
                let outcome = frozen.append(producer, *at, 0, tag.unwrap()).await;
                assert!(matches!(outcome, AppendOutcome::Rejected(_)), "{outcome:?}");
            }
            // Nor is it taken for a part of the next one.
            node.add(next, &far).await.unwrap();
            node.end_as(next, true, raises_epoch).await.unwrap();
            node.show(&far, (before.0 + 2, before.0 + 2, before.2)).await;
        }
    });
}

#[test]
fn batches_that_race_with_the_end_are_in_or_out() {
    for seed in 57..65 {
        Runtime::simulate(seed, |runtime| async move {
            let world = World::new(runtime, 4).await;
            let (one, two) = (world.node(1, true).await, world.node(2, false).await);
            for store in [&one.store, &two.store] {
                store.chance(None, Fault::Slow(Duration::from_millis(40)), 0.4);
                store.chance(None, Fault::SlowReply(Duration::from_millis(90)), 0.3);
            }
            let partitions = one.everywhere();
            let mut producer = one.init().await.unwrap();
            let mut written = vec![0_i64; partitions.len()];
            for round in 0..12 {
                one.write(producer, &partitions[..2], true).await;
                let writing = async {
                    let mut appended = Vec::new();
                    for (at, tag) in partitions.iter().zip(two.admit(producer, &partitions, true).await) {
                        let sequence = i32::from(partitions[..2].contains(at));
                        appended.push(match tag {
                            Ok(tag) => match two.append(producer, *at, sequence, tag).await {
                                AppendOutcome::Appended { .. } => 1,
                                outcome => {
                                    assert!(matches!(outcome, AppendOutcome::Rejected(_)), "{outcome:?}");
                                    0
                                }
                            },
                            Err(_) => 0,
                        });
                    }
                    appended
                };
                let (ended, appended) = join(
                    async {
                        world.pass(world.runtime.random_below(300)).await;
                        one.end(producer, round % 3 != 0).await.unwrap()
                    },
                    writing,
                )
                .await;
                for (index, appended) in appended.into_iter().enumerate() {
                    written[index] += appended + i64::from(index < 2);
                }
                producer = ended;
            }
            one.store.clear();
            two.store.clear();
            // Whatever was let in late began another transaction, or was part of the one that ended.
            world.pass(TIMEOUT_MS as u64 + 60_000).await;
            for (at, written) in partitions.iter().zip(written) {
                let partition = one.partition(*at).await;
                assert_eq!(partition.open_transactions().count(), 0, "{at}");
                assert_eq!(partition.last_stable_offset(), partition.high_watermark());
                assert!(partition.high_watermark() > written, "a marker for each end");
            }
        });
    }
}

#[test]
fn old_knowledge_is_looked_after_before_it_counts() {
    Runtime::simulate(66, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (coordinator, other) = (world.node(1, true).await, world.node(2, false).await);
        let (transactional_id, timeout_ms) = (ID.to_owned(), 15 * 60 * 1000);
        let input = InitTransactionalProducer { transactional_id, timeout_ms, producer: None };
        let producer = coordinator.transactions.init(input).await.unwrap();
        let far = &coordinator.far()[..1];
        assert!(other.admit(producer, far, true).await[0].is_ok());
        let mut looks = 0;
        for _ in 0..24 {
            world.pass(10_000).await;
            let before = other.count_requests();
            let Ok(TransactionTag::Verified { verified_ms, .. }) = other.admit(producer, far, true).await[0] else {
                panic!("not let in");
            };
            assert!(other.runtime.now_ms() - verified_ms <= 60_000, "a batch is let in for what was so lately");
            looks += other.store.injected_count() - before;
        }
        assert!((3..=5).contains(&looks), "{looks} looks in four minutes");
        // A machine that was suspended has a clock that stood still.
        other.runtime.shift_wall_clock(600_000);
        let before = other.count_requests();
        assert!(other.admit(producer, far, true).await[0].is_ok());
        assert_eq!(other.store.injected_count() - before, 1);
    });
}

#[test]
fn tools_end_what_is_open_on_a_partition() {
    Runtime::simulate(67, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (coordinator, node) = (world.node(1, true).await, world.node(2, false).await);
        let far = coordinator.far();
        let producer = coordinator.begun(&far).await;
        let nowhere = coordinator.at(PARTITIONS);
        let partitions = [far[0], nowhere, coordinator.near(), far[1]];
        let older = node.transactions.write_markers(producer.0, producer.1 - 1, false, &partitions[..1]).await;
        assert_eq!(older, [Err(TransactionError::ProducerFenced)]);
        let marked = node.transactions.write_markers(producer.0, producer.1, false, &partitions).await;
        assert_eq!(marked, [Ok(()), Err(TransactionError::UnknownTopicOrPartition), Ok(()), Ok(())]);
        node.show(&far[..2], (2, 2, 1)).await;
        node.show(&far[2..], (1, 0, 0)).await;
        assert_eq!(node.shape(coordinator.near()).await, (0, 0, 0), "nothing was open there");
        let again = node.transactions.write_markers(producer.0, producer.1, true, &far[..2]).await;
        assert_eq!(again, [Ok(()), Ok(())]);
        node.show(&far[..2], (2, 2, 1)).await;
        coordinator.end(producer, false).await.unwrap();
        node.show(&far, (2, 2, 1)).await;
    });
}
