//! The compactor on a log in memory, in simulated time: every record compared with what was written.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod collecting;
mod compacting;
mod losing;
mod merging;
mod retaining;
mod scrubbing;
mod world;
