//! What happens although nobody asks for it.

use super::*;

#[test]
fn what_takes_too_long_is_aborted_on_time() {
    for shard_count in [1, 4] {
        Runtime::simulate(31, |runtime| async move {
            let world = World::new(runtime, shard_count).await;
            let node = world.node(1, true).await;
            let partitions = node.everywhere();
            let producer = node.begun(&partitions).await;
            world.pass(TIMEOUT_MS as u64 - 100).await;
            assert_eq!(node.record().await.status, TransactionStatus::Ongoing);
            world.pass(200).await;
            assert_eq!(node.record().await.status, TransactionStatus::CompleteAbort);
            node.show(&partitions, (2, 2, 1)).await;
            assert_eq!(node.end(producer, true).await, Err(TransactionError::ProducerFenced));
            assert_eq!(node.add(producer, &partitions).await, Err(TransactionError::ProducerFenced));
            // The client aborts what is aborted, and goes on.
            let next = node.end(producer, false).await.unwrap();
            assert_eq!(next, (producer.0, 1));
            node.write(next, &partitions, true).await;
            node.end(next, true).await.unwrap();
            node.show(&partitions, (4, 4, 1)).await;
        });
    }
}

#[test]
fn a_clock_that_is_set_right_is_noticed() {
    Runtime::simulate(30, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        node.begun(&[node.at(0)]).await;
        node.runtime.shift_wall_clock(-3_600_000);
        world.pass(TIMEOUT_MS as u64 + 20_000).await;
        assert_eq!(node.record().await.status, TransactionStatus::Ongoing, "it is not due by this clock");
        node.runtime.shift_wall_clock(3_600_000);
        world.pass(11_000).await;
        assert_eq!(node.record().await.status, TransactionStatus::CompleteAbort);
    });
}

#[test]
fn an_old_client_whose_transaction_took_too_long_is_fenced() {
    Runtime::simulate(32, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let producer = node.init().await.unwrap();
        node.add(producer, &[node.at(0)]).await.unwrap();
        world.pass(TIMEOUT_MS as u64 + 10).await;
        for commit in [true, false] {
            assert_eq!(node.end_as(producer, commit, false).await, Err(TransactionError::ProducerFenced));
        }
        assert_eq!(node.init_as(Some(producer)).await, Ok((producer.0, 1)), "it may go on with the epoch of the abort");
    });
}

#[test]
fn each_transaction_has_its_own_deadline() {
    Runtime::simulate(33, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let mut producers = Vec::new();
        for number in 0..20 {
            let (transactional_id, timeout_ms) = (format!("id-{number}"), 1_000 * (20 - number));
            let input = InitTransactionalProducer { transactional_id, timeout_ms, producer: None };
            producers.push(node.transactions.init(input).await.unwrap());
        }
        for (number, (producer_id, epoch)) in producers.into_iter().enumerate() {
            let id = format!("id-{number}");
            node.transactions.add_partitions(&id, producer_id, epoch, &[node.at(0)]).await.unwrap();
        }
        for second in 0..21 {
            world.pass(if second == 0 { 500 } else { 1_000 }).await;
            let state = node.state(node.home()).await;
            let open = state.transactions().filter(|record| record.status == TransactionStatus::Ongoing).count();
            assert_eq!(open, 20_usize.saturating_sub(second), "after {second} seconds and a half");
        }
    });
}

#[test]
fn a_new_leader_aborts_what_the_old_one_let_begin() {
    Runtime::simulate(34, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (one, two) = (world.node(1, true).await, world.node(2, false).await);
        let partitions = one.everywhere();
        one.begun(&partitions).await;
        one.runtime.crash();
        world.pass(10_000).await;
        two.beliefs.leads_from_now_on(true);
        world.pass(TIMEOUT_MS as u64 - 10_000 + 500).await;
        two.show(&partitions, (2, 2, 1)).await;
    });
}

#[test]
fn what_the_leader_was_not_told_of_is_ended_by_who_knows() {
    Runtime::simulate(35, |runtime| async move {
        let world = World::new(runtime, 4).await;
        // Nodes without links: nothing is pushed, and nobody reads what nobody asks for.
        let (leader, other) = (world.node(1, true).await, world.node(2, false).await);
        let producer = leader.init().await.unwrap();
        let partitions = other.far();
        other.write(producer, &partitions, true).await;
        assert_eq!(leader.log.view().transaction(ID).unwrap().status, TransactionStatus::Empty);
        world.pass(TIMEOUT_MS as u64 + 61_000).await;
        other.show(&partitions, (2, 2, 1)).await;
        assert_eq!(other.record().await.status, TransactionStatus::CompleteAbort);
    });
}

#[test]
fn a_node_that_does_not_lead_leaves_to_the_leader_what_the_leader_does() {
    Runtime::simulate(36, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let (leader, other) = (world.node(1, true).await, world.node(2, false).await);
        let partitions = leader.everywhere();
        leader.begun(&partitions).await;
        // It knows of the transaction, and not of its end.
        assert_eq!(other.record().await.status, TransactionStatus::Ongoing);
        world.pass(TIMEOUT_MS as u64 + 10).await;
        assert_eq!(leader.record().await.status, TransactionStatus::CompleteAbort);
        let entries = leader.state(leader.home()).await.entry_number();
        world.pass(300_000).await;
        assert_eq!(leader.state(leader.home()).await.entry_number(), entries);
        assert_eq!(other.log.view().transaction(ID).unwrap().status, TransactionStatus::CompleteAbort, "it has looked");
        leader.show(&partitions, (2, 2, 1)).await;
    });
}

#[test]
fn ids_that_nobody_uses_expire() {
    Runtime::simulate(37, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        let day_ms = 24 * 60 * 60 * 1000;
        let init = |id: &str| {
            let (transactional_id, transactions) = (id.to_owned(), node.transactions.clone());
            async move {
                let input = InitTransactionalProducer { transactional_id, timeout_ms: TIMEOUT_MS, producer: None };
                transactions.init(input).await.unwrap()
            }
        };
        init("idle").await;
        let busy = init("busy").await;
        let ids = || async {
            let state = node.state(node.home()).await;
            state.transactions().map(|record| record.transactional_id.clone()).collect::<Vec<_>>()
        };
        world.pass(4 * day_ms).await;
        node.transactions.add_partitions("busy", busy.0, busy.1, &[node.at(0)]).await.unwrap();
        world.pass(3 * day_ms - 3_600_000).await;
        assert_eq!(ids().await, ["busy", "idle"]);
        world.pass(2 * 3_600_000).await;
        assert_eq!(ids().await, ["busy"]);
        world.pass(5 * day_ms).await;
        assert_eq!(ids().await, [""; 0]);
        let again = init("busy").await;
        assert_ne!(again.0, busy.0, "what it had before is forgotten");
    });
}

#[test]
fn many_ids_expire_in_batches_and_in_the_end_all() {
    Runtime::simulate(38, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let settings = TransactionSettings { id_expiration: Duration::from_secs(60), ..TransactionSettings::default() };
        let node = world.node_with(1, true, settings).await;
        for number in 0..2_500 {
            let operation = Operation::InitTransaction {
                transactional_id: format!("id-{number}"),
                timeout_ms: TIMEOUT_MS,
                seen: None,
                producer_id: number,
                epoch: 0,
                repeatable: false,
            };
            node.log.meta().commit(operation, None).await.unwrap();
        }
        let before = node.state(node.home()).await.entry_number();
        world.pass(130_000).await;
        let state = node.state(node.home()).await;
        assert_eq!((state.transaction_count(), state.entry_number() - before), (0, 3));
    });
}

#[test]
fn nothing_is_read_or_written_while_nothing_is_open() {
    Runtime::simulate(39, |runtime| async move {
        let world = World::new(runtime, 4).await;
        let node = world.node(1, true).await;
        let producer = node.begun(&node.everywhere()).await;
        node.end(producer, true).await.unwrap();
        let before = node.count_requests();
        world.pass(6 * 24 * 60 * 60 * 1000).await;
        assert_eq!(node.store.injected_count() - before, 0);
        // While one is open, nothing either, until it is overdue.
        node.begun(&[node.near()]).await;
        let before = node.count_requests();
        world.pass(TIMEOUT_MS as u64 - 1_000).await;
        assert_eq!(node.store.injected_count() - before, 0);
        world.pass(2_000).await;
        assert_eq!(node.record().await.status, TransactionStatus::CompleteAbort);
    });
}

#[test]
fn nobody_looks_after_anything_after_resigning() {
    Runtime::simulate(40, |runtime| async move {
        let world = World::new(runtime, 1).await;
        let node = world.node(1, true).await;
        node.begun(&[node.at(0)]).await;
        let running = node.runtime.essential_running()["transactions of a shard"];
        assert_eq!(running, 1);
        node.transactions.resign();
        world.pass(600_000).await;
        assert_eq!(node.runtime.essential_running()["transactions of a shard"], 0);
        assert_eq!(node.record().await.status, TransactionStatus::Ongoing);
    });
}

#[test]
fn a_bad_day_hangs_nothing() {
    for seed in 41..46 {
        Runtime::simulate(seed, |runtime| async move {
            let world = World::new(runtime, 4).await;
            let node = world.node(1, true).await;
            let partitions = node.everywhere();
            let mut producer = node.init().await.unwrap();
            node.store.bad_day(0.3);
            for round in 0..10 {
                let admitted = node.admit(producer, &partitions, true).await;
                for (at, tag) in partitions.iter().zip(admitted) {
                    if let Ok(tag) = tag {
                        let _outcome = node.append(producer, *at, 0, tag).await;
                    }
                }
                producer = match node.end(producer, round % 2 == 0).await {
                    Ok(next) => next,
                    Err(_) => loop {
                        if let Ok(next) = node.init().await {
                            break next;
                        }
                    },
                };
            }
            world.pass(TIMEOUT_MS as u64 * 3).await;
            node.store.clear();
            world.pass(30_000).await;
            assert!(!node.record().await.status.is_under_way());
            for at in &partitions {
                let (high_watermark, stable, _) = node.shape(*at).await;
                assert_eq!(high_watermark, stable);
            }
        });
    }
}
