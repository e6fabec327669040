//! How far a group is in each partition: what it has committed, where the partition ends, and who reads it.

use std::collections::{BTreeMap, BTreeSet};

use alluvium_protocol::errors::ErrorCode;

use crate::client::group_admin::{Committed, NamedPartition};
use crate::client::group_describe::{DescribedGroup, GroupMember};
use crate::client::offsets::OffsetPoint;
use crate::client::{ClientError, Cluster};

/// A partition that a group reads or has read.
pub(super) struct Position<'a> {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) committed: Option<Committed>,
    /// `None` when the topic or the partition is gone.
    pub(super) end_offset: Option<i64>,
    /// The member that has it.
    pub(super) owner: Option<&'a GroupMember>,
}

impl Position<'_> {
    /// Records that are not committed yet; `None` when nothing was committed or the partition is gone.
    pub(super) fn lag(&self) -> Option<i64> {
        let committed = self.committed.as_ref()?.offset;
        // Somebody may have committed more than there is.
        self.end_offset.map(|end| (end - committed).max(0))
    }
}

/// Positions in all partitions that the group has committed or that a member was given.
pub(super) async fn positions<'a>(
    cluster: &mut Cluster,
    group: &'a DescribedGroup,
) -> Result<Vec<Position<'a>>, ClientError> {
    let mut committed = cluster.committed_offsets(&group.group).await?;
    let mut owners: BTreeMap<NamedPartition, &GroupMember> = BTreeMap::new();
    for member in &group.members {
        for (topic, partitions) in &member.assigned {
            owners.extend(partitions.iter().map(|partition| ((topic.clone(), *partition), member)));
        }
    }
    let all: BTreeSet<NamedPartition> = committed.keys().chain(owners.keys()).cloned().collect();
    let ends = ends(cluster, &all).await?;
    let position = |at: NamedPartition| Position {
        committed: committed.remove(&at),
        end_offset: ends.get(&at).copied(),
        owner: owners.get(&at).copied(),
        topic: at.0,
        partition: at.1,
    };
    Ok(all.into_iter().map(position).collect())
}

/// Where partitions end; those that are gone are left out.
async fn ends(
    cluster: &mut Cluster,
    partitions: &BTreeSet<NamedPartition>,
) -> Result<BTreeMap<NamedPartition, i64>, ClientError> {
    let topics: BTreeSet<&str> = partitions.iter().map(|(topic, _)| topic.as_str()).collect();
    let mut ends = BTreeMap::new();
    for name in topics {
        let topic = match cluster.topic(name, false).await {
            Ok(topic) => topic,
            Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => continue,
            Err(error) => return Err(error),
        };
        let wanted: Vec<i32> =
            partitions.iter().filter(|(topic, _)| topic == name).map(|(_, partition)| *partition).collect();
        let found = cluster.offsets(&topic, &wanted, OffsetPoint::Latest).await?;
        ends.extend(found.into_iter().map(|(partition, end)| ((name.to_owned(), partition), end)));
    }
    Ok(ends)
}
