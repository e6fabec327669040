//! Start and end of a node, as named steps.
//!
//! Flow: [`settings`] (flags, environment, file, defaults) -> telemetry -> [`signals`] -> [`store`] -> [`node`] (log,
//! ingest, reader, server) -> [`announce`] -> wait for a signal -> [`node::Node::stop`].
//!
//! Invariants:
//! 1. A start that fails says in one line what to do, and leaves nothing running.
//! 2. The end is bounded in time: each step of the drain has its own limit, and a second signal skips the rest.

mod announce;
pub(crate) mod flags;
pub(crate) mod node;
mod reachability;
mod serve;
pub(crate) mod settings;
pub(crate) mod signals;
pub(crate) mod store;

pub(crate) use announce::{plain, print_settings};
pub(crate) use serve::serve;
