//! Taking groups over from the log, and giving them up.

use super::ConsumerGroups;
use super::member::Member;
use super::record::ConsumerGroupChange;
use super::state::{Context, Group};
use crate::group::{Effect, GroupError, Response};

impl ConsumerGroups {
    /// Makes a group of the log known, before requests are let in: `record` puts all of its members. The topics should
    /// be known already ([`set_topics`](ConsumerGroups::set_topics)). Members are taken to be alive: they keep epochs
    /// and assignments, and their sessions start now. A group that is known already is left as it is. Limits on the
    /// number of groups are not applied.
    pub fn restore(&mut self, now: i64, record: ConsumerGroupChange) -> Vec<Effect> {
        let id = record.group.clone();
        if self.groups.contains_key(&id) {
            return Vec::new();
        }
        let now = self.advance(now);
        let mut group = Group::new(&id, record.epoch, now);
        group.in_log = true;
        self.groups.insert(id.clone(), group);
        self.act(now, &id, |group, context| group.take_over(context, record)).1
    }

    /// Forgets one group; whoever waits is answered with `error`.
    pub fn forget(&mut self, group: &str, error: GroupError) -> Vec<Effect> {
        match self.remove(group) {
            Some(group) => group.refuse_everyone(error),
            None => Vec::new(),
        }
    }

    /// Forgets all groups, at shutdown or when another node coordinates them.
    pub fn resign(&mut self, error: GroupError) -> Vec<Effect> {
        self.wakes.clear();
        self.convertible.clear();
        std::mem::take(&mut self.groups).into_values().flat_map(|group| group.refuse_everyone(error)).collect()
    }
}

impl Group {
    fn take_over(&mut self, context: &mut Context<'_>, record: ConsumerGroupChange) {
        self.assignment_epoch = record.assignment_epoch.min(record.epoch);
        self.updated_ms = record.updated_ms;
        for member in record.put {
            let member_id = member.member_id.clone();
            self.insert_member(&member_id, Member::from_record(member));
        }
        self.queue.forget_touched();
        self.resume(context);
    }

    /// Starts what does not live in the log: sessions, limits, expressions, and what is known of topics.
    pub(super) fn resume(&mut self, context: &mut Context<'_>) {
        let members: Vec<(String, bool, Option<String>)> = self
            .members
            .iter()
            .map(|(id, member)| (id.clone(), !member.pending_revocation.is_empty(), member.subscription.regex.clone()))
            .collect();
        for (member_id, revokes, regex) in members {
            self.restart_session(context, &member_id);
            self.limit_rebalance(context, &member_id, revokes);
            let Some(expression) = regex else { continue };
            let inserted = self.regexes.insert(&expression, context.settings.regex_bytes_max, context.topics);
            if let Err(error) = inserted {
                tracing::warn!(group = %self.id, expression, %error, "a regular expression of the log does not compile");
            }
        }
        self.topics_known(context);
    }

    fn refuse_everyone(mut self, error: GroupError) -> Vec<Effect> {
        let deletions = self.deleting.into_iter().map(|ticket| (ticket, Response::Delete(Err(error))));
        let answers = self.queue.refuse_everyone(error).into_iter().chain(deletions);
        answers.map(|(ticket, response)| Effect::Respond { ticket, response }).collect()
    }
}
