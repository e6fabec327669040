//! `alluvium group list`.

use std::collections::BTreeMap;

use serde_json::json;

use crate::client::group_describe::{DescribedGroup, ListedGroup};
use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{or_dash, print_json, print_table};

/// List groups
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only groups in this state, such as stable or empty. May be repeated
    #[arg(long, value_name = "STATE")]
    state: Vec<String>,
    /// Only groups of this type: classic or consumer. May be repeated
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    let mut groups = cluster.groups().await?;
    let wanted = |words: &[String], word: &str| {
        words.is_empty() || words.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(word))
    };
    groups.retain(|group| wanted(&arguments.state, &group.state) && wanted(&arguments.types, &group.group_type));
    let members = cluster.members_of(&groups).await?;
    if arguments.json {
        let document: Vec<serde_json::Value> =
            groups.iter().map(|group| document(group, members.get(&group.group))).collect();
        return print_json(&document);
    }
    if groups.is_empty() {
        let filtered = !arguments.state.is_empty() || !arguments.types.is_empty();
        eprintln!("{}", if filtered { "there are no such groups" } else { "there are no groups yet" });
        return Ok(());
    }
    print_table(
        &["GROUP", "TYPE", "STATE", "PROTOCOL", ">MEMBERS", ">COORDINATOR"],
        groups.iter().map(|group| row(group, &members)),
    )
}

fn document(group: &ListedGroup, described: Option<&DescribedGroup>) -> serde_json::Value {
    json!({
        "group": group.group,
        "type": group.group_type,
        "state": group.state,
        "protocol_type": group.protocol_type,
        "protocol": described.map(|described| &described.protocol),
        "members": described.map(|described| described.members.len()),
        "coordinator": group.coordinator,
    })
}

fn row(group: &ListedGroup, members: &BTreeMap<String, DescribedGroup>) -> Vec<String> {
    let described = members.get(&group.group);
    vec![
        group.group.clone(),
        group.group_type.clone(),
        group.state.clone(),
        or_dash(described.map(|described| described.protocol.as_str()).filter(|protocol| !protocol.is_empty())),
        or_dash(described.map(|described| described.members.len())),
        group.coordinator.to_string(),
    ]
}
