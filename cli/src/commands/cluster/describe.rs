//! `alluvium cluster describe`.

use serde_json::{Value, json};

use crate::client::cluster_admin::{ClusterDescription, NodeDescription};
use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{or_dash, print_json, print_table};

/// Show nodes with their zones and what they lead, shards, and the number of topics and groups
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    let description = cluster.describe().await?;
    let group_count = cluster.groups().await?.len();
    if arguments.json {
        return print_json(&document(&description, group_count));
    }
    print_summary(&description, group_count);
    println!();
    let row = |node: &NodeDescription| {
        let led = node.shards_led.as_ref().map(|shards| ranges(shards)).filter(|shards| !shards.is_empty());
        let controller = if node.node_id == description.controller { "controller" } else { "" };
        vec![
            node.node_id.to_string(),
            node.address.clone(),
            or_dash(node.zone.as_deref()),
            or_dash(node.version.as_deref()),
            or_dash(led),
            node.partitions_led.to_string(),
            controller.to_owned(),
        ]
    };
    let header = [">NODE", "ADDRESS", "ZONE", "VERSION", "SHARDS LED", ">PARTITIONS LED", "ROLE"];
    print_table(&header, description.nodes.iter().map(row))?;
    for node in &description.nodes {
        if let Some(error) = &node.error {
            eprintln!("node {} does not answer: {error}", node.node_id);
        }
    }
    Ok(())
}

fn print_summary(description: &ClusterDescription, group_count: usize) {
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut parts = vec![counted(description.nodes.len(), "node")];
    parts.extend(description.shard_count.map(|count| counted(count as usize, "shard")));
    parts.push(counted(description.topic_count, "topic"));
    parts.push(counted(description.partition_count, "partition"));
    parts.push(counted(group_count, "group"));
    println!("cluster {}, {}", or_dash(description.cluster_id.as_deref()), parts.join(", "));
}

fn document(description: &ClusterDescription, group_count: usize) -> Value {
    let node = |node: &NodeDescription| {
        json!({
            "node": node.node_id,
            "address": node.address,
            "zone": node.zone,
            "version": node.version,
            "shards_led": node.shards_led,
            "partitions_led": node.partitions_led,
            "controller": node.node_id == description.controller,
            "error": node.error,
        })
    };
    json!({
        "cluster": description.cluster_id,
        "controller": description.controller,
        "nodes": description.nodes.iter().map(node).collect::<Vec<_>>(),
        "shards": description.shard_count,
        "topics": description.topic_count,
        "partitions": description.partition_count,
        "groups": group_count,
    })
}

/// `0-3,7`: numbers in order, those that follow on each other as one.
fn ranges(numbers: &[u32]) -> String {
    let mut found: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match found.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => found.push((*number, *number)),
        }
    }
    let range = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    found.iter().map(range).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn shards_are_shown_as_ranges() {
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&[0]), "0");
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
    }
}
