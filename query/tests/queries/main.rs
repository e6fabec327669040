//! Queries over a log in memory, compared with what a consumer reads and with what the store was asked for.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod errors;
mod pruning;
mod rows;
mod world;
