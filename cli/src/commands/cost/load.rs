//! What is asked of a cluster, and what it is made of: the inputs of the model.

use alluvium_infra::settings::ByteSize;
use clap::ValueEnum;

/// The longest time that a commit is reckoned with: a small PUT to S3, median.
pub(super) const COMMIT_SECONDS: f64 = 0.045;

/// A topic and its load.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) records_per_second: f64,
    pub(super) record_bytes: f64,
    pub(super) partitions: f64,
}

impl Topic {
    pub(super) fn bytes_per_second(&self) -> f64 {
        self.records_per_second * self.record_bytes
    }
}

/// A topic as it is given: `NAME=RECORDS_PER_SECOND[,RECORD_BYTES[,PARTITIONS]]`.
pub(super) fn topic(text: &str) -> Result<Topic, String> {
    let form = || "write NAME=RECORDS_PER_SECOND,RECORD_BYTES,PARTITIONS, such as orders=500,1KiB,12".to_owned();
    let (name, rest) = text.split_once('=').ok_or_else(form)?;
    let parts: Vec<&str> = rest.split(',').collect();
    let (rate, bytes, partitions) = match parts[..] {
        [rate] => (rate, "1KiB", "1"),
        [rate, bytes] => (rate, bytes, "1"),
        [rate, bytes, partitions] => (rate, bytes, partitions),
        _ => return Err(form()),
    };
    let record_bytes: ByteSize = bytes.parse().map_err(|error| format!("{error}"))?;
    let partitions: u32 = partitions.parse().map_err(|_no_number| form())?;
    if name.is_empty() || partitions == 0 || record_bytes.get() == 0 {
        return Err(form());
    }
    Ok(Topic {
        name: name.to_owned(),
        records_per_second: rate_per_second(rate)?,
        record_bytes: record_bytes.get() as f64,
        partitions: f64::from(partitions),
    })
}

/// A number of events in a second: not negative.
pub(super) fn rate_per_second(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate >= 0.0 => Ok(rate),
        _ => Err(format!("\"{text}\" is no number of records in a second")),
    }
}

/// What runs Alluvium.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Deployment {
    /// Nodes for Kafka clients
    Nodes,
    /// Functions behind HTTP
    Functions,
}

/// Everything that the model looks at. Rates are per second, times are seconds, sizes bytes.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) topics: Vec<Topic>,
    /// Records that a client sends in one request.
    pub(super) records_per_request: f64,
    /// How often each record is read.
    pub(super) consumers: f64,
    /// The part of what is read that comes out of the bucket and not out of memory, 0 to 1.
    pub(super) behind: f64,
    pub(super) retention: f64,
    pub(super) shards: f64,
    pub(super) compaction: bool,
    pub(super) merge_bytes: f64,
    pub(super) merge_age: f64,
    pub(super) parts: Parts,
}

/// What the cluster is made of.
#[derive(Clone, Debug)]
pub(super) enum Parts {
    Nodes(Nodes),
    Functions(Functions),
}

#[derive(Clone, Debug)]
pub(super) struct Nodes {
    pub(super) count: f64,
    pub(super) processors: f64,
    pub(super) memory_gibibytes: f64,
    pub(super) flush_interval: f64,
    pub(super) flush_bytes: f64,
    pub(super) inline_bytes: f64,
    /// Each producer waits for an answer before it sends more, so that flushes need not wait for the interval.
    pub(super) producers_wait: bool,
    pub(super) load_balancer: bool,
    /// The part of what clients send and receive that crosses zones, 0 to 1.
    pub(super) cross_zone: f64,
}

#[derive(Clone, Debug)]
pub(super) struct Functions {
    pub(super) memory_gibibytes: f64,
    /// How long an invocation takes.
    pub(super) call_seconds: f64,
    /// How often each consumer asks for more.
    pub(super) poll_seconds: f64,
    pub(super) compactor_interval: f64,
    pub(super) compactor_gibibytes: f64,
}

impl Load {
    pub(super) fn records_per_second(&self) -> f64 {
        self.topics.iter().map(|topic| topic.records_per_second).sum()
    }

    pub(super) fn bytes_per_second(&self) -> f64 {
        self.topics.iter().map(Topic::bytes_per_second).sum()
    }

    pub(super) fn requests_per_second(&self) -> f64 {
        self.records_per_second() / self.records_per_request
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read() {
        let orders = topic("orders=500,2KiB,12").unwrap();
        assert_eq!((orders.name.as_str(), orders.records_per_second, orders.record_bytes), ("orders", 500.0, 2048.0));
        assert_eq!(orders.partitions, 12.0);
        assert_eq!(topic("clicks=0.5").unwrap().record_bytes, 1024.0);
        for wrong in ["orders", "=5", "a=-1", "a=x", "a=1,0B", "a=1,1KiB,0", "a=1,1KiB,1,1", "a=inf"] {
            assert!(topic(wrong).is_err(), "{wrong}");
        }
    }
}
