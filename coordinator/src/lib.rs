//! Consumer groups and transactions: pure state machines and rules, and the drivers that let them act on the leader of a shard.
//!
//! This room owns what Kafka calls the group coordinator (membership, rebalances, fencing and the rules that decide whether an
//! offset commit is accepted) and the transaction coordinator ([`transaction`]).
//!
//! The state machines do no I/O and know neither the wire nor the clock:
//! - time and fresh ids come in as inputs, so one sequence of inputs always gives one sequence of effects;
//! - answers that must wait are named by tickets of the caller's choosing and each ticket is answered exactly once;
//! - what must be durable leaves as a change to write, and nothing that depends on it is answered before the caller
//!   has said what became of it.
//!
//! [`group`] speaks the classic protocol, [`consumer_group`] the one of KIP-848; [`table`] is the door to both.
//!
//! The [`driver`] is that caller: it knows which shards this node leads, takes their groups over in the log and carries
//! effects out. Who leads is told by whoever implements [`driver::Leadership`].

pub mod consumer_group;
pub mod driver;
pub mod group;
pub mod table;
pub mod transaction;

pub use driver::{CoordinatorParts, Coordinators, Leadership, OffsetsError, ShardStanding, SoleNode};
pub use group::{Effect, GroupChange, GroupError, GroupSettings, Groups, PersistError, PersistToken, Response, Ticket};
pub use transaction::{TransactionError, TransactionParts, TransactionSettings, Transactions};
