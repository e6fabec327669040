//! Compactor: small objects become large ones, old ones go, keys are compacted, and what is retained is Parquet.
//!
//! Flow: [`pick`] (which runs, from a snapshot of the state) -> [`merge`] or [`keys`] ([`input`]: runs and files, checked;
//! [`output`]: one file, uploaded in parts and read back) -> [`replace`] (the log takes it or not). Beside it [`retention`]
//! moves the log start, and [`collect`] deletes what nobody refers to. [`role`] runs all of it on the leader of a shard, [`lanes`]
//! the jobs. [`scrub`] proves what is there.
//!
//! Invariants:
//! 1. 11, no record is lost: a file takes the place of runs only when the log finds their sums equal; what is damaged fails its
//!    job, is reported, and stays as it is.
//! 2. 8, nothing reachable is deleted: a file whose commit is not known is never deleted here, and time is the store's.
//! 3. 10, two compactors at once waste work and change nothing twice: the log takes one replacement of the same runs.
//! 4. Memory is bounded: one row group, a few reads ahead, and for keys what the settings allow, with an eighth of it for offsets.

mod clock;
mod collect;
mod counters;
mod input;
mod job;
mod keys;
mod lanes;
mod merge;
mod output;
pub mod pick;
mod replace;
mod retention;
mod role;
mod rules;
mod scrub;
mod settings;
mod shared;

pub use clock::{ClockDoubt, TrustedClock};
pub use collect::{CollectError, Collected, Collector};
pub use counters::CompactorCounters;
pub use job::{JobError, JobOutcome};
pub use role::{AllShards, Compactor, CompactorParts, Duty, RoundReport};
pub use rules::TopicRules;
pub use scrub::{ScrubFinding, ScrubProgress, ScrubReport};
pub use settings::{CompactorSettings, MERGE_IDLE_AGES};
