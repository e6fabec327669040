//! Rules about topics that several APIs share: names, replicas, how a request names a topic.

use alluvium_log::View;
use alluvium_protocol::errors::ErrorCode;
use alluvium_record::TopicPartition;

use crate::context::LEADER_EPOCH;

/// The longest topic name, as in Kafka.
const NAME_BYTES_MAX: usize = 249;

/// The names that Kafka reserves for itself.
const INTERNAL_NAMES: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Whether Kafka would call this topic its own.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL_NAMES.contains(&name)
}

/// Checks a topic name; the error is Kafka's sentence about it.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("Topic name is invalid: the empty string is not allowed".to_owned());
    }
    if name == "." || name == ".." {
        return Err(format!("Topic name is invalid: '{name}' is not allowed"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length {NAME_BYTES_MAX}"
        ));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        return Err(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ));
    }
    Ok(())
}

/// A living topic whose name differs only in `.` and `_`: metric names could not tell them apart, so Kafka refuses.
pub(crate) fn colliding_name<'a>(state: &'a View, name: &str) -> Option<&'a str> {
    if !name.contains(['.', '_']) {
        return None;
    }
    let folded = fold(name);
    state
        .topics()
        .map(|topic| topic.name.as_str())
        .find(|other| *other != name && other.contains(['.', '_']) && fold(other) == folded)
}

/// A partition by the name of its topic, if it is there.
pub(crate) fn find_partition(view: &View, name: &str, index: i32) -> Option<TopicPartition> {
    let found = TopicPartition::new(view.topic_by_name(name)?.id, index);
    view.partition(found).map(|_| found)
}

/// The form in which names that collide are equal.
pub(crate) fn fold(name: &str) -> String {
    name.replace('.', "_")
}

/// What is wrong with the leader epoch that a client believes in; -1 means that it does not say.
pub(crate) fn epoch_error(current_leader_epoch: i32) -> Option<ErrorCode> {
    match current_leader_epoch {
        -1 | LEADER_EPOCH => None,
        older if older < LEADER_EPOCH => Some(ErrorCode::FencedLeaderEpoch),
        _ => Some(ErrorCode::UnknownLeaderEpoch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_kafkas_rules() {
        for good in ["a", "test_topic", "a.b-c_D9", "..."] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
