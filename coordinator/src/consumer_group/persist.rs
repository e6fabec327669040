//! Writing what has changed, one change at a time.
//!
//! The state in memory is ahead of the log. What differs is kept as a set of member ids; a change puts or removes
//! those members as they are when it leaves.
//!
//! Invariants:
//! 1. At most one change is outstanding.
//! 2. Whatever an answer depends on is in the log, in the outstanding change, or in the set for the next one; it is
//!    given when the change that holds it is written. A change that could not be written goes back into the set.
//! 3. A group is deleted only when nothing else waits to be written.

use std::collections::BTreeSet;

use super::effect::HeartbeatRefused;
use super::record::ConsumerGroupChange;
use super::state::{Context, Group};
use crate::group::{Effect, GroupChange, GroupError, JoinRefused, PersistError, PersistToken, Response, Ticket};

/// An answer that waits for a change.
#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    member_id: String,
    response: Response,
}

#[derive(Debug)]
enum Outstanding {
    Put { touched: BTreeSet<String>, waiting: Vec<Waiting> },
    Delete,
}

#[derive(Debug, Default)]
pub(super) struct PersistQueue {
    outstanding: Option<(PersistToken, Outstanding)>,
    /// Members that differ from the log and from the outstanding change.
    touched: BTreeSet<String>,
    waiting: Vec<Waiting>,
}

impl PersistQueue {
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_none() && self.touched.is_empty()
    }

    /// The member came, changed or went.
    pub(super) fn touch(&mut self, member_id: &str) {
        if !self.touched.contains(member_id) {
            self.touched.insert(member_id.to_owned());
        }
    }

    /// All members are as the log has them.
    pub(super) fn forget_touched(&mut self) {
        self.touched.clear();
    }

    fn waiting_lists(&mut self) -> impl Iterator<Item = &mut Vec<Waiting>> {
        let outstanding = match &mut self.outstanding {
            Some((_, Outstanding::Put { waiting, .. })) => Some(waiting),
            Some((_, Outstanding::Delete)) | None => None,
        };
        outstanding.into_iter().chain([&mut self.waiting])
    }

    /// Takes out what a member waits for, as refusals. Answers to a member that leaves stay.
    pub(super) fn refuse_member(&mut self, member_id: &str, error: GroupError) -> Vec<(Ticket, Response)> {
        let mut refused = Vec::new();
        for list in self.waiting_lists() {
            let (mine, others) = std::mem::take(list).into_iter().partition(|waiting| waiting.member_id == member_id);
            *list = others;
            refused.extend(mine.into_iter().map(|waiting| waiting.refused(error)));
        }
        refused
    }

    /// Takes out everything that waits, as refusals.
    pub(super) fn refuse_everyone(&mut self, error: GroupError) -> Vec<(Ticket, Response)> {
        self.waiting_lists().flat_map(std::mem::take).map(|waiting| waiting.refused(error)).collect()
    }
}

impl Waiting {
    fn refused(self, error: GroupError) -> (Ticket, Response) {
        let response = match self.response {
            Response::Join(_) => Response::Join(Err(JoinRefused { error, member_id: self.member_id })),
            Response::Sync(_) => Response::Sync(Err(error)),
            Response::Delete(_) => Response::Delete(Err(error)),
            Response::ConsumerHeartbeat(_) => Response::ConsumerHeartbeat(Err(HeartbeatRefused::from(error))),
        };
        (self.ticket, response)
    }
}

impl Group {
    /// Gives the answer, as soon as everything about the member is in the log.
    pub(super) fn respond_when_written(
        &mut self,
        context: &mut Context<'_>,
        ticket: Ticket,
        member_id: &str,
        response: Response,
    ) {
        let waiting = Waiting { ticket, member_id: member_id.to_owned(), response };
        if self.queue.touched.contains(member_id) {
            self.queue.waiting.push(waiting);
            return;
        }
        match &mut self.queue.outstanding {
            Some((_, Outstanding::Put { touched, waiting: list })) if touched.contains(member_id) => list.push(waiting),
            _ => context.respond(ticket, waiting.response),
        }
    }

    /// Gives an answer about a member who has just gone, which does not depend on the member any more.
    pub(super) fn respond_when_gone(&mut self, ticket: Ticket, response: Response) {
        self.queue.waiting.push(Waiting { ticket, member_id: String::new(), response });
    }

    /// Lets the next change go, if there is one and none is outstanding.
    pub(super) fn flush(&mut self, context: &mut Context<'_>) {
        if self.queue.outstanding.is_some() {
            return;
        }
        if !self.queue.touched.is_empty() {
            // After a failure somebody has to ask, or time has to pass.
            if self.retry_at_ms.is_none() || !self.queue.waiting.is_empty() {
                self.emit_put(context);
            }
        } else if !self.deleting.is_empty() {
            if self.in_log {
                let token = context.fresh_token();
                self.queue.outstanding = Some((token, Outstanding::Delete));
                context.effects.push(Effect::Persist { group: self.id.clone(), token, change: GroupChange::Delete });
            } else {
                self.answer_deletions(context, Ok(()));
            }
        }
    }

    fn emit_put(&mut self, context: &mut Context<'_>) {
        self.retry_at_ms = None;
        self.in_log = true;
        let token = context.fresh_token();
        let touched = std::mem::take(&mut self.queue.touched);
        let waiting = std::mem::take(&mut self.queue.waiting);
        let change = self.change_of(&touched);
        self.queue.outstanding = Some((token, Outstanding::Put { touched, waiting }));
        let change = GroupChange::PutConsumer(change);
        context.effects.push(Effect::Persist { group: self.id.clone(), token, change });
    }

    fn change_of(&self, touched: &BTreeSet<String>) -> ConsumerGroupChange {
        let mut change = ConsumerGroupChange {
            group: self.id.clone(),
            epoch: self.epoch,
            assignment_epoch: self.assignment_epoch,
            updated_ms: self.updated_ms,
            ..ConsumerGroupChange::default()
        };
        for member_id in touched {
            match self.members.get(member_id) {
                Some(member) => change.put.push(member.record(member_id)),
                None => change.remove.push(member_id.clone()),
            }
        }
        change
    }

    /// A change is written, or could not be. A token that is not outstanding is of an earlier life and ignored.
    pub(super) fn persisted(
        &mut self,
        context: &mut Context<'_>,
        token: PersistToken,
        result: Result<(), PersistError>,
    ) {
        let Some((_, finished)) = self.queue.outstanding.take_if(|(outstanding, _)| *outstanding == token) else {
            return;
        };
        match (finished, result) {
            (Outstanding::Put { waiting, .. }, Ok(())) => {
                for waiting in waiting {
                    context.respond(waiting.ticket, waiting.response);
                }
            }
            (Outstanding::Put { touched, waiting }, Err(error)) => self.put_failed(context, touched, waiting, error),
            (Outstanding::Delete, Ok(()) | Err(PersistError::GroupNotFound)) => {
                self.in_log = false;
                self.answer_deletions(context, Ok(()));
            }
            (Outstanding::Delete, Err(error)) => self.answer_deletions(context, Err(error.as_group_error())),
        }
    }

    fn put_failed(
        &mut self,
        context: &mut Context<'_>,
        touched: BTreeSet<String>,
        waiting: Vec<Waiting>,
        error: PersistError,
    ) {
        tracing::warn!(group = %self.id, %error, "a change of a consumer group could not be written, trying again");
        self.queue.touched.extend(touched);
        for waiting in waiting {
            let (ticket, response) = waiting.refused(error.as_group_error());
            context.respond(ticket, response);
        }
        self.answer_deletions(context, Err(error.as_group_error()));
        let deadline_ms = context.after(context.settings.persist_retry_ms);
        self.retry_at_ms = Some(deadline_ms);
        self.note_deadline(deadline_ms);
    }

    /// Begins the deletion of a group without members.
    pub(super) fn delete(&mut self, context: &mut Context<'_>, ticket: Ticket) {
        if self.members.is_empty() {
            self.deleting.push(ticket);
        } else {
            context.respond(ticket, Response::Delete(Err(GroupError::NonEmptyGroup)));
        }
    }

    fn answer_deletions(&mut self, context: &mut Context<'_>, result: Result<(), GroupError>) {
        for ticket in std::mem::take(&mut self.deleting) {
            context.respond(ticket, Response::Delete(result));
        }
    }
}
