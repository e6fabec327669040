//! Taking groups over from the log, and giving them up.

use super::effect::{Effect, GroupError, Response};
use super::member::Member;
use super::record::GroupRecord;
use super::state::{Group, State};
use super::{Groups, Ticket};

impl Groups {
    /// Makes a group of the log known, before requests are let in. Without a record the group has only offsets.
    /// Members of a stable group are taken to be alive: their sessions start now, and they go on without a rebalance.
    /// A group that is known already is left as it is. Limits on the number of groups are not applied.
    pub fn restore(&mut self, now: i64, group: &str, record: Option<GroupRecord>) -> Vec<Effect> {
        if self.groups.contains_key(group) {
            return Vec::new();
        }
        let now = self.advance(now);
        let mut restored = Group::new(group, now);
        restored.in_log = true;
        self.groups.insert(group.to_owned(), restored);
        let Some(record) = record else { return Vec::new() };
        self.act(now, group, |group, context| {
            group.take_over(record);
            let member_ids: Vec<String> = group.members.keys().cloned().collect();
            for member_id in &member_ids {
                group.restart_session(context, member_id);
            }
            if member_ids.len() > context.settings.members_max {
                group.prepare_rebalance(context);
            }
        })
        .1
    }

    /// Forgets one group; whoever waits is answered with `error`. For when the log turns out to hold newer state: the
    /// group can be restored from it afterwards.
    pub fn forget(&mut self, group: &str, error: GroupError) -> Vec<Effect> {
        let Some(group) = self.groups.remove(group) else { return Vec::new() };
        if let Some(wake_ms) = group.wake_ms {
            self.wakes.remove(&(wake_ms, group.id.clone()));
        }
        group.refuse_everyone(error)
    }

    /// Forgets all groups, at shutdown or when another node coordinates them.
    pub fn resign(&mut self, error: GroupError) -> Vec<Effect> {
        self.wakes.clear();
        std::mem::take(&mut self.groups).into_values().flat_map(|group| group.refuse_everyone(error)).collect()
    }
}

impl Group {
    fn take_over(&mut self, record: GroupRecord) {
        self.generation = record.generation;
        self.protocol_type = Some(record.protocol_type).filter(|protocol_type| !protocol_type.is_empty());
        self.state_changed_ms = record.updated_ms;
        let protocol = record.protocol.unwrap_or_default();
        for member in record.members {
            let member_id = member.member_id.clone();
            self.insert_member(&member_id, Member::from_record(member, &protocol));
        }
        if !self.members.is_empty() {
            self.state = State::Stable;
            self.protocol = Some(protocol);
        }
        if let Some(leader) = record.leader.filter(|leader| self.members.contains_key(leader)) {
            self.leader = Some(leader);
        }
        self.subscribed = self.read_subscriptions();
    }

    fn refuse_everyone(self, error: GroupError) -> Vec<Effect> {
        let deletions = self.queue.deletion_tickets().into_iter().map(|ticket| (ticket, Response::Delete(Err(error))));
        let mut answers: Vec<(Ticket, Response)> = deletions.collect();
        for (member_id, member) in self.members {
            if let Some(ticket) = member.awaiting_join {
                let refused = super::JoinRefused { error, member_id };
                answers.push((ticket, Response::Join(Err(refused))));
            }
            answers.extend(member.awaiting_sync.map(|ticket| (ticket, Response::Sync(Err(error)))));
        }
        answers.into_iter().map(|(ticket, response)| Effect::Respond { ticket, response }).collect()
    }
}
