//! `alluvium topic list`.

use serde_json::json;

use super::connect;
use crate::client::ClientFlags;
use crate::client::cluster::TopicMetadata;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{print_json, print_table};

/// List topics
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut cluster = connect(&arguments.client, context).await?;
    let topics = cluster.topics().await?;
    if arguments.json {
        let document: Vec<serde_json::Value> = topics
            .iter()
            .map(|topic| {
                json!({
                    "name": topic.name,
                    "id": topic_id(topic),
                    "partitions": topic.partitions.len(),
                    "replication_factor": topic.replication_factor,
                })
            })
            .collect();
        return print_json(&document);
    }
    if topics.is_empty() {
        eprintln!("there are no topics yet: make one with `alluvium topic create NAME`");
        return Ok(());
    }
    let row = |topic: &TopicMetadata| {
        vec![
            topic.name.clone(),
            topic.partitions.len().to_string(),
            topic.replication_factor.to_string(),
            topic_id(topic),
        ]
    };
    print_table(&["TOPIC", ">PARTITIONS", ">REPLICATION", "ID"], topics.iter().map(row))
}

/// A topic's id as people write it.
pub(super) fn topic_id(topic: &TopicMetadata) -> String {
    alluvium_record::TopicId::from_bytes(topic.id.to_bytes()).to_string()
}
