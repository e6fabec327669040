//! What stock clients did and saw: every acknowledgement, every record read, every change of ownership, with the time.

use std::collections::{BTreeMap, HashSet};

use alluvium_infra::runtime::Instant;

/// A record that was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) at: Instant,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) number: u64,
}

/// A record that was read.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) at: Instant,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) value: String,
}

/// A change of what a member owns.
#[derive(Clone, Debug)]
pub(crate) enum Ownership {
    /// All that it owns from now on; the generation is -1 where the client does not tell it.
    Owns { generation: i32, partitions: Vec<i32> },
    /// Given back in good order.
    Revoked(Vec<i32>),
    /// Taken away.
    Lost(Vec<i32>),
}

/// One producer or consumer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Role {
    /// The group of a consumer.
    pub(crate) group: Option<String>,
    /// It copies records in transactions, and neither produces nor reads anything of its own.
    pub(crate) copies: bool,
    pub(crate) ready: bool,
    pub(crate) done: bool,
    pub(crate) acknowledged: Vec<Acknowledged>,
    pub(crate) read: Vec<Read>,
    /// When a copier has committed, and how many records.
    pub(crate) copied: Vec<(Instant, usize)>,
    pub(crate) ownership: Vec<(Instant, Ownership)>,
    pub(crate) notes: Vec<String>,
    pub(crate) failures: Vec<String>,
}

/// Everything, by the names of roles.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) roles: BTreeMap<String, Role>,
    seen: BTreeMap<String, HashSet<(i32, i64)>>,
    acknowledged: Vec<(i32, i64)>,
}

impl History {
    pub(crate) fn expect(&mut self, name: &str, group: Option<&str>, copies: bool) {
        let role = Role { group: group.map(str::to_owned), copies, ..Role::default() };
        let before = self.roles.insert(name.to_owned(), role);
        assert!(before.is_none(), "two roles are named {name}");
        if let Some(group) = group {
            self.seen.entry(group.to_owned()).or_default();
        }
    }

    /// Takes one line of a worker.
    pub(crate) fn take(&mut self, line: &str, at: Instant) {
        let (name, said) = line.split_once(' ').unwrap_or((line, ""));
        let Some(role) = self.roles.get_mut(name) else { panic!("a worker says {line:?}, and nobody has that name") };
        let (word, rest) = said.split_once(' ').unwrap_or((said, ""));
        match word {
            "ready" => role.ready = true,
            "done" => role.done = true,
            "note" => role.notes.push(rest.to_owned()),
            "failed" => role.failures.push(rest.to_owned()),
            "ack" => {
                let (partition, offset, number) = triple(rest);
                let number = number.parse().expect("a worker says a number");
                role.acknowledged.push(Acknowledged { at, partition, offset, number });
                self.acknowledged.push((partition, offset));
            }
            "got" => {
                let (partition, offset, value) = triple(rest);
                role.read.push(Read { at, partition, offset, value: value.to_owned() });
                let group = role.group.as_ref().expect("only members of groups read");
                self.seen.get_mut(group).expect("the group is known").insert((partition, offset));
            }
            "copied" => role.copied.push((at, rest.parse().expect("a worker says how many"))),
            "owns" => {
                let (generation, partitions) = rest.split_once(' ').unwrap_or((rest, ""));
                let generation = generation.parse().expect("a worker says a generation");
                role.ownership.push((at, Ownership::Owns { generation, partitions: listed(partitions) }));
            }
            "revoked" => role.ownership.push((at, Ownership::Revoked(listed(rest)))),
            "lost" => role.ownership.push((at, Ownership::Lost(listed(rest)))),
            _ => panic!("a worker says {line:?}"),
        }
    }

    pub(crate) fn groups(&self) -> Vec<String> {
        self.seen.keys().cloned().collect()
    }

    /// The members of a group.
    pub(crate) fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (&'a String, &'a Role)> {
        self.roles.iter().filter(move |(_, role)| role.group.as_deref() == Some(group))
    }

    /// Partitions that a member of the group had taken away, and nobody was given since.
    pub(crate) fn lost_in_the_end(&self, group: &str) -> Vec<i32> {
        let last = |(_, role): (_, &Role)| role.ownership.last().map(|(_, change)| change.clone());
        let lost = self.members(group).filter_map(last).filter_map(|change| match change {
            Ownership::Lost(partitions) => Some(partitions),
            Ownership::Owns { .. } | Ownership::Revoked(_) => None,
        });
        lost.flatten().collect()
    }

    /// Producers.
    pub(crate) fn producers(&self) -> impl Iterator<Item = (&String, &Role)> {
        self.roles.iter().filter(|(_, role)| role.group.is_none() && !role.copies)
    }

    /// How many acknowledged records no member of the group has read.
    pub(crate) fn unread(&self, group: &str) -> usize {
        let seen = &self.seen[group];
        self.acknowledged.iter().filter(|place| !seen.contains(place)).count()
    }

    /// Whether some member of the group has read the record.
    pub(crate) fn has_read(&self, group: &str, partition: i32, offset: i64) -> bool {
        self.seen[group].contains(&(partition, offset))
    }

    /// What roles could not get over.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failed = self.roles.iter().flat_map(|(name, role)| role.failures.iter().map(move |text| (name, text)));
        failed.map(|(name, text)| format!("{name}: {text}")).collect()
    }
}

fn triple(text: &str) -> (i32, i64, &str) {
    let mut words = text.splitn(3, ' ');
    let mut next = || words.next().expect("a worker says three things of a record");
    let (partition, offset, last) = (next(), next(), next());
    let partition = partition.parse().expect("a worker says a partition");
    (partition, offset.parse().expect("a worker says an offset"), last)
}

fn listed(text: &str) -> Vec<i32> {
    let words = text.split(',').filter(|word| !word.is_empty());
    words.map(|word| word.parse().expect("a worker says partitions")).collect()
}
