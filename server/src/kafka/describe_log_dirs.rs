//! DescribeLogDirs (key 35), versions 1 to 5.
//!
//! There is one log directory, named after the object store. Sizes are those of the live record bytes of each
//! partition. The size of the volume is not known and reported as such.
//!
//! Missing: nothing that an object store has.

use std::collections::BTreeMap;

use alluvium_protocol::message;
use alluvium_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use alluvium_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, StrBytes};
use alluvium_record::TopicPartition;

use crate::context::RequestContext;

pub(crate) async fn handle(context: &RequestContext, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let state = context.node.state();
    let mut wanted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    match request.topics {
        Some(topics) => {
            for topic in topics {
                wanted.entry(topic.topic.as_str().to_owned()).or_default().extend(topic.partitions);
            }
        }
        None => {
            for topic in state.topics() {
                wanted.insert(topic.name.clone(), (0..topic.partition_count).collect());
            }
        }
    }
    let mut topics = Vec::new();
    for (name, mut indexes) in wanted {
        let Some(topic) = state.topic_by_name(&name) else { continue };
        indexes.sort_unstable();
        indexes.dedup();
        let partitions: Vec<DescribeLogDirsPartition> = indexes
            .into_iter()
            .filter_map(|partition_index| {
                let partition = state.partition(TopicPartition::new(topic.id, partition_index))?;
                let partition_size = i64::try_from(partition.size_bytes()).unwrap_or(i64::MAX);
                Some(message!(DescribeLogDirsPartition { partition_index, partition_size }))
            })
            .collect();
        if !partitions.is_empty() {
            topics.push(message!(DescribeLogDirsTopic { name: StrBytes::from(name), partitions }));
        }
    }
    let log_dir = StrBytes::from(context.node.log.store().describe());
    message!(DescribeLogDirsResponse { results: vec![message!(DescribeLogDirsResult { log_dir, topics })] })
}
