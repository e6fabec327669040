//! Fetch sessions (KIP-227): what a client fetches is remembered, so that it names only what changes.
//!
//! Owns: the sessions of this node, in memory alone; a client whose session is gone starts a new one.
//! Invariants:
//! 1. At most `sessions_max` sessions exist. A new one takes the place of one that was idle for two minutes, or is not made.
//! 2. A session's epoch follows the client's: the next request must carry exactly the next number.
//! 3. A session speaks of topics by name or by id for all its life (version 13 changed it).
//! 4. Partitions that had data go to the end of their session's order, so that no partition starves.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::messages::{StrBytes, Uuid};
use parking_lot::Mutex;

/// The epoch of a request that wants a new session.
const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants no session.
const FINAL_EPOCH: i32 = -1;
/// No session.
pub(crate) const NO_SESSION: i32 = 0;
/// How long a session must be idle before a new one may take its place.
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// How a fetch names a topic.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum TopicKey {
    /// By name, up to version 12.
    Name(String),
    /// By id, from version 13.
    Id([u8; 16]),
}

impl TopicKey {
    /// The name for an answer.
    pub(crate) fn wire_name(&self) -> StrBytes {
        match self {
            TopicKey::Name(name) => StrBytes::from(name.as_str()),
            TopicKey::Id(_) => StrBytes::default(),
        }
    }

    /// The id for an answer.
    pub(crate) fn wire_id(&self) -> Uuid {
        match self {
            TopicKey::Name(_) => Uuid::ZERO,
            TopicKey::Id(id) => Uuid::from_bytes(*id),
        }
    }
}

/// One partition of one topic as a fetch names it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct PartitionKey {
    pub(crate) topic: TopicKey,
    pub(crate) partition: i32,
}

/// What is fetched from a partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct WantedPartition {
    pub(crate) fetch_offset: i64,
    pub(crate) current_leader_epoch: i32,
    pub(crate) bytes_max: i32,
}

/// What a client was last told of a partition.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    pub(crate) high_watermark: i64,
    pub(crate) log_start_offset: i64,
}

/// What a request fetches, and how its answer is to be made.
#[derive(Debug)]
pub(crate) enum FetchPlan {
    /// All of the answer is sent, and no session is kept.
    Sessionless { wanted: Vec<(PartitionKey, WantedPartition)> },
    /// All of the answer is sent, under the id of a new session.
    Full { session_id: i32, wanted: Vec<(PartitionKey, WantedPartition)> },
    /// Only what is new is sent.
    Incremental { session_id: i32, wanted: Vec<(PartitionKey, WantedPartition)> },
}

/// The part of a Fetch request that sessions decide on.
#[derive(Debug)]
pub(crate) struct SessionRequest {
    pub(crate) session_id: i32,
    pub(crate) session_epoch: i32,
    /// Whether topics are named by id.
    pub(crate) by_id: bool,
    pub(crate) wanted: Vec<(PartitionKey, WantedPartition)>,
    pub(crate) forgotten: Vec<PartitionKey>,
}

#[derive(Debug)]
struct Cached {
    order: u64,
    wanted: WantedPartition,
    told: Option<Told>,
}

#[derive(Debug)]
struct Session {
    by_id: bool,
    next_epoch: i32,
    last_used: Instant,
    partitions: HashMap<PartitionKey, Cached>,
    order: BTreeMap<u64, PartitionKey>,
    next_order: u64,
}

impl Session {
    fn put(&mut self, key: PartitionKey, wanted: WantedPartition) {
        if let Some(cached) = self.partitions.get_mut(&key) {
            cached.wanted = wanted;
            return;
        }
        let order = self.next_order;
        self.next_order += 1;
        self.order.insert(order, key.clone());
        self.partitions.insert(key, Cached { order, wanted, told: None });
    }

    fn remove(&mut self, key: &PartitionKey) {
        if let Some(cached) = self.partitions.remove(key) {
            self.order.remove(&cached.order);
        }
    }

    fn move_to_end(&mut self, key: &PartitionKey) {
        let Some(cached) = self.partitions.get_mut(key) else { return };
        self.order.remove(&cached.order);
        cached.order = self.next_order;
        self.next_order += 1;
        self.order.insert(cached.order, key.clone());
    }

    fn wanted(&self) -> Vec<(PartitionKey, WantedPartition)> {
        self.order
            .values()
            .filter_map(|key| self.partitions.get(key).map(|cached| (key.clone(), cached.wanted)))
            .collect()
    }
}

/// The sessions of a node.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    sessions: Mutex<HashMap<i32, Session>>,
    sessions_max: usize,
    runtime: Runtime,
}

impl FetchSessions {
    pub(crate) fn new(sessions_max: usize, runtime: Runtime) -> FetchSessions {
        FetchSessions { sessions: Mutex::new(HashMap::new()), sessions_max, runtime }
    }

    /// Sessions that are kept.
    pub(crate) fn count(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Decides what a request fetches.
    pub(crate) fn plan(&self, request: SessionRequest) -> Result<FetchPlan, ErrorCode> {
        let mut sessions = self.sessions.lock();
        match request.session_epoch {
            FINAL_EPOCH => {
                sessions.remove(&request.session_id);
                Ok(FetchPlan::Sessionless { wanted: request.wanted })
            }
            INITIAL_EPOCH => {
                sessions.remove(&request.session_id);
                Ok(self.open(&mut sessions, request))
            }
            _ => self.resume(&mut sessions, request),
        }
    }

    fn open(&self, sessions: &mut HashMap<i32, Session>, request: SessionRequest) -> FetchPlan {
        let now = self.runtime.monotonic();
        let wanted = request.wanted;
        if wanted.is_empty() || !self.make_room(sessions, now) {
            return FetchPlan::Sessionless { wanted };
        }
        let session_id = loop {
            let candidate = i32::try_from(self.runtime.random_below(i32::MAX as u64)).unwrap_or(NO_SESSION);
            if candidate != NO_SESSION && !sessions.contains_key(&candidate) {
                break candidate;
            }
        };
        let mut session = Session {
            by_id: request.by_id,
            next_epoch: 1,
            last_used: now,
            partitions: HashMap::with_capacity(wanted.len()),
            order: BTreeMap::new(),
            next_order: 0,
        };
        for (key, partition) in &wanted {
            session.put(key.clone(), *partition);
        }
        sessions.insert(session_id, session);
        FetchPlan::Full { session_id, wanted }
    }

    fn make_room(&self, sessions: &mut HashMap<i32, Session>, now: Instant) -> bool {
        if sessions.len() < self.sessions_max {
            return true;
        }
        let oldest =
            sessions.iter().min_by_key(|(_, session)| session.last_used).map(|(id, session)| (*id, session.last_used));
        match oldest {
            Some((id, last_used)) if now.saturating_duration_since(last_used) >= EVICTION_AGE => {
                sessions.remove(&id);
                true
            }
            _ => false,
        }
    }

    fn resume(&self, sessions: &mut HashMap<i32, Session>, request: SessionRequest) -> Result<FetchPlan, ErrorCode> {
        let session_id = request.session_id;
        let session = sessions.get_mut(&session_id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.next_epoch != request.session_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_id != request.by_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        for (key, wanted) in request.wanted {
            session.put(key, wanted);
        }
        for key in &request.forgotten {
            session.remove(key);
        }
        session.last_used = self.runtime.monotonic();
        session.next_epoch = if session.next_epoch == i32::MAX { 1 } else { session.next_epoch + 1 };
        if session.partitions.is_empty() {
            sessions.remove(&session_id);
            return Ok(FetchPlan::Sessionless { wanted: Vec::new() });
        }
        Ok(FetchPlan::Incremental { session_id, wanted: session.wanted() })
    }

    /// Keeps the answers that an incremental response must carry, and remembers what the client is told by them.
    /// `seen` is the part of an answer that decides; `None` for an error, which is always sent.
    pub(crate) fn retain_news<T>(
        &self,
        session_id: i32,
        answers: &mut Vec<(PartitionKey, T)>,
        seen: impl Fn(&T) -> (bool, Option<Told>),
    ) {
        let mut sessions = self.sessions.lock();
        let Some(session) = sessions.get_mut(&session_id) else { return };
        let mut with_data = Vec::new();
        answers.retain(|(key, answer)| {
            let (has_data, told) = seen(answer);
            let Some(cached) = session.partitions.get_mut(key) else { return true };
            // An error is told again until it is over, and what follows it is news.
            let is_news = has_data || told.is_none() || cached.told != told;
            cached.told = told;
            if has_data {
                with_data.push(key.clone());
            }
            is_news
        });
        for key in &with_data {
            session.move_to_end(key);
        }
    }

    /// Remembers what a full answer tells its client.
    pub(crate) fn remember<T>(
        &self,
        session_id: i32,
        answers: &[(PartitionKey, T)],
        seen: impl Fn(&T) -> (bool, Option<Told>),
    ) {
        let mut sessions = self.sessions.lock();
        let Some(session) = sessions.get_mut(&session_id) else { return };
        for (key, answer) in answers {
            let (has_data, told) = seen(answer);
            if let Some(cached) = session.partitions.get_mut(key) {
                cached.told = told;
            }
            if has_data {
                session.move_to_end(key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
