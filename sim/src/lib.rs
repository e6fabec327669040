//! Deterministic simulation of whole clusters: one seed, one history.
//!
//! Real nodes (log, ingest, reader, coordinators of groups and transactions) run in one thread on a paused clock, on a store and a network that
//! fail as the seed has it. Flow: [`scenario`] and [`faults`] (what happens) -> [`world`] (time, bucket, trace, history) ->
//! [`node`], [`peers`] and [`cluster`] (the product, the network between nodes and the one in front of them) -> [`workload`] (clients) -> [`checkers`].
//! [`run`] does it all for one seed; [`shrink`] finds the few faults that matter; [`replay`] keeps a run in a file.
//!
//! Invariants: one seed gives one trace, byte for byte; checkers know nothing of the workload.

pub mod checkers;
pub mod cluster;
mod collector;
mod deletions;
pub mod faults;
pub mod groups;
pub mod history;
pub mod leadership;
pub mod node;
pub mod peers;
pub mod planting;
pub mod random;
pub mod records;
pub mod replay;
pub mod run;
pub mod scenario;
pub mod serve;
pub mod shrink;
pub mod store;
mod sweep;
pub mod transactions;
pub mod workload;
pub mod world;
