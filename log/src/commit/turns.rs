//! Whose turn it is when several nodes write one shard without knowing of each other, as cloud functions do.
//!
//! Whoever wins a slot knows the end of the log at once. The others have to read first, so the winner would win again and again while
//! they starve and pay for puts that fail. Therefore a node lets those go first that have waited for more entries than itself: it waits a
//! step for each, looks whether the log has gone on, and takes the slot when it has not. Nodes that go on writing take turns, and one that
//! left costs the others a few steps, once. Since a loser leaves no trace, a node that wins all the time makes room for one now and then.
//!
//! It is courtesy: nothing but time depends on it, and the timestamps of other nodes are believed only as far as that. The example `racers` of
//! the room ingest shows what it brings.

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use alluvium_infra::runtime::Instant;

use super::group::{Rider, expire};
use super::task::ShardTask;
use crate::operation::CommitError;

/// Entries whose writers are remembered.
const SEEN_MAX: usize = 256;
/// An entry that was planned longer ago than so many puts take was written by nobody who races with us; no wait is longer either.
const RACE_PUTS: u32 = 4;
/// An entry that was planned at most so many puts ago is probably the newest.
const NEWEST_PUTS: u32 = 2;
/// No put counts as longer: one that hung, or whose node was frozen, says nothing about the next.
const PUT_MAX: Duration = Duration::from_millis(250);
/// Most wins in a row, one right after the other, before others get a chance.
const STREAK_MAX: u32 = 64;
/// The same for a node that others forward to, so that only strangers race with it.
const STREAK_OF_NODES_MAX: u32 = 256;

/// The writers of the newest entries, and what a put takes.
#[derive(Debug)]
pub(super) struct Turns {
    own: u64,
    /// Newest last.
    seen: VecDeque<Seen>,
    /// Moving average; zero until there was one.
    put: Duration,
    /// When we last won a slot.
    won: Option<Instant>,
    /// Wins in a row, and after how many of them others get a chance: the most, until somebody else was seen.
    streak: u32,
    streak_max: u32,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    writer: u64,
    timestamp_ms: i64,
}

/// When a node goes at the latest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    at: Instant,
    step: Duration,
}

impl Turn {
    /// How long to wait before the next look at the log, until it is our turn.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        let left = self.at.saturating_duration_since(now);
        // Whoever is next looks all the time.
        let pause = left.saturating_sub(self.step).max(self.step / 16).min(left);
        (!left.is_zero()).then_some(pause)
    }
}

impl Turns {
    /// For the node that calls itself `node` in its entries.
    pub(super) fn new(node: &str) -> Self {
        Self { own: hash(node), seen: VecDeque::new(), put: Duration::ZERO, won: None, streak: 0, streak_max: u32::MAX }
    }

    /// The log has an entry by `node`, which may be ourselves.
    pub(super) fn saw(&mut self, node: &str, timestamp_ms: i64) {
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        let writer = hash(node);
        if writer == self.own {
            self.streak += 1;
        } else {
            (self.streak, self.streak_max) = (0, 1);
        }
        self.seen.push_back(Seen { writer, timestamp_ms });
    }

    /// We have just won a slot, which took so long.
    pub(super) fn won(&mut self, put: Duration, now: Instant) {
        let put = put.min(PUT_MAX);
        self.put = if self.put.is_zero() { put } else { (self.put * 3 + put) / 4 };
        self.won = Some(now);
    }

    /// Whether an entry of that time is probably the newest.
    pub(super) fn is_newest(&self, timestamp_ms: i64, now_ms: i64) -> bool {
        is_within(self.put * NEWEST_PUTS, timestamp_ms, now_ms)
    }

    /// When to try the next slot: now, unless it is somebody else's turn. `has_peers`: other nodes forward to the one that leads.
    pub(super) fn turn(&mut self, now: Instant, now_ms: i64, has_peers: bool) -> Turn {
        let step = self.put * 3 / 2;
        let is_at_once = self.won.is_some_and(|won| now.saturating_duration_since(won) < self.put);
        let longest = if has_peers { STREAK_OF_NODES_MAX } else { STREAK_MAX };
        if is_at_once && self.streak >= self.streak_max.min(longest) {
            self.streak = 0;
            self.streak_max = self.streak_max.saturating_mul(2);
            return Turn { at: now + step, step };
        }
        let newest_other = self.seen.iter().rev().find(|seen| seen.writer != self.own);
        let is_race = newest_other.is_some_and(|seen| is_within(self.put * RACE_PUTS, seen.timestamp_ms, now_ms));
        let before_us = if is_race { self.before_us() } else { 0 };
        Turn { at: now + (step * before_us).min(self.put * RACE_PUTS), step }
    }

    /// How many of those that race have waited longer than we have.
    fn before_us(&self) -> u32 {
        // What was written since our last entry but one is a round of all that race, and the part of the next that we have seen.
        let (mut rivals, mut own, mut waited) = (BTreeSet::new(), 0, 0);
        for seen in self.seen.iter().rev() {
            match seen.writer == self.own {
                true if own == 1 => break,
                true => own = 1,
                false => {
                    waited += usize::from(own == 0);
                    rivals.insert(seen.writer);
                }
            }
        }
        rivals.len().saturating_sub(waited) as u32
    }
}

impl ShardTask {
    /// Lets others go first while it is their turn. Whether the log was read to its end.
    pub(super) async fn await_turn(&mut self, riders: &mut Vec<Rider>) -> bool {
        let (mut turn, mut number, mut looked) = (self.turn(), self.state.entry_number(), false);
        while let Some(pause) = turn.pause(self.runtime.monotonic()) {
            self.runtime.sleep(pause).await;
            looked = self.look(riders).await;
            expire(riders, &self.runtime, || CommitError::Unavailable("the deadline passed".to_owned()));
            if riders.is_empty() {
                return false;
            }
            if self.state.entry_number() > number {
                (turn, number) = (self.turn(), self.state.entry_number());
            }
        }
        looked
    }

    fn turn(&mut self) -> Turn {
        self.turns.turn(self.runtime.monotonic(), self.runtime.now_ms(), self.peers.get().is_some())
    }
}

fn is_within(limit: Duration, timestamp_ms: i64, now_ms: i64) -> bool {
    u128::from(now_ms.abs_diff(timestamp_ms)) < limit.as_millis()
}

fn hash(node: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    node.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use alluvium_infra::Runtime;

    use super::*;

    const PUT: Duration = Duration::from_millis(40);
    const STEP: Duration = Duration::from_millis(60);

    /// How long node "a" waits at this time after entries by these, the last of them planned at 1,000; its own last win is long ago.
    fn wait(writers: &str, now_ms: i64) -> Duration {
        let now = Runtime::system().monotonic();
        let mut turns = Turns::new("a");
        turns.won(PUT, now);
        writers.chars().for_each(|writer| turns.saw(&writer.to_string(), 1_000));
        let later = now + Duration::from_secs(10);
        turns.turn(later, now_ms, false).at - later
    }

    #[test]
    fn whoever_is_alone_does_not_wait() {
        assert_eq!(wait("", 1_000), Duration::ZERO);
        assert_eq!(wait("aaaa", 1_000), Duration::ZERO);
    }

    #[test]
    fn whoever_has_just_won_lets_the_other_go_first() {
        assert_eq!(wait("ba", 1_010), STEP);
        assert_eq!(wait("bab", 1_010), Duration::ZERO);
    }

    #[test]
    fn the_longer_one_has_waited_the_sooner_it_goes() {
        assert_eq!(["abca", "abcab", "abcabc"].map(|writers| wait(writers, 1_010)), [STEP * 2, STEP, Duration::ZERO]);
    }

    #[test]
    fn nobody_waits_for_those_that_wrote_long_ago_by_whatever_clock() {
        assert_eq!(wait("ba", 1_160), Duration::ZERO);
        assert_eq!(wait("ba", 800), Duration::ZERO);
    }

    #[test]
    fn those_that_left_are_forgotten_after_a_round() {
        assert_eq!(wait("bcdefaga", 1_010), STEP);
    }

    #[test]
    fn no_wait_is_longer_than_a_few_puts() {
        assert_eq!(wait("bcdefghijklmnopqa", 1_010), PUT * RACE_PUTS);
    }

    #[test]
    fn a_put_that_hung_makes_nobody_wait_for_long() {
        let now = Runtime::system().monotonic();
        let mut turns = Turns::new("a");
        turns.won(Duration::from_secs(7200), now);
        turns.saw("b", 1_000);
        turns.saw("a", 1_000);
        assert!(turns.turn(now, 1_000, false).at - now < Duration::from_secs(1));
    }

    #[test]
    fn whoever_wins_all_the_time_makes_room_more_and_more_rarely() {
        let mut now = Runtime::system().monotonic();
        let (mut turns, mut waits) = (Turns::new("a"), Vec::new());
        turns.saw("b", -1_000_000);
        for number in 1..=600 {
            turns.won(PUT, now);
            turns.saw("a", 1_000);
            let turn = turns.turn(now, 1_000, false);
            if turn.at > now {
                assert_eq!(turn.at - now, STEP);
                waits.push(number);
            }
            now += PUT / 4;
        }
        assert_eq!(waits, [1, 3, 7, 15, 31, 63, 127, 191, 255, 319, 383, 447, 511, 575]);
        // Somebody was there: from the beginning.
        turns.saw("b", 1_000);
        turns.won(PUT, now);
        turns.saw("a", 1_000);
        assert_eq!(turns.turn(now, 9_000, false).at - now, STEP);
        // Where nobody was ever seen, rarely from the beginning.
        let mut turns = Turns::new("a");
        for number in 1..=STREAK_MAX {
            turns.won(PUT, now);
            turns.saw("a", 1_000);
            let wait = turns.turn(now, 1_000, false).at - now;
            assert_eq!(wait > Duration::ZERO, number == STREAK_MAX, "after {number} wins");
        }
        // Whoever takes his time makes room anyhow.
        turns.won(PUT, now);
        turns.saw("a", 1_000);
        turns.saw("a", 1_000);
        assert_eq!(turns.turn(now + PUT, 9_000, true).at - now, PUT);
    }

    #[test]
    fn whoever_is_next_looks_all_the_time() {
        let now = Runtime::system().monotonic();
        let turn = Turn { at: now + STEP * 3, step: STEP };
        assert_eq!(turn.pause(now), Some(STEP * 2));
        assert_eq!(turn.pause(now + STEP * 5 / 2), Some(STEP / 16));
        assert_eq!(turn.pause(now + STEP * 3), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut turns = Turns::new("a");
        (0..10_000).for_each(|number: i64| turns.saw(&number.to_string(), number));
        assert_eq!(turns.seen.len(), SEEN_MAX);
    }
}
