//! Three real processes and one bucket on MinIO, under stock clients: what a cluster promises when nodes come, go, freeze, die and
//! lose each other.
//!
//! `tests/run cluster` runs it, those scenarios alone that measure time. `ALLUVIUM_TEST_CLUSTER_KILLS` sets how often nodes
//! are killed (20), `ALLUVIUM_TEST_CLUSTER_COPY_SECONDS` how long records are copied in transactions while that happens (40),
//! `ALLUVIUM_BIN` which program; otherwise it is the one that cargo built into the same target folder. With
//! `ALLUVIUM_TEST_CLUSTER_LOGS` the logs of nodes and workers stay in that folder, and nodes tell every commit of offsets.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may fail by panicking and says what it ran or skipped"
)]

mod asking;
mod checks;
mod coordinators;
mod copies;
mod groups;
mod history;
mod kills;
mod load;
mod membership;
mod network;
mod nodes;
mod partitions;
mod pulse;
mod refusals;
mod rolling;
mod shards;
mod stalls;
mod waiting;
mod wakeups;
mod workers;
