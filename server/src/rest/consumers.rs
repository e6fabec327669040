//! v2 consumers: instances that live in this node, members of groups or assigned by hand.
//!
//! An instance that subscribes is a member of its group by the consumer protocol (KIP-848), beside Kafka's own consumers; this node
//! must coordinate the group, others answer 42101. A task of the instance sends its heartbeats.
//!
//! Flow: [`doors`] (requests and answers) -> [`Instance`] (positions, offsets) -> [`membership`] (joins, heartbeats, leaves).
//!
//! Invariants:
//! 1. Instances are bounded, and one that nobody used for [`IDLE_MAX`] leaves its group and goes.
//! 2. An instance does one thing at a time; requests about it wait for each other.
//! 3. Only partitions that the instance owns are read, and only its own positions are committed.
//! 4. Positions move when an answer with the records before them is made, never by a read that ends in an error. What commits by
//!    itself commits what earlier answers had, before it reads on.

pub(super) mod doors;
mod membership;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use alluvium_coordinator::OffsetsError;
use alluvium_coordinator::consumer_group::FetchInput;
use alluvium_coordinator::group::{CommitInput, GroupError};
use alluvium_infra::runtime::Instant;
use alluvium_log::CommittedOffset;
use alluvium_reader::{FetchRequest, Isolation, OffsetQuery, PartitionFetch, ReadError};
use alluvium_record::{Record, TopicPartition};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

use super::error::{RestError, code};
use super::extract::Answering;
use super::read::{self, Wanted};
use super::record::Format;
use super::{Rest, group_offsets};
use membership::Membership;

/// Instances at once.
const INSTANCES_MAX: usize = 1_000;
/// How long an instance lives without a request.
const IDLE_MAX: Duration = Duration::from_secs(300);
const COMMIT_TIMEOUT_MS: i32 = 20_000;

/// What a partition without a committed offset begins with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reset {
    Earliest,
    Latest,
    /// It is an error.
    None,
}

/// All instances of a node.
#[derive(Default)]
pub(super) struct Consumers {
    instances: Mutex<HashMap<(String, String), Arc<Instance>>>,
}

/// One consumer.
struct Instance {
    group: String,
    name: String,
    format: Format,
    reset: Reset,
    auto_commit: bool,
    used_at: Mutex<Instant>,
    state: AsyncMutex<State>,
}

/// What it does now.
#[derive(Default)]
struct State {
    mode: Mode,
    /// What it owns, and where it goes on reading; nothing before its first read.
    positions: BTreeMap<TopicPartition, Option<i64>>,
    /// Whether records were given since offsets were last committed.
    has_given: bool,
    /// Set when it is gone.
    is_closed: bool,
}

#[derive(Default)]
enum Mode {
    #[default]
    Nothing,
    Subscribed(Membership),
    Assigned,
}

impl Consumers {
    fn get(&self, group: &str, name: &str) -> Result<Arc<Instance>, RestError> {
        let found = self.instances.lock().get(&(group.to_owned(), name.to_owned())).cloned();
        found.ok_or_else(|| RestError::new(code::CONSUMER_NOT_FOUND, "Consumer instance not found."))
    }

    fn add(&self, instance: Instance) -> Result<Arc<Instance>, RestError> {
        let mut instances = self.instances.lock();
        let key = (instance.group.clone(), instance.name.clone());
        if instances.contains_key(&key) {
            let told = "Consumer instance with the specified name already exists.";
            return Err(RestError::new(code::CONSUMER_EXISTS, told));
        }
        if instances.len() >= INSTANCES_MAX {
            let told = format!("this node has {INSTANCES_MAX} consumer instances: delete some");
            return Err(RestError::new(code::UNAVAILABLE, told));
        }
        let instance = Arc::new(instance);
        instances.insert(key, instance.clone());
        Ok(instance)
    }

    fn remove(&self, instance: &Instance) {
        self.instances.lock().remove(&(instance.group.clone(), instance.name.clone()));
    }
}

impl Instance {
    /// Ends it: the group gets its partitions back at once.
    async fn close(&self, rest: &Rest) {
        let mut state = self.state.lock().await;
        if state.is_closed {
            return;
        }
        state.is_closed = true;
        if let Err(error) = self.commit_given(rest, &mut state, Answering::default()).await {
            tracing::debug!(group = self.group, %error, "offsets of a consumer that ends were not committed");
        }
        if let Mode::Subscribed(membership) = std::mem::take(&mut state.mode) {
            membership.leave(rest, &self.group).await;
        }
    }

    fn touch(&self, rest: &Rest) {
        *self.used_at.lock() = rest.node().runtime.monotonic();
    }

    /// Records of the partitions that it owns, from where it stands; it stays there until [`Reading::given`].
    async fn read(
        &self,
        rest: &Rest,
        wait_max: Duration,
        bytes_max: usize,
        answering: Answering,
    ) -> Result<Reading<'_>, RestError> {
        let mut locked = self.state.lock().await;
        if locked.is_closed {
            return Err(RestError::new(code::CONSUMER_NOT_FOUND, "Consumer instance not found."));
        }
        let state = &mut *locked;
        if let Mode::Subscribed(membership) = &mut state.mode {
            let told = membership.heartbeat(rest, &self.group).await?;
            self.own(rest, state, told).await;
        }
        if matches!(state.mode, Mode::Nothing) {
            return Err(RestError::new(
                code::ILLEGAL_STATE,
                "Consumer is not subscribed to any topics or assigned any partitions",
            ));
        }
        self.commit_given(rest, state, answering).await?;
        self.find_positions(rest, state).await?;
        let mut partitions = Vec::new();
        for (topic_partition, result) in fetch(rest, &state.positions, wait_max, bytes_max).await? {
            let (records, next_offset) = match result {
                Ok(read) => read,
                // Retention has passed it, or the position was set to a place that is none.
                Err(ReadError::OffsetOutOfRange { .. }) if self.reset != Reset::None => {
                    (Vec::new(), self.reset_offset(rest, topic_partition).await?)
                }
                Err(error) => return Err(RestError::from(&error)),
            };
            partitions.push(Fetched { topic_partition, records, next_offset });
        }
        Ok(Reading { state: locked, partitions })
    }

    /// Takes over what the coordinator says it owns.
    async fn own(&self, rest: &Rest, state: &mut State, told: Option<Vec<TopicPartition>>) {
        let Some(owned) = told else { return };
        if state.positions.keys().any(|place| !owned.contains(place))
            && let Err(error) = self.commit_given(rest, state, Answering::default()).await
        {
            tracing::debug!(group = self.group, %error, "offsets were not committed before partitions are given up");
        }
        state.positions.retain(|place, _| owned.contains(place));
        for place in owned {
            state.positions.entry(place).or_insert(None);
        }
    }

    /// Where reading begins: at the committed offset, or where the instance was told to.
    async fn find_positions(&self, rest: &Rest, state: &mut State) -> Result<(), RestError> {
        if state.positions.values().all(Option::is_some) {
            return Ok(());
        }
        let input = FetchInput { group: self.group.clone(), member_id: None, member_epoch: -1 };
        let known = rest.node().groups.fetch_offsets(&input).await.map_err(RestError::from)?;
        let group = known.group(&self.group);
        let unknown: Vec<TopicPartition> =
            state.positions.iter().filter(|(_, position)| position.is_none()).map(|(place, _)| *place).collect();
        for place in unknown {
            let committed = group.and_then(|group| group.offset(place)).map(|committed| committed.offset);
            let offset = match committed {
                Some(offset) => offset,
                None => self.reset_offset(rest, place).await?,
            };
            state.positions.insert(place, Some(offset));
        }
        Ok(())
    }

    async fn reset_offset(&self, rest: &Rest, place: TopicPartition) -> Result<i64, RestError> {
        let query = match self.reset {
            Reset::Earliest => OffsetQuery::Earliest,
            Reset::Latest => OffsetQuery::Latest,
            Reset::None => {
                let told =
                    format!("no offset is committed for partition {}, and auto.offset.reset is none", place.partition);
                return Err(RestError::new(code::ILLEGAL_STATE, told));
            }
        };
        read::offset_of(rest, place, query, Isolation::ReadCommitted).await
    }

    /// Commits what earlier answers had, where nobody else does.
    async fn commit_given(&self, rest: &Rest, state: &mut State, answering: Answering) -> Result<(), RestError> {
        if self.auto_commit && state.has_given {
            self.commit_positions(rest, state, answering).await?;
            state.has_given = false;
        }
        Ok(())
    }

    /// Commits where it stands.
    async fn commit_positions(&self, rest: &Rest, state: &State, answering: Answering) -> Result<(), RestError> {
        let now_ms = rest.node().runtime.now_ms();
        let committed =
            |offset| CommittedOffset { offset, leader_epoch: -1, metadata: String::new(), commit_ms: now_ms };
        let offsets =
            state.positions.iter().filter_map(|(place, offset)| Some((*place, committed((*offset)?)))).collect();
        self.commit(rest, state, offsets, answering).await
    }

    async fn commit(
        &self,
        rest: &Rest,
        state: &State,
        offsets: Vec<(TopicPartition, CommittedOffset)>,
        answering: Answering,
    ) -> Result<(), RestError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let Mode::Subscribed(membership) = &state.mode else {
            return group_offsets::commit_outside(rest, &self.group, offsets, answering).await;
        };
        let node = rest.node();
        let deadline = answering.at_most(node.deadline(COMMIT_TIMEOUT_MS));
        let sender = CommitInput {
            group: self.group.clone(),
            generation: membership.epoch(),
            member_id: membership.id().to_owned(),
            instance_id: None,
            transactional: false,
        };
        match node.groups.commit_offsets(&sender, offsets, Some(deadline)).await {
            Ok(_) => Ok(()),
            Err(OffsetsError::Refused(GroupError::StaleMemberEpoch | GroupError::UnknownMemberId)) => {
                Err(RestError::new(code::KAFKA_RETRIABLE, "the group has rebalanced: read again"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Records that nobody has been given yet. Nothing else happens to the instance meanwhile.
struct Reading<'a> {
    state: MutexGuard<'a, State>,
    partitions: Vec<Fetched>,
}

/// Records of a partition, and where to go on behind them.
struct Fetched {
    topic_partition: TopicPartition,
    records: Vec<Record>,
    next_offset: i64,
}

impl Reading<'_> {
    /// An answer has the records before these positions.
    fn given(mut self, positions: Vec<(TopicPartition, i64)>) {
        for (place, position) in positions {
            if self.state.positions.insert(place, Some(position)) != Some(Some(position)) {
                self.state.has_given = true;
            }
        }
    }
}

type PartitionRead = (TopicPartition, Result<(Vec<Record>, i64), ReadError>);

/// Reads all partitions with one wait.
async fn fetch(
    rest: &Rest,
    positions: &BTreeMap<TopicPartition, Option<i64>>,
    wait_max: Duration,
    bytes_max: usize,
) -> Result<Vec<PartitionRead>, RestError> {
    let node = rest.node();
    let granted = node.fetch_memory.grant().min(bytes_max);
    let bytes_max = i32::try_from(granted).unwrap_or(i32::MAX);
    let partitions: Vec<PartitionFetch> = positions
        .iter()
        .filter_map(|(place, offset)| {
            Some(PartitionFetch { topic_partition: *place, offset: (*offset)?, bytes_max, leader_epoch: None })
        })
        .collect();
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let offsets: Vec<i64> = partitions.iter().map(|partition| partition.offset).collect();
    let isolation = Isolation::ReadCommitted;
    let request =
        |wait_max| FetchRequest { partitions: partitions.clone(), bytes_max, bytes_min: 1, wait_max, isolation };
    let waiting = node.reader.fetch(request(wait_max));
    let fetched = match rest.shutdown().unless_triggered(waiting).await {
        Some(fetched) => fetched,
        None => node.reader.fetch(request(Duration::ZERO)).await,
    };
    let read = fetched.into_iter().zip(offsets).map(|(fetched, offset)| match fetched.result {
        Ok(data) => {
            let wanted = Wanted { offset, bytes_max: granted, records_max: usize::MAX, wait_max, isolation };
            Ok((fetched.topic_partition, Ok(read::visible(&data, &wanted)?)))
        }
        Err(error) => Ok((fetched.topic_partition, Err(error))),
    });
    read.collect()
}
