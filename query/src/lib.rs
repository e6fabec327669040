//! SQL over topics: what is in Parquet files and what is not yet, in one table each.
//!
//! Flow: SQL -> names of topics ([`catalog`]) -> [`topic`] says which conditions it understands ([`bounds`]) -> which runs are read
//! ([`units`], pure) -> [`exec`], a node of the plan -> [`read`] (row groups and columns of files, batches of raw runs) -> [`rows`]
//! -> DataFusion -> [`Answer`] -> [`print`].
//!
//! Invariants:
//! 1. A query changes nothing, in the log or elsewhere.
//! 2. A record is shown as a consumer sees it: of aborted transactions and control batches there is none (unless aborted and open
//!    transactions are asked for), nothing before the log start, nothing behind the last stable offset.
//! 3. A query shows one snapshot of each shard, read to its end when the query came; merges, retention and compaction by key may
//!    still take from it what they take from the log.
//! 4. Nothing is read that partition, offset, timestamp and columns show to be of no use, as far as the manifest and the footers
//!    of files tell.
//! 5. Memory for sorting, grouping and joining is limited; what does not fit goes to temporary files or is refused.
//! 6. DataFusion gets bytes through [`alluvium_reader`] alone: it has no store of its own.

mod bounds;
mod catalog;
mod columns;
mod counts;
mod error;
mod exec;
mod functions;
mod print;
mod read;
mod rows;
mod running;
mod session;
mod topic;
mod units;

pub use error::QueryError;
pub use print::{OutputForm, PrintError, print};
pub use session::{Answer, Queries, QuerySettings};
