//! A driver of the pure group coordinator, as small as one can be: it carries effects out in their order.
//!
//! Invariants: effects happen under the lock under which they were decided; every change is reported once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_coordinator::group::{CommitInput, HeartbeatInput, JoinInput, SyncInput};
use alluvium_coordinator::{Effect, GroupError, GroupSettings, Groups, PersistError, Response, Ticket};
use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::Log;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use crate::history::Outcome;

/// Consumer groups of one node.
#[derive(Clone)]
pub struct GroupDriver {
    shared: Arc<Shared>,
}

struct Shared {
    table: Mutex<Table>,
    rescheduled: Notify,
    log: Log,
    runtime: Runtime,
    started: Instant,
    started_ms: i64,
}

struct Table {
    groups: Groups,
    waiting: BTreeMap<Ticket, oneshot::Sender<Response>>,
    tickets: u64,
}

impl GroupDriver {
    /// Restores all groups of the log and starts their timers.
    #[must_use]
    pub fn start(log: Log, runtime: Runtime) -> Self {
        let table = Table { groups: Groups::new(GroupSettings::default()), waiting: BTreeMap::new(), tickets: 0 };
        let driver = Self {
            shared: Arc::new(Shared {
                table: Mutex::new(table),
                rescheduled: Notify::new(),
                started: runtime.monotonic(),
                started_ms: runtime.now_ms(),
                log,
                runtime: runtime.clone(),
            }),
        };
        let state = driver.shared.log.meta().state();
        for (group, known) in state.groups() {
            let record = known.record().map(|record| record.as_ref().clone());
            driver.act(|groups, now| ((), groups.restore(now, group, record)));
        }
        drop(runtime.spawn("group timers", run_timers(driver.clone())));
        driver
    }

    fn now_ms(&self) -> i64 {
        let elapsed = self.shared.runtime.monotonic().saturating_duration_since(self.shared.started);
        self.shared.started_ms + elapsed.as_millis() as i64
    }

    fn act<R>(&self, act: impl FnOnce(&mut Groups, i64) -> (R, Vec<Effect>)) -> R {
        let mut table = self.shared.table.lock();
        let (result, effects) = act(&mut table.groups, self.now_ms());
        self.carry_out(&mut table, effects);
        result
    }

    async fn ask(&self, act: impl FnOnce(&mut Groups, i64, Ticket) -> Vec<Effect>) -> Option<Response> {
        let answer = {
            let mut table = self.shared.table.lock();
            table.tickets += 1;
            let ticket = Ticket(table.tickets);
            let (sender, receiver) = oneshot::channel();
            table.waiting.insert(ticket, sender);
            let effects = act(&mut table.groups, self.now_ms(), ticket);
            self.carry_out(&mut table, effects);
            receiver
        };
        answer.await.ok()
    }

    fn carry_out(&self, table: &mut Table, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Respond { ticket, response } => {
                    if let Some(waiting) = table.waiting.remove(&ticket) {
                        // A client that has gone does not hear its answer.
                        drop(waiting.send(response));
                    }
                }
                Effect::Persist { group, token, change } => {
                    let driver = self.clone();
                    drop(self.shared.runtime.spawn("group change", async move {
                        let operation = change.into_operation(&group);
                        let result = driver.shared.log.meta().commit(operation, None).await;
                        let result = result.map(|_| ()).map_err(|error| PersistError::from(&error));
                        let outdated = result == Err(PersistError::NotCoordinator);
                        driver.act(|groups, now| ((), groups.persisted(now, &group, token, result)));
                        if outdated {
                            driver.take_over(&group);
                        }
                    }));
                }
            }
        }
        self.shared.rescheduled.notify_one();
    }

    fn take_over(&self, group: &str) {
        let state = self.shared.log.meta().state();
        self.act(|groups, _now| ((), groups.forget(group, GroupError::NotCoordinator)));
        if let Some(known) = state.group(group) {
            let record = known.record().map(|record| record.as_ref().clone());
            self.act(|groups, now| ((), groups.restore(now, group, record)));
        }
    }

    /// JoinGroup.
    pub async fn join(&self, group: &str, member: &str) -> Outcome {
        let input = JoinInput {
            ticket: Ticket(0),
            group: group.to_owned(),
            member_id: member.to_owned(),
            instance_id: None,
            client_id: "sim".to_owned(),
            client_host: "sim".to_owned(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 10_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![("range".to_owned(), Bytes::from_static(b"sim"))],
            member_id_required: false,
            skip_assignment_supported: true,
            fresh_id: self.shared.runtime.random_uuid(),
        };
        let response = self.ask(|groups, now, ticket| groups.join(now, JoinInput { ticket, ..input })).await;
        match response {
            Some(Response::Join(Ok(joined))) => Outcome::Joined {
                member: joined.member_id,
                generation: joined.generation,
                members: joined.members.into_iter().map(|member| member.member_id).collect(),
            },
            Some(Response::Join(Err(refused))) => Outcome::Refused(refused.error.to_string()),
            _ => Outcome::Unknown,
        }
    }

    /// SyncGroup.
    pub async fn sync(&self, group: &str, member: &str, generation: i32, assignments: &[(String, String)]) -> Outcome {
        let input = SyncInput {
            ticket: Ticket(0),
            group: group.to_owned(),
            generation,
            member_id: member.to_owned(),
            instance_id: None,
            protocol_type: None,
            protocol: None,
            assignments: assignments
                .iter()
                .map(|(member, assignment)| (member.clone(), Bytes::from(assignment.clone())))
                .collect(),
        };
        let response = self.ask(|groups, now, ticket| groups.sync(now, SyncInput { ticket, ..input })).await;
        match response {
            Some(Response::Sync(Ok(synced))) => {
                Outcome::Synced(String::from_utf8_lossy(&synced.assignment).into_owned())
            }
            Some(Response::Sync(Err(error))) => Outcome::Refused(error.to_string()),
            _ => Outcome::Unknown,
        }
    }

    /// Heartbeat.
    pub fn heartbeat(&self, group: &str, member: &str, generation: i32) -> Outcome {
        let input =
            HeartbeatInput { group: group.to_owned(), generation, member_id: member.to_owned(), instance_id: None };
        match self.act(|groups, now| (groups.heartbeat(now, &input), Vec::new())) {
            Ok(()) => Outcome::Done { entry: 0 },
            Err(error) => Outcome::Refused(error.to_string()),
        }
    }

    /// Whether offsets may be committed.
    ///
    /// # Errors
    /// Why not.
    pub fn check_commit(&self, group: &str, member: Option<&(i32, String)>) -> Result<(), GroupError> {
        let (generation, member_id) = member.cloned().unwrap_or((-1, String::new()));
        let input =
            CommitInput { group: group.to_owned(), generation, member_id, instance_id: None, transactional: false };
        self.act(|groups, now| (groups.check_commit(now, &input), Vec::new()))
    }

    /// Whether every group is as it should be.
    ///
    /// # Errors
    /// What is broken.
    pub fn check(&self) -> Result<(), String> {
        self.shared.table.lock().groups.check().map_err(|broken| format!("{broken:?}"))
    }
}

/// Carries out timers as they fall due.
async fn run_timers(driver: GroupDriver) {
    loop {
        let next_ms = driver.shared.table.lock().groups.next_deadline_ms();
        let pause = next_ms
            .map(|next_ms| Duration::from_millis(u64::try_from(next_ms.saturating_sub(driver.now_ms())).unwrap_or(0)));
        let due = async {
            match pause {
                Some(pause) => driver.shared.runtime.sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = driver.shared.rescheduled.notified() => continue,
            () = due => {}
        }
        driver.act(|groups, now| ((), groups.tick(now)));
    }
}
