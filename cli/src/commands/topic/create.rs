//! `alluvium topic create`.

use alluvium_protocol::errors::ErrorCode;
use serde_json::json;

use super::{config_pair, connect};
use crate::client::ClientFlags;
use crate::client::admin::NewTopic;
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::print_json;

/// Make topics
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Partitions of each (default: the server's)
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replication factor (default: the server's); Alluvium reports it as asked, the object store replicates
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i16).range(1..))]
    replication_factor: Option<i16>,
    /// Configuration, such as retention.ms=86400000. May be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = config_pair)]
    config: Vec<(String, String)>,
    /// A topic that exists already is no error
    #[arg(long)]
    if_not_exists: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut cluster = connect(&arguments.client, context).await?;
    let mut results = Vec::new();
    for name in &arguments.topics {
        let topic = NewTopic {
            name: name.clone(),
            partition_count: arguments.partitions.unwrap_or(-1),
            replication_factor: arguments.replication_factor.unwrap_or(-1),
            configs: arguments.config.clone(),
        };
        let created = match cluster.create_topic(&topic).await {
            Ok(()) => true,
            Err(error) if arguments.if_not_exists && error.code() == Some(ErrorCode::TopicAlreadyExists) => false,
            Err(error) => return Err(error.into()),
        };
        // The new topic may not be visible at once where metadata lags.
        let partition_count = cluster.topic(name, true).await?.partitions.len();
        if !arguments.json {
            let partitions = if partition_count == 1 { "partition" } else { "partitions" };
            let word = if created { "created" } else { "exists:" };
            println!("{word} {name} with {partition_count} {partitions}");
        }
        results.push(json!({"name": name, "created": created, "partitions": partition_count}));
    }
    if arguments.json { print_json(&results) } else { Ok(()) }
}
