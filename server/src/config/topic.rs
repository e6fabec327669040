//! The table of topic configurations of Apache Kafka 4.2, with one of our own, and the checks on their values.
//!
//! In effect: `max.message.bytes` and `message.timestamp.type` where records come in; `cleanup.policy`, `retention.ms`, `retention.bytes`,
//! `delete.retention.ms`, `min.cleanable.dirty.ratio`, `min.compaction.lag.ms`, `max.compaction.lag.ms` and our own in the compactor. The
//! others are kept, checked and reported as set; the ones that speak of local disks (`segment.*`, `flush.*`, `preallocate`, ...) have nothing to act on here.

use std::collections::BTreeMap;

use super::{Allowed, ConfigSource, ConfigType, DescribedConfig, Synonym};

/// One row of the table.
#[derive(Debug)]
pub(crate) struct TopicConfig {
    pub(crate) name: &'static str,
    pub(crate) kind: ConfigType,
    pub(crate) default: &'static str,
    pub(crate) allowed: Allowed,
    /// The broker-wide name of the same setting.
    pub(crate) broker_name: Option<&'static str>,
    pub(crate) documentation: &'static str,
}

const fn row(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    allowed: Allowed,
    broker_name: &'static str,
    documentation: &'static str,
) -> TopicConfig {
    let broker_name = if broker_name.is_empty() { None } else { Some(broker_name) };
    TopicConfig { name, kind, default, allowed, broker_name, documentation }
}

const FOREVER: &str = "9223372036854775807";

/// Every topic configuration, sorted by name.
pub(crate) static TOPIC_CONFIGS: &[TopicConfig] = &[
    row(
        alluvium_table::VALUE_COLUMNS_CONFIG,
        ConfigType::String,
        "",
        Allowed::ValueColumns,
        "",
        "Columns of the Parquet files out of values that are JSON: name:type or name:type:/json/pointer, separated by commas.",
    ),
    row(
        "cleanup.policy",
        ConfigType::List,
        "delete",
        Allowed::OneOf(&["compact", "delete"]),
        "log.cleanup.policy",
        "What becomes of old records: delete drops them by age and size, compact keeps the last record of each key.",
    ),
    row(
        "compression.gzip.level",
        ConfigType::Int,
        "-1",
        Allowed::LevelOrDefault(1, 9),
        "compression.gzip.level",
        "Level used when compression.type is gzip.",
    ),
    row(
        "compression.lz4.level",
        ConfigType::Int,
        "9",
        Allowed::Between(1, 17),
        "compression.lz4.level",
        "Level used when compression.type is lz4.",
    ),
    row(
        "compression.type",
        ConfigType::String,
        "producer",
        Allowed::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        "compression.type",
        "Codec of the topic. Record batches are kept as the producer compressed them.",
    ),
    row(
        "compression.zstd.level",
        ConfigType::Int,
        "3",
        Allowed::Between(-131_072, 22),
        "compression.zstd.level",
        "Level used when compression.type is zstd.",
    ),
    row(
        "delete.retention.ms",
        ConfigType::Long,
        "86400000",
        Allowed::AtLeast(0),
        "log.cleaner.delete.retention.ms",
        "How long delete markers of compacted topics are kept.",
    ),
    row(
        "file.delete.delay.ms",
        ConfigType::Long,
        "60000",
        Allowed::AtLeast(0),
        "log.segment.delete.delay.ms",
        "Time before a file is removed. Nothing is on a local disk here.",
    ),
    row(
        "flush.messages",
        ConfigType::Long,
        FOREVER,
        Allowed::AtLeast(1),
        "log.flush.interval.messages",
        "Records between forced flushes. Every acknowledged record is already in the object store.",
    ),
    row(
        "flush.ms",
        ConfigType::Long,
        FOREVER,
        Allowed::AtLeast(0),
        "log.flush.interval.ms",
        "Time between forced flushes. Every acknowledged record is already in the object store.",
    ),
    row(
        "follower.replication.throttled.replicas",
        ConfigType::List,
        "",
        Allowed::Any,
        "",
        "Replicas throttled on the follower side. The object store replicates here.",
    ),
    row(
        "index.interval.bytes",
        ConfigType::Int,
        "4096",
        Allowed::AtLeast(0),
        "log.index.interval.bytes",
        "How often an index entry is added.",
    ),
    row(
        "leader.replication.throttled.replicas",
        ConfigType::List,
        "",
        Allowed::Any,
        "",
        "Replicas throttled on the leader side. The object store replicates here.",
    ),
    row(
        "local.retention.bytes",
        ConfigType::Long,
        "-2",
        Allowed::AtLeast(-2),
        "log.local.retention.bytes",
        "Size kept on local disks under tiered storage; -2 means retention.bytes.",
    ),
    row(
        "local.retention.ms",
        ConfigType::Long,
        "-2",
        Allowed::AtLeast(-2),
        "log.local.retention.ms",
        "Time kept on local disks under tiered storage; -2 means retention.ms.",
    ),
    row(
        "max.compaction.lag.ms",
        ConfigType::Long,
        FOREVER,
        Allowed::AtLeast(1),
        "log.cleaner.max.compaction.lag.ms",
        "The longest time a record may stay out of compaction.",
    ),
    row(
        "max.message.bytes",
        ConfigType::Int,
        "1048588",
        Allowed::AtLeast(0),
        "message.max.bytes",
        "The largest record batch accepted, after compression.",
    ),
    row(
        "message.timestamp.after.max.ms",
        ConfigType::Long,
        "3600000",
        Allowed::AtLeast(0),
        "log.message.timestamp.after.max.ms",
        "How far a record's timestamp may be ahead of the broker's clock.",
    ),
    row(
        "message.timestamp.before.max.ms",
        ConfigType::Long,
        FOREVER,
        Allowed::AtLeast(0),
        "log.message.timestamp.before.max.ms",
        "How far a record's timestamp may be behind the broker's clock.",
    ),
    row(
        "message.timestamp.type",
        ConfigType::String,
        "CreateTime",
        Allowed::OneOf(&["CreateTime", "LogAppendTime"]),
        "log.message.timestamp.type",
        "Whether records carry the producer's time or the time of the append.",
    ),
    row(
        "min.cleanable.dirty.ratio",
        ConfigType::Double,
        "0.5",
        Allowed::Ratio,
        "log.cleaner.min.cleanable.ratio",
        "How much of a log must be dirty before compaction.",
    ),
    row(
        "min.compaction.lag.ms",
        ConfigType::Long,
        "0",
        Allowed::AtLeast(0),
        "log.cleaner.min.compaction.lag.ms",
        "The shortest time a record stays out of compaction.",
    ),
    row(
        "min.insync.replicas",
        ConfigType::Int,
        "1",
        Allowed::AtLeast(1),
        "min.insync.replicas",
        "Replicas that must have a record before acks=all is answered. The object store replicates here.",
    ),
    row(
        "preallocate",
        ConfigType::Boolean,
        "false",
        Allowed::Any,
        "log.preallocate",
        "Whether files are preallocated. Nothing is on a local disk here.",
    ),
    row(
        "remote.log.copy.disable",
        ConfigType::Boolean,
        "false",
        Allowed::Any,
        "",
        "Whether tiered storage stops copying. All data is in the object store here.",
    ),
    row(
        "remote.log.delete.on.disable",
        ConfigType::Boolean,
        "false",
        Allowed::Any,
        "",
        "Whether tiered data is deleted when tiered storage is switched off.",
    ),
    row(
        "remote.storage.enable",
        ConfigType::Boolean,
        "false",
        Allowed::Any,
        "",
        "Whether tiered storage is on. All data is in the object store here.",
    ),
    row(
        "retention.bytes",
        ConfigType::Long,
        "-1",
        Allowed::AtLeast(-1),
        "log.retention.bytes",
        "The size a partition may reach before old records are dropped; -1 is no limit.",
    ),
    row(
        "retention.ms",
        ConfigType::Long,
        "604800000",
        Allowed::AtLeast(-1),
        "log.retention.ms",
        "The age at which records are dropped; -1 is no limit.",
    ),
    row(
        "segment.bytes",
        ConfigType::Int,
        "1073741824",
        Allowed::AtLeast(1_048_576),
        "log.segment.bytes",
        "Size of a log file. Nothing is on a local disk here.",
    ),
    row(
        "segment.index.bytes",
        ConfigType::Int,
        "10485760",
        Allowed::AtLeast(4),
        "log.index.size.max.bytes",
        "Size of an index file. Nothing is on a local disk here.",
    ),
    row(
        "segment.jitter.ms",
        ConfigType::Long,
        "0",
        Allowed::AtLeast(0),
        "log.roll.jitter.ms",
        "Jitter of file rolls. Nothing is on a local disk here.",
    ),
    row(
        "segment.ms",
        ConfigType::Long,
        "604800000",
        Allowed::AtLeast(1),
        "log.roll.ms",
        "Time after which a log file is rolled. Nothing is on a local disk here.",
    ),
    row(
        "unclean.leader.election.enable",
        ConfigType::Boolean,
        "false",
        Allowed::Any,
        "unclean.leader.election.enable",
        "Whether a replica that is behind may lead. No replica can be behind here.",
    ),
];

/// The row of a name.
pub(crate) fn find(name: &str) -> Option<&'static TopicConfig> {
    TOPIC_CONFIGS.binary_search_by(|config| config.name.cmp(name)).ok().map(|index| &TOPIC_CONFIGS[index])
}

/// Checks one value and gives the text that is stored, or says what is wrong with it in Kafka's words.
pub(crate) fn check(name: &str, value: &str) -> Result<String, String> {
    let config = find(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
    let refuse = |why: &str| format!("Invalid value {value} for configuration {name}: {why}");
    let text = value.trim();
    match config.kind {
        ConfigType::Boolean => match text.to_ascii_lowercase().as_str() {
            "true" => Ok("true".to_owned()),
            "false" => Ok("false".to_owned()),
            _ => Err(refuse("Expected value to be either true or false")),
        },
        ConfigType::Int | ConfigType::Short => {
            let number = text.parse::<i32>().map_err(|_| refuse("Not a number of type INT"))?;
            check_range(config.allowed, i64::from(number)).map_err(|why| refuse(&why))?;
            Ok(number.to_string())
        }
        ConfigType::Long => {
            let number = text.parse::<i64>().map_err(|_| refuse("Not a number of type LONG"))?;
            check_range(config.allowed, number).map_err(|why| refuse(&why))?;
            Ok(number.to_string())
        }
        ConfigType::Double => {
            let number = text.parse::<f64>().map_err(|_| refuse("Not a number of type DOUBLE"))?;
            if matches!(config.allowed, Allowed::Ratio) && !(0.0..=1.0).contains(&number) {
                return Err(refuse("Value must be between 0 and 1"));
            }
            Ok(text.to_owned())
        }
        ConfigType::List => check_list(config, text).map_err(|why| refuse(&why)),
        ConfigType::String => {
            check_word(config.allowed, text).map_err(|why| refuse(&why))?;
            Ok(text.to_owned())
        }
    }
}

fn check_range(allowed: Allowed, number: i64) -> Result<(), String> {
    match allowed {
        Allowed::AtLeast(least) if number < least => Err(format!("Value must be at least {least}")),
        Allowed::Between(least, most) if number < least => {
            Err(format!("Value must be at least {least}, at most {most}"))
        }
        Allowed::Between(_, most) if number > most => Err(format!("Value must be no more than {most}")),
        Allowed::LevelOrDefault(least, most) if number != -1 && !(least..=most).contains(&number) => {
            Err(format!("Value must be between {least} and {most} or equal to -1"))
        }
        Allowed::Any
        | Allowed::Ratio
        | Allowed::OneOf(_)
        | Allowed::ValueColumns
        | Allowed::AtLeast(_)
        | Allowed::Between(..)
        | Allowed::LevelOrDefault(..) => Ok(()),
    }
}

fn check_word(allowed: Allowed, word: &str) -> Result<(), String> {
    match allowed {
        Allowed::OneOf(words) if !words.contains(&word) => Err(format!("String must be one of: {}", words.join(", "))),
        Allowed::ValueColumns => match word.parse::<alluvium_table::ValueColumns>() {
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        },
        _ => Ok(()),
    }
}

fn check_list(config: &TopicConfig, text: &str) -> Result<String, String> {
    let items = list_items(text);
    if items.is_empty() && matches!(config.allowed, Allowed::OneOf(_)) {
        return Err("Configuration must not be empty".to_owned());
    }
    for (position, item) in items.iter().enumerate() {
        check_word(config.allowed, item)?;
        if items[..position].contains(item) {
            return Err(format!("'{item}' is named twice"));
        }
    }
    Ok(items.join(","))
}

/// The items of a comma-separated list, without blanks.
pub(crate) fn list_items(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Checks rules that span several values.
pub(crate) fn check_together(configs: &BTreeMap<String, String>) -> Result<(), String> {
    let number = |name: &str| -> i64 {
        let text = configs.get(name).map(String::as_str).or_else(|| find(name).map(|config| config.default));
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let (least, most) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
    if least > most {
        return Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        ));
    }
    Ok(())
}

/// Every configuration of a topic with what is set on it.
pub(crate) fn describe(set: &BTreeMap<String, String>) -> Vec<DescribedConfig> {
    TOPIC_CONFIGS.iter().map(|config| describe_one(config, set.get(config.name))).collect()
}

fn describe_one(config: &TopicConfig, set: Option<&String>) -> DescribedConfig {
    let mut synonyms = Vec::new();
    if let Some(value) = set {
        synonyms.push(Synonym { name: config.name, value: Some(value.clone()), source: ConfigSource::Topic });
    }
    if let Some(name) = config.broker_name {
        synonyms.push(Synonym { name, value: Some(config.default.to_owned()), source: ConfigSource::Default });
    }
    let (value, source) = match set {
        Some(value) => (value.as_str(), ConfigSource::Topic),
        None => (config.default, ConfigSource::Default),
    };
    DescribedConfig {
        name: config.name,
        value: Some(value.to_owned()),
        source,
        read_only: false,
        sensitive: false,
        kind: config.kind,
        documentation: config.documentation,
        synonyms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_defaults_pass_their_own_checks() {
        for pair in TOPIC_CONFIGS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
        }
        for config in TOPIC_CONFIGS {
            assert_eq!(check(config.name, config.default).as_deref(), Ok(config.default), "{}", config.name);
        }
    }

    #[test]
    fn values_are_checked_by_type_and_range() {
        assert!(check("retention.ms", "abc").is_err());
        assert!(check("retention.ms", "-2").is_err());
        assert_eq!(check("retention.ms", " 1000 ").as_deref(), Ok("1000"));
        assert!(check("cleanup.policy", "keep").is_err());
        assert_eq!(check("cleanup.policy", "compact, delete").as_deref(), Ok("compact,delete"));
        assert!(check("cleanup.policy", "").is_err());
        assert!(check("min.cleanable.dirty.ratio", "1.5").is_err());
        assert!(check("no.such.config", "1").is_err());
        assert!(check("max.message.bytes", "3000000000").is_err());
        assert_eq!(check("preallocate", "TRUE").as_deref(), Ok("true"));
        assert!(check("compression.gzip.level", "0").is_err());
        let columns = "alluvium.parquet.value.columns";
        assert_eq!(check(columns, "n:int64, x:json:/deep/x").as_deref(), Ok("n:int64, x:json:/deep/x"));
        assert!(check(columns, "n:int65").unwrap_err().contains("int65"));
    }

    #[test]
    fn a_set_value_wins_and_its_synonyms_are_listed() {
        let set = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        let all = describe(&set);
        let config = all.iter().find(|config| config.name == "retention.ms").expect("in the table");
        assert_eq!(config.value.as_deref(), Some("5"));
        assert_eq!(config.source, ConfigSource::Topic);
        assert_eq!(config.synonyms.len(), 2);
    }
}
