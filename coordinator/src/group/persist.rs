//! Writing a group's record, one change at a time.
//!
//! Invariants:
//! 1. A group has at most one change outstanding, so the log sees its changes in the order they were decided.
//! 2. While one is outstanding at most one more is queued: the newest record, which contains all that was decided
//!    before it. Everybody who waited for an older queued one waits for it instead.
//! 3. What a finished change allows is checked against the group as it is then; it may have moved on.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::effect::{Effect, GroupChange, GroupError, PersistError, PersistToken, Response};
use super::input::Ticket;
use super::instance::Replacement;
use super::record::GroupRecord;
use super::state::{Context, Group, State};

/// What follows when a change is written, or is not.
#[derive(Debug)]
pub(super) enum Completion {
    /// The leader's assignment of a generation.
    Assigned { generation: i32, assignments: BTreeMap<String, Bytes> },
    /// A static member's new id.
    Replaced(Box<Replacement>),
    /// The last member went.
    Emptied,
    /// The group goes.
    Deleted { ticket: Ticket },
}

#[derive(Debug, Default)]
pub(super) struct PersistQueue {
    outstanding: Option<(PersistToken, Vec<Completion>)>,
    queued: Option<(GroupChange, Vec<Completion>)>,
}

impl PersistQueue {
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_none() && self.queued.is_none()
    }

    /// Whether the assignment of this generation is already on its way.
    pub(super) fn holds_assignment_of(&self, wanted: i32) -> bool {
        self.completions()
            .any(|completion| matches!(completion, Completion::Assigned { generation, .. } if *generation == wanted))
    }

    /// Tickets of deletions, which no member holds.
    pub(super) fn deletion_tickets(&self) -> Vec<Ticket> {
        self.completions()
            .filter_map(|completion| match completion {
                Completion::Deleted { ticket } => Some(*ticket),
                Completion::Assigned { .. } | Completion::Replaced(_) | Completion::Emptied => None,
            })
            .collect()
    }

    fn completions(&self) -> impl Iterator<Item = &Completion> {
        let outstanding = self.outstanding.iter().flat_map(|(_, completions)| completions);
        outstanding.chain(self.queued.iter().flat_map(|(_, completions)| completions))
    }
}

impl Group {
    /// The group's durable form; `assignments` in place of those the members hold.
    pub(super) fn record(&self, assignments: Option<&BTreeMap<String, Bytes>>) -> GroupRecord {
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let assignment_of = |member_id: &String, held: &Bytes| match assignments {
            Some(assignments) => assignments.get(member_id).cloned().unwrap_or_default(),
            None => held.clone(),
        };
        GroupRecord {
            group: self.id.clone(),
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            members: self
                .members
                .iter()
                .map(|(member_id, member)| {
                    member.record(member_id, protocol, assignment_of(member_id, &member.assignment))
                })
                .collect(),
            updated_ms: self.state_changed_ms,
        }
    }

    pub(super) fn persist_record(
        &mut self,
        context: &mut Context<'_>,
        assignments: Option<&BTreeMap<String, Bytes>>,
        completion: Completion,
    ) {
        let record = self.record(assignments);
        self.in_log = true;
        self.persist(context, GroupChange::Put(record), completion);
    }

    /// Writes that the group is empty, unless the log never heard of it.
    pub(super) fn persist_emptied(&mut self, context: &mut Context<'_>) {
        if self.in_log {
            self.persist_record(context, None, Completion::Emptied);
        }
    }

    pub(super) fn persist(&mut self, context: &mut Context<'_>, change: GroupChange, completion: Completion) {
        if self.queue.outstanding.is_none() {
            self.emit(context, change, vec![completion]);
            return;
        }
        let mut completions = self.queue.queued.take().map(|(_, completions)| completions).unwrap_or_default();
        completions.push(completion);
        self.queue.queued = Some((change, completions));
    }

    fn emit(&mut self, context: &mut Context<'_>, change: GroupChange, completions: Vec<Completion>) {
        let token = context.fresh_token();
        self.queue.outstanding = Some((token, completions));
        context.effects.push(Effect::Persist { group: self.id.clone(), token, change });
    }

    /// A change is written, or could not be. A token that is not outstanding is of an earlier life and ignored.
    pub(super) fn persisted(
        &mut self,
        context: &mut Context<'_>,
        token: PersistToken,
        result: Result<(), PersistError>,
    ) {
        let Some((_, completions)) = self.queue.outstanding.take_if(|(outstanding, _)| *outstanding == token) else {
            return;
        };
        if let Some((change, queued)) = self.queue.queued.take() {
            self.emit(context, change, queued);
        }
        if result.is_ok() {
            self.unsaved = false;
        }
        for completion in completions {
            match completion {
                Completion::Assigned { generation, assignments } => {
                    self.assignment_done(context, generation, assignments, result)
                }
                Completion::Replaced(replacement) => self.replacement_done(context, *replacement, result),
                Completion::Emptied => self.emptied_done(context, result),
                Completion::Deleted { ticket } => self.deleted_done(context, ticket, result),
            }
        }
    }

    /// Nobody waits for this one, but a log that names members would bring them back after a restart.
    fn emptied_done(&mut self, context: &mut Context<'_>, result: Result<(), PersistError>) {
        if let Err(error) = result {
            tracing::warn!(group = %self.id, %error, "empty group could not be written, trying again");
            self.unsaved = true;
            self.schedule_persist_retry(context);
        }
    }

    fn schedule_persist_retry(&mut self, context: &Context<'_>) {
        let deadline_ms = context.after(context.settings.persist_retry_ms);
        self.persist_retry_at_ms = Some(deadline_ms);
        self.note_deadline(deadline_ms);
    }

    pub(super) fn persist_retry_due(&mut self, context: &mut Context<'_>) {
        self.persist_retry_at_ms = None;
        if self.state == State::Empty && self.unsaved && self.queue.is_idle() {
            self.persist_emptied(context);
        }
    }

    /// Begins the deletion of a group without members.
    pub(super) fn delete(&mut self, context: &mut Context<'_>, ticket: Ticket) {
        let refusal = match self.state {
            State::Dead => Some(GroupError::GroupIdNotFound),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => Some(GroupError::NonEmptyGroup),
            // The log may still name members and would refuse.
            State::Empty if self.unsaved => Some(GroupError::CoordinatorNotAvailable),
            State::Empty => None,
        };
        if let Some(error) = refusal {
            context.respond(ticket, Response::Delete(Err(error)));
            return;
        }
        self.pending.clear();
        if !self.in_log {
            context.respond(ticket, Response::Delete(Ok(())));
            return;
        }
        self.set_state(context, State::Dead);
        self.persist(context, GroupChange::Delete, Completion::Deleted { ticket });
    }

    fn deleted_done(&mut self, context: &mut Context<'_>, ticket: Ticket, result: Result<(), PersistError>) {
        let answer = match result {
            Ok(()) | Err(PersistError::GroupNotFound) => {
                self.in_log = false;
                Ok(())
            }
            Err(error) => {
                self.state = State::Empty;
                if self.unsaved {
                    self.schedule_persist_retry(context);
                }
                Err(error.as_group_error())
            }
        };
        context.respond(ticket, Response::Delete(answer));
    }
}
