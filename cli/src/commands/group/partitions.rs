//! Partitions as they are named on the command line: `orders` for all of a topic, `orders:0,2` for some.

use std::str::FromStr;

use crate::client::Cluster;
use crate::client::cluster::TopicMetadata;
use crate::failure::Failure;

/// A topic with all of its partitions or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TopicPartitions {
    pub(super) topic: String,
    /// All, when it is none.
    pub(super) partitions: Option<Vec<i32>>,
}

impl FromStr for TopicPartitions {
    type Err = String;

    fn from_str(text: &str) -> Result<TopicPartitions, String> {
        let wrong = || "expected TOPIC or TOPIC:PARTITION,PARTITION such as orders:0,2".to_owned();
        let (topic, partitions) = match text.split_once(':') {
            None => (text, None),
            Some((topic, list)) => {
                let numbers: Option<Vec<i32>> =
                    list.split(',').map(|number| number.trim().parse().ok().filter(|number| *number >= 0)).collect();
                (topic, Some(numbers.ok_or_else(wrong)?))
            }
        };
        if topic.trim().is_empty() {
            return Err(wrong());
        }
        Ok(TopicPartitions { topic: topic.trim().to_owned(), partitions })
    }
}

/// Looks a topic up and the partitions of it that are meant.
pub(super) async fn resolve(
    cluster: &mut Cluster,
    wanted: &TopicPartitions,
) -> Result<(TopicMetadata, Vec<i32>), Failure> {
    let topic = cluster.topic(&wanted.topic, false).await?;
    let all: Vec<i32> = topic.partitions.iter().map(|leader| leader.partition).collect();
    let Some(mut some) = wanted.partitions.clone() else { return Ok((topic, all)) };
    if let Some(missing) = some.iter().find(|partition| !all.contains(partition)) {
        let (name, last) = (&topic.name, all.len().saturating_sub(1));
        return Err(Failure::failed(format!(
            "topic {name} has no partition {missing}: its partitions are 0 to {last}"
        )));
    }
    some.sort_unstable();
    some.dedup();
    Ok((topic, some))
}

#[cfg(test)]
mod tests {
    use super::TopicPartitions;

    #[test]
    fn partitions_are_named() {
        let all = TopicPartitions { topic: "t".to_owned(), partitions: None };
        assert_eq!("t".parse(), Ok(all));
        let some = TopicPartitions { topic: "t".to_owned(), partitions: Some(vec![0, 2]) };
        assert_eq!("t:0, 2".parse(), Ok(some));
        for wrong in ["", ":1", "t:", "t:a", "t:-1", "t:1,"] {
            assert!(wrong.parse::<TopicPartitions>().is_err(), "{wrong}");
        }
    }
}
