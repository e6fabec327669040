//! rskafka: a small client in Rust alone. It has no consumer groups and no idempotent producer.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use rskafka::client::consumer::{StartOffset, StreamConsumerBuilder};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::producer::{BatchProducerBuilder, aggregator::RecordAggregator};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::{Record, RecordAndOffset};

use crate::suite::{Skip, Suite, bootstrap, is_reference, restart_server, same, unique};

/// All scenarios of this file.
pub async fn run(suite: &mut Suite) {
    suite.scenario("rskafka/create-three-partitions", create_three_partitions()).await;
    suite.scenario("rskafka/test_topic-replication-factor-3", test_topic()).await;
    suite.scenario("rskafka/produce-without-keys", with_key(None)).await;
    suite.scenario("rskafka/produce-with-keys", with_key(Some("key"))).await;
    suite.scenario("rskafka/headers", headers()).await;
    let codecs = [
        ("none", Compression::NoCompression),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    for (name, codec) in codecs {
        suite.scenario(&format!("rskafka/codec-{name}"), with_codec(codec)).await;
    }
    suite.scenario("rskafka/batch-producer", batch_producer()).await;
    suite.scenario("rskafka/read-from-beginning", from_beginning()).await;
    suite.scenario("rskafka/read-from-offset", from_offset()).await;
    suite.scenario("rskafka/delete-records", delete_records()).await;
    suite.scenario("rskafka/stream-wakes-on-new-record", stream_wakes()).await;
    suite.scenario_within("rskafka/records-after-restart", Duration::from_secs(120), restart()).await;
}

async fn client() -> Result<Client> {
    Ok(ClientBuilder::new(vec![bootstrap()]).build().await?)
}

/// A new topic with three partitions, and a client of each.
async fn partitions(name: &str) -> Result<Vec<Arc<PartitionClient>>> {
    let topic = unique(name);
    let client = client().await?;
    client.controller_client()?.create_topic(&topic, 3, 1, 10_000).await?;
    let mut all = Vec::new();
    for index in 0..3 {
        all.push(Arc::new(partition(&client, &topic, index).await?));
    }
    Ok(all)
}

async fn partition(client: &Client, topic: &str, index: i32) -> Result<PartitionClient> {
    Ok(client.partition_client(topic, index, UnknownTopicHandling::Retry).await?)
}

/// When all records of this run are from: recent, since retention takes what is older than a week, here as at Apache Kafka.
static WRITTEN_AT: LazyLock<DateTime<Utc>> = LazyLock::new(|| {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    DateTime::from_timestamp_millis(since_1970.as_millis() as i64).unwrap_or_default()
});

fn record(key: Option<&str>, value: &str) -> Record {
    Record {
        key: key.map(|text| text.as_bytes().to_vec()),
        value: Some(value.as_bytes().to_vec()),
        headers: BTreeMap::new(),
        timestamp: *WRITTEN_AT,
    }
}

fn numbered(count: usize) -> Vec<Record> {
    (0..count).map(|number| record(None, &format!("v{number}"))).collect()
}

/// Fetches until so many records have arrived, or fails at the deadline.
async fn read(partition: &PartitionClient, from: i64, count: usize) -> Result<Vec<RecordAndOffset>> {
    let mut records: Vec<RecordAndOffset> = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(25);
    while records.len() < count {
        ensure!(Instant::now() < deadline, "read {} of {count} records in 25 s", records.len());
        let next = records.last().map_or(from, |last| last.offset + 1);
        let (more, _high_watermark) = partition.fetch_records(next, 1..1_000_000, 500).await?;
        records.extend(more);
    }
    Ok(records)
}

async fn create_three_partitions() -> Result<()> {
    let topic = unique("rskafka-three");
    let client = client().await?;
    client.controller_client()?.create_topic(&topic, 3, 1, 10_000).await?;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let listed = client.list_topics().await?;
        if let Some(found) = listed.into_iter().find(|one| one.name == topic) {
            let indexes: Vec<i32> = found.partitions.into_iter().collect();
            return same("partitions", vec![0, 1, 2], indexes);
        }
        ensure!(Instant::now() < deadline, "a new topic is not listed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn test_topic() -> Result<()> {
    if is_reference() {
        bail!(Skip("one Apache Kafka node refuses replication factor 3"));
    }
    let client = client().await?;
    let controller = client.controller_client()?;
    if client.list_topics().await?.iter().any(|topic| topic.name == "test_topic") {
        controller.delete_topic("test_topic", 10_000).await?;
    }
    controller.create_topic("test_topic", 3, 3, 10_000).await?;
    Ok(())
}

async fn with_key(key: Option<&'static str>) -> Result<()> {
    let all = partitions(if key.is_some() { "rskafka-with-keys" } else { "rskafka-without-keys" }).await?;
    for (index, partition) in all.iter().enumerate() {
        let sent: Vec<Record> = (0..20).map(|number| record(key, &format!("p{index}-{number}"))).collect();
        let offsets = partition.produce(sent.clone(), Compression::NoCompression).await?;
        same("offsets", (0..20).collect::<Vec<i64>>(), offsets)?;
        let found: Vec<Record> = read(partition, 0, 20).await?.into_iter().map(|one| one.record).collect();
        same("records", sent, found)?;
    }
    Ok(())
}

async fn headers() -> Result<()> {
    let all = partitions("rskafka-headers").await?;
    let mut sent = record(Some("k"), "v");
    sent.headers = BTreeMap::from([("a".to_owned(), b"1".to_vec()), ("empty".to_owned(), Vec::new())]);
    all[0].produce(vec![sent.clone()], Compression::NoCompression).await?;
    same("record", sent, read(&all[0], 0, 1).await?.remove(0).record)
}

async fn with_codec(codec: Compression) -> Result<()> {
    let all = partitions(&format!("rskafka-codec-{codec:?}")).await?;
    let sent: Vec<Record> =
        (0..500).map(|n| record(None, &format!("value-{n}-{}", "abcdefgh".repeat(n % 50)))).collect();
    all[1].produce(sent.clone(), codec).await?;
    let found: Vec<Record> = read(&all[1], 0, 500).await?.into_iter().map(|one| one.record).collect();
    same("records", sent, found)
}

async fn batch_producer() -> Result<()> {
    let all = partitions("rskafka-batch").await?;
    let producer = BatchProducerBuilder::new(all[0].clone())
        .with_linger(Duration::from_millis(5))
        .build(RecordAggregator::new(64 * 1024));
    let sends = (0..200).map(|number| producer.produce(record(None, &format!("v{number}"))));
    let offsets = futures_util::future::try_join_all(sends).await?;
    same("offsets", (0..200).collect::<Vec<i64>>(), offsets)?;
    same("records", 200, read(&all[0], 0, 200).await?.len())
}

async fn from_beginning() -> Result<()> {
    let all = partitions("rskafka-from-beginning").await?;
    for partition in &all {
        partition.produce(numbered(50), Compression::Lz4).await?;
        same("earliest", 0, partition.get_offset(OffsetAt::Earliest).await?)?;
        same("latest", 50, partition.get_offset(OffsetAt::Latest).await?)?;
        let offsets: Vec<i64> = read(partition, 0, 50).await?.iter().map(|one| one.offset).collect();
        same("offsets", (0..50).collect::<Vec<i64>>(), offsets)?;
    }
    Ok(())
}

async fn from_offset() -> Result<()> {
    let all = partitions("rskafka-from-offset").await?;
    all[2].produce(numbered(60), Compression::Snappy).await?;
    let records = read(&all[2], 41, 19).await?;
    same("first offset", 41, records[0].offset)?;
    same("first value", Some(b"v41".to_vec()), records[0].record.value.clone())?;
    let beyond = all[2].fetch_records(1000, 1..1_000_000, 100).await;
    ensure!(format!("{beyond:?}").contains("OffsetOutOfRange"), "beyond the end: {beyond:?}");
    Ok(())
}

async fn delete_records() -> Result<()> {
    let all = partitions("rskafka-delete").await?;
    all[0].produce(numbered(30), Compression::NoCompression).await?;
    all[0].delete_records(12, 10_000).await?;
    same("earliest", 12, all[0].get_offset(OffsetAt::Earliest).await?)?;
    same("first value left", Some(b"v12".to_vec()), read(&all[0], 12, 18).await?[0].record.value.clone())
}

async fn stream_wakes() -> Result<()> {
    let all = partitions("rskafka-stream").await?;
    let mut stream = StreamConsumerBuilder::new(all[0].clone(), StartOffset::Latest).with_max_wait_ms(10_000).build();
    // The first poll finds the latest offset; it must be on its way before the record is sent.
    let pending = tokio::time::timeout(Duration::from_millis(700), stream.next()).await;
    ensure!(pending.is_err(), "a record from an empty partition");
    // Over another connection: on one connection requests are answered in turn.
    let other = partition(&client().await?, all[0].topic(), 0).await?;
    other.produce(vec![record(None, "woken")], Compression::NoCompression).await?;
    let (found, _high_watermark) = tokio::time::timeout(Duration::from_secs(3), stream.next())
        .await
        .context("not woken within 3 s of 10")?
        .context("the stream ended")??;
    same("value", Some(b"woken".to_vec()), found.record.value)
}

async fn restart() -> Result<()> {
    let all = partitions("rskafka-restart").await?;
    all[0].produce(numbered(25), Compression::Zstd).await?;
    restart_server().await?;
    same("records", 25, read(&all[0], 0, 25).await?.len())?;
    same("offset after", vec![25], all[0].produce(numbered(1), Compression::NoCompression).await?)
}
