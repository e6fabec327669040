//! rdkafka: topics, producing and reading.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use futures_util::future::try_join_all;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext, StreamConsumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};

use crate::suite::{Skip, Suite, bootstrap, eventually, is_reference, same, unique};

pub(crate) const SHORT: Duration = Duration::from_secs(20);

/// All scenarios of this file.
pub async fn run(suite: &mut Suite) {
    suite.scenario("rdkafka/tutorial", tutorial()).await;
    suite.scenario("rdkafka/create-three-partitions", create_three_partitions()).await;
    suite.scenario("rdkafka/test_topic-replication-factor-3", test_topic()).await;
    suite.scenario("rdkafka/admin-partitions-configs-delete", on_own_thread(admin)).await;
    suite.scenario("rdkafka/produce-without-keys", without_keys()).await;
    suite.scenario("rdkafka/produce-with-keys", with_keys()).await;
    suite.scenario("rdkafka/headers", headers()).await;
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        suite.scenario(&format!("rdkafka/codec-{codec}"), with_codec(codec)).await;
    }
    suite.scenario("rdkafka/idempotence", idempotence()).await;
    suite.scenario("rdkafka/read-from-beginning", from_beginning()).await;
    suite.scenario("rdkafka/read-from-offset", from_offset()).await;
    suite.scenario("rdkafka/read-from-timestamp", from_timestamp()).await;
    suite.scenario("rdkafka/watermarks", watermarks()).await;
    suite.scenario("rdkafka/partition-queue-wakes", partition_queue()).await;
}

/// For futures that hold raw pointers over an await, which rdkafka's admin requests do.
async fn on_own_thread<F>(scenario: fn() -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + 'static,
{
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || runtime.block_on(scenario())).await?
}

pub(crate) fn config(more: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap());
    config.set("socket.timeout.ms", "10000");
    config.set("topic.metadata.refresh.interval.ms", "2000");
    for (name, value) in more {
        config.set(*name, *value);
    }
    config
}

fn admin_client() -> Result<AdminClient<DefaultClientContext>> {
    Ok(config(&[]).create()?)
}

pub(crate) fn producer(more: &[(&str, &str)]) -> Result<FutureProducer> {
    let mut config = config(&[("message.timeout.ms", "30000"), ("linger.ms", "2")]);
    for (name, value) in more {
        config.set(*name, *value);
    }
    Ok(config.create()?)
}

async fn create_topic(topic: &str, partitions: i32, replication: i32) -> Result<()> {
    let request = NewTopic::new(topic, partitions, TopicReplication::Fixed(replication));
    let options = AdminOptions::new().operation_timeout(Some(SHORT)).request_timeout(Some(SHORT));
    for result in admin_client()?.create_topics([&request], &options).await? {
        result.map_err(|(name, code)| anyhow::anyhow!("creating {name}: {code}"))?;
    }
    Ok(())
}

/// Makes a topic with three partitions and returns its name.
pub(crate) async fn topic(name: &str) -> Result<String> {
    let topic = unique(name);
    create_topic(&topic, 3, 1).await?;
    Ok(topic)
}

/// Sends values to one partition in order and returns their offsets.
pub(crate) async fn send(
    producer: &FutureProducer,
    topic: &str,
    partition: i32,
    values: &[String],
) -> Result<Vec<i64>> {
    let mut pending = Vec::new();
    for value in values {
        let record = FutureRecord::<str, str>::to(topic).partition(partition).payload(value);
        pending.push(producer.send_result(record).map_err(|(error, _)| error)?);
    }
    let mut offsets = Vec::new();
    for one in pending {
        offsets.push(one.await?.map_err(|(error, _)| error)?.offset);
    }
    Ok(offsets)
}

pub(crate) fn numbered(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{prefix}{number}")).collect()
}

/// A topic with so many records in each of three partitions.
pub(crate) async fn filled(name: &str, per_partition: usize) -> Result<String> {
    let topic = topic(name).await?;
    let producer = producer(&[])?;
    for partition in 0..3 {
        send(&producer, &topic, partition, &numbered(&format!("p{partition}-"), per_partition)).await?;
    }
    Ok(topic)
}

/// A consumer that is given its partitions, from these offsets.
fn assigned(topic: &str, from: &[(i32, Offset)]) -> Result<StreamConsumer> {
    let settings =
        [("group.id", "assigned-by-hand"), ("enable.auto.commit", "false"), ("auto.offset.reset", "earliest")];
    let consumer: StreamConsumer = config(&settings).create()?;
    let mut partitions = TopicPartitionList::new();
    for (partition, offset) in from {
        partitions.add_partition_offset(topic, *partition, *offset)?;
    }
    consumer.assign(&partitions)?;
    Ok(consumer)
}

/// Receives so many records, or fails at the deadline.
pub(crate) async fn read(consumer: &StreamConsumer, count: usize) -> Result<Vec<OwnedMessage>> {
    let mut messages = Vec::new();
    let receiving = async {
        while messages.len() < count {
            messages.push(consumer.recv().await?.detach());
        }
        anyhow::Ok(())
    };
    let outcome = tokio::time::timeout(Duration::from_secs(25), receiving).await;
    match outcome {
        Ok(result) => result?,
        Err(_) => bail!("read {} of {count} records in 25 s", messages.len()),
    }
    Ok(messages)
}

pub(crate) fn value(message: &OwnedMessage) -> String {
    message.payload().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
}

/// As the crate's examples are written: topic made on first use, a group from the earliest offset.
async fn tutorial() -> Result<()> {
    let topic = unique("rdkafka-tutorial");
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", bootstrap()).set("message.timeout.ms", "5000").create()?;
    let sends = (0..5).map(|number| {
        let (topic, producer) = (topic.clone(), producer.clone());
        async move {
            let (payload, key) = (format!("Message {number}"), format!("Key {number}"));
            let record = FutureRecord::to(&topic).payload(&payload).key(&key);
            producer.send(record, Duration::from_secs(0)).await.map_err(|(error, _)| error)
        }
    });
    try_join_all(sends).await?;
    let consumer: StreamConsumer = ClientConfig::new()
        .set("group.id", unique("rdkafka-tutorial-group"))
        .set("bootstrap.servers", bootstrap())
        .set("enable.partition.eof", "false")
        .set("session.timeout.ms", "6000")
        .set("enable.auto.commit", "true")
        .set("auto.offset.reset", "earliest")
        .create()?;
    consumer.subscribe(&[&topic])?;
    let found: BTreeSet<String> = read(&consumer, 5).await?.iter().map(value).collect();
    same("values", numbered("Message ", 5).into_iter().collect(), found)
}

async fn create_three_partitions() -> Result<()> {
    let topic = topic("rdkafka-three").await?;
    let consumer: BaseConsumer = config(&[("group.id", "metadata")]).create()?;
    let count = tokio::task::spawn_blocking(move || {
        let metadata = consumer.fetch_metadata(Some(&topic), SHORT)?;
        anyhow::Ok(metadata.topics().first().map(|topic| topic.partitions().len()))
    });
    same("partitions", Some(3), count.await??)
}

async fn test_topic() -> Result<()> {
    if is_reference() {
        bail!(Skip("one Apache Kafka node refuses replication factor 3"));
    }
    let admin = admin_client()?;
    let options = AdminOptions::new().operation_timeout(Some(SHORT));
    // A topic of this name may be left over from another suite.
    let _absent = admin.delete_topics(&["test_topic"], &options).await?;
    create_topic("test_topic", 3, 3).await
}

async fn admin() -> Result<()> {
    let topic = filled("rdkafka-admin", 10).await?;
    let admin = admin_client()?;
    let options = AdminOptions::new().operation_timeout(Some(SHORT)).request_timeout(Some(SHORT));
    for result in admin.create_partitions([&NewPartitions::new(&topic, 5)], &options).await? {
        result.map_err(|(name, code)| anyhow::anyhow!("adding partitions to {name}: {code}"))?;
    }
    let resource = ResourceSpecifier::Topic(&topic);
    let described = admin.describe_configs([&resource], &options).await?;
    let first = described.into_iter().next().context("no resource in the answer")?;
    let configs = first.map_err(|code| anyhow::anyhow!("describing configs: {code}"))?;
    ensure!(configs.get("retention.ms").is_some(), "no retention.ms among the configs");
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(&topic, 0, Offset::Offset(4))?;
    let deleted = admin.delete_records(&before, &options).await?;
    let low = deleted.find_partition(&topic, 0).context("no partition in the answer")?;
    low.error()?;
    same("low watermark", Offset::Offset(4), low.offset())?;
    for result in admin.delete_topics(&[&topic], &options).await? {
        result.map_err(|(name, code)| anyhow::anyhow!("deleting {name}: {code}"))?;
    }
    Ok(())
}

async fn without_keys() -> Result<()> {
    let topic = topic("rdkafka-without-keys").await?;
    let producer = producer(&[])?;
    let values = numbered("v", 200);
    let sends = values.iter().map(|value| {
        let record = FutureRecord::<str, str>::to(&topic).payload(value);
        let sending = producer.send(record, SHORT);
        async { sending.await.map_err(|(error, _)| error) }
    });
    try_join_all(sends).await?;
    let consumer = assigned(&topic, &[(0, Offset::Beginning), (1, Offset::Beginning), (2, Offset::Beginning)])?;
    let messages = read(&consumer, 200).await?;
    ensure!(messages.iter().all(|message| message.key().is_none()), "a key from nowhere");
    let found: BTreeSet<String> = messages.iter().map(value).collect();
    same("values", values.into_iter().collect(), found)
}

async fn with_keys() -> Result<()> {
    let topic = topic("rdkafka-with-keys").await?;
    let producer = producer(&[])?;
    let mut partitions = BTreeMap::new();
    for number in 0..36 {
        let (key, payload) = (format!("key-{}", number % 12), format!("v{number}"));
        let sent = producer.send(FutureRecord::to(&topic).key(&key).payload(&payload), SHORT).await;
        let partition = sent.map_err(|(error, _)| error)?.partition;
        let first = *partitions.entry(key.clone()).or_insert(partition);
        same(&format!("partition of {key}"), first, partition)?;
    }
    let consumer = assigned(&topic, &[(0, Offset::Beginning), (1, Offset::Beginning), (2, Offset::Beginning)])?;
    for message in read(&consumer, 36).await? {
        let key = String::from_utf8_lossy(message.key().context("no key")?).into_owned();
        same("partition read from", partitions.get(&key).copied(), Some(message.partition()))?;
    }
    Ok(())
}

async fn headers() -> Result<()> {
    let topic = topic("rdkafka-headers").await?;
    let headers = OwnedHeaders::new()
        .insert(Header { key: "a", value: Some("1") })
        .insert(Header { key: "b", value: None::<&str> })
        .insert(Header { key: "a", value: Some("") });
    let record = FutureRecord::to(&topic).partition(0).key("k").payload("v").headers(headers);
    producer(&[])?.send(record, SHORT).await.map_err(|(error, _)| error)?;
    let messages = read(&assigned(&topic, &[(0, Offset::Beginning)])?, 1).await?;
    let found = messages[0].headers().context("no headers")?;
    let all: Vec<_> = found.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect();
    let expected = [("a", Some("1")), ("b", None), ("a", Some(""))];
    let expected: Vec<_> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), value.map(|text| text.as_bytes().to_vec()))).collect();
    same("headers", expected, all)
}

async fn with_codec(codec: &'static str) -> Result<()> {
    let topic = topic(&format!("rdkafka-codec-{codec}")).await?;
    let values: Vec<String> = (0..1000).map(|n| format!("value-{n}-{}", "abcdefgh".repeat(n % 50))).collect();
    let offsets = send(&producer(&[("compression.type", codec), ("linger.ms", "20")])?, &topic, 1, &values).await?;
    same("last offset", Some(&999), offsets.last())?;
    let messages = read(&assigned(&topic, &[(1, Offset::Beginning)])?, 1000).await?;
    same("values", values, messages.iter().map(value).collect())
}

async fn idempotence() -> Result<()> {
    let topic = topic("rdkafka-idempotence").await?;
    let settings = [("enable.idempotence", "true"), ("batch.num.messages", "20"), ("linger.ms", "0")];
    let values = numbered("record-number-", 3000);
    let offsets = send(&producer(&settings)?, &topic, 2, &values).await?;
    same("offsets", (0..3000).collect::<Vec<i64>>(), offsets)?;
    let messages = read(&assigned(&topic, &[(2, Offset::Beginning)])?, 3000).await?;
    same("values in order", values, messages.iter().map(value).collect())?;
    same("offset after a new producer", vec![3000], send(&producer(&settings)?, &topic, 2, &numbered("next", 1)).await?)
}

async fn from_beginning() -> Result<()> {
    let topic = filled("rdkafka-from-beginning", 60).await?;
    let consumer = assigned(&topic, &[(0, Offset::Beginning), (1, Offset::Beginning), (2, Offset::Beginning)])?;
    let mut next = BTreeMap::new();
    for message in read(&consumer, 180).await? {
        let offset = next.entry(message.partition()).or_insert(0);
        same("offset", *offset, message.offset())?;
        *offset += 1;
    }
    same("records a partition", BTreeMap::from([(0, 60), (1, 60), (2, 60)]), next)
}

async fn from_offset() -> Result<()> {
    let topic = filled("rdkafka-from-offset", 50).await?;
    let consumer = assigned(&topic, &[(1, Offset::Offset(37))])?;
    let messages = read(&consumer, 13).await?;
    same("first value", "p1-37".to_owned(), value(&messages[0]))?;
    consumer.seek(&topic, 1, Offset::Offset(5), SHORT)?;
    same("value after seek", "p1-5".to_owned(), value(&read(&consumer, 1).await?[0]))?;
    let tail = assigned(&topic, &[(1, Offset::OffsetTail(2))])?;
    same("value two before the end", "p1-48".to_owned(), value(&read(&tail, 2).await?[0]))
}

async fn from_timestamp() -> Result<()> {
    let topic = topic("rdkafka-from-timestamp").await?;
    let producer = producer(&[])?;
    // Recent: retention takes what is older than a week.
    let first_ms = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64 - 60_000;
    for number in 0..10i64 {
        let record = FutureRecord::<str, str>::to(&topic).partition(0).payload("v").timestamp(first_ms + number * 1000);
        producer.send(record, SHORT).await.map_err(|(error, _)| error)?;
    }
    let consumer: BaseConsumer = config(&[("group.id", "timestamps")]).create()?;
    let asked = topic.clone();
    let found = tokio::task::spawn_blocking(move || {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(&asked, 0, Offset::Offset(first_ms + 6_500))?;
        anyhow::Ok(consumer.offsets_for_times(wanted, SHORT)?)
    });
    let found = found.await??;
    let partition = found.find_partition(&topic, 0).context("no partition in the answer")?;
    same("offset", Offset::Offset(7), partition.offset())
}

async fn watermarks() -> Result<()> {
    let topic = filled("rdkafka-watermarks", 25).await?;
    let consumer: BaseConsumer = config(&[("group.id", "watermarks")]).create()?;
    let mut found = None;
    eventually("watermarks 0 and 25", SHORT, || {
        found = Some(consumer.fetch_watermarks(&topic, 2, SHORT)?);
        Ok(found == Some((0, 25)))
    })
    .await
    .with_context(|| format!("found {found:?}"))
}

/// The next value of one partition's queue, or a failure at the deadline.
async fn next_of(
    queue: &PartitionQueue<DefaultConsumerContext>,
    consumer: &BaseConsumer,
    expected: &str,
) -> Result<()> {
    let mut found = None;
    eventually(expected, SHORT, || {
        ensure!(consumer.poll(Duration::ZERO).is_none(), "a record passed by the queue");
        found = queue.poll(Duration::ZERO).transpose()?.map(|message| value(&message.detach()));
        Ok(found.is_some())
    })
    .await?;
    same("value", Some(expected.to_owned()), found)
}

/// What the shipped test of the callback shows, without its race: the callback is set when fetching is under way.
async fn partition_queue() -> Result<()> {
    let topic = topic("rdkafka-partition-queue").await?;
    let producer = producer(&[])?;
    let consumer: Arc<BaseConsumer> = Arc::new(config(&[("group.id", "partition-queue")]).create()?);
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(&topic, 0, Offset::Beginning)?;
    consumer.assign(&partitions)?;
    let mut queue = consumer.split_partition_queue(&topic, 0).context("no queue for the partition")?;
    send(&producer, &topic, 0, &numbered("quiet", 1)).await?;
    next_of(&queue, &consumer, "quiet0").await?;
    let wakeups = Arc::new(AtomicUsize::new(0));
    let counted = wakeups.clone();
    queue.set_nonempty_callback(move || {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    for round in 1..=3 {
        send(&producer, &topic, 0, &numbered("loud", 1)).await?;
        eventually("the callback is called", SHORT, || Ok(wakeups.load(Ordering::SeqCst) == round)).await?;
        next_of(&queue, &consumer, "loud0").await?;
    }
    Ok(())
}
