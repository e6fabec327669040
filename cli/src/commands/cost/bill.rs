//! From usage and prices to dollars a month, as a whole, by item and by topic.
//!
//! Invariant: the topics' dollars add up to the whole.

use serde::Serialize;

use super::load::Load;
use super::model::{MONTH_SECONDS, Usage};
use super::prices::{GIGABYTE, Prices};

/// A line of the bill.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Item {
    pub(super) kind: &'static str,
    pub(super) name: &'static str,
    pub(super) quantity_per_month: f64,
    pub(super) unit: &'static str,
    pub(super) dollars_per_month: f64,
}

/// A topic's part.
#[derive(Clone, Debug, Serialize)]
pub(super) struct TopicShare {
    pub(super) topic: String,
    pub(super) records_per_month: f64,
    pub(super) bytes_per_month: f64,
    pub(super) dollars_per_month: f64,
}

/// What a month costs.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Bill {
    pub(super) dollars_per_month: f64,
    pub(super) dollars_per_million_records: Option<f64>,
    pub(super) items: Vec<Item>,
    pub(super) topics: Vec<TopicShare>,
    pub(super) prices_source: String,
    pub(super) prices_as_of: String,
    pub(super) notes: Vec<String>,
}

/// The lines of the bill; what is not used has none.
pub(super) fn items(usage: &Usage, prices: &Prices) -> Vec<Item> {
    let mut items = requests_and_storage(usage, prices);
    items.extend(compute(usage, prices));
    items.extend(network(usage, prices));
    items.retain(|item| item.quantity_per_month > 0.0);
    items
}

const MONTH_HOURS: f64 = MONTH_SECONDS / 3_600.0;

/// A line of so many at a price each.
fn line(kind: &'static str, name: &'static str, quantity_per_month: f64, unit: &'static str, price: f64) -> Item {
    Item { kind, name, quantity_per_month, unit, dollars_per_month: quantity_per_month * price }
}

fn requests_and_storage(usage: &Usage, prices: &Prices) -> Vec<Item> {
    let requests =
        |name, rate: f64, thousand: f64| line("requests", name, rate * MONTH_SECONDS, "requests", thousand / 1_000.0);
    let mut bucket = line("storage", "bucket", usage.stored_bytes / GIGABYTE, "GB", 0.0);
    bucket.dollars_per_month = prices.storage(usage.stored_bytes);
    vec![
        requests("PUT", usage.puts, prices.requests.put),
        requests("GET", usage.gets, prices.requests.get),
        requests("LIST", usage.lists, prices.requests.list),
        requests("DELETE", usage.deletes, prices.requests.delete),
        bucket,
    ]
}

fn compute(usage: &Usage, prices: &Prices) -> Vec<Item> {
    let (nodes, functions) = (&prices.nodes, &prices.functions);
    let requests = usage.function_requests * MONTH_SECONDS;
    let log = requests * functions.log_bytes_per_request / GIGABYTE;
    let time = usage.function_gibibyte_seconds * MONTH_SECONDS;
    let runs = usage.schedules * MONTH_SECONDS;
    let compute = |name, quantity, unit, price| line("compute", name, quantity, unit, price);
    vec![
        compute("nodes: processors", usage.node_processors * MONTH_HOURS, "hours", nodes.processor_hour),
        compute("nodes: memory", usage.node_gibibytes * MONTH_HOURS, "GiB hours", nodes.gibibyte_hour),
        compute("functions: requests", requests, "requests", functions.request_million / 1e6),
        compute("functions: time", time, "GiB seconds", functions.gibibyte_second),
        compute("functions: schedule", runs, "runs", functions.schedule_million / 1e6),
        compute("functions: logs", log, "GB", functions.log_gigabyte),
    ]
}

fn network(usage: &Usage, prices: &Prices) -> Vec<Item> {
    let balancer = &prices.load_balancer;
    let gigabytes = |rate: f64| rate * MONTH_SECONDS / GIGABYTE;
    let network = |name, quantity, unit, price| line("network", name, quantity, unit, price);
    vec![
        network("load balancer", usage.load_balancers * MONTH_HOURS, "hours", balancer.hour),
        // A capacity unit is a GB in an hour.
        network("load balancer: bytes", gigabytes(usage.load_balancer_bytes), "GB", balancer.capacity_unit_hour),
        network("between zones", gigabytes(usage.zone_bytes), "GB", prices.network.zone_gigabyte),
    ]
}

/// What all lines come to. The sum of no lines is 0, and not -0 as that of no numbers.
fn total(items: &[Item]) -> f64 {
    items.iter().fold(0.0, |sum, item| sum + item.dollars_per_month)
}

/// The bill of a load.
pub(super) fn of_load(load: &Load, usage: &Usage, prices: &Prices, notes: Vec<String>) -> Bill {
    let items = items(usage, prices);
    let dollars = total(&items);
    let storage: f64 = items.iter().filter(|item| item.kind == "storage").map(|item| item.dollars_per_month).sum();
    let bytes = load.bytes_per_second();
    let topics = load
        .topics
        .iter()
        .map(|topic| {
            // What is kept and what is sent goes by bytes; requests and machines are shared in the same way.
            let part = if bytes > 0.0 { topic.bytes_per_second() / bytes } else { 1.0 / load.topics.len() as f64 };
            TopicShare {
                topic: topic.name.clone(),
                records_per_month: topic.records_per_second * MONTH_SECONDS,
                bytes_per_month: topic.bytes_per_second() * MONTH_SECONDS,
                dollars_per_month: part * storage + part * (dollars - storage),
            }
        })
        .collect();
    bill(items, topics, load.records_per_second(), prices, notes)
}

/// A bill from its parts.
pub(super) fn bill(
    items: Vec<Item>,
    topics: Vec<TopicShare>,
    records_per_second: f64,
    prices: &Prices,
    notes: Vec<String>,
) -> Bill {
    let dollars = total(&items);
    let millions = records_per_second * MONTH_SECONDS / 1e6;
    Bill {
        dollars_per_month: dollars,
        dollars_per_million_records: (millions > 0.0).then(|| dollars / millions),
        items,
        topics,
        prices_source: prices.source.clone(),
        prices_as_of: prices.as_of.clone(),
        notes,
    }
}
