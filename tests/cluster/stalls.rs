//! How long clients stood still: the longest time without an acknowledgement or a record around each event.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use alluvium_infra::runtime::Instant;

use crate::history::History;
use crate::pulse::Pulse;

/// Shorter gaps are nobody's stall.
const STALL_MIN: Duration = Duration::from_millis(500);

/// The longest gaps around one event: the longest of all partitions, and of any one partition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stall {
    pub(crate) whole: Duration,
    pub(crate) partition: Duration,
    /// Of any one partition, without what a PUT took at the same time.
    own: Duration,
}

/// Stalls of each producer and group, one for each event.
#[derive(Debug)]
pub(crate) struct Stalls {
    events: Vec<(Instant, String)>,
    by_client: BTreeMap<String, Vec<Stall>>,
    /// The slowest PUT of the test's own around each event.
    store: Vec<Duration>,
}

impl Stalls {
    /// Measures around events, each of which counts until the next one; the last until `end`.
    pub(crate) fn measure(history: &History, events: &[(Instant, String)], end: Instant, pulse: &Pulse) -> Stalls {
        let until = |index: usize| events.get(index + 1).map_or(end, |(next, _)| *next);
        let mut progress: BTreeMap<String, Vec<(Instant, i32)>> = BTreeMap::new();
        for (name, role) in history.roles.iter().filter(|(_, role)| !role.copies) {
            let client = role.group.as_ref().map_or(name.clone(), |group| format!("group {group}"));
            let moments = progress.entry(client).or_default();
            moments.extend(role.acknowledged.iter().map(|record| (record.at, record.partition)));
            moments.extend(role.read.iter().map(|record| (record.at, record.partition)));
        }
        let mut by_client = BTreeMap::new();
        for (client, mut moments) in progress {
            moments.sort_unstable();
            let stalls = events.iter().enumerate().map(|(index, (from, _))| {
                let to = until(index);
                let all: Vec<Instant> = moments.iter().map(|(at, _)| *at).collect();
                let mut partitions: BTreeMap<i32, Vec<Instant>> = BTreeMap::new();
                for (at, partition) in &moments {
                    partitions.entry(*partition).or_default().push(*at);
                }
                let of_partitions = || partitions.values().flat_map(|moments| gaps(moments, *from, to));
                Stall {
                    whole: longest(gaps(&all, *from, to)),
                    partition: longest(of_partitions()),
                    own: of_partitions().map(|gap| own(gap, pulse)).max().unwrap_or_default(),
                }
            });
            by_client.insert(client, stalls.collect());
        }
        let store = events.iter().enumerate().map(|(index, (from, _))| pulse.slowest(*from, until(index)));
        Stalls { events: events.to_vec(), by_client, store: store.collect() }
    }

    /// The longest stall in any partition of the clients that are chosen by name, without what the store alone took.
    pub(crate) fn worst(&self, chosen: impl Fn(&str) -> bool) -> (Duration, String) {
        self.worst_around(chosen, |_| true)
    }

    /// The same around those events alone that are chosen by what is said of them.
    pub(crate) fn worst_around(
        &self,
        chosen: impl Fn(&str) -> bool,
        event: impl Fn(&str) -> bool,
    ) -> (Duration, String) {
        let chosen = self.by_client.iter().filter(|(client, _)| chosen(client));
        let all = chosen.flat_map(|(client, stalls)| {
            stalls.iter().zip(&self.events).map(move |(stall, (_, event))| (client, stall, event))
        });
        let all = all.filter(|(_, _, what)| event(what));
        all.map(|(client, stall, event)| (stall.own, format!("{client}, {event}"))).max().unwrap_or_default()
    }

    /// One line for each event and, last, the medians and maxima of each client.
    pub(crate) fn table(&self) -> String {
        let mut text = String::from("stall in ms (in one partition) | slowest PUT");
        for client in self.by_client.keys() {
            let _infallible = write!(text, " | {client}");
        }
        for (index, (_, event)) in self.events.iter().enumerate() {
            let _infallible = write!(text, "\n{event:<30} | {}", self.store[index].as_millis());
            for stalls in self.by_client.values() {
                let _infallible = write!(text, " | {}", shown(stalls[index]));
            }
        }
        type Choice = fn(&mut [Duration]) -> Duration;
        let choices: [(&str, Choice); 2] =
            [("median", median), ("longest", |all| all.iter().copied().max().unwrap_or_default())];
        for (name, choice) in choices {
            let _infallible = write!(text, "\n{name:<30} | {}", choice(&mut self.store.clone()).as_millis());
            for stalls in self.by_client.values() {
                let of = |part: fn(&Stall) -> Duration| choice(&mut stalls.iter().map(part).collect::<Vec<_>>());
                let stall = Stall {
                    whole: of(|stall| stall.whole),
                    partition: of(|stall| stall.partition),
                    own: of(|stall| stall.own),
                };
                let _infallible = write!(text, " | {}", shown(stall));
            }
        }
        text
    }
}

fn shown(stall: Stall) -> String {
    format!("{} ({})", stall.whole.as_millis(), stall.partition.as_millis())
}

fn median(durations: &mut [Duration]) -> Duration {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

/// Times between two moments, or a moment and the end, that reach into `from..to`.
fn gaps(moments: &[Instant], from: Instant, to: Instant) -> impl Iterator<Item = (Instant, Instant)> {
    let first = moments.partition_point(|moment| *moment <= from).saturating_sub(1);
    let last = moments.partition_point(|moment| *moment < to);
    let begins = moments[first.min(last)..last].iter().copied();
    let ends = moments[(first + 1).min(moments.len())..].iter().copied().chain([to]);
    begins.zip(ends)
}

fn longest(gaps: impl Iterator<Item = (Instant, Instant)>) -> Duration {
    gaps.map(|(from, to)| to.saturating_duration_since(from)).max().unwrap_or_default()
}

/// What is left of a gap without the slowest PUT that was under way in it.
fn own((from, to): (Instant, Instant), pulse: &Pulse) -> Duration {
    let gap = to.saturating_duration_since(from);
    if gap < STALL_MIN { gap } else { gap.saturating_sub(pulse.slowest(from, to)) }
}
