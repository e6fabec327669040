//! Where a reset leads to: an offset for each partition.
//!
//! Invariants:
//! 1. No target lies outside of what the partition holds: an offset below the first record becomes that one's, one above the
//!    end becomes the end.
//! 2. A time after the last record means the end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::client::cluster::TopicMetadata;
use crate::client::group_admin::{Committed, NamedPartition};
use crate::client::offsets::OffsetPoint;
use crate::client::{ClientError, Cluster};
use crate::failure::Failure;

/// What to reset to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Earliest,
    Latest,
    Offset(i64),
    /// So many records on, or back.
    Shift(i64),
    /// Milliseconds since 1970.
    Time(i64),
    /// The same time ago.
    Ago(Duration),
    /// What is committed; the end where nothing is.
    Current,
    /// Offsets from a file.
    Listed(BTreeMap<NamedPartition, i64>),
}

/// The offsets of a target in partitions of one topic.
pub(super) async fn offsets(
    cluster: &mut Cluster,
    target: &Target,
    topic: &TopicMetadata,
    partitions: &[i32],
    committed: &BTreeMap<NamedPartition, Committed>,
) -> Result<BTreeMap<i32, i64>, Failure> {
    let earliest = cluster.offsets(topic, partitions, OffsetPoint::Earliest).await?;
    let latest = cluster.offsets(topic, partitions, OffsetPoint::Latest).await?;
    let at_time = match time_of(cluster, target) {
        Some(timestamp_ms) => cluster.offsets(topic, partitions, OffsetPoint::At(timestamp_ms)).await?,
        None => BTreeMap::new(),
    };
    let mut found = BTreeMap::new();
    for partition in partitions {
        let bounds = (offset_in(&earliest, topic, *partition)?, offset_in(&latest, topic, *partition)?);
        let at = (topic.name.clone(), *partition);
        let current = committed.get(&at).map(|committed| committed.offset);
        let wanted = match target {
            Target::Earliest => bounds.0,
            Target::Latest => bounds.1,
            Target::Offset(offset) => *offset,
            Target::Shift(records) => {
                let Some(current) = current else {
                    let name = &topic.name;
                    return Err(Failure::failed(format!(
                        "nothing is committed in topic {name}, partition {partition}: there is no offset to shift; \
                         choose another target or leave the partition out"
                    )));
                };
                current.saturating_add(*records)
            }
            // Where no record is that new, the answer is -1.
            Target::Time(_) | Target::Ago(_) => {
                at_time.get(partition).copied().filter(|offset| *offset >= 0).unwrap_or(bounds.1)
            }
            Target::Current => current.unwrap_or(bounds.1),
            Target::Listed(listed) => listed.get(&at).copied().unwrap_or(bounds.1),
        };
        found.insert(*partition, within(wanted, bounds, topic, *partition));
    }
    Ok(found)
}

fn time_of(cluster: &Cluster, target: &Target) -> Option<i64> {
    match target {
        Target::Time(timestamp_ms) => Some(*timestamp_ms),
        Target::Ago(duration) => {
            let ago_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
            Some(cluster.runtime().now_ms().saturating_sub(ago_ms).max(0))
        }
        _ => None,
    }
}

fn offset_in(offsets: &BTreeMap<i32, i64>, topic: &TopicMetadata, partition: i32) -> Result<i64, ClientError> {
    offsets.get(&partition).copied().ok_or_else(|| ClientError::Refused {
        what: format!("topic {}, partition {partition}", topic.name),
        code: alluvium_protocol::errors::ErrorCode::UnknownTopicOrPartition,
        message: String::new(),
    })
}

fn within(wanted: i64, (earliest, latest): (i64, i64), topic: &TopicMetadata, partition: i32) -> i64 {
    let clamped = wanted.clamp(earliest, latest.max(earliest));
    if clamped != wanted {
        let name = &topic.name;
        eprintln!(
            "{name}, partition {partition}: offset {wanted} is not from {earliest} to {latest}, taking {clamped}"
        );
    }
    clamped
}

/// Reads a time such as 2026-01-31T12:00:00Z; without a zone it is UTC.
pub(super) fn parse_time(text: &str) -> Result<i64, String> {
    let time = humantime::parse_rfc3339_weak(text.trim()).ok();
    let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    since
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .ok_or_else(|| "expected a time in UTC such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00.000".to_owned())
}

/// Reads `1h 30m`, or `PT1H30M` as Kafka's tool takes it.
pub(super) fn parse_ago(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let parsed = match text.strip_prefix(['P', 'p']) {
        Some(rest) => iso_duration(rest),
        None => humantime::parse_duration(text).ok(),
    };
    parsed.ok_or_else(|| "expected a duration such as 5m, 1h 30m or PT1H30M".to_owned())
}

/// What follows the P of an ISO 8601 duration: days, then after a T hours, minutes and seconds.
fn iso_duration(text: &str) -> Option<Duration> {
    let (days, times) = match text.split_once(['T', 't']) {
        Some((_, "")) => return None,
        Some((days, times)) => (days, times),
        None => (text, ""),
    };
    if days.is_empty() && times.is_empty() {
        return None;
    }
    let days = units(days, &[('D', 86_400.0)])?;
    let times = units(times, &[('H', 3_600.0), ('M', 60.0), ('S', 1.0)])?;
    Duration::try_from_secs_f64(days + times).ok()
}

/// The sum of numbers, each with its unit, units in this order.
fn units(mut text: &str, mut allowed: &[(char, f64)]) -> Option<f64> {
    let mut sum = 0.0;
    while !text.is_empty() {
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = text[..end].parse().ok()?;
        let unit = text[end..].chars().next()?;
        let index = allowed.iter().position(|(letter, _)| letter.eq_ignore_ascii_case(&unit))?;
        sum += number * allowed[index].1;
        allowed = &allowed[index + 1..];
        text = &text[end + unit.len_utf8()..];
    }
    Some(sum)
}

/// Reads lines of `topic,partition,offset`.
pub(super) fn parse_listed(text: &str) -> Result<BTreeMap<NamedPartition, i64>, String> {
    let mut listed = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let parsed = match fields[..] {
            [topic, partition, offset] if !topic.is_empty() => {
                let partition: Option<i32> = partition.parse().ok().filter(|partition| *partition >= 0);
                let offset: Option<i64> = offset.parse().ok().filter(|offset| *offset >= 0);
                partition.zip(offset).map(|(partition, offset)| ((topic.to_owned(), partition), offset))
            }
            _ => None,
        };
        let number = index + 1;
        let (at, offset) = parsed.ok_or_else(|| format!("line {number} is not topic,partition,offset: {line}"))?;
        if listed.insert(at, offset).is_some() {
            return Err(format!("line {number} names a partition again: {line}"));
        }
    }
    if listed.is_empty() { Err("there is nothing in it".to_owned()) } else { Ok(listed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_both_forms() {
        for (text, seconds) in [
            ("5m", 300),
            ("1h 30m", 5_400),
            ("PT1H30M", 5_400),
            ("P1DT1S", 86_401),
            ("p7d", 604_800),
            ("PT0.5H", 1_800),
        ] {
            assert_eq!(parse_ago(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "P", "PT", "P1H", "PT1D", "PT1M1H", "P1DT", "5", "later", "P-1D"] {
            assert!(parse_ago(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read() {
        assert_eq!(parse_time("1970-01-01T00:00:01Z"), Ok(1_000));
        assert_eq!(parse_time("1970-01-01T00:00:01.500"), Ok(1_500));
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn lists_of_offsets_are_read() {
        let listed = parse_listed("t,0,5\n\n\"u\", 1, 7\n").unwrap();
        assert_eq!(listed, BTreeMap::from([(("t".to_owned(), 0), 5), (("u".to_owned(), 1), 7)]));
        for wrong in ["", "t,0", "t,x,1", "t,0,-1", ",0,1", "t,0,1\nt,0,2"] {
            assert!(parse_listed(wrong).is_err(), "{wrong}");
        }
    }
}
