//! `alluvium topic describe`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::connect;
use super::list::topic_id;
use crate::client::cluster::TopicMetadata;
use crate::client::configs::TopicConfig;
use crate::client::offsets::OffsetPoint;
use crate::client::{ClientError, ClientFlags, Cluster};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{print_json, print_table, size};

/// Show partitions with their offsets and sizes, and the configuration
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Show every configuration, not only what was set
    #[arg(long)]
    all_configs: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

/// A topic with all that is shown of it.
struct Described {
    topic: TopicMetadata,
    partitions: Vec<DescribedPartition>,
    configs: Vec<TopicConfig>,
}

struct DescribedPartition {
    partition: i32,
    leader: i32,
    start_offset: i64,
    end_offset: i64,
    size_bytes: Option<i64>,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut cluster = connect(&arguments.client, context).await?;
    let mut documents = Vec::new();
    for (index, name) in arguments.topics.iter().enumerate() {
        let mut described = describe(&mut cluster, name).await?;
        if !arguments.all_configs {
            described.configs.retain(|config| config.is_set);
        }
        if arguments.json {
            documents.push(described.document());
            continue;
        }
        if index > 0 {
            println!();
        }
        described.print()?;
    }
    if arguments.json { print_json(&documents) } else { Ok(()) }
}

async fn describe(cluster: &mut Cluster, name: &str) -> Result<Described, ClientError> {
    let topic = cluster.topic(name, false).await?;
    let all: Vec<i32> = topic.partitions.iter().map(|leader| leader.partition).collect();
    let starts = cluster.offsets(&topic, &all, OffsetPoint::Earliest).await?;
    let ends = cluster.offsets(&topic, &all, OffsetPoint::Latest).await?;
    let sizes = match cluster.partition_sizes(&topic).await {
        Ok(sizes) => sizes,
        // Not every server tells.
        Err(ClientError::NotServed { .. }) => BTreeMap::new(),
        Err(error) => return Err(error),
    };
    let configs = cluster.topic_configs(name).await?;
    let offset = |offsets: &BTreeMap<i32, i64>, partition| offsets.get(&partition).copied().unwrap_or_default();
    let partitions = topic
        .partitions
        .iter()
        .map(|leader| DescribedPartition {
            partition: leader.partition,
            leader: leader.node_id,
            start_offset: offset(&starts, leader.partition),
            end_offset: offset(&ends, leader.partition),
            size_bytes: sizes.get(&leader.partition).copied(),
        })
        .collect();
    Ok(Described { topic, partitions, configs })
}

impl Described {
    fn document(&self) -> Value {
        let partition = |partition: &DescribedPartition| {
            json!({
                "partition": partition.partition,
                "leader": partition.leader,
                "start_offset": partition.start_offset,
                "end_offset": partition.end_offset,
                "size_bytes": partition.size_bytes,
            })
        };
        let configs: BTreeMap<&str, &Option<String>> =
            self.configs.iter().map(|config| (config.name.as_str(), &config.value)).collect();
        json!({
            "name": self.topic.name,
            "id": topic_id(&self.topic),
            "replication_factor": self.topic.replication_factor,
            "partitions": self.partitions.iter().map(partition).collect::<Vec<_>>(),
            "configs": configs,
        })
    }

    fn print(&self) -> Result<(), Failure> {
        println!(
            "topic {}, id {}, {} partitions, replication factor {}",
            self.topic.name,
            topic_id(&self.topic),
            self.partitions.len(),
            self.topic.replication_factor
        );
        let row = |partition: &DescribedPartition| {
            let size_bytes = partition.size_bytes.and_then(|bytes| u64::try_from(bytes).ok());
            vec![
                partition.partition.to_string(),
                partition.leader.to_string(),
                partition.start_offset.to_string(),
                partition.end_offset.to_string(),
                (partition.end_offset - partition.start_offset).to_string(),
                size_bytes.map_or_else(|| "-".to_owned(), size),
            ]
        };
        let header = [">PARTITION", ">LEADER", ">START", ">END", ">RECORDS", ">SIZE"];
        print_table(&header, self.partitions.iter().map(row))?;
        if self.configs.is_empty() {
            return Ok(());
        }
        println!();
        let row = |config: &TopicConfig| {
            let source = if config.is_set { "topic" } else { "default" };
            vec![config.name.clone(), config.value.clone().unwrap_or_default(), source.to_owned()]
        };
        print_table(&["CONFIG", "VALUE", "SOURCE"], self.configs.iter().map(row))
    }
}
