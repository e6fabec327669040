//! The consumer protocol that members of the classic protocol embed in their metadata and assignments.
//!
//! Subscription: version int16, topics as array of string, user data as nullable bytes, from version 1 on the owned
//! partitions as array of (topic, array of int32), from version 2 on a generation int32, from version 3 on a nullable
//! rack id. Assignment: version int16, partitions as array of (topic, array of int32), user data as nullable bytes.
//! Lengths are checked against what is there before anything is allocated.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// First version of a subscription with owned partitions.
const OWNED_VERSION_MIN: i16 = 1;
/// First version of a subscription with a generation.
const GENERATION_VERSION_MIN: i16 = 2;
/// First version of a subscription with a rack id.
const RACK_VERSION_MIN: i16 = 3;
/// Newest version that is written.
const ASSIGNMENT_VERSION_MAX: i16 = 3;

/// Why metadata cannot be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum EmbeddedError {
    /// It ends too early.
    #[error("the metadata is truncated")]
    Truncated,
    /// A length or the version is negative.
    #[error("the metadata has a negative length or version")]
    Negative,
    /// A name is not UTF-8.
    #[error("a name in the metadata is not UTF-8")]
    NotText,
    /// It carries data of a custom assignor, which nobody here could understand or keep.
    #[error("the assignment carries data of a custom assignor")]
    CustomData,
}

/// What a member asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmbeddedSubscription {
    /// Version of its layout.
    pub version: i16,
    /// Names of topics.
    pub topics: Vec<String>,
    /// What it owns, by name of topic.
    pub owned: Vec<(String, Vec<i32>)>,
    /// Where it is.
    pub rack_id: Option<String>,
}

impl EmbeddedSubscription {
    /// Reads a member's metadata. What it owns is not required to follow: old clients stop early.
    pub fn read(metadata: &[u8]) -> Result<EmbeddedSubscription, EmbeddedError> {
        let mut reader = Reader { rest: metadata };
        let version = reader.int16()?;
        if version < 0 {
            return Err(EmbeddedError::Negative);
        }
        let topics = (0..reader.count(2)?).map(|_| reader.string()).collect::<Result<_, _>>()?;
        let mut subscription = EmbeddedSubscription { version, topics, ..EmbeddedSubscription::default() };
        if reader.rest.is_empty() {
            return Ok(subscription);
        }
        reader.nullable_bytes()?;
        if version >= OWNED_VERSION_MIN {
            subscription.owned = reader.partitions()?;
        }
        if version >= GENERATION_VERSION_MIN {
            reader.int32()?;
        }
        if version >= RACK_VERSION_MIN {
            subscription.rack_id = reader.nullable_string()?;
        }
        Ok(subscription)
    }
}

/// Assignors whose data, which some clients send along with assignments, can be made anew.
const KNOWN_ASSIGNORS: [&str; 4] = ["range", "roundrobin", "sticky", "cooperative-sticky"];

/// Reads an assignment that this assignor made: partitions by name of topic. An empty one is that of a member that never
/// synced.
pub(super) fn read_assignment(
    assignment: &[u8],
    assignor: Option<&str>,
) -> Result<Vec<(String, Vec<i32>)>, EmbeddedError> {
    if assignment.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader { rest: assignment };
    if reader.int16()? < 0 {
        return Err(EmbeddedError::Negative);
    }
    let partitions = reader.partitions()?;
    if assignor.is_some_and(|assignor| KNOWN_ASSIGNORS.contains(&assignor)) {
        return Ok(partitions);
    }
    match reader.rest.is_empty() || reader.nullable_bytes()?.is_none_or(<[u8]>::is_empty) {
        true => Ok(partitions),
        false => Err(EmbeddedError::CustomData),
    }
}

/// Writes an assignment in the layout that the member's subscription has.
pub(super) fn write_assignment(version: i16, partitions: &BTreeMap<String, Vec<i32>>) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(version.clamp(0, ASSIGNMENT_VERSION_MAX));
    bytes.put_i32(partitions.len() as i32);
    for (topic, indexes) in partitions {
        bytes.put_i16(topic.len() as i16);
        bytes.put_slice(topic.as_bytes());
        bytes.put_i32(indexes.len() as i32);
        for index in indexes {
            bytes.put_i32(*index);
        }
    }
    // No user data.
    bytes.put_i32(-1);
    bytes.freeze()
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], EmbeddedError> {
        let (taken, after) = self.rest.split_first_chunk::<N>().ok_or(EmbeddedError::Truncated)?;
        self.rest = after;
        Ok(*taken)
    }

    fn int16(&mut self) -> Result<i16, EmbeddedError> {
        Ok(i16::from_be_bytes(self.take()?))
    }

    fn int32(&mut self) -> Result<i32, EmbeddedError> {
        Ok(i32::from_be_bytes(self.take()?))
    }

    /// The length of an array whose elements take at least so many bytes.
    fn count(&mut self, element_bytes_min: usize) -> Result<usize, EmbeddedError> {
        let count = usize::try_from(self.int32()?).map_err(|_| EmbeddedError::Negative)?;
        if count > self.rest.len() / element_bytes_min {
            return Err(EmbeddedError::Truncated);
        }
        Ok(count)
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], EmbeddedError> {
        let (taken, after) = self.rest.split_at_checked(length).ok_or(EmbeddedError::Truncated)?;
        self.rest = after;
        Ok(taken)
    }

    fn string(&mut self) -> Result<String, EmbeddedError> {
        self.nullable_string()?.ok_or(EmbeddedError::Negative)
    }

    fn nullable_string(&mut self) -> Result<Option<String>, EmbeddedError> {
        let length = self.int16()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| EmbeddedError::Negative)?;
        let text = std::str::from_utf8(self.slice(length)?).map_err(|_| EmbeddedError::NotText)?;
        Ok(Some(text.to_owned()))
    }

    fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>, EmbeddedError> {
        let length = self.int32()?;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| EmbeddedError::Negative)?;
        self.slice(length).map(Some)
    }

    fn partitions(&mut self) -> Result<Vec<(String, Vec<i32>)>, EmbeddedError> {
        let count = self.count(6)?;
        (0..count)
            .map(|_| {
                let topic = self.string()?;
                let indexes = (0..self.count(4)?).map(|_| self.int32()).collect::<Result<_, _>>()?;
                Ok((topic, indexes))
            })
            .collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A subscription as clients of this version write it.
    pub(crate) fn subscription(version: i16, topics: &[&str], owned: &[(&str, &[i32])]) -> Bytes {
        let mut bytes = BytesMut::new();
        bytes.put_i16(version);
        bytes.put_i32(topics.len() as i32);
        for topic in topics {
            bytes.put_i16(topic.len() as i16);
            bytes.put_slice(topic.as_bytes());
        }
        bytes.put_i32(-1);
        if version >= OWNED_VERSION_MIN {
            let owned = owned.iter().map(|(topic, indexes)| ((*topic).to_owned(), indexes.to_vec())).collect();
            let partitions = write_assignment(0, &owned);
            bytes.put_slice(&partitions[2..partitions.len() - 4]);
        }
        if version >= GENERATION_VERSION_MIN {
            bytes.put_i32(5);
        }
        if version >= RACK_VERSION_MIN {
            bytes.put_i16(4);
            bytes.put_slice(b"rack");
        }
        bytes.freeze()
    }

    #[test]
    fn reads_every_version() {
        for version in 0..=3 {
            let read = EmbeddedSubscription::read(&subscription(version, &["b", "a"], &[("a", &[1, 0])])).unwrap();
            assert_eq!(read.topics, ["b", "a"]);
            let owned = if version >= 1 { vec![("a".to_owned(), vec![1, 0])] } else { Vec::new() };
            assert_eq!(read.owned, owned);
            assert_eq!(read.rack_id.as_deref(), (version >= 3).then_some("rack"));
        }
    }

    #[test]
    fn refuses_what_is_broken() {
        let whole = subscription(3, &["topic"], &[("topic", &[1, 2])]);
        for cut in 0..whole.len() {
            // An old client ends after its topics.
            assert_eq!(EmbeddedSubscription::read(&whole[..cut]).is_ok(), cut == 13, "{cut}");
        }
        assert_eq!(EmbeddedSubscription::read(&[0, 0, 0x7f, 0xff, 0xff, 0xff]), Err(EmbeddedError::Truncated));
        assert_eq!(EmbeddedSubscription::read(&[0xff, 0xff, 0, 0, 0, 0]), Err(EmbeddedError::Negative));
        assert_eq!(EmbeddedSubscription::read(&[0, 0, 0, 0, 0, 1, 0, 1, 0xff]), Err(EmbeddedError::NotText));
    }

    #[test]
    fn assignments_come_back_and_custom_data_is_refused() {
        let partitions: BTreeMap<String, Vec<i32>> = [("t".to_owned(), vec![0, 2]), ("u".to_owned(), vec![])].into();
        let written = write_assignment(1, &partitions);
        assert_eq!(read_assignment(&written, None).unwrap().into_iter().collect::<BTreeMap<_, _>>(), partitions);
        assert_eq!(read_assignment(&[], None).unwrap(), []);
        let mut custom = written[..written.len() - 4].to_vec();
        custom.extend([0, 0, 0, 1, 7]);
        assert_eq!(read_assignment(&custom, None), Err(EmbeddedError::CustomData));
        assert_eq!(read_assignment(&custom, Some("mine")), Err(EmbeddedError::CustomData));
        assert_eq!(read_assignment(&custom, Some("sticky")).unwrap().len(), 2);
    }
}
