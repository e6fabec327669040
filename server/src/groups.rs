//! The driver of consumer groups: it carries out what the pure coordinator decides.
//!
//! Owns: the table of groups, the answers that clients wait for, and the clock of the groups.
//! Invariants:
//! 1. Every call into the coordinator and the effects it has happen under one lock, so that effects are carried out in
//!    the order in which they were decided. Nothing is awaited under the lock.
//! 2. Every change is written in a task of its own and its fate is reported once, whatever became of the client.
//! 3. Groups are restored from the log before the first request is let in.
//! 4. The clock of the groups is the wall clock at the start plus monotonic time: it never jumps.

mod changes;
mod retention;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_coordinator::group::{
    CommitInput, GroupDescription, GroupFilter, GroupListing, HeartbeatInput, JoinInput, JoinRefused, Joined,
    LeaveInput, SyncInput, Synced,
};
use alluvium_coordinator::{Effect, GroupError, GroupSettings, Groups, Response, Ticket};
use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_log::Log;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

/// Consumer groups. Cloning shares them.
#[derive(Clone)]
pub(crate) struct GroupDriver {
    shared: Arc<Shared>,
}

struct Shared {
    table: Mutex<Table>,
    /// Told when the next timer may be earlier than before.
    rescheduled: Notify,
    log: Log,
    runtime: Runtime,
    started: Instant,
    started_ms: i64,
}

/// What the lock guards.
struct Table {
    groups: Groups,
    waiting: HashMap<Ticket, oneshot::Sender<Response>>,
    tickets: u64,
}

impl Table {
    fn ticket(&mut self) -> (Ticket, oneshot::Receiver<Response>) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(ticket, sender);
        (ticket, receiver)
    }
}

impl std::fmt::Debug for GroupDriver {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GroupDriver").finish_non_exhaustive()
    }
}

impl GroupDriver {
    /// Restores all groups of the log and starts their timers. The timers end when `stopped` is cancelled.
    pub(crate) fn start(
        log: Log,
        settings: GroupSettings,
        offsets_retention: Duration,
        runtime: Runtime,
        stopped: CancellationToken,
    ) -> GroupDriver {
        let driver = GroupDriver {
            shared: Arc::new(Shared {
                table: Mutex::new(Table { groups: Groups::new(settings), waiting: HashMap::new(), tickets: 0 }),
                rescheduled: Notify::new(),
                started: runtime.monotonic(),
                started_ms: runtime.now_ms(),
                log,
                runtime,
            }),
        };
        driver.restore_all();
        let runtime = driver.shared.runtime.clone();
        runtime.spawn("group timers", run_timers(driver.clone(), stopped.clone()));
        runtime.spawn("offset retention", retention::run(driver.clone(), offsets_retention, stopped));
        driver
    }

    fn restore_all(&self) {
        let state = self.shared.log.meta().state();
        for (group, known) in state.groups() {
            let record = known.record().map(|record| changes::from_log(record));
            self.act(|groups, now| ((), groups.restore(now, group, record)));
        }
    }

    /// Lets the coordinator act and carries out what it wants done.
    fn act<R>(&self, act: impl FnOnce(&mut Groups, i64) -> (R, Vec<Effect>)) -> R {
        let mut table = self.shared.table.lock();
        let (result, effects) = act(&mut table.groups, self.now_ms());
        self.carry_out(&mut table, effects);
        result
    }

    /// Lets the coordinator act on something that is answered later.
    fn ask(&self, act: impl FnOnce(&mut Groups, i64, Ticket) -> Vec<Effect>) -> oneshot::Receiver<Response> {
        let mut table = self.shared.table.lock();
        let (ticket, answer) = table.ticket();
        let effects = act(&mut table.groups, self.now_ms(), ticket);
        self.carry_out(&mut table, effects);
        answer
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
                    let writing = changes::write(self.clone(), group, token, change);
                    self.shared.runtime.spawn("group change", writing);
                }
            }
        }
        self.shared.rescheduled.notify_one();
    }

    fn now_ms(&self) -> i64 {
        let elapsed = self.shared.runtime.monotonic().saturating_duration_since(self.shared.started);
        self.shared.started_ms.saturating_add(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    /// JoinGroup. `input.ticket` is filled in here.
    pub(crate) async fn join(&self, mut input: JoinInput) -> Result<Joined, JoinRefused> {
        let member_id = input.member_id.clone();
        let answer = self.ask(|groups, now, ticket| {
            input.ticket = ticket;
            groups.join(now, input)
        });
        match answer.await {
            Ok(Response::Join(result)) => result,
            Ok(Response::Sync(_) | Response::Delete(_) | Response::ConsumerHeartbeat(_)) | Err(_) => {
                Err(JoinRefused { error: GroupError::CoordinatorNotAvailable, member_id })
            }
        }
    }

    /// SyncGroup. `input.ticket` is filled in here.
    pub(crate) async fn sync(&self, mut input: SyncInput) -> Result<Synced, GroupError> {
        let answer = self.ask(|groups, now, ticket| {
            input.ticket = ticket;
            groups.sync(now, input)
        });
        match answer.await {
            Ok(Response::Sync(result)) => result,
            Ok(Response::Join(_) | Response::Delete(_) | Response::ConsumerHeartbeat(_)) | Err(_) => {
                Err(GroupError::CoordinatorNotAvailable)
            }
        }
    }

    /// DeleteGroups for one group.
    pub(crate) async fn delete(&self, group: &str) -> Result<(), GroupError> {
        let answer = self.ask(|groups, now, ticket| groups.delete(now, ticket, group));
        match answer.await {
            Ok(Response::Delete(result)) => result,
            Ok(Response::Join(_) | Response::Sync(_) | Response::ConsumerHeartbeat(_)) | Err(_) => {
                Err(GroupError::CoordinatorNotAvailable)
            }
        }
    }

    /// Heartbeat.
    pub(crate) fn heartbeat(&self, input: &HeartbeatInput) -> Result<(), GroupError> {
        self.act(|groups, now| (groups.heartbeat(now, input), Vec::new()))
    }

    /// LeaveGroup.
    pub(crate) fn leave(&self, input: &LeaveInput) -> Vec<Result<(), GroupError>> {
        self.act(|groups, now| groups.leave(now, input))
    }

    /// Whether offsets may be committed.
    pub(crate) fn check_commit(&self, input: &CommitInput) -> Result<(), GroupError> {
        self.act(|groups, now| (groups.check_commit(now, input), Vec::new()))
    }

    /// Whether offsets of a group may be deleted.
    pub(crate) fn check_offset_delete(&self, group: &str) -> Result<(), GroupError> {
        self.shared.table.lock().groups.check_offset_delete(group)
    }

    /// Whether members of a group use a topic.
    pub(crate) fn is_subscribed(&self, group: &str, topic: &str) -> bool {
        self.shared.table.lock().groups.is_subscribed(group, topic)
    }

    /// DescribeGroups for one group.
    pub(crate) fn describe(&self, group: &str) -> Option<GroupDescription> {
        self.shared.table.lock().groups.describe(group)
    }

    /// ListGroups.
    pub(crate) fn list(&self, filter: &GroupFilter) -> Vec<GroupListing> {
        self.shared.table.lock().groups.list(filter)
    }

    /// Sends everybody who waits away, at shutdown.
    pub(crate) fn resign(&self) {
        self.act(|groups, _now| ((), groups.resign(GroupError::NotCoordinator)));
    }
}

/// Carries out timers as they fall due.
async fn run_timers(driver: GroupDriver, stopped: CancellationToken) {
    loop {
        let next_ms = driver.shared.table.lock().groups.next_deadline_ms();
        let pause = next_ms
            .map(|next_ms| Duration::from_millis(u64::try_from(next_ms.saturating_sub(driver.now_ms())).unwrap_or(0)));
        let rescheduled = driver.shared.rescheduled.notified();
        let due = async {
            match pause {
                Some(pause) => driver.shared.runtime.sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopped.cancelled() => return,
            () = rescheduled => continue,
            () = due => {}
        }
        driver.act(|groups, now| ((), groups.tick(now)));
    }
}
