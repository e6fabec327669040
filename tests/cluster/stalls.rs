//! How long clients stood still: the longest time without an acknowledgement or a record around each event.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use alluvium_infra::runtime::Instant;

use crate::history::History;

/// The longest gaps around one event: the longest of all partitions, and of any one partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stall {
    pub(crate) whole: Duration,
    pub(crate) partition: Duration,
}

/// Stalls of each producer and group, one for each event.
#[derive(Debug)]
pub(crate) struct Stalls {
    events: Vec<(Instant, String)>,
    by_client: BTreeMap<String, Vec<Stall>>,
}

impl Stalls {
    /// Measures around events, each of which counts until the next one; the last until `end`.
    pub(crate) fn measure(history: &History, events: &[(Instant, String)], end: Instant) -> Stalls {
        let mut progress: BTreeMap<String, Vec<(Instant, i32)>> = BTreeMap::new();
        for (name, role) in &history.roles {
            let client = role.group.as_ref().map_or(name.clone(), |group| format!("group {group}"));
            let moments = progress.entry(client).or_default();
            moments.extend(role.acknowledged.iter().map(|record| (record.at, record.partition)));
            moments.extend(role.read.iter().map(|record| (record.at, record.partition)));
        }
        let mut by_client = BTreeMap::new();
        for (client, mut moments) in progress {
            moments.sort_unstable();
            let stalls = events.iter().enumerate().map(|(index, (from, _))| {
                let to = events.get(index + 1).map_or(end, |(next, _)| *next);
                let all: Vec<Instant> = moments.iter().map(|(at, _)| *at).collect();
                let mut partitions: BTreeMap<i32, Vec<Instant>> = BTreeMap::new();
                for (at, partition) in &moments {
                    partitions.entry(*partition).or_default().push(*at);
                }
                let partition = partitions.values().map(|moments| longest(moments, *from, to)).max();
                Stall { whole: longest(&all, *from, to), partition: partition.unwrap_or_default() }
            });
            by_client.insert(client, stalls.collect());
        }
        Stalls { events: events.to_vec(), by_client }
    }

    /// The longest stall in any partition of the clients that are chosen by name.
    pub(crate) fn worst(&self, chosen: impl Fn(&str) -> bool) -> (Duration, String) {
        let chosen = self.by_client.iter().filter(|(client, _)| chosen(client));
        let all = chosen.flat_map(|(client, stalls)| {
            stalls
                .iter()
                .zip(&self.events)
                .map(move |(stall, (_, event))| (stall.partition, format!("{client}, {event}")))
        });
        all.max().unwrap_or_default()
    }

    /// One line for each event and, last, the medians and maxima of each client.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("stall in ms (in one partition)");
        for client in self.by_client.keys() {
            let _infallible = write!(text, " | {client}");
        }
        for (index, (_, event)) in self.events.iter().enumerate() {
            let _infallible = write!(text, "\n{event:<30}");
            for stalls in self.by_client.values() {
                let _infallible = write!(text, " | {}", shown(stalls[index]));
            }
        }
        type Choice = fn(&mut Vec<Duration>) -> Duration;
        let choices: [(&str, Choice); 2] =
            [("median", median), ("longest", |all| all.iter().copied().max().unwrap_or_default())];
        for (name, choice) in choices {
            let _infallible = write!(text, "\n{name:<30}");
            for stalls in self.by_client.values() {
                let of = |part: fn(&Stall) -> Duration| choice(&mut stalls.iter().map(part).collect());
                let stall = Stall { whole: of(|stall| stall.whole), partition: of(|stall| stall.partition) };
                let _infallible = write!(text, " | {}", shown(stall));
            }
        }
        text
    }
}

fn shown(stall: Stall) -> String {
    format!("{} ({})", stall.whole.as_millis(), stall.partition.as_millis())
}

fn median(durations: &mut Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

/// The longest time between two moments, or a moment and the end, that reaches into `from..to`.
fn longest(moments: &[Instant], from: Instant, to: Instant) -> Duration {
    let first = moments.partition_point(|moment| *moment <= from).saturating_sub(1);
    let mut before = moments.first().copied().unwrap_or(from).max(moments.get(first).copied().unwrap_or(from));
    let mut longest = Duration::ZERO;
    for moment in &moments[first.min(moments.len())..] {
        longest = longest.max(moment.saturating_duration_since(before));
        before = *moment;
        if *moment >= to {
            return longest;
        }
    }
    longest.max(to.saturating_duration_since(before))
}
