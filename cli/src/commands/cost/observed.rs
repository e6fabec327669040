//! What a running cluster uses, from the counters of its nodes.
//!
//! Invariants:
//! 1. A rate is what was counted divided by the time in which it was: since the start of the process, or between two looks.
//! 2. Nothing is made up: what nodes do not count (what the bucket holds) follows from bytes written and the retention.

use std::collections::BTreeMap;
use std::time::Duration;

use alluvium_infra::Runtime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::load::Nodes;
use super::model::Usage;
use crate::failure::Failure;

const PAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const PAGE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Samples by name and labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    samples: BTreeMap<String, f64>,
}

impl Page {
    /// The text format of Prometheus.
    pub(super) fn parse(text: &str) -> Page {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Page { samples: lines.filter_map(sample).collect() }
    }

    /// The sum of all samples of a metric whose labels have all of these.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        self.of(name).filter(|(key, _)| wanted.iter().all(|label| key.contains(label))).map(|(_, value)| value).sum()
    }

    fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.samples
            .iter()
            .filter(move |(key, _)| key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{')))
            .map(|(key, value)| (key.as_str(), *value))
    }

    /// Requests to the store of these operations.
    pub(super) fn requests(&self, operations: &[&str]) -> f64 {
        let of = |operation: &&str| self.sum("alluvium_store_requests_total", &[("operation", operation)]);
        operations.iter().map(of).sum()
    }

    fn topics(&self) -> BTreeMap<String, f64> {
        let topic = |key: &str| Some(key.split_once("topic=\"")?.1.split_once('"')?.0.to_owned());
        self.of("alluvium_topic_records_total").filter_map(|(key, value)| Some((topic(key)?, value))).collect()
    }
}

/// Operations that are billed as PUT.
pub(super) const PUTS: [&str; 5] = ["put_if_absent", "put", "begin_upload", "put_part", "finish_upload"];
/// Operations that are billed as GET.
pub(super) const GETS: [&str; 2] = ["get", "get_range"];

/// What was seen of a cluster.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) usage: Usage,
    pub(super) records_per_second: f64,
    pub(super) bytes_per_second: f64,
    /// Records a second by topic.
    pub(super) topics: Vec<(String, f64)>,
    /// The longest time that a node was looked at.
    pub(super) seconds: f64,
}

/// Looks at all nodes; with `over`, twice.
pub(super) async fn look(urls: &[String], over: Option<Duration>, runtime: &Runtime) -> Result<Observed, Failure> {
    let first = pages(urls, runtime).await?;
    let now = runtime.now_ms() as f64 / 1_000.0;
    let began = |page: &Page| page.sum("process_start_time_seconds", &[]);
    let Some(over) = over else {
        let spans: Vec<f64> = first.iter().map(|page| (now - began(page)).max(1.0)).collect();
        let nothing = vec![Page::default(); first.len()];
        return Ok(between(&nothing, &first, &spans));
    };
    let begun = runtime.monotonic();
    runtime.sleep(over).await;
    let second = pages(urls, runtime).await?;
    let span = runtime.monotonic().saturating_duration_since(begun).as_secs_f64();
    if first.iter().zip(&second).any(|(before, after)| began(before) < began(after)) {
        return Err(Failure::failed("a node was started anew meanwhile: its counters began at nothing. Look again"));
    }
    Ok(between(&first, &second, &vec![span; second.len()]))
}

/// The rates between two looks at each node.
pub(super) fn between(before: &[Page], after: &[Page], spans: &[f64]) -> Observed {
    let rate = |count: &dyn Fn(&Page) -> f64| -> f64 {
        before.iter().zip(after).zip(spans).map(|((before, after), span)| (count(after) - count(before)) / span).sum()
    };
    let usage = Usage {
        puts: rate(&|page| page.requests(&PUTS)),
        gets: rate(&|page| page.requests(&GETS)),
        lists: rate(&|page| page.requests(&["list"])),
        deletes: rate(&|page| page.requests(&["delete", "abort_upload"])),
        entries: rate(&|page| page.sum("alluvium_shard_entries_applied_total", &[("source", "own")])),
        load_balancer_bytes: rate(&|page| {
            page.sum("alluvium_kafka_received_bytes_total", &[]) + page.sum("alluvium_kafka_sent_bytes_total", &[])
        }),
        ..Usage::default()
    };
    // All nodes tell the same of a topic: one of them is asked, the one that was looked at longest.
    let longest = (0..after.len()).max_by(|one, other| spans[*one].total_cmp(&spans[*other]));
    let topics = longest.map_or_else(Vec::new, |node| {
        let was = before[node].topics();
        let records = |(topic, count): (String, f64)| {
            let earlier = was.get(&topic).copied().unwrap_or(0.0);
            (topic, ((count - earlier) / spans[node]).max(0.0))
        };
        after[node].topics().into_iter().map(records).collect()
    });
    Observed {
        usage,
        records_per_second: rate(&|page| page.sum("alluvium_produce_records_total", &[])),
        bytes_per_second: rate(&|page| page.sum("alluvium_produce_record_bytes_total", &[])),
        topics,
        seconds: spans.iter().copied().fold(0.0, f64::max),
    }
}

/// Completes what counters do not tell by what the nodes are.
pub(super) fn complete(observed: &mut Observed, nodes: &Nodes, retention_seconds: f64) {
    let usage = &mut observed.usage;
    usage.stored_bytes = observed.bytes_per_second * retention_seconds;
    usage.node_processors = nodes.count * nodes.processors;
    usage.node_gibibytes = nodes.count * nodes.memory_gibibytes;
    usage.zone_bytes = usage.load_balancer_bytes * nodes.cross_zone;
    if nodes.load_balancer {
        usage.load_balancers = 1.0;
    } else {
        usage.load_balancer_bytes = 0.0;
    }
}

async fn pages(urls: &[String], runtime: &Runtime) -> Result<Vec<Page>, Failure> {
    let mut pages = Vec::new();
    for url in urls {
        let fetched = runtime.timeout(PAGE_WAIT_MAX, fetch(url)).await;
        let text = match fetched {
            Ok(Ok(text)) => text,
            Ok(Err(reason)) => return Err(Failure::failed(format!("{url}: {reason}"))),
            Err(_elapsed) => return Err(Failure::failed(format!("{url}: no answer in {PAGE_WAIT_MAX:?}"))),
        };
        let page = Page::parse(&text);
        if page.of("alluvium_store_requests_total").next().is_none() {
            return Err(Failure::failed(format!("{url} has no metrics of alluvium: see --http-listen")));
        }
        pages.push(page);
    }
    Ok(pages)
}

/// One page over plain HTTP 1.0, which is all that a node's metrics need.
async fn fetch(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("http://").ok_or("only http:// is understood")?;
    let (address, path) = rest.split_once('/').unwrap_or((rest, "metrics"));
    let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let path = if path.is_empty() { "metrics" } else { path };
    let request = format!("GET /{path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.take(PAGE_BYTES_MAX).read_to_string(&mut answer).await.map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("the answer is not HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") { Ok(body.to_owned()) } else { Err(format!("it answers {status}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "# HELP x y\nalluvium_store_requests_total{operation=\"put\",outcome=\"ok\"} 10\n\
        alluvium_store_requests_total{operation=\"put_if_absent\",outcome=\"ok\"} 100\n\
        alluvium_store_requests_total{operation=\"put_if_absent\",outcome=\"lost\"} 1\n\
        alluvium_store_requests_total{operation=\"get\",outcome=\"absent\"} 7\n\
        alluvium_topic_records_total{topic=\"orders\"} 1000\nalluvium_produce_records_total 1000\n";

    #[test]
    fn rates_are_what_was_counted_meanwhile() {
        let after = BEFORE.replace(" 100\n", " 200\n").replace(" 1000\n", " 3000\n");
        let observed = between(&[Page::parse(BEFORE)], &[Page::parse(&after)], &[10.0]);
        assert_eq!((observed.usage.puts, observed.usage.gets), (10.0, 0.0));
        assert_eq!(observed.topics, [("orders".to_owned(), 200.0)]);
        assert_eq!(observed.records_per_second, 200.0);
        let since_start = between(&[Page::default()], &[Page::parse(BEFORE)], &[10.0]);
        assert_eq!((since_start.usage.puts, since_start.usage.gets), (11.1, 0.7));
    }

    #[test]
    fn names_are_whole() {
        let page = Page::parse("alluvium_topic_records_total{topic=\"a\"} 1\nalluvium_topic_records_total_of 5\n");
        assert_eq!(page.sum("alluvium_topic_records_total", &[]), 1.0);
    }
}
