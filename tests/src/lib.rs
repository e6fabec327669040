//! What the suites across rooms share: a node made of log, ingest and reader, records that tell where they came from, stores
//! to run on, stores that break the rules, and the client's side of a connection.

pub mod node;
pub mod places;
pub mod records;
pub mod rogues;
pub mod wire;
