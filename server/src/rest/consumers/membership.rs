//! An instance as a member of its group: joins, heartbeats, leaves.
//!
//! Invariant: a member that the coordinator does not know any more owns nothing and joins anew.

use std::sync::{Arc, Weak};
use std::time::Duration;

use alluvium_coordinator::Ticket;
use alluvium_coordinator::consumer_group::{ConsumerHeartbeatInput, JOIN_EPOCH, LEAVE_EPOCH};
use alluvium_coordinator::group::GroupError;
use alluvium_record::TopicPartition;

use super::{IDLE_MAX, Instance, Mode};
use crate::rest::Rest;
use crate::rest::error::RestError;

/// How long the instance may take to give partitions up.
const REBALANCE_TIMEOUT_MS: i32 = 300_000;
/// Between heartbeats, as long as the coordinator has not said.
const HEARTBEAT_INTERVAL_MS: i32 = 3_000;

/// What the coordinator knows of the instance.
pub(super) struct Membership {
    id: String,
    epoch: i32,
    interval_ms: i32,
    pub(super) topics: Vec<String>,
    pub(super) pattern: Option<String>,
    owned: Vec<TopicPartition>,
}

impl Membership {
    pub(super) fn new(rest: &Rest, topics: Vec<String>, pattern: Option<String>) -> Self {
        let id = rest.node().runtime.random_uuid().to_string();
        Self { id, epoch: JOIN_EPOCH, interval_ms: HEARTBEAT_INTERVAL_MS, topics, pattern, owned: Vec::new() }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Joins or stays. What it owns from now on, if that has changed.
    pub(super) async fn heartbeat(
        &mut self,
        rest: &Rest,
        group: &str,
    ) -> Result<Option<Vec<TopicPartition>>, RestError> {
        match rest.node().groups.consumer_heartbeat(self.input(rest, group, self.epoch)).await {
            Ok(told) => {
                self.epoch = told.member_epoch;
                self.interval_ms = told.heartbeat_interval_ms;
                if let Some(assignment) = &told.assignment {
                    self.owned.clone_from(assignment);
                }
                Ok(told.assignment)
            }
            Err(refused) => match refused.error {
                GroupError::UnknownMemberId | GroupError::FencedMemberEpoch => {
                    self.epoch = JOIN_EPOCH;
                    self.owned.clear();
                    Ok(Some(Vec::new()))
                }
                error => {
                    let mut told = RestError::from(error);
                    if !refused.message.is_empty() {
                        told.message = refused.message;
                    }
                    Err(told)
                }
            },
        }
    }

    pub(super) async fn leave(self, rest: &Rest, group: &str) {
        if self.epoch == JOIN_EPOCH {
            return;
        }
        if let Err(refused) = rest.node().groups.consumer_heartbeat(self.input(rest, group, LEAVE_EPOCH)).await {
            tracing::debug!(group, error = %refused.error, "a consumer could not leave: its session ends later");
        }
    }

    fn input(&self, rest: &Rest, group: &str, epoch: i32) -> ConsumerHeartbeatInput {
        let joins = epoch == JOIN_EPOCH;
        ConsumerHeartbeatInput {
            ticket: Ticket(0),
            group: group.to_owned(),
            member_id: self.id.clone(),
            member_epoch: epoch,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: if joins { REBALANCE_TIMEOUT_MS } else { -1 },
            subscribed_topics: joins.then(|| self.topics.clone()),
            subscribed_regex: self.pattern.clone().filter(|_| joins),
            assignor: None,
            owned: Some(self.owned.clone()).filter(|_| epoch != LEAVE_EPOCH),
            client_id: "rest".to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            id_made_by_client: true,
            fresh_id: rest.node().runtime.random_uuid(),
        }
    }
}

/// Keeps the instance in its group until it is closed or idle for too long.
pub(super) fn keep(rest: &Rest, instance: &Arc<Instance>) {
    let (rest, instance) = (rest.clone(), Arc::downgrade(instance));
    let runtime = rest.node().runtime.clone();
    drop(runtime.spawn("rest consumer", async move {
        let mut pause = Duration::ZERO;
        while rest.shutdown().unless_triggered(rest.node().runtime.sleep(pause)).await.is_some() {
            match beat(&rest, &instance).await {
                Some(next) => pause = next,
                None => return,
            }
        }
        // The node ends: others take over sooner when it is said.
        if let Some(instance) = instance.upgrade() {
            instance.close(&rest).await;
        }
    }));
}

/// One heartbeat; how long until the next, or nothing when there will be none.
async fn beat(rest: &Rest, instance: &Weak<Instance>) -> Option<Duration> {
    let instance = instance.upgrade()?;
    let idle = rest.node().runtime.monotonic().saturating_duration_since(*instance.used_at.lock());
    if idle > IDLE_MAX {
        tracing::info!(group = instance.group, name = instance.name, "a consumer instance was idle for too long");
        rest.consumers().remove(&instance);
        instance.close(rest).await;
        return None;
    }
    let mut state = instance.state.lock().await;
    if state.is_closed {
        return None;
    }
    let state = &mut *state;
    let mut pause_ms = HEARTBEAT_INTERVAL_MS;
    if let Mode::Subscribed(membership) = &mut state.mode {
        match membership.heartbeat(rest, &instance.group).await {
            Ok(told) => {
                pause_ms = membership.interval_ms;
                instance.own(rest, state, told).await;
            }
            Err(error) => tracing::debug!(group = instance.group, %error, "a consumer's heartbeat was refused"),
        }
    }
    Some(Duration::from_millis(u64::try_from(pause_ms).unwrap_or(1).max(1)))
}
