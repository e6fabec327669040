//! The log in the bucket: what all roles share.
//!
//! A shard is one ordered log of *entries*, objects created with put-if-absent. Applying them in order gives the state of
//! the shard: topics, partitions with the place of every offset's bytes, idempotent producers, consumer groups. One task
//! owns the end of a shard and commits what others ask for; everybody else holds immutable snapshots of the state.
//!
//! Flow of a commit: [`operation`] -> [`validate`](plan) -> [`plan`] -> [`format::entry`] -> [`commit::slot`] -> publish.
//! Flow of a start: [`probe`] -> [`recover`] ([`format::checkpoint`], [`replay`], [`mod@apply`]).

pub mod apply;
pub mod commit;
mod counters;
pub mod format;
pub mod inspect;
pub mod invariants;
mod open;
pub mod operation;
pub mod paths;
mod peers;
pub mod placement;
pub mod plan;
pub mod probe;
mod producer_id;
pub mod recover;
mod replacement;
pub mod replay;
mod reread;
pub mod state;
mod sweep;
mod tail;
mod topics;
mod validate;
mod view;

pub use commit::{AppendTicket, Committed, Shard, WaitingGuard};
pub use counters::{ForwardOutcome, ShardCounters};
pub use open::{Log, LogOptions, OpenLogError};
pub use operation::{
    Append, AppendOutcome, AppendRejection, AppendSource, BatchToAppend, CommitError, Operation, Rejection,
    TransactionRejection, TransactionTag,
};
pub use peers::{ForwardError, Peers};
pub use replacement::{RecordTotal, Replacement, ReplacementFile};
pub use replay::CatchUpError;
pub use state::{
    AbortedTransaction, ClassicMemberRecord, CommittedOffset, ConsumerGroupChange, ConsumerGroupRecord,
    ConsumerMemberRecord, Coordinator, Garbage, GroupRecord, GroupState, GroupTransaction, MemberRecord, ObjectRef,
    OpenTransaction, Partition, ProducerBatch, ProducerState, Run, State, TablePlace, TableRun, Topic,
    TransactionRecord, TransactionStatus, runs_digest,
};
pub use tail::Tail;
pub use view::{Changes, View};
