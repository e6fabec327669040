//! `alluvium query`: SQL over topics.

#[cfg(feature = "query")]
mod answer;

use super::Context;
use crate::failure::Failure;
use crate::startup::flags::StoreFlags;

/// Ask topics in SQL, from their Parquet files and from what is not yet in them
///
/// A topic is a table with the columns partition, offset, timestamp, timestamp_type, key, value and
/// headers, and those that alluvium.parquet.value.columns names. Conditions on partition, offset and
/// timestamp decide what is read, and columns that are not asked for are not. Works on the store
/// itself, beside running nodes or without any, and changes nothing.
///
///     alluvium query "select count(*) from orders where timestamp > now() - interval '5 minutes'"
///     alluvium query "select value ->> 'city', count(*) from orders group by 1 order by 2 desc"
///
/// Names with dots, dashes or capitals stand in double quotes: "web.clicks".
/// docs/guides/query.md has more.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[cfg_attr(
    not(feature = "query"),
    allow(dead_code, reason = "a build without SQL has the command line of one with it")
)]
pub(crate) struct Arguments {
    /// One statement; - reads it from stdin
    #[arg(value_name = "SQL")]
    sql: String,
    /// Form of the rows
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    /// Which records are seen
    #[arg(long, value_enum, default_value = "read_committed")]
    isolation: Isolation,
    /// Memory for sorting, grouping and joining; what does not fit goes to temporary files or is refused
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    memory: alluvium_infra::settings::ByteSize,
    /// s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///folder
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    #[command(flatten)]
    store_flags: StoreFlags,
    /// Any setting by its name, such as --set worker_threads=2. May be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Output {
    /// Columns side by side; bytes that are no text are \x and hexadecimal digits
    Table,
    /// A JSON document a line; bytes that are no text are {"base64": "..."}
    Json,
    /// Comma-separated values with a line of names; bytes as in tables
    Csv,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Isolation {
    /// Nothing of open and aborted transactions
    ReadCommitted,
    /// Everything that is durable; what is in Parquet files has no aborted records in any case
    ReadUncommitted,
}

#[cfg(feature = "query")]
pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    answer::run(arguments, context)
}

#[cfg(not(feature = "query"))]
pub(crate) fn run(_arguments: Arguments, _context: &Context) -> Result<(), Failure> {
    Err(Failure::failed(
        "this build of alluvium has no SQL: take a released binary, or build it with `cargo build --release --features query`; \
         `alluvium export TOPIC` lists the Parquet files for other query engines",
    ))
}
