//! The text format of Prometheus, version 0.0.4.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::LatencySnapshot;

/// Exported latency buckets end at two to the power of these many microseconds: from 256 us to 33.6 s.
const EXPORTED_DOUBLINGS: std::ops::RangeInclusive<usize> = 8..=25;

/// What kind of numbers a metric has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows while the process lives; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Seconds in cumulative buckets, with `_bucket`, `_sum` and `_count`.
    Histogram,
}

impl MetricKind {
    /// Its name in the text format.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }
}

/// The definition of a metric.
#[derive(Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name, with its base unit as suffix.
    pub name: &'static str,
    /// What kind of numbers it has.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it says, in one sentence.
    pub meaning: &'static str,
}

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A count.
    Whole(u64),
    /// A difference.
    Signed(i64),
    /// Seconds, dollars.
    Real(f64),
}

macro_rules! numbers {
    ($($from:ty => $into:ident as $wide:ty),+) => {
        $(impl From<$from> for Number {
            fn from(value: $from) -> Number {
                Number::$into(value as $wide)
            }
        })+
    };
}

numbers!(u64 => Whole as u64, u32 => Whole as u64, usize => Whole as u64, bool => Whole as u64, i64 => Signed as i64, f64 => Real as f64);

/// The text of one scrape.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    written: BTreeSet<&'static str>,
}

impl Exposition {
    /// The value of the `Content-Type` header.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// An empty text.
    pub fn new() -> Exposition {
        Exposition::default()
    }

    /// Begins a metric; all its samples are added before the next one begins.
    pub fn family(&mut self, metric: &'static Metric) -> Family<'_> {
        let first = self.written.insert(metric.name);
        debug_assert!(first, "{} is written twice", metric.name);
        let help = metric.meaning.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing into a string cannot fail.
        let _written =
            writeln!(self.text, "# HELP {} {help}\n# TYPE {} {}", metric.name, metric.name, metric.kind.name());
        Family { text: &mut self.text, metric }
    }

    /// A metric with one sample and no labels.
    pub fn value(&mut self, metric: &'static Metric, value: impl Into<Number>) {
        self.family(metric).value(&[], value);
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// A metric whose samples are being written.
#[derive(Debug)]
pub struct Family<'a> {
    text: &'a mut String,
    metric: &'static Metric,
}

impl Family<'_> {
    /// Adds a sample, with the values of the metric's labels in their order.
    pub fn value(&mut self, labels: &[&str], value: impl Into<Number>) {
        debug_assert!(self.metric.kind != MetricKind::Histogram, "{} is a histogram", self.metric.name);
        self.sample("", labels, None, value.into());
    }

    /// Adds latencies, with the values of the metric's labels in their order.
    pub fn latencies(&mut self, labels: &[&str], latencies: &LatencySnapshot) {
        debug_assert!(self.metric.kind == MetricKind::Histogram, "{} is no histogram", self.metric.name);
        for doubling in EXPORTED_DOUBLINGS {
            let end = ((1_u64 << doubling) as f64 / 1e6).to_string();
            self.sample("_bucket", labels, Some(&end), Number::Whole(latencies.below_doubling(doubling)));
        }
        let count = Number::Whole(latencies.count());
        self.sample("_bucket", labels, Some("+Inf"), count);
        self.sample("_sum", labels, None, Number::Real(latencies.total().as_secs_f64()));
        self.sample("_count", labels, None, count);
    }

    fn sample(&mut self, suffix: &str, labels: &[&str], bucket_end: Option<&str>, value: Number) {
        debug_assert_eq!(labels.len(), self.metric.labels.len(), "labels of {}", self.metric.name);
        self.text.push_str(self.metric.name);
        self.text.push_str(suffix);
        let end = bucket_end.map(|end| ("le", end));
        let mut separator = '{';
        for (name, value) in self.metric.labels.iter().copied().zip(labels.iter().copied()).chain(end) {
            self.text.push(separator);
            separator = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            for letter in value.chars() {
                match letter {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if separator == ',' {
            self.text.push('}');
        }
        // Writing into a string cannot fail.
        let _written = match value {
            Number::Whole(value) => writeln!(self.text, " {value}"),
            Number::Signed(value) => writeln!(self.text, " {value}"),
            Number::Real(value) => writeln!(self.text, " {value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Latencies;
    use super::*;

    static PLAIN: Metric = Metric { name: "a_bytes", kind: MetricKind::Gauge, labels: &[], meaning: "Bytes\nof \\ a." };
    static LABELLED: Metric =
        Metric { name: "b_total", kind: MetricKind::Counter, labels: &["one", "two"], meaning: "All b." };
    static TIMED: Metric =
        Metric { name: "c_seconds", kind: MetricKind::Histogram, labels: &["api"], meaning: "Times of c." };

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut exposition = Exposition::new();
        exposition.value(&PLAIN, -3_i64);
        let mut family = exposition.family(&LABELLED);
        family.value(&["x", "y\"\\\n"], 7_u64);
        family.value(&["", "z"], 0.5);
        assert_eq!(
            exposition.into_text(),
            "# HELP a_bytes Bytes\\nof \\\\ a.\n# TYPE a_bytes gauge\na_bytes -3\n\
             # HELP b_total All b.\n# TYPE b_total counter\nb_total{one=\"x\",two=\"y\\\"\\\\\\n\"} 7\nb_total{one=\"\",two=\"z\"} 0.5\n"
        );
    }

    #[test]
    fn latencies_become_cumulative_buckets() {
        let latencies = Latencies::new();
        for latency_us in [100, 300, 40_000_000] {
            latencies.record(Duration::from_micros(latency_us));
        }
        let mut exposition = Exposition::new();
        exposition.family(&TIMED).latencies(&["Fetch"], &latencies.snapshot());
        let text = exposition.into_text();
        for line in [
            "c_seconds_bucket{api=\"Fetch\",le=\"0.000256\"} 1",
            "c_seconds_bucket{api=\"Fetch\",le=\"0.000512\"} 2",
            "c_seconds_bucket{api=\"Fetch\",le=\"33.554432\"} 2",
            "c_seconds_bucket{api=\"Fetch\",le=\"+Inf\"} 3",
            "c_seconds_sum{api=\"Fetch\"} 40.0004",
            "c_seconds_count{api=\"Fetch\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    #[should_panic(expected = "a_bytes is written twice")]
    fn a_metric_is_written_once() {
        let mut exposition = Exposition::new();
        exposition.value(&PLAIN, 1_u64);
        exposition.value(&PLAIN, 2_u64);
    }
}
