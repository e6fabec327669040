//! Where reading begins.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::client::cluster::TopicMetadata;
use crate::client::offsets::OffsetPoint;
use crate::client::{ClientError, Cluster};
use crate::failure::Failure;

/// A point to begin at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartPoint {
    Earliest,
    Latest,
    Offset(i64),
    /// So many records before the end of each partition.
    Last(i64),
    /// Milliseconds since 1970.
    Time(i64),
    /// Milliseconds before now.
    Age(i64),
}

impl FromStr for StartPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<StartPoint, String> {
        let text = text.trim();
        match text {
            "earliest" | "beginning" => return Ok(StartPoint::Earliest),
            "latest" | "end" => return Ok(StartPoint::Latest),
            _ => {}
        }
        let millis = |duration: std::time::Duration| i64::try_from(duration.as_millis()).ok();
        let point = match text.strip_prefix('-') {
            Some(rest) => {
                let last = rest.parse().ok().map(StartPoint::Last);
                last.or_else(|| humantime::parse_duration(rest).ok().and_then(millis).map(StartPoint::Age))
            }
            None => {
                let offset = text.parse().ok().map(StartPoint::Offset);
                offset.or_else(|| {
                    let time = humantime::parse_rfc3339_weak(text).ok()?;
                    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
                    millis(since).map(StartPoint::Time)
                })
            }
        };
        point.ok_or_else(|| {
            "expected earliest, latest, an offset, -N for the last N records, a time such as 2026-01-31T12:00:00Z, or \
             an age such as -5m"
                .to_owned()
        })
    }
}

/// The partitions to be read: those that were asked for, or all.
pub(super) fn partitions(topic: &TopicMetadata, asked: &[i32]) -> Result<Vec<i32>, Failure> {
    let all: Vec<i32> = topic.partitions.iter().map(|leader| leader.partition).collect();
    if let Some(missing) = asked.iter().find(|partition| !all.contains(partition)) {
        let (name, last) = (&topic.name, all.len().saturating_sub(1));
        return Err(Failure::failed(format!(
            "topic {name} has no partition {missing}: its partitions are 0 to {last}"
        )));
    }
    Ok(if asked.is_empty() { all } else { asked.to_vec() })
}

/// The offset of the point in each partition.
pub(super) async fn positions(
    cluster: &mut Cluster,
    topic: &TopicMetadata,
    partitions: &[i32],
    from: StartPoint,
) -> Result<BTreeMap<i32, i64>, ClientError> {
    let point = match from {
        StartPoint::Earliest => OffsetPoint::Earliest,
        StartPoint::Latest | StartPoint::Last(_) | StartPoint::Offset(_) => OffsetPoint::Latest,
        StartPoint::Time(timestamp_ms) => OffsetPoint::At(timestamp_ms),
        StartPoint::Age(millis) => OffsetPoint::At((cluster.runtime().now_ms() - millis).max(0)),
    };
    let mut found = cluster.offsets(topic, partitions, point).await?;
    match from {
        StartPoint::Earliest | StartPoint::Latest => {}
        StartPoint::Offset(offset) => {
            // A position behind the end could not be read from; there is nothing to print there either.
            found.values_mut().for_each(|end| *end = offset.min(*end));
        }
        StartPoint::Last(count) => {
            let earliest = cluster.offsets(topic, partitions, OffsetPoint::Earliest).await?;
            for (partition, end) in &mut found {
                *end = (*end - count).max(earliest.get(partition).copied().unwrap_or_default());
            }
        }
        StartPoint::Time(_) | StartPoint::Age(_) => {
            // Where no record is that new, reading begins at the end.
            let latest = cluster.offsets(topic, partitions, OffsetPoint::Latest).await?;
            for (partition, offset) in found.iter_mut().filter(|(_, offset)| **offset < 0) {
                *offset = latest.get(partition).copied().unwrap_or_default();
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_understood() {
        for (text, point) in [
            ("earliest", StartPoint::Earliest),
            ("latest", StartPoint::Latest),
            ("42", StartPoint::Offset(42)),
            ("-10", StartPoint::Last(10)),
            ("-5m", StartPoint::Age(300_000)),
            ("-1h 30m", StartPoint::Age(5_400_000)),
            ("1970-01-01T00:00:01Z", StartPoint::Time(1_000)),
            ("1970-01-02 00:00:00", StartPoint::Time(86_400_000)),
        ] {
            assert_eq!(text.parse(), Ok(point), "{text}");
        }
        assert!("yesterday".parse::<StartPoint>().is_err());
    }
}
