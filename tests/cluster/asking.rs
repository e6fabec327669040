//! Questions to one node, in Kafka's words.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::create_topics_request::CreatableTopic;
use alluvium_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use alluvium_protocol::messages::metadata_request::MetadataRequestTopic;
use alluvium_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use alluvium_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use alluvium_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use alluvium_protocol::messages::{
    CreateTopicsRequest, DescribeClusterRequest, FetchRequest, FindCoordinatorRequest, MetadataRequest,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest, StrBytes,
};
use alluvium_record::batch::split_batches;
use alluvium_tests::records;
use alluvium_tests::wire::{Broken, Wire};
use bytes::{Buf, Bytes};

/// How long a node that may be frozen or cut off is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What one fetch takes of a partition: a node that has just started reads hundreds of small objects for it.
const FETCH_BYTES_MAX: i32 = 64 << 10;

/// What Metadata says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Zone and address of each node.
    pub(crate) nodes: BTreeMap<i32, (Option<String>, String)>,
    /// The leader of each partition of the topic that was asked for.
    pub(crate) leaders: BTreeMap<i32, i32>,
}

pub(crate) async fn open(address: &str, runtime: &Runtime) -> Result<Wire, Broken> {
    Wire::open_within(PATIENCE, address, runtime).await
}

/// Asks Metadata about a topic, or about none.
pub(crate) async fn metadata(address: &str, topic: Option<&str>, runtime: &Runtime) -> Result<Seen, Broken> {
    let mut wire = open(address, runtime).await?;
    let topics = topic.map(|name| message!(MetadataRequestTopic { name: Some(StrBytes::from(name)) }));
    let topics = Some(topics.into_iter().collect());
    let answer = wire.call(&message!(MetadataRequest { topics, allow_auto_topic_creation: false }), 12).await?;
    let nodes = answer.brokers.iter().map(|node| {
        (node.node_id, (node.rack.as_ref().map(ToString::to_string), format!("{}:{}", node.host, node.port)))
    });
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let leaders = partitions.map(|partition| (partition.partition_index, partition.leader_id)).collect();
    Ok(Seen { nodes: nodes.collect(), leaders })
}

/// The ids that a node lists, when it answers.
pub(crate) async fn members(address: &str, runtime: &Runtime) -> Option<Vec<i32>> {
    Some(metadata(address, None, runtime).await.ok()?.nodes.into_keys().collect())
}

/// What DescribeCluster says of the nodes.
pub(crate) async fn describe_cluster(
    address: &str,
    runtime: &Runtime,
) -> Result<BTreeMap<i32, (Option<String>, String)>, Broken> {
    let mut wire = open(address, runtime).await?;
    let answer = wire.call(&message!(DescribeClusterRequest {}), 1).await?;
    assert_eq!(answer.error_code, 0, "DescribeCluster");
    let nodes = answer.brokers.iter().map(|node| {
        (node.broker_id, (node.rack.as_ref().map(ToString::to_string), format!("{}:{}", node.host, node.port)))
    });
    Ok(nodes.collect())
}

/// The id of the node that coordinates a group; `Err(Some)` is the answer when it is none.
pub(crate) async fn coordinator(address: &str, group: &str, runtime: &Runtime) -> Result<i32, Option<i16>> {
    let mut wire = open(address, runtime).await.map_err(|Broken| None)?;
    let request = message!(FindCoordinatorRequest { key: StrBytes::from(group), key_type: 0 });
    let answer = wire.call(&request, 3).await.map_err(|Broken| None)?;
    if answer.error_code == 0 { Ok(answer.node_id) } else { Err(Some(answer.error_code)) }
}

/// Makes a topic, in as many attempts as a store that stands still makes necessary.
pub(crate) async fn create_topic(address: &str, name: &str, partitions: i32, runtime: &Runtime) {
    let topic =
        message!(CreatableTopic { name: StrBytes::from(name), num_partitions: partitions, replication_factor: 1 });
    let request = message!(CreateTopicsRequest { topics: vec![topic], timeout_ms: 10_000 });
    let mut wire = Wire::open(address, runtime).await.expect("the node serves");
    for attempt in 1.. {
        let answer = wire.call(&request, 5).await.expect("the node answers");
        let error = ErrorCode::from_code(answer.topics[0].error_code).expect("a known code");
        match error {
            ErrorCode::None => return,
            // The attempt before may have made it.
            ErrorCode::TopicAlreadyExists if attempt > 1 => return,
            _ => {
                let why = &answer.topics[0].error_message;
                assert!(error.is_retriable() && attempt < 5, "topic {name} is made: {error} {why:?}");
            }
        }
    }
}

/// Produces one value without an id of a producer and returns its offset, or the error.
pub(crate) async fn produce(
    wire: &mut Wire,
    topic: &str,
    partition: i32,
    value: &str,
    now_ms: i64,
) -> Result<Result<i64, i16>, Broken> {
    let batch = records::batch(now_ms, &[value]).bytes;
    let data = message!(PartitionProduceData { index: partition, records: Some(batch) });
    let data = message!(TopicProduceData { name: StrBytes::from(topic), partition_data: vec![data] });
    let request = message!(ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![data] });
    let answer = wire.call(&request, 11).await?;
    let answer = &answer.responses[0].partition_responses[0];
    Ok(if answer.error_code == 0 { Ok(answer.base_offset) } else { Err(answer.error_code) })
}

/// Fetches from some partitions at these positions, and moves them. An error of a partition that passes is `Broken`.
pub(crate) async fn fetch(
    wire: &mut Wire,
    topic: &str,
    positions: &mut BTreeMap<i32, i64>,
    max_wait: Duration,
) -> Result<Vec<(i32, i64, String)>, Broken> {
    let partitions = positions.iter().map(|(partition, offset)| {
        message!(FetchPartition {
            partition: *partition,
            current_leader_epoch: -1,
            fetch_offset: *offset,
            last_fetched_epoch: -1,
            log_start_offset: -1,
            partition_max_bytes: FETCH_BYTES_MAX,
        })
    });
    let topic = message!(FetchTopic { topic: StrBytes::from(topic), partitions: partitions.collect() });
    let request = message!(FetchRequest {
        replica_id: -1,
        max_wait_ms: max_wait.as_millis() as i32,
        min_bytes: 1,
        max_bytes: 6 * FETCH_BYTES_MAX,
        session_epoch: -1,
        topics: vec![topic],
    });
    let answer = wire.call(&request, 12).await?;
    let mut read = Vec::new();
    for data in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
        if ErrorCode::from_code(data.error_code).is_some_and(ErrorCode::is_retriable) {
            return Err(Broken);
        }
        assert_eq!(data.error_code, 0, "fetch of partition {}", data.partition_index);
        let position = positions.get_mut(&data.partition_index).expect("only what was asked for is answered");
        for batch in split_batches(whole(data.records.unwrap_or_default())).expect("whole batches are sent") {
            batch.verify_crc().expect("the checksum holds");
            for record in batch.records(64 << 20).expect("records are readable") {
                if record.offset >= *position {
                    *position = record.offset + 1;
                    let value = record.value.unwrap_or_default();
                    read.push((data.partition_index, record.offset, String::from_utf8_lossy(&value).into_owned()));
                }
            }
        }
    }
    Ok(read)
}

/// The records of a response in one piece.
fn whole(mut records: impl Buf) -> Bytes {
    records.copy_to_bytes(records.remaining())
}

/// All values of a topic by partition, read through one node; offsets are dense from 0 on.
pub(crate) async fn read_all(address: &str, topic: &str, partitions: i32, runtime: &Runtime) -> Vec<Vec<String>> {
    let mut wire = Wire::open(address, runtime).await.expect("the node serves");
    let mut positions = (0..partitions).map(|partition| (partition, 0)).collect();
    let mut all = vec![Vec::new(); partitions as usize];
    let mut failures = 0;
    loop {
        let read = fetch(&mut wire, topic, &mut positions, Duration::from_millis(100)).await;
        let Ok(read) = read else {
            failures += 1;
            assert!(failures < 3, "{address} does not read its log");
            wire = Wire::open(address, runtime).await.expect("the node serves");
            continue;
        };
        if read.is_empty() {
            return all;
        }
        for (partition, offset, value) in read {
            let values = &mut all[partition as usize];
            assert_eq!(offset, values.len() as i64, "offsets of partition {partition} are dense");
            values.push(value);
        }
    }
}

/// Commits an offset outside of any generation (-1), or in one; returns the error code.
pub(crate) async fn commit(
    wire: &mut Wire,
    member: (&str, i32, &str),
    topic: &str,
    partition: i32,
    offset: i64,
) -> Result<i16, Broken> {
    let partition = message!(OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_leader_epoch: -1,
        committed_metadata: Some(StrBytes::default()),
    });
    let topic = message!(OffsetCommitRequestTopic { name: StrBytes::from(topic), partitions: vec![partition] });
    let (group, generation, member_id) = member;
    let request = message!(OffsetCommitRequest {
        group_id: StrBytes::from(group),
        generation_id_or_member_epoch: generation,
        member_id: StrBytes::from(member_id),
        topics: vec![topic],
    });
    Ok(wire.call(&request, 8).await?.topics[0].partitions[0].error_code)
}

/// The committed offsets of a group, by partition; partitions without one are left out. `Err(code)`: refused.
pub(crate) async fn committed(
    wire: &mut Wire,
    group: &str,
    topic: &str,
    partitions: i32,
) -> Result<Result<BTreeMap<i32, i64>, i16>, Broken> {
    let partition_indexes = (0..partitions).collect();
    let topic = message!(OffsetFetchRequestTopic { name: StrBytes::from(topic), partition_indexes });
    let request = message!(OffsetFetchRequest { group_id: StrBytes::from(group), topics: Some(vec![topic]) });
    let answer = wire.call(&request, 7).await?;
    if answer.error_code != 0 {
        return Ok(Err(answer.error_code));
    }
    let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    let told = partitions.filter(|partition| partition.committed_offset >= 0);
    Ok(Ok(told.map(|partition| (partition.partition_index, partition.committed_offset)).collect()))
}
