//! `alluvium group describe`.

use serde_json::{Value, json};

use super::lag::{Position, positions};
use crate::client::group_describe::{DescribedGroup, GroupMember, Share};
use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{or_dash, print_json, print_table};

/// Show the state of groups, their offsets with the lag, and their members
///
/// Without --state, --offsets or --members all three are shown.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Show the state
    #[arg(long)]
    state: bool,
    /// Show committed offsets, ends of partitions and the lag
    #[arg(long)]
    offsets: bool,
    /// Show members and what they were given
    #[arg(long)]
    members: bool,
    /// Print JSON, always with everything
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    let everything = !(arguments.state || arguments.offsets || arguments.members);
    let mut documents = Vec::new();
    for (index, name) in arguments.groups.iter().enumerate() {
        let group = cluster.group(name).await?;
        let needs_offsets = everything || arguments.offsets || arguments.json;
        let positions = if needs_offsets { positions(&mut cluster, &group).await? } else { Vec::new() };
        if arguments.json {
            documents.push(document(&group, &positions));
            continue;
        }
        if index > 0 {
            println!();
        }
        let mut printed = Printed(false);
        if everything || arguments.state {
            printed.next();
            print_state(&group, needs_offsets.then_some(&positions[..]));
        }
        if needs_offsets && !(everything && positions.is_empty()) {
            printed.next();
            print_offsets(&positions)?;
        }
        if arguments.members || (everything && !group.members.is_empty()) {
            printed.next();
            print_members(&group)?;
        }
    }
    if arguments.json { print_json(&documents) } else { Ok(()) }
}

/// Whether a part was printed already, so that the next is set off by an empty line.
struct Printed(bool);

impl Printed {
    fn next(&mut self) {
        if std::mem::replace(&mut self.0, true) {
            println!();
        }
    }
}

fn total_lag(positions: &[Position<'_>]) -> i64 {
    positions.iter().filter_map(Position::lag).sum()
}

fn print_state(group: &DescribedGroup, positions: Option<&[Position<'_>]>) {
    let mut line = format!("group {}, type {}, state {}", group.group, group.group_type, group.state);
    if !group.protocol.is_empty() {
        line += &format!(", protocol {}", group.protocol);
    }
    if let (Some(epoch), Some(assignment)) = (group.epoch, group.assignment_epoch) {
        line += &format!(", epoch {epoch}, assignment epoch {assignment}");
    }
    let members = group.members.len();
    let plural = if members == 1 { "" } else { "s" };
    line += &format!(", {members} member{plural}, coordinator {}", group.coordinator);
    if let Some(positions) = positions {
        line += &format!(", total lag {}", total_lag(positions));
    }
    println!("{line}");
}

fn print_offsets(positions: &[Position<'_>]) -> Result<(), Failure> {
    let row = |position: &Position<'_>| {
        vec![
            position.topic.clone(),
            position.partition.to_string(),
            or_dash(position.committed.as_ref().map(|committed| committed.offset)),
            or_dash(position.end_offset),
            or_dash(position.lag()),
            or_dash(position.owner.map(|member| member.member_id.as_str())),
        ]
    };
    let header = ["TOPIC", ">PARTITION", ">COMMITTED", ">END", ">LAG", "OWNER"];
    print_table(&header, positions.iter().map(row))
}

fn print_members(group: &DescribedGroup) -> Result<(), Failure> {
    let row = |member: &GroupMember| {
        let count: usize = member.assigned.values().map(Vec::len).sum();
        vec![
            member.member_id.clone(),
            or_dash(member.instance_id.as_deref()),
            member.client_id.clone(),
            member.client_host.clone(),
            or_dash(member.rack.as_deref()),
            or_dash(member.epoch),
            count.to_string(),
            or_dash(Some(shown(&member.assigned)).filter(|share| !share.is_empty())),
        ]
    };
    let header = ["MEMBER", "INSTANCE", "CLIENT", "HOST", "RACK", ">EPOCH", ">PARTITIONS", "ASSIGNED"];
    print_table(&header, group.members.iter().map(row))
}

/// `orders(0,1) visits(2)`.
fn shown(share: &Share) -> String {
    let topic = |(topic, partitions): (&String, &Vec<i32>)| {
        let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        format!("{topic}({})", partitions.join(","))
    };
    share.iter().map(topic).collect::<Vec<_>>().join(" ")
}

fn document(group: &DescribedGroup, positions: &[Position<'_>]) -> Value {
    let member = |member: &GroupMember| {
        json!({
            "member": member.member_id,
            "instance": member.instance_id,
            "client": member.client_id,
            "host": member.client_host,
            "rack": member.rack,
            "epoch": member.epoch,
            "subscribed": member.subscribed_topics,
            "subscribed_regex": member.subscribed_regex,
            "assigned": member.assigned,
            "target": member.target,
        })
    };
    let position = |position: &Position<'_>| {
        json!({
            "topic": position.topic,
            "partition": position.partition,
            "committed": position.committed.as_ref().map(|committed| committed.offset),
            "metadata": position.committed.as_ref().map(|committed| &committed.metadata),
            "end": position.end_offset,
            "lag": position.lag(),
            "owner": position.owner.map(|member| &member.member_id),
        })
    };
    json!({
        "group": group.group,
        "type": group.group_type,
        "state": group.state,
        "protocol_type": group.protocol_type,
        "protocol": group.protocol,
        "epoch": group.epoch,
        "assignment_epoch": group.assignment_epoch,
        "coordinator": group.coordinator,
        "lag": total_lag(positions),
        "offsets": positions.iter().map(position).collect::<Vec<_>>(),
        "members": group.members.iter().map(member).collect::<Vec<_>>(),
    })
}
