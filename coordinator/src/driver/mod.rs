//! The driver of consumer groups: it carries out what the pure state machines decide, on the node that leads a shard.
//!
//! Flow of a request: group id -> shard -> [`seat`] (does this node coordinate; take over if it should) -> [`term`] (the
//! groups under one epoch) -> the state machine -> answers, and [`changes`] that are written under the epoch.
//!
//! Owns: one seat per shard that holds groups. Invariants:
//! 1. Everything durable names the epoch of its term: a coordinator whose epoch is over changes nothing.
//! 2. Groups are restored from the log before the first request of a term is let in.
//! 3. Who does not coordinate a group says so, and says nothing else about it.
//! 4. The clock of the groups never jumps.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_log::Log;
use alluvium_record::ShardId;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

mod changes;
mod clock;
mod leadership;
mod offsets;
mod retention;
mod seat;
mod standing;
mod term;
#[cfg(test)]
mod tests;
mod topics;

pub use leadership::{Leadership, SoleNode};
pub use offsets::{OffsetCommitter, OffsetDeletion, OffsetsError};
pub use standing::ShardStanding;

use crate::consumer_group::{
    ConsumerGroupDescription, ConsumerGroupSettings, ConsumerHeartbeat, ConsumerHeartbeatInput, HeartbeatRefused,
    JOIN_EPOCH,
};
use crate::group::{
    BrokenInvariant, GroupDescription, GroupError, GroupFilter, GroupSettings, HeartbeatInput, JoinInput, JoinRefused,
    Joined, LeaveInput, Response, SyncInput, Synced,
};
use crate::table::{GroupTable, ListedGroup};
use clock::GroupClock;
use seat::Seat;
use term::Term;
use topics::TopicSnapshots;

/// Topics are looked at again after so long, however many entries are written meanwhile.
const TOPICS_INTERVAL: Duration = Duration::from_millis(500);
/// How long a list of groups waits for the store.
const CATCH_UP_MAX: Duration = Duration::from_secs(10);

/// The consumer groups of all shards that this node leads. Cloning shares them.
#[derive(Clone)]
pub struct Coordinators {
    shared: Arc<Shared>,
}

/// What coordinators stand on.
#[derive(Clone, Debug)]
pub struct CoordinatorParts {
    /// The log of the cluster.
    pub log: Log,
    /// Which shards this node leads.
    pub leadership: Arc<dyn Leadership>,
    /// Limits and delays of groups of the classic protocol.
    pub settings: GroupSettings,
    /// Limits and delays of groups of the consumer protocol (KIP-848).
    pub consumer_settings: ConsumerGroupSettings,
    /// How long offsets of unused groups are kept.
    pub offsets_retention: Duration,
    /// Clock and tasks.
    pub runtime: Runtime,
}

struct Shared {
    log: Log,
    runtime: Runtime,
    /// By shard, from 0 on.
    seats: Vec<Arc<Seat>>,
    topics: Arc<TopicSnapshots>,
    resigned: CancellationToken,
}

impl std::fmt::Debug for Coordinators {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Coordinators").field("seats", &self.shared.seats.len()).finish_non_exhaustive()
    }
}

impl Coordinators {
    /// Coordinates the groups of the shards that this node leads, now and whenever that changes. Groups with members are
    /// taken over at once, others when they are first asked for.
    pub fn start(parts: CoordinatorParts) -> Coordinators {
        let CoordinatorParts { log, leadership, settings, consumer_settings, offsets_retention, runtime } = parts;
        let clock = GroupClock::new(runtime.clone());
        let topics = TopicSnapshots::new(log.meta().clone());
        let make_seat = |shard| {
            let settings = (settings.clone(), consumer_settings.clone());
            Seat::new(shard, leadership.clone(), topics.clone(), settings, clock.clone(), runtime.clone())
        };
        let seats: Vec<Arc<Seat>> = log.group_shards().into_iter().map(make_seat).collect();
        for seat in &seats {
            drop(runtime.spawn_essential("coordinator seat", seat.clone().watch()));
        }
        let resigned = CancellationToken::new();
        let shared = Shared { log, runtime: runtime.clone(), seats, topics, resigned };
        let coordinators = Coordinators { shared: Arc::new(shared) };
        drop(runtime.spawn_essential("topics of groups", follow_topics(coordinators.clone())));
        drop(runtime.spawn_essential("offset retention", retention::run(coordinators.clone(), offsets_retention)));
        coordinators
    }

    /// The shard that holds a group: its leader is the group's coordinator.
    pub fn shard_of(&self, group: &str) -> ShardId {
        self.shared.log.group_shard(group)
    }

    /// Sends everybody who waits away and serves no more, at shutdown.
    pub fn resign(&self) {
        self.shared.resigned.cancel();
        self.shared.seats.iter().for_each(|seat| seat.close());
    }

    /// The seat of a group's coordinator.
    fn seat(&self, group: &str) -> Result<&Arc<Seat>, GroupError> {
        let shard = self.shard_of(group);
        self.shared.seats.get(shard.0 as usize).ok_or(GroupError::CoordinatorNotAvailable)
    }

    /// The term under which this node coordinates a group.
    async fn term(&self, group: &str) -> Result<Arc<Term>, GroupError> {
        self.seat(group)?.term().await
    }

    /// JoinGroup. `input.ticket` is filled in here.
    pub async fn join(&self, mut input: JoinInput) -> Result<Joined, JoinRefused> {
        let member_id = input.member_id.clone();
        let joining = async {
            let term = self.term(&input.group).await?;
            term.ask(|groups, now, ticket| {
                input.ticket = ticket;
                groups.join(now, input)
            })
            .await
        };
        match joining.await {
            Ok(Response::Join(result)) => result,
            Ok(_) => Err(JoinRefused { error: GroupError::CoordinatorNotAvailable, member_id }),
            Err(error) => Err(JoinRefused { error, member_id }),
        }
    }

    /// SyncGroup. `input.ticket` is filled in here.
    pub async fn sync(&self, mut input: SyncInput) -> Result<Synced, GroupError> {
        let term = match self.term(&input.group).await {
            // What the members had begun is lost; clients do not know the other error here.
            Err(GroupError::CoordinatorLoadInProgress) => return Err(GroupError::RebalanceInProgress),
            term => term?,
        };
        let answer = term.ask(|groups, now, ticket| {
            input.ticket = ticket;
            groups.sync(now, input)
        });
        match answer.await? {
            Response::Sync(result) => result,
            _ => Err(GroupError::CoordinatorNotAvailable),
        }
    }

    /// Heartbeat.
    pub async fn heartbeat(&self, input: &HeartbeatInput) -> Result<(), GroupError> {
        let term = match self.term(&input.group).await {
            // Sessions begin anew with the term; clients do not know the error here.
            Err(GroupError::CoordinatorLoadInProgress) => return Ok(()),
            term => term?,
        };
        term.act(|groups, now| (groups.heartbeat(now, input), Vec::new()))?
    }

    /// ConsumerGroupHeartbeat. `input.ticket` is filled in here.
    pub async fn consumer_heartbeat(
        &self,
        mut input: ConsumerHeartbeatInput,
    ) -> Result<ConsumerHeartbeat, HeartbeatRefused> {
        let term = self.term(&input.group).await?;
        if input.member_epoch == JOIN_EPOCH {
            // The topic may have been made a moment ago, perhaps on another node.
            let names = input.subscribed_topics.iter().flatten();
            self.shared.topics.look_for(names, &self.shared.runtime).await;
            term.set_topics(&self.shared.topics);
        }
        let answer = term.ask(|groups, now, ticket| {
            input.ticket = ticket;
            groups.consumer_heartbeat(now, input)
        });
        match answer.await? {
            Response::ConsumerHeartbeat(result) => result,
            _ => Err(GroupError::CoordinatorNotAvailable.into()),
        }
    }

    /// LeaveGroup: one result for each member named.
    pub async fn leave(&self, input: &LeaveInput) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let term = self.term(&input.group).await?;
        term.act(|groups, now| groups.leave(now, input))
    }

    /// DeleteGroups for one group.
    pub async fn delete(&self, group: &str) -> Result<(), GroupError> {
        let term = self.term(group).await?;
        match term.ask(|groups, now, ticket| groups.delete(now, ticket, group)).await? {
            Response::Delete(result) => result,
            _ => Err(GroupError::CoordinatorNotAvailable),
        }
    }

    /// ConsumerGroupDescribe for one group; none if there is no such group of the consumer protocol.
    pub async fn describe_consumer(&self, group: &str) -> Result<Option<ConsumerGroupDescription>, GroupError> {
        self.term(group).await?.read(|groups| groups.describe_consumer(group))
    }

    /// DescribeGroups for one group; none if there is no such group of the classic protocol.
    pub async fn describe(&self, group: &str) -> Result<Option<GroupDescription>, GroupError> {
        self.term(group).await?.read(|groups| groups.describe(group))
    }

    /// ListGroups: the groups of the shards that this node leads, by group id.
    pub async fn list(&self, filter: &GroupFilter) -> Result<Vec<ListedGroup>, GroupError> {
        let lists = join_all(self.shared.seats.iter().map(|seat| self.list_shard(seat, filter))).await;
        let mut all = Vec::new();
        for list in lists {
            match list {
                Ok(list) => all.extend(list),
                // Its leader lists it.
                Err(GroupError::NotCoordinator) => {}
                Err(error) => return Err(error),
            }
        }
        all.sort_by(|one, other| one.group.cmp(&other.group));
        Ok(all)
    }

    async fn list_shard(&self, seat: &Arc<Seat>, filter: &GroupFilter) -> Result<Vec<ListedGroup>, GroupError> {
        if !seat.leads() {
            return Err(GroupError::NotCoordinator);
        }
        if seat.seated().is_none() {
            // A list of nothing is no reason to take over.
            let caught_up = self.shared.runtime.timeout(CATCH_UP_MAX, seat.shard().catch_up()).await;
            let Ok(Ok(state)) = caught_up else { return Err(GroupError::CoordinatorNotAvailable) };
            if state.groups().next().is_none() {
                return Ok(Vec::new());
            }
        }
        seat.term().await?.read(|groups| groups.list(filter))
    }

    /// Checks the invariants of every group.
    pub fn check(&self) -> Result<(), BrokenInvariant> {
        let mut terms = self.shared.seats.iter().filter_map(|seat| seat.seated());
        // A term that has ended meanwhile has no groups.
        terms.try_for_each(|term| term.read(GroupTable::check).unwrap_or(Ok(())))
    }
}

/// Tells the groups of the topics that come, grow and go.
async fn follow_topics(coordinators: Coordinators) {
    let shared = &coordinators.shared;
    let mut states = shared.topics.meta().subscribe();
    loop {
        tokio::select! {
            biased;
            () = shared.resigned.cancelled() => return,
            changed = states.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        for term in shared.seats.iter().filter_map(|seat| seat.seated()) {
            term.set_topics(&shared.topics);
        }
        shared.runtime.sleep(TOPICS_INTERVAL).await;
    }
}
