//! `alluvium cost`: what a month costs, of a load that is only thought of, or of a cluster that runs.
//!
//! Flow: [`load`] (what is asked) or [`observed`] (what is counted) -> [`model`] (requests, bytes, hours) -> [`bill`] with
//! [`prices`]. Nothing is asked of the provider.

mod bill;
mod load;
mod model;
mod observed;
mod prices;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use alluvium_infra::settings::ByteSize;

use self::bill::{Bill, TopicShare};
use self::load::{Deployment, Functions, Load, Nodes, Parts, Topic};
use self::model::MONTH_SECONDS;
use self::prices::Prices;
use super::Context;
use crate::failure::Failure;
use crate::output::{print_json, print_table};

const GIBIBYTE: f64 = 1024.0 * 1024.0 * 1024.0;

/// Estimate what a month costs: of a load, or of a running cluster by its counters
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What runs Alluvium
    #[arg(long, value_enum, default_value = "nodes")]
    deployment: Deployment,
    /// Records produced in a second
    #[arg(short, long, value_name = "NUMBER", default_value = "1000", value_parser = load::rate_per_second)]
    records_per_second: f64,
    /// Size of a record
    #[arg(short = 'b', long, value_name = "SIZE", default_value = "1KiB")]
    record_bytes: ByteSize,
    /// Partitions that the records are spread over
    #[arg(short, long, default_value_t = 12)]
    partitions: u32,
    /// A topic with a load of its own, in place of the three above. May be repeated
    #[arg(long = "topic", value_name = "NAME=RECORDS,SIZE,PARTITIONS", value_parser = load::topic)]
    topics: Vec<Topic>,
    /// Records in one request of a producer, or in one call of a function
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    records_per_request: u32,
    /// How often each record is read
    #[arg(short, long, default_value_t = 1)]
    consumers: u32,
    /// Percent of what is read that is no longer in a node's memory
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    behind: u8,
    /// How long records are kept
    #[arg(long, value_name = "TIME", default_value = "7days", value_parser = humantime::parse_duration)]
    retention: Duration,
    /// Logs that partitions are spread over
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    shards: u32,
    /// Reckon without the compactor
    #[arg(long)]
    no_compaction: bool,
    /// Setting merge_bytes of the compactor
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    merge_bytes: ByteSize,
    /// Setting merge_age of the compactor
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    merge_age: Duration,
    #[command(flatten)]
    nodes: NodeArguments,
    #[command(flatten)]
    functions: FunctionArguments,
    /// Metrics of a running node (http://host:9644/metrics) in place of a load. Give those of all nodes
    #[arg(long, value_name = "URL")]
    metrics: Vec<String>,
    /// With --metrics: look twice, so long apart (default: reckon from the start of each node)
    #[arg(long, value_name = "TIME", requires = "metrics", value_parser = humantime::parse_duration)]
    over: Option<Duration>,
    /// Price table to use in place of the built-in one
    #[arg(long, value_name = "FILE", env = "ALLUVIUM_PRICES")]
    prices: Option<PathBuf>,
    /// Print the built-in price table, to change it
    #[arg(long)]
    print_prices: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What nodes are and how they are set.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Nodes")]
struct NodeArguments {
    /// Number of nodes (default: 3, or as many as --metrics has)
    #[arg(long)]
    nodes: Option<u32>,
    /// Processors of a node
    #[arg(long, value_name = "NUMBER", default_value_t = 1.0)]
    node_processors: f64,
    /// Memory of a node
    #[arg(long, value_name = "SIZE", default_value = "2GiB")]
    node_memory: ByteSize,
    /// Setting flush_interval
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = humantime::parse_duration)]
    flush_interval: Duration,
    /// Setting flush_bytes
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    flush_bytes: ByteSize,
    /// Setting inline_bytes
    #[arg(long, value_name = "SIZE", default_value = "1MiB")]
    inline_bytes: ByteSize,
    /// Producers wait for each answer: flushes do not wait for the interval
    #[arg(long)]
    producers_wait: bool,
    /// Clients come without a load balancer
    #[arg(long)]
    no_load_balancer: bool,
    /// Percent of what clients send and receive that crosses zones (default: as chance has it with nodes in up to 3 zones)
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    cross_zone: Option<u8>,
}

/// What functions are.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Functions")]
struct FunctionArguments {
    /// Memory of ingest and reader
    #[arg(long, value_name = "SIZE", default_value = "512MiB")]
    function_memory: ByteSize,
    /// How long a call takes
    #[arg(long, value_name = "TIME", default_value = "60ms", value_parser = humantime::parse_duration)]
    call_time: Duration,
    /// How often a consumer asks for more
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    poll_interval: Duration,
    /// How often the compactor runs
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    compactor_interval: Duration,
    /// Memory of the compactor
    #[arg(long, value_name = "SIZE", default_value = "1769MiB")]
    compactor_memory: ByteSize,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    if arguments.print_prices {
        std::io::stdout().write_all(prices::BUILT_IN.as_bytes())?;
        return Ok(());
    }
    let prices = Prices::load(arguments.prices.as_deref())?;
    let load = load_of(&arguments)?;
    if arguments.metrics.is_empty() {
        let usage = model::usage(&load);
        return show(&bill::of_load(&load, &usage, &prices, model::doubts(&load)), arguments.json);
    }
    let Parts::Nodes(nodes) = load.parts else {
        return Err(Failure::usage("--metrics are those of nodes: leave --deployment out"));
    };
    context.block_on(async {
        let seen = observed::look(&arguments.metrics, arguments.over, &context.runtime).await?;
        show(&bill_of_observed(seen, &nodes, arguments.retention, &prices), arguments.json)
    })
}

/// A time that is more than nothing, in seconds.
fn seconds(name: &str, time: Duration) -> Result<f64, Failure> {
    match time.is_zero() {
        true => Err(Failure::usage(format!("{name} must be more than nothing"))),
        false => Ok(time.as_secs_f64()),
    }
}

/// A size that is more than nothing.
fn bytes(name: &str, size: ByteSize) -> Result<f64, Failure> {
    match size.get() {
        0 => Err(Failure::usage(format!("{name} must be more than nothing"))),
        bytes => Ok(bytes as f64),
    }
}

/// The inputs of the model, or what makes no sense about them.
fn load_of(arguments: &Arguments) -> Result<Load, Failure> {
    if arguments.partitions == 0 || arguments.records_per_request == 0 {
        return Err(Failure::usage("partitions and records in a request are at least 1"));
    }
    let mut topics = arguments.topics.clone();
    if topics.is_empty() {
        topics.push(Topic {
            name: "all topics".to_owned(),
            records_per_second: arguments.records_per_second,
            record_bytes: bytes("--record-bytes", arguments.record_bytes)?,
            partitions: f64::from(arguments.partitions),
        });
    }
    let parts = match arguments.deployment {
        Deployment::Nodes => Parts::Nodes(nodes_of(&arguments.nodes, arguments.metrics.len())?),
        Deployment::Functions => Parts::Functions(functions_of(&arguments.functions)?),
    };
    Ok(Load {
        topics,
        records_per_request: f64::from(arguments.records_per_request),
        consumers: f64::from(arguments.consumers),
        behind: f64::from(arguments.behind) / 100.0,
        retention: seconds("--retention", arguments.retention)?,
        shards: f64::from(arguments.shards),
        compaction: !arguments.no_compaction,
        merge_bytes: bytes("--merge-bytes", arguments.merge_bytes)?,
        merge_age: seconds("--merge-age", arguments.merge_age)?,
        parts,
    })
}

fn nodes_of(nodes: &NodeArguments, seen: usize) -> Result<Nodes, Failure> {
    if nodes.nodes == Some(0) {
        return Err(Failure::usage("--nodes must be more than nothing"));
    }
    if !(nodes.node_processors.is_finite() && nodes.node_processors > 0.0) {
        return Err(Failure::usage("--node-processors must be more than nothing"));
    }
    let seen = u32::try_from(seen).unwrap_or(u32::MAX);
    let count = f64::from(nodes.nodes.unwrap_or(if seen == 0 { 3 } else { seen }));
    let chance = 1.0 - 1.0 / count.min(3.0);
    Ok(Nodes {
        count,
        processors: nodes.node_processors,
        memory_gibibytes: bytes("--node-memory", nodes.node_memory)? / GIBIBYTE,
        flush_interval: seconds("--flush-interval", nodes.flush_interval)?,
        flush_bytes: bytes("--flush-bytes", nodes.flush_bytes)?,
        inline_bytes: nodes.inline_bytes.get() as f64,
        producers_wait: nodes.producers_wait,
        load_balancer: !nodes.no_load_balancer,
        cross_zone: nodes.cross_zone.map_or(chance, |percent| f64::from(percent) / 100.0),
    })
}

fn functions_of(functions: &FunctionArguments) -> Result<Functions, Failure> {
    Ok(Functions {
        memory_gibibytes: bytes("--function-memory", functions.function_memory)? / GIBIBYTE,
        call_seconds: seconds("--call-time", functions.call_time)?,
        poll_seconds: seconds("--poll-interval", functions.poll_interval)?,
        compactor_interval: seconds("--compactor-interval", functions.compactor_interval)?,
        compactor_gibibytes: bytes("--compactor-memory", functions.compactor_memory)? / GIBIBYTE,
    })
}

fn bill_of_observed(mut seen: observed::Observed, nodes: &Nodes, retention: Duration, prices: &Prices) -> Bill {
    observed::complete(&mut seen, nodes, retention.as_secs_f64());
    let items = bill::items(&seen.usage, prices);
    let dollars: f64 = items.iter().map(|item| item.dollars_per_month).sum();
    let of_topics: f64 = seen.topics.iter().map(|(_, rate)| rate).sum();
    let mean_bytes = if seen.records_per_second > 0.0 { seen.bytes_per_second / seen.records_per_second } else { 0.0 };
    let topics = seen.topics.iter().filter(|_| of_topics > 0.0).map(|(topic, rate)| TopicShare {
        topic: topic.clone(),
        records_per_month: rate * MONTH_SECONDS,
        bytes_per_month: rate * MONTH_SECONDS * mean_bytes,
        dollars_per_month: dollars * rate / of_topics,
    });
    let notes = vec![
        format!("counted over {:.0} s; a month of the same is assumed", seen.seconds),
        "storage is what was written in that time, kept for --retention; topics share by records".to_owned(),
    ];
    bill::bill(items, topics.collect(), seen.records_per_second, prices, notes)
}

fn show(bill: &Bill, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print_json(bill);
    }
    let items = bill.items.iter().map(|item| {
        let quantity = format!("{} {}", amount(item.quantity_per_month), item.unit);
        vec![item.kind.to_owned(), item.name.to_owned(), quantity, dollars(item.dollars_per_month)]
    });
    let total = vec!["total".to_owned(), String::new(), String::new(), dollars(bill.dollars_per_month)];
    print_table(&["KIND", "WHAT", ">A MONTH", ">DOLLARS"], items.chain([total]))?;
    let mut out = std::io::stdout().lock();
    if bill.topics.len() > 1 {
        writeln!(out)?;
        drop(out);
        let rows = bill
            .topics
            .iter()
            .map(|topic| vec![topic.topic.clone(), amount(topic.records_per_month), dollars(topic.dollars_per_month)]);
        print_table(&["TOPIC", ">RECORDS", ">DOLLARS"], rows)?;
        out = std::io::stdout().lock();
    }
    writeln!(out)?;
    if let Some(each) = bill.dollars_per_million_records {
        writeln!(out, "{each:.4} dollars a million records")?;
    }
    for note in &bill.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(out, "prices of {}: {}", bill.prices_as_of, bill.prices_source)?;
    Ok(())
}

fn dollars(amount: f64) -> String {
    if amount > 0.0 && amount < 0.005 { "0.00+".to_owned() } else { format!("{amount:.2}") }
}

/// A large number as people say it.
fn amount(number: f64) -> String {
    match number {
        _ if number >= 1e9 => format!("{:.2} billion", number / 1e9),
        _ if number >= 1e6 => format!("{:.2} million", number / 1e6),
        _ if number >= 100.0 => format!("{number:.0}"),
        _ => format!("{number:.2}"),
    }
}
