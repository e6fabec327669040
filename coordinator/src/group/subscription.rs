//! Reads the topic names out of a consumer's subscription.
//!
//! Members of type `consumer` describe themselves to their leader, not to the broker; the broker looks inside only to
//! know which topics are in use. Layout (all versions share the beginning): version int16, count int32, then each
//! topic as int16 length and UTF-8 bytes. What follows (user data, owned partitions, generation, rack) is not read.
//! Lengths are checked against what is there before anything is allocated.

use std::collections::BTreeSet;

use thiserror::Error;

/// Why a subscription cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum SubscriptionError {
    /// It ends too early.
    #[error("the subscription is truncated")]
    Truncated,
    /// A length or the version is negative.
    #[error("the subscription has a negative length or version")]
    Negative,
    /// A topic name is not UTF-8.
    #[error("a subscribed topic name is not UTF-8")]
    NotText,
}

/// The topics named by the subscription of a member of type `consumer`.
pub fn subscribed_topics(metadata: &[u8]) -> Result<BTreeSet<String>, SubscriptionError> {
    let mut rest = metadata;
    if i16::from_be_bytes(take(&mut rest)?) < 0 {
        return Err(SubscriptionError::Negative);
    }
    let count = i32::from_be_bytes(take(&mut rest)?);
    if count < 0 {
        return Err(SubscriptionError::Negative);
    }
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let length = i16::from_be_bytes(take(&mut rest)?);
        let length = usize::try_from(length).map_err(|_| SubscriptionError::Negative)?;
        let (name, after) = rest.split_at_checked(length).ok_or(SubscriptionError::Truncated)?;
        rest = after;
        topics.insert(std::str::from_utf8(name).map_err(|_| SubscriptionError::NotText)?.to_owned());
    }
    Ok(topics)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SubscriptionError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(SubscriptionError::Truncated)?;
    *rest = after;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(version: i16, topics: &[&str]) -> Vec<u8> {
        let mut bytes = version.to_be_bytes().to_vec();
        bytes.extend((topics.len() as i32).to_be_bytes());
        for topic in topics {
            bytes.extend((topic.len() as i16).to_be_bytes());
            bytes.extend(topic.as_bytes());
        }
        bytes.extend((-1i32).to_be_bytes());
        bytes
    }

    #[test]
    fn reads_every_version() {
        for version in 0..=3 {
            let topics = subscribed_topics(&encoded(version, &["b", "a"])).unwrap();
            assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        }
        assert!(subscribed_topics(&encoded(1, &[])).unwrap().is_empty());
    }

    #[test]
    fn refuses_what_is_broken() {
        assert_eq!(subscribed_topics(&[]), Err(SubscriptionError::Truncated));
        assert_eq!(subscribed_topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), Err(SubscriptionError::Truncated));
        assert_eq!(subscribed_topics(&[0, 0, 0xff, 0xff, 0xff, 0xff]), Err(SubscriptionError::Negative));
        assert_eq!(subscribed_topics(&[0, 0, 0, 0, 0, 1, 0, 1, 0xff]), Err(SubscriptionError::NotText));
        let whole = encoded(0, &["topic"]);
        for cut in 0..whole.len() - 4 {
            assert!(subscribed_topics(&whole[..cut]).is_err());
        }
    }
}
