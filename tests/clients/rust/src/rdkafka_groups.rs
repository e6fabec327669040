//! rdkafka: consumer groups, committed offsets, a restart of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::rdkafka_records::{SHORT, config, filled, numbered, producer, read, send, value};
use crate::suite::{Suite, eventually, restart_server, same, unique};

/// All scenarios of this file.
pub async fn run(suite: &mut Suite) {
    let long = Duration::from_secs(120);
    suite.scenario_within("rdkafka/group-rebalance", Duration::from_secs(90), rebalance("range")).await;
    suite
        .scenario_within(
            "rdkafka/group-rebalance-cooperative",
            Duration::from_secs(90),
            rebalance("cooperative-sticky"),
        )
        .await;
    suite.scenario("rdkafka/group-commit", commit()).await;
    suite.scenario_within("rdkafka/committed-offsets-after-restart", long, restart()).await;
}

fn group_consumer(group: &str, more: &[(&str, &str)]) -> Result<StreamConsumer> {
    let mut settings = config(&[
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("session.timeout.ms", "10000"),
        ("heartbeat.interval.ms", "500"),
    ]);
    settings.set("group.id", group);
    for (name, value) in more {
        settings.set(*name, *value);
    }
    Ok(settings.create()?)
}

/// A member of a group on a task of its own, which receives all the time.
struct Member {
    partitions: Arc<AtomicUsize>,
    late: Arc<AtomicUsize>,
    leaving: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Member {
    fn join(topic: &str, group: &str, assignor: &str) -> Result<Self> {
        let consumer = group_consumer(group, &[("partition.assignment.strategy", assignor)])?;
        consumer.subscribe(&[topic])?;
        let (partitions, late) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let leaving = Arc::new(AtomicBool::new(false));
        let member = (partitions.clone(), late.clone(), leaving.clone());
        let task = tokio::spawn(async move {
            let (partitions, late, leaving) = member;
            while !leaving.load(Ordering::SeqCst) {
                let received = tokio::time::timeout(Duration::from_millis(100), consumer.recv()).await;
                if let Ok(Ok(message)) = received
                    && message.payload().is_some_and(|bytes| bytes.starts_with(b"late-"))
                {
                    late.fetch_add(1, Ordering::SeqCst);
                }
                partitions.store(consumer.assignment().map_or(0, |list| list.count()), Ordering::SeqCst);
            }
            // Closing blocks until the group has been left.
            let _closed = tokio::task::spawn_blocking(move || drop(consumer)).await;
        });
        Ok(Self { partitions, late, leaving, task })
    }

    fn partitions(&self) -> usize {
        self.partitions.load(Ordering::SeqCst)
    }

    async fn leave(self) -> Result<()> {
        self.leaving.store(true, Ordering::SeqCst);
        tokio::time::timeout(SHORT, self.task).await.context("a member did not close in 20 s")??;
        Ok(())
    }
}

async fn rebalance(assignor: &'static str) -> Result<()> {
    let topic = filled(&format!("rdkafka-{assignor}"), 20).await?;
    let group = unique(&format!("rdkafka-{assignor}-group"));
    let limit = Duration::from_secs(25);
    let first = Member::join(&topic, &group, assignor)?;
    eventually("one member has three partitions", limit, || Ok(first.partitions() == 3)).await?;
    let second = Member::join(&topic, &group, assignor)?;
    eventually("two members share three partitions", limit, || {
        Ok(first.partitions() + second.partitions() == 3 && first.partitions() > 0 && second.partitions() > 0)
    })
    .await?;
    second.leave().await?;
    eventually("the one that stays has three partitions", limit, || Ok(first.partitions() == 3)).await?;
    let producer = producer(&[])?;
    for partition in 0..3 {
        send(&producer, &topic, partition, &numbered("late-", 1)).await?;
    }
    eventually("late records arrive", limit, || Ok(first.late.load(Ordering::SeqCst) == 3)).await?;
    first.leave().await
}

fn offsets(topic: &str, of: &[(i32, i64)]) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in of {
        list.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}

/// What the group has committed, as pairs of partition and offset.
async fn committed(group: &str, topic: &str) -> Result<Vec<(i32, Offset)>> {
    let consumer = group_consumer(group, &[])?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, 2);
    // A coordinator that has just started may still be loading; clients are expected to ask again.
    let asking = move || {
        let deadline = Instant::now() + SHORT;
        loop {
            match consumer.committed_offsets(asked.clone(), SHORT) {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
                found => return found,
            }
        }
    };
    let found = tokio::task::spawn_blocking(asking).await??;
    Ok(found.elements().iter().map(|one| (one.partition(), one.offset())).collect())
}

async fn commit() -> Result<()> {
    let topic = filled("rdkafka-commit", 20).await?;
    let group = unique("rdkafka-commit-group");
    let consumer = group_consumer(&group, &[])?;
    consumer.subscribe(&[&topic])?;
    read(&consumer, 60).await?;
    let list = offsets(&topic, &[(0, 7), (1, 20), (2, 20)])?;
    consumer.commit(&list, CommitMode::Sync)?;
    tokio::task::spawn_blocking(move || drop(consumer)).await?;
    let again = group_consumer(&group, &[])?;
    again.subscribe(&[&topic])?;
    let first = read(&again, 1).await?;
    same("first value after the committed offset", "p0-7".to_owned(), value(&first[0]))?;
    tokio::task::spawn_blocking(move || drop(again)).await?;
    Ok(())
}

async fn restart() -> Result<()> {
    let topic = filled("rdkafka-restart", 40).await?;
    let group = unique("rdkafka-restart-group");
    let producer = producer(&[("enable.idempotence", "true"), ("message.timeout.ms", "60000")])?;
    same("offset before", vec![40], send(&producer, &topic, 0, &numbered("before", 1)).await?)?;
    let consumer = group_consumer(&group, &[])?;
    consumer.subscribe(&[&topic])?;
    read(&consumer, 121).await?;
    consumer.commit(&offsets(&topic, &[(0, 10), (1, 20), (2, 30)])?, CommitMode::Sync)?;
    tokio::task::spawn_blocking(move || drop(consumer)).await?;
    restart_server().await?;
    same("offset after", vec![41], send(&producer, &topic, 0, &numbered("after", 1)).await?)?;
    let expected = vec![(0, Offset::Offset(10)), (1, Offset::Offset(20)), (2, Offset::Offset(30))];
    same("committed offsets", expected, committed(&group, &topic).await?)?;
    let again = group_consumer(&group, &[])?;
    again.subscribe(&[&topic])?;
    let messages = read(&again, 62).await?;
    ensure!(messages.iter().all(|message| message.offset() >= 10), "a record from before the committed offset");
    tokio::task::spawn_blocking(move || drop(again)).await?;
    Ok(())
}
