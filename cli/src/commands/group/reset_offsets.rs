//! `alluvium group reset-offsets`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::Duration;

use alluvium_protocol::errors::ErrorCode;
use serde_json::json;

use super::partitions::{TopicPartitions, resolve};
use super::target::{self, Target};
use crate::client::group_admin::{Committed, NamedPartition};
use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{or_dash, print_json, print_table};

/// The state of a group that has committed offsets and no members.
const STATE_EMPTY: &str = "Empty";

/// Show what a reset of committed offsets would do, and do it with --execute
///
/// The group must have no members then; one that does not exist is made. Offsets outside of what a partition holds are taken
/// to its first or last one.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Name of the group
    group: String,
    /// Topic, or partitions of one such as orders:0,2. May be repeated
    #[arg(short, long, value_name = "TOPIC[:PARTITIONS]", required_unless_present_any = ["all_topics", "from_file"])]
    topic: Vec<TopicPartitions>,
    /// All partitions in which the group has committed something
    #[arg(long, conflicts_with_all = ["topic", "from_file"])]
    all_topics: bool,
    #[command(flatten)]
    target: TargetFlags,
    /// Commit the new offsets
    #[arg(long, conflicts_with = "dry_run")]
    execute: bool,
    /// Only show what would be done, which is the default
    #[arg(long)]
    dry_run: bool,
    /// Print lines of topic,partition,offset, as --from-file takes them
    #[arg(long, conflicts_with = "json")]
    export: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct TargetFlags {
    /// To the first record that is there
    #[arg(long)]
    to_earliest: bool,
    /// To the end
    #[arg(long)]
    to_latest: bool,
    /// To this offset
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// To the first record of this time or later, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = target::parse_time)]
    to_datetime: Option<i64>,
    /// To the first record not older than this, such as 1h 30m or PT1H30M
    #[arg(long, value_name = "DURATION", value_parser = target::parse_ago)]
    by_duration: Option<Duration>,
    /// So many records on from the committed offset, or back with a minus
    #[arg(long, value_name = "RECORDS", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// To what is committed, or to the end where nothing is
    #[arg(long)]
    to_current: bool,
    /// To the offsets in this file of lines topic,partition,offset; - is stdin
    #[arg(long, value_name = "FILE")]
    from_file: Option<String>,
}

impl TargetFlags {
    fn target(&self) -> Result<Target, Failure> {
        if let Some(path) = &self.from_file {
            let wrong = |why: String| Failure::usage(format!("{path}: {why}"));
            let text = read(path).map_err(|error| wrong(error.to_string()))?;
            return Ok(Target::Listed(target::parse_listed(&text).map_err(wrong)?));
        }
        let flags = [
            self.to_earliest.then_some(Target::Earliest),
            self.to_latest.then_some(Target::Latest),
            self.to_offset.map(Target::Offset),
            self.to_datetime.map(Target::Time),
            self.by_duration.map(Target::Ago),
            self.shift_by.map(Target::Shift),
            self.to_current.then_some(Target::Current),
        ];
        flags.into_iter().flatten().next().ok_or_else(|| Failure::usage("say what to reset to"))
    }
}

fn read(path: &str) -> std::io::Result<String> {
    if path != "-" {
        return std::fs::read_to_string(path);
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(text)
}

/// A partition, where it was and where it goes.
struct Reset {
    topic: String,
    partition: i32,
    current: Option<i64>,
    new: i64,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let target = arguments.target.target()?;
    let group = &arguments.group;
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    check_empty(&mut cluster, group).await?;
    let committed = cluster.committed_offsets(group).await?;
    let mut resets = Vec::new();
    for wanted in wanted(&arguments, &target, &committed)? {
        let (topic, partitions) = resolve(&mut cluster, &wanted).await?;
        let found = target::offsets(&mut cluster, &target, &topic, &partitions, &committed).await?;
        resets.extend(found.into_iter().map(|(partition, new)| {
            let current = committed.get(&(topic.name.clone(), partition)).map(|committed| committed.offset);
            Reset { topic: topic.name.clone(), partition, current, new }
        }));
    }
    if arguments.execute {
        let offsets = resets.iter().map(|reset| ((reset.topic.clone(), reset.partition), reset.new)).collect();
        cluster.set_offsets(group, &offsets).await?;
    }
    print(&arguments, &resets)?;
    if !arguments.execute {
        eprintln!("nothing was changed: add --execute to commit these offsets");
    }
    Ok(())
}

/// Members commit what they have read, and would undo the reset.
async fn check_empty(cluster: &mut Cluster, group: &str) -> Result<(), Failure> {
    match cluster.group(group).await {
        Ok(described) if described.members.is_empty() && described.state == STATE_EMPTY => Ok(()),
        Ok(described) => {
            let (state, members) = (&described.state, described.members.len());
            let plural = if members == 1 { "" } else { "s" };
            Err(Failure::failed(format!(
                "group {group} has {members} member{plural} (state {state}): offsets can be reset when it has none; stop \
                 them first"
            )))
        }
        Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The partitions that are meant, by topic.
fn wanted(
    arguments: &Arguments,
    target: &Target,
    committed: &BTreeMap<NamedPartition, Committed>,
) -> Result<Vec<TopicPartitions>, Failure> {
    let some = |partitions: BTreeSet<&NamedPartition>| -> Vec<TopicPartitions> {
        let mut by_topic: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in partitions {
            by_topic.entry(topic).or_default().push(*partition);
        }
        let of = |(topic, partitions): (&str, Vec<i32>)| TopicPartitions {
            topic: topic.to_owned(),
            partitions: Some(partitions),
        };
        by_topic.into_iter().map(of).collect()
    };
    match target {
        Target::Listed(listed) => {
            let outside = |at: &&NamedPartition| {
                !arguments.topic.is_empty()
                    && !arguments.topic.iter().any(|wanted| {
                        wanted.topic == at.0 && wanted.partitions.as_ref().is_none_or(|some| some.contains(&at.1))
                    })
            };
            match listed.keys().find(outside) {
                Some((topic, partition)) => {
                    Err(Failure::usage(format!("the file names {topic}:{partition}, which --topic leaves out")))
                }
                None => Ok(some(listed.keys().collect())),
            }
        }
        _ if arguments.all_topics => {
            if committed.is_empty() {
                return Err(Failure::failed(format!(
                    "group {} has committed nothing: name the topics with --topic",
                    arguments.group
                )));
            }
            Ok(some(committed.keys().collect()))
        }
        _ => Ok(arguments.topic.clone()),
    }
}

fn print(arguments: &Arguments, resets: &[Reset]) -> Result<(), Failure> {
    if arguments.json {
        let offset = |reset: &Reset| {
            json!({
                "topic": reset.topic,
                "partition": reset.partition,
                "committed": reset.current,
                "new": reset.new,
            })
        };
        return print_json(&json!({
            "group": arguments.group,
            "executed": arguments.execute,
            "offsets": resets.iter().map(offset).collect::<Vec<_>>(),
        }));
    }
    if arguments.export {
        for reset in resets {
            println!("{},{},{}", reset.topic, reset.partition, reset.new);
        }
        return Ok(());
    }
    let row = |reset: &Reset| {
        let change = reset.current.map(|current| match reset.new - current {
            0 => "0".to_owned(),
            change => format!("{change:+}"),
        });
        vec![
            reset.topic.clone(),
            reset.partition.to_string(),
            or_dash(reset.current),
            reset.new.to_string(),
            or_dash(change),
        ]
    };
    print_table(&["TOPIC", ">PARTITION", ">COMMITTED", ">NEW", ">CHANGE"], resets.iter().map(row))
}
