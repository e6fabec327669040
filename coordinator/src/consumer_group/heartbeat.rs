//! ConsumerGroupHeartbeat: joining, staying, changing one's mind and leaving are all one request.

use std::collections::BTreeSet;

use alluvium_record::TopicPartition;

use super::assign::Assignor;
use super::effect::{ConsumerHeartbeat, HeartbeatRefused};
use super::input::{ConsumerHeartbeatInput, JOIN_EPOCH, LEAVE_EPOCH, LEAVE_FOR_A_WHILE_EPOCH};
use super::member::{Member, MemberState, Subscription};
use super::settings::ConsumerGroupSettings;
use super::state::{Context, Group};
use crate::group::{GroupError, Response};

/// How a heartbeat finds its member.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    /// In the group.
    Present,
    /// Nowhere: it is new.
    New,
    /// Under another id, of a static member that has left for a while or that spoke the classic protocol.
    Replaces(String),
}

impl ConsumerHeartbeatInput {
    /// Checks what can be checked without the group, and gives a member an id that needs one.
    pub(super) fn checked(&mut self, settings: &ConsumerGroupSettings) -> Result<(), HeartbeatRefused> {
        let invalid = |message: &str| Err(HeartbeatRefused::because(GroupError::InvalidRequest, message));
        let needs_id = self.id_made_by_client || self.member_epoch > 0 || self.member_epoch == LEAVE_EPOCH;
        if needs_id && self.member_id.trim().is_empty() {
            return invalid("MemberId can't be empty.");
        }
        if self.group.trim().is_empty() {
            return invalid("GroupId can't be empty.");
        }
        if self.instance_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
            return invalid("InstanceId can't be empty.");
        }
        if self.rack_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
            return invalid("RackId can't be empty.");
        }
        match self.member_epoch {
            JOIN_EPOCH => self.checked_join()?,
            LEAVE_FOR_A_WHILE_EPOCH if self.instance_id.is_none() => return invalid("InstanceId can't be null."),
            epoch if epoch < LEAVE_FOR_A_WHILE_EPOCH => return invalid(&format!("MemberEpoch is invalid: {epoch}.")),
            _ => {}
        }
        if let Some(wanted) = &self.assignor
            && !Assignor::by_name(wanted).is_some_and(|assignor| settings.assignors.contains(&assignor))
        {
            let names: Vec<&str> = settings.assignors.iter().map(|assignor| assignor.name()).collect();
            let message =
                format!("ServerAssignor {wanted} is not supported. Supported assignors: {}.", names.join(", "));
            return Err(HeartbeatRefused::because(GroupError::UnsupportedAssignor, message));
        }
        self.checked_sizes(settings)?;
        if self.member_epoch == JOIN_EPOCH && self.member_id.is_empty() {
            self.member_id = self.fresh_id.to_string();
        }
        Ok(())
    }

    fn checked_join(&self) -> Result<(), HeartbeatRefused> {
        let invalid = |message: &str| Err(HeartbeatRefused::because(GroupError::InvalidRequest, message));
        if self.rebalance_timeout_ms == -1 {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        if self.subscribed_topics.is_none() && self.subscribed_regex.is_none() {
            return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
        }
        Ok(())
    }

    fn checked_sizes(&self, settings: &ConsumerGroupSettings) -> Result<(), HeartbeatRefused> {
        let invalid = |message: &str| Err(HeartbeatRefused::because(GroupError::InvalidRequest, message));
        let texts = [
            Some(&self.group),
            Some(&self.member_id),
            Some(&self.client_id),
            Some(&self.client_host),
            self.instance_id.as_ref(),
            self.rack_id.as_ref(),
            self.subscribed_regex.as_ref(),
        ];
        if texts.into_iter().flatten().any(|text| text.len() > settings.id_bytes_max) {
            return invalid("An id or the regular expression is too long.");
        }
        if self.subscribed_topics.as_ref().is_some_and(|topics| topics.len() > settings.subscribed_topics_max) {
            return invalid("The member is subscribed to too many topics.");
        }
        Ok(())
    }

    /// Whether the member says everything there is to say, and so wants to hear everything.
    fn is_full(&self) -> bool {
        let subscribed = self.subscribed_topics.is_some() || self.subscribed_regex.is_some();
        self.member_epoch == JOIN_EPOCH || (self.rebalance_timeout_ms != -1 && subscribed && self.owned.is_some())
    }
}

impl Group {
    /// A heartbeat of a member that stays or joins.
    pub(super) fn heartbeat(&mut self, context: &mut Context<'_>, input: &ConsumerHeartbeatInput) {
        if let Err(refused) = self.try_heartbeat(context, input) {
            context.respond(input.ticket, Response::ConsumerHeartbeat(Err(refused)));
        }
    }

    fn try_heartbeat(
        &mut self,
        context: &mut Context<'_>,
        input: &ConsumerHeartbeatInput,
    ) -> Result<(), HeartbeatRefused> {
        if !self.deleting.is_empty() {
            return Err(GroupError::CoordinatorNotAvailable.into());
        }
        let admission = self.admission(context, input)?;
        self.admit_regex(context, input.subscribed_regex.as_deref())?;
        let member_id = input.member_id.as_str();
        let epoch_before = self.members.get(member_id).map(|member| member.epoch);
        let assignor_before = self.assignor(context.settings);
        let is_new = self.seat(context, &admission, input);
        let resubscribed = self.update_member(member_id, input);
        if is_new || resubscribed || self.assignor(context.settings) != assignor_before {
            self.begin_epoch(context);
        }
        let reassigned = self.reconcile(context, member_id, input.owned.as_deref());
        self.restart_session(context, member_id);
        let Some(member) = self.members.get(member_id) else { return Ok(()) };
        // A member that did not hear of its epoch did not hear of its assignment either.
        let informed = epoch_before == Some(input.member_epoch) && !input.is_full();
        let answer = ConsumerHeartbeat {
            member_id: member_id.to_owned(),
            member_epoch: member.epoch,
            heartbeat_interval_ms: context.settings.heartbeat_interval_ms,
            assignment: (reassigned || !informed).then(|| member.assigned.iter().copied().collect()),
        };
        self.respond_when_written(context, input.ticket, member_id, Response::ConsumerHeartbeat(Ok(answer)));
        Ok(())
    }

    fn admission(&self, context: &Context<'_>, input: &ConsumerHeartbeatInput) -> Result<Admission, HeartbeatRefused> {
        let joins = input.member_epoch == JOIN_EPOCH;
        let member_id = input.member_id.as_str();
        let current = match &input.instance_id {
            Some(instance_id) => self.instances.get(instance_id).map(String::as_str),
            None => self.members.get_key_value(member_id).map(|(id, _)| id.as_str()),
        };
        match current {
            Some(current) if current == member_id => {
                if !joins {
                    self.check_epoch(input)?;
                }
                Ok(Admission::Present)
            }
            Some(current) if joins => {
                let holder = self.members.get(current);
                if holder.is_some_and(|member| member.is_away() || member.classic.is_some()) {
                    Ok(Admission::Replaces(current.to_owned()))
                } else {
                    let message = format!("Another member holds the instance id; it is {current}.");
                    Err(HeartbeatRefused::because(GroupError::UnreleasedInstanceId, message))
                }
            }
            Some(_) => Err(GroupError::FencedInstanceId.into()),
            None if !joins => Err(GroupError::UnknownMemberId.into()),
            // It becomes a static member.
            None if self.members.contains_key(member_id) => Ok(Admission::Present),
            None if self.members.len() >= context.settings.members_max => Err(HeartbeatRefused::because(
                GroupError::GroupMaxSizeReached,
                format!("The group has {} members, which is the most it may have.", self.members.len()),
            )),
            None => Ok(Admission::New),
        }
    }

    /// The epoch must be the member's, or the one before if its last answer may have been lost.
    fn check_epoch(&self, input: &ConsumerHeartbeatInput) -> Result<(), HeartbeatRefused> {
        let Some(member) = self.members.get(&input.member_id) else { return Err(GroupError::UnknownMemberId.into()) };
        let is_subset = |owned: &Vec<TopicPartition>| owned.iter().all(|partition| member.assigned.contains(partition));
        let repeats = input.member_epoch < member.epoch
            && input.member_epoch == member.previous_epoch
            && input.owned.as_ref().is_some_and(is_subset);
        if input.member_epoch == member.epoch || repeats {
            return Ok(());
        }
        let message = format!(
            "The member is at epoch {}, and says it is at {}. It must abandon all its partitions and join again.",
            member.epoch, input.member_epoch
        );
        Err(HeartbeatRefused::because(GroupError::FencedMemberEpoch, message))
    }

    fn admit_regex(&mut self, context: &Context<'_>, regex: Option<&str>) -> Result<(), HeartbeatRefused> {
        let Some(expression) = regex.filter(|expression| !expression.is_empty()) else { return Ok(()) };
        self.regexes.insert(expression, context.settings.regex_bytes_max, context.topics).map_err(|error| {
            let message = format!("SubscribedTopicRegex `{expression}` is not a valid regular expression: {error}.");
            HeartbeatRefused::because(GroupError::InvalidRegularExpression, message)
        })
    }

    /// Makes sure that the member is in the group under its id. Tells whether it is new to the group.
    fn seat(&mut self, context: &mut Context<'_>, admission: &Admission, input: &ConsumerHeartbeatInput) -> bool {
        let member_id = input.member_id.as_str();
        match admission {
            Admission::Present => {
                let returns = input.member_epoch == JOIN_EPOCH
                    && self.members.get(member_id).is_some_and(|member| member.is_away() || member.classic.is_some());
                if returns {
                    self.change_member(member_id, Member::return_to_group);
                }
                false
            }
            Admission::New => {
                tracing::info!(group = %self.id, member = %member_id, "member joins the consumer group");
                self.insert_member(member_id, Member::new());
                true
            }
            Admission::Replaces(old_member_id) => {
                tracing::info!(group = %self.id, old = %old_member_id, new = %member_id, "static member is replaced");
                self.replace_member(context, old_member_id, member_id);
                false
            }
        }
    }

    /// Gives all that the old member has to the new one.
    pub(super) fn replace_member(&mut self, context: &mut Context<'_>, old_member_id: &str, member_id: &str) {
        let Some(mut member) = self.take_member(old_member_id) else { return };
        for (ticket, response) in self.queue.refuse_member(old_member_id, GroupError::FencedInstanceId) {
            context.respond(ticket, response);
        }
        member.return_to_group();
        self.insert_member(member_id, member);
    }

    /// Takes over what the heartbeat says. Tells whether the subscription has changed.
    fn update_member(&mut self, member_id: &str, input: &ConsumerHeartbeatInput) -> bool {
        let Some(member) = self.members.get_mut(member_id) else { return false };
        let subscription = Subscription::new(
            input.subscribed_topics.clone().unwrap_or_else(|| member.subscription.topics.clone()),
            input.subscribed_regex.clone().or_else(|| member.subscription.regex.clone()),
        );
        let resubscribed = member.subscription != subscription;
        let mut changed = resubscribed;
        if resubscribed {
            member.subscription = subscription;
        }
        if input.rebalance_timeout_ms != -1 && member.rebalance_timeout_ms != input.rebalance_timeout_ms {
            member.rebalance_timeout_ms = input.rebalance_timeout_ms;
            changed = true;
        }
        for (known, said) in [(&mut member.rack_id, &input.rack_id), (&mut member.assignor, &input.assignor)] {
            if said.is_some() && known != said {
                known.clone_from(said);
                changed = true;
            }
        }
        for (known, said) in [(&mut member.client_id, &input.client_id), (&mut member.client_host, &input.client_host)]
        {
            if known != said {
                known.clone_from(said);
                changed = true;
            }
        }
        if input.instance_id.is_some() && member.instance_id != input.instance_id {
            self.change_member(member_id, |member| member.instance_id.clone_from(&input.instance_id));
        }
        if changed {
            self.queue.touch(member_id);
        }
        resubscribed
    }

    /// A heartbeat of a member that goes, for good or for a while.
    pub(super) fn leave(&mut self, context: &mut Context<'_>, input: &ConsumerHeartbeatInput) {
        if let Err(error) = self.try_leave(context, input) {
            context.respond(input.ticket, Response::ConsumerHeartbeat(Err(error.into())));
        }
    }

    fn try_leave(&mut self, context: &mut Context<'_>, input: &ConsumerHeartbeatInput) -> Result<(), GroupError> {
        let instance_id = input.instance_id.as_deref();
        let member_id = match instance_id {
            // A static member may have been given its id here and not have heard of it.
            Some(instance_id) if input.member_id.is_empty() => {
                self.instances.get(instance_id).cloned().ok_or(GroupError::UnknownMemberId)?
            }
            _ => {
                self.validate_member(&input.member_id, instance_id)?;
                input.member_id.clone()
            }
        };
        let answer = ConsumerHeartbeat {
            member_id: member_id.clone(),
            member_epoch: input.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        };
        let response = Response::ConsumerHeartbeat(Ok(answer));
        if input.member_epoch == LEAVE_FOR_A_WHILE_EPOCH {
            tracing::info!(group = %self.id, member = %member_id, "static member leaves the consumer group for a while");
            self.change_member(&member_id, Member::leave_for_a_while);
            self.respond_when_written(context, input.ticket, &member_id, response);
        } else {
            tracing::info!(group = %self.id, member = %member_id, "member leaves the consumer group");
            self.remove_member(context, &member_id, GroupError::UnknownMemberId);
            self.respond_when_gone(input.ticket, response);
        }
        Ok(())
    }
}

impl Member {
    /// It keeps what is assigned to it; what it was to give up it has given up by leaving.
    fn leave_for_a_while(&mut self) {
        self.move_on(LEAVE_FOR_A_WHILE_EPOCH, self.assigned.clone(), BTreeSet::new());
        self.state = MemberState::UnreleasedPartitions;
        self.rebalance_deadline_ms = None;
    }

    /// A new life with what it had: it owns nothing until it is told, so what it was to give up is free.
    pub(super) fn return_to_group(&mut self) {
        self.move_on(JOIN_EPOCH, self.assigned.clone(), BTreeSet::new());
        self.previous_epoch = JOIN_EPOCH;
        self.state = MemberState::UnreleasedPartitions;
        self.rebalance_deadline_ms = None;
        self.classic = None;
    }
}
