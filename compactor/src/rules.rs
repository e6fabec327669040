//! What a topic's settings ask of the compactor. Kafka's names, Kafka's defaults.

use alluvium_infra::limits;
use alluvium_log::Topic;
use alluvium_table::{VALUE_COLUMNS_CONFIG, ValueColumns};

/// Kafka's default of `retention.ms`, seven days.
const RETENTION_MS: i64 = 604_800_000;
/// Kafka's default of `delete.retention.ms`, a day.
const DELETE_RETENTION_MS: i64 = 86_400_000;
const DIRTY_RATIO_MIN: f64 = 0.5;

/// What becomes of a topic's old records.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicRules {
    /// `cleanup.policy` contains `delete`.
    pub deletes: bool,
    /// `cleanup.policy` contains `compact`.
    pub compacts: bool,
    /// `retention.ms`; `None` for ever.
    pub retention_ms: Option<i64>,
    /// `retention.bytes`; `None` for any number.
    pub retention_bytes: Option<u64>,
    /// `min.cleanable.dirty.ratio`.
    pub dirty_ratio_min: f64,
    /// `min.compaction.lag.ms`.
    pub compaction_lag_ms_min: i64,
    /// `max.compaction.lag.ms`.
    pub compaction_lag_ms_max: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// Columns out of values.
    pub value_columns: ValueColumns,
}

impl TopicRules {
    /// The rules of a topic. Values are checked where they are set; one that cannot be read counts as not set.
    #[must_use]
    pub fn of(topic: &Topic) -> Self {
        let value = |name: &str| topic.configs.get(name).map(|value| value.trim());
        let number = |name: &str, default: i64| value(name).and_then(|value| value.parse().ok()).unwrap_or(default);
        let policy = value("cleanup.policy").unwrap_or("delete");
        let has = |wanted: &str| policy.split(',').any(|item| item.trim() == wanted);
        let bytes = number("retention.bytes", -1);
        Self {
            deletes: has("delete"),
            compacts: has("compact"),
            retention_ms: Some(number("retention.ms", RETENTION_MS)).filter(|ms| *ms >= 0),
            retention_bytes: u64::try_from(bytes).ok(),
            dirty_ratio_min: value("min.cleanable.dirty.ratio")
                .and_then(|value| value.parse().ok())
                .unwrap_or(DIRTY_RATIO_MIN),
            compaction_lag_ms_min: number("min.compaction.lag.ms", 0),
            compaction_lag_ms_max: number("max.compaction.lag.ms", i64::MAX),
            delete_retention_ms: number("delete.retention.ms", DELETE_RETENTION_MS).max(0),
            value_columns: value(VALUE_COLUMNS_CONFIG).and_then(|value| value.parse().ok()).unwrap_or_default(),
        }
    }

    /// Records that become one file, unless one run alone has more.
    #[must_use]
    pub fn file_records_max(&self) -> u64 {
        if self.compacts { limits::FILTERED_TABLE_RECORDS_MAX } else { u64::MAX }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alluvium_record::TopicId;

    use super::*;

    fn rules(configs: &[(&str, &str)]) -> TopicRules {
        let configs = configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        TopicRules::of(&Topic {
            id: TopicId::NIL,
            name: "orders".to_owned(),
            partition_count: 1,
            replication_factor: 1,
            configs: configs.collect::<BTreeMap<_, _>>(),
            shard_count: 1,
            created_ms: 0,
        })
    }

    #[test]
    fn what_is_not_set_is_as_in_kafka() {
        let default = rules(&[]);
        assert!(default.deletes && !default.compacts);
        assert_eq!((default.retention_ms, default.retention_bytes), (Some(604_800_000), None));
        assert_eq!((default.compaction_lag_ms_min, default.compaction_lag_ms_max), (0, i64::MAX));
        assert_eq!((default.delete_retention_ms, default.dirty_ratio_min), (86_400_000, 0.5));
    }

    #[test]
    fn what_is_set_counts() {
        let both = rules(&[("cleanup.policy", "compact, delete"), ("retention.ms", "-1"), ("retention.bytes", "7")]);
        assert!(both.deletes && both.compacts);
        assert_eq!((both.retention_ms, both.retention_bytes), (None, Some(7)));
        let compact = rules(&[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")]);
        assert!(!compact.deletes && compact.compacts);
        assert_eq!(compact.dirty_ratio_min, 0.01);
        assert!(rules(&[("retention.ms", "soon")]).retention_ms.is_some(), "an unreadable value is as none");
    }
}
