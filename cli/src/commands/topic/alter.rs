//! `alluvium topic alter`.

use super::{config_pair, connect};
use crate::client::ClientFlags;
use crate::commands::Context;
use crate::failure::Failure;

/// Add partitions to a topic, set and unset its configuration
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Name of the topic
    topic: String,
    /// New number of partitions; there can only be more. Records with keys go to other partitions from then on
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Configuration to set, such as retention.ms=86400000. May be repeated
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = config_pair)]
    config: Vec<(String, String)>,
    /// Configuration to take back to its default. May be repeated
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let name = &arguments.topic;
    let configs_change = !arguments.config.is_empty() || !arguments.unset.is_empty();
    if arguments.partitions.is_none() && !configs_change {
        return Err(Failure::usage("nothing to change: give --partitions, --config or --unset"));
    }
    let mut cluster = connect(&arguments.client, context).await?;
    // Configurations first: they are checked as a whole, and partitions cannot be taken away again.
    if configs_change {
        cluster.alter_topic_configs(name, &arguments.config, &arguments.unset).await?;
        println!("changed the configuration of {name}");
    }
    if let Some(count) = arguments.partitions {
        cluster.create_partitions(name, count).await?;
        println!("{name} has {count} partitions");
    }
    Ok(())
}
