//! What must hold of a history, whatever was killed, cut off or frozen meanwhile:
//!
//! 1. everything acknowledged is in the log, at the offset that was told;
//! 2. nothing is there twice, and each producer's records are there in its order, without a gap;
//! 3. each group has read every record of the log, and what it read at an offset is what is there;
//! 4. a member reads a partition forwards while it owns it;
//! 5. no partition has two owners in one generation, nor at one time.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use alluvium_infra::runtime::Instant;

use crate::history::{History, Ownership, Role};

/// How much was checked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checked {
    pub(crate) acknowledged: usize,
    pub(crate) records: usize,
    pub(crate) read: usize,
    pub(crate) read_again: usize,
    pub(crate) generations: usize,
}

impl fmt::Display for Checked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} records acknowledged, {} in the log, {} read by groups ({} of them again), {} generations",
            self.acknowledged, self.records, self.read, self.read_again, self.generations
        )
    }
}

/// Checks everything against the log as it is in the end.
pub(crate) fn check(history: &History, log: &[Vec<String>]) -> Checked {
    let mut checked = Checked { records: log.iter().map(Vec::len).sum(), ..Checked::default() };
    for (name, producer) in history.producers() {
        check_acknowledged(name, producer, log);
        checked.acknowledged += producer.acknowledged.len();
    }
    check_written(log);
    for group in history.groups() {
        check_read(&group, history, log, &mut checked);
        checked.generations += check_owners(&group, history);
    }
    checked
}

fn at(log: &[Vec<String>], partition: i32, offset: i64) -> Option<&String> {
    log.get(usize::try_from(partition).ok()?)?.get(usize::try_from(offset).ok()?)
}

fn check_acknowledged(name: &str, producer: &Role, log: &[Vec<String>]) {
    for record in &producer.acknowledged {
        let value = format!("{name} {} {}", record.partition, record.number);
        let place = (record.partition, record.offset);
        assert_eq!(at(log, place.0, place.1), Some(&value), "acknowledged at {place:?} (partition, offset)");
    }
}

/// Values are `NAME PARTITION NUMBER`, numbers of a producer and partition go 0, 1, 2, …
fn check_written(log: &[Vec<String>]) {
    for (partition, values) in log.iter().enumerate() {
        let mut next: BTreeMap<&str, u64> = BTreeMap::new();
        for (offset, value) in values.iter().enumerate() {
            let mut words = value.split(' ');
            let (name, told, number) = (words.next(), words.next(), words.next());
            let (Some(name), Some(told), Some(number)) = (name, told, number) else {
                panic!("{value:?} at partition {partition} offset {offset} is no value of a producer");
            };
            assert_eq!(told, partition.to_string(), "{value:?} is in partition {partition}");
            let expected = next.entry(name).or_default();
            let number: u64 = number.parse().expect("a number");
            assert!(
                number == *expected,
                "{value:?} at partition {partition} offset {offset}: {} (number {expected} is next)",
                if number < *expected { "written twice or out of order" } else { "records before it are missing" }
            );
            *expected += 1;
        }
    }
}

fn check_read(group: &str, history: &History, log: &[Vec<String>], checked: &mut Checked) {
    let mut read = 0;
    for (name, member) in history.members(group) {
        read += member.read.len();
        for record in &member.read {
            let place = (record.partition, record.offset);
            assert_eq!(at(log, place.0, place.1), Some(&record.value), "{name} read at {place:?} (partition, offset)");
        }
        check_forwards(name, member);
    }
    let mut distinct = 0;
    for (partition, values) in log.iter().enumerate() {
        for (offset, value) in values.iter().enumerate() {
            assert!(
                history.has_read(group, partition as i32, offset as i64),
                "group {group} skipped {value:?} at partition {partition} offset {offset}"
            );
            distinct += 1;
        }
    }
    checked.read += read;
    checked.read_again += read - distinct;
}

/// Between two changes of what it owns a member reads each partition one offset after the other.
fn check_forwards(name: &str, member: &Role) {
    let mut changes = member.ownership.iter().map(|(at, _)| *at).peekable();
    let mut newest: HashMap<i32, i64> = HashMap::new();
    for record in &member.read {
        while changes.next_if(|change| *change <= record.at).is_some() {
            newest.clear();
        }
        let before = newest.insert(record.partition, record.offset);
        assert!(
            before.is_none_or(|before| record.offset == before + 1),
            "{name} read offset {} of partition {} after {before:?}",
            record.offset,
            record.partition
        );
    }
}

/// Returns how many generations were seen.
fn check_owners(group: &str, history: &History) -> usize {
    let mut owners: BTreeMap<(i32, i32), &str> = BTreeMap::new();
    let mut spans: BTreeMap<i32, Vec<Span<'_>>> = BTreeMap::new();
    for (name, member) in history.members(group) {
        for (_, change) in &member.ownership {
            let Ownership::Owns { generation, partitions } = change else { continue };
            for partition in partitions.iter().filter(|_| *generation >= 0) {
                let other = owners.insert((*generation, *partition), name);
                assert!(
                    other.is_none_or(|other| other == name),
                    "partition {partition} is owned by {other:?} and {name} in generation {generation} of {group}"
                );
            }
        }
        for (partition, span) in owned_spans(name, member) {
            spans.entry(partition).or_default().push(span);
        }
    }
    for (partition, mut spans) in spans {
        spans.sort_by_key(|span| span.from);
        for pair in spans.windows(2) {
            let [first, second] = pair else { continue };
            assert!(
                first.taken_away || first.member == second.member || first.to.is_some_and(|to| to <= second.from),
                "partition {partition} of group {group} had two owners at a time: {first:?} and {second:?}"
            );
        }
    }
    let generations: std::collections::BTreeSet<i32> = owners.keys().map(|(generation, _)| *generation).collect();
    generations.len()
}

/// How long a member owned a partition.
#[derive(Debug)]
struct Span<'a> {
    member: &'a str,
    from: Instant,
    to: Option<Instant>,
    /// The member learned only afterwards that it was gone.
    taken_away: bool,
}

fn owned_spans<'a>(member: &'a str, role: &Role) -> Vec<(i32, Span<'a>)> {
    let mut open: BTreeMap<i32, Span<'a>> = BTreeMap::new();
    let mut closed = Vec::new();
    for (at, change) in &role.ownership {
        match change {
            Ownership::Owns { partitions, .. } => {
                // What is not listed any more was given back before, whatever the client said of it.
                open.retain(|partition, _| partitions.contains(partition));
                for partition in partitions {
                    open.entry(*partition).or_insert(Span { member, from: *at, to: None, taken_away: false });
                }
            }
            Ownership::Revoked(partitions) | Ownership::Lost(partitions) => {
                for partition in partitions {
                    if let Some(span) = open.remove(partition) {
                        let taken_away = matches!(change, Ownership::Lost(_));
                        closed.push((*partition, Span { to: Some(*at), taken_away, ..span }));
                    }
                }
            }
        }
    }
    closed.extend(open);
    closed
}
