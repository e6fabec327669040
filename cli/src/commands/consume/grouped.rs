//! Reading as a member of a consumer group.
//!
//! Offsets are committed after their records are printed, so that a record is printed at least once.

use std::collections::BTreeMap;
use std::time::Duration;

use super::start::{StartPoint, positions};
use super::{POLL_WAIT_MAX, Reading};
use crate::client::Cluster;
use crate::client::cluster::TopicMetadata;
use crate::client::consumer::Consumer;
use crate::client::group::Membership;
use crate::client::offsets::OffsetPoint;
use crate::failure::Failure;

/// Between two heartbeats; a third of what servers allow at the shortest.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// Between two commits.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

struct Grouped<'a> {
    consumer: Consumer,
    membership: Membership,
    from: StartPoint,
    reading: &'a mut Reading,
    /// Printed and not committed yet.
    uncommitted: BTreeMap<i32, i64>,
}

/// Joins the group and reads its share until the end, the count or a signal; then commits and leaves.
pub(super) async fn read(
    mut cluster: Cluster,
    topic: TopicMetadata,
    group: &str,
    from: StartPoint,
    reading: &mut Reading,
) -> Result<(), Failure> {
    let membership = Membership::join(&mut cluster, group, &topic.name).await?;
    let consumer = Consumer::new(cluster, topic, BTreeMap::new());
    let mut grouped = Grouped { consumer, membership, from, reading, uncommitted: BTreeMap::new() };
    let ended = tokio::select! {
        ended = grouped.run() => ended,
        interrupted = tokio::signal::ctrl_c() => interrupted.map_err(Failure::from),
    };
    let committed = grouped.commit().await;
    // Without leaving, the others wait for the end of the session; that is no reason to fail.
    let _left_late = grouped.membership.leave().await;
    ended.and(committed)
}

impl Grouped<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        self.take_share().await?;
        let runtime = self.consumer.cluster().runtime().clone();
        let (mut heartbeat_at, mut commit_at) = (runtime.monotonic(), runtime.monotonic() + COMMIT_INTERVAL);
        while self.reading.goes_on(&mut self.consumer) {
            if runtime.monotonic() >= commit_at {
                self.commit().await?;
                commit_at = runtime.monotonic() + COMMIT_INTERVAL;
            }
            if runtime.monotonic() >= heartbeat_at {
                if self.membership.heartbeat(self.consumer.cluster()).await? {
                    self.commit().await?;
                    self.membership.rejoin(self.consumer.cluster()).await?;
                    self.take_share().await?;
                }
                heartbeat_at = runtime.monotonic() + HEARTBEAT_INTERVAL;
            }
            let fetched = self.consumer.poll(POLL_WAIT_MAX).await?;
            let printed = self.reading.print(&fetched)?;
            self.uncommitted.extend(printed);
        }
        Ok(())
    }

    /// Begins at the committed offsets of the new share, or where there are none at the point asked for.
    async fn take_share(&mut self) -> Result<(), Failure> {
        let assigned = self.membership.assigned().to_vec();
        let topic = self.consumer.topic().clone();
        let committed = self.membership.committed(self.consumer.cluster()).await?;
        let mut found = positions(self.consumer.cluster(), &topic, &assigned, self.from).await?;
        found.extend(committed);
        if !self.reading.follow {
            self.reading.ends = self.consumer.cluster().offsets(&topic, &assigned, OffsetPoint::Latest).await?;
        }
        self.consumer.set_positions(found);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        if !self.membership.commit(self.consumer.cluster(), &self.uncommitted).await? {
            eprintln!("alluvium: the group has moved on; what was not committed is read again by whoever has it now");
        }
        self.uncommitted.clear();
        Ok(())
    }
}
