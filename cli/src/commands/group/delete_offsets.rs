//! `alluvium group delete-offsets`.

use super::partitions::TopicPartitions;
use crate::client::group_admin::NamedPartition;
use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::commands::confirmation::confirmed;
use crate::failure::Failure;

/// Forget what a group has committed of topics that none of its members reads
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Name of the group
    group: String,
    /// Topic, or partitions of one such as orders:0,2. May be repeated
    #[arg(short, long, required = true, value_name = "TOPIC[:PARTITIONS]")]
    topic: Vec<TopicPartitions>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let group = &arguments.group;
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    // A group that does not exist is told apart from one that has committed nothing.
    cluster.group(group).await?;
    let committed = cluster.committed_offsets(group).await?;
    let meant = |(topic, partition): &&NamedPartition| {
        arguments.topic.iter().any(|wanted| {
            wanted.topic == *topic && wanted.partitions.as_ref().is_none_or(|some| some.contains(partition))
        })
    };
    let partitions: Vec<NamedPartition> = committed.keys().filter(meant).cloned().collect();
    if partitions.is_empty() {
        return Err(Failure::failed(format!("group {group} has committed nothing there; nothing was deleted")));
    }
    let named: Vec<String> = partitions.iter().map(|(topic, partition)| format!("{topic}:{partition}")).collect();
    if !arguments.yes && !confirmed(&format!("delete the offsets of {group} in {}?", named.join(", ")))? {
        return Err(Failure::failed("nothing was deleted"));
    }
    cluster.delete_offsets(group, &partitions).await?;
    println!("deleted the offsets of {group} in {}", named.join(", "));
    Ok(())
}
