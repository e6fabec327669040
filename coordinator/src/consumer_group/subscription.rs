//! What members are subscribed to, as topics: names looked up, regular expressions matched.
//!
//! An expression must match the whole name of a topic, as in Kafka. It is compiled once, within a limit of memory, and
//! matched in time linear in the name; its matches are kept until the topics change.

use std::collections::BTreeMap;

use alluvium_record::TopicId;
use regex::{Regex, RegexBuilder};

use super::member::Subscription;
use super::state::Group;
use super::topics::Topics;

/// Topics with their number of partitions.
pub(super) type TopicCounts = BTreeMap<TopicId, i32>;

/// Compiles an expression that matches whole names.
pub(super) fn compiled(expression: &str, bytes_max: usize) -> Result<Regex, regex::Error> {
    let build = |expression: &str| RegexBuilder::new(expression).size_limit(bytes_max).build();
    // On its own first: what closes a bracket that it did not open is not an expression.
    build(expression)?;
    build(&format!(r"\A(?:{expression})\z"))
}

/// The expressions of a group's members and what they match.
#[derive(Debug, Default)]
pub(super) struct Regexes {
    resolved: BTreeMap<String, (Regex, TopicCounts)>,
}

impl Regexes {
    /// Makes an expression known; those that are known stay as they are.
    pub(super) fn insert(&mut self, expression: &str, bytes_max: usize, topics: &Topics) -> Result<(), regex::Error> {
        if !self.resolved.contains_key(expression) {
            let regex = compiled(expression, bytes_max)?;
            let matches = matches(&regex, topics);
            self.resolved.insert(expression.to_owned(), (regex, matches));
        }
        Ok(())
    }

    fn refresh(&mut self, topics: &Topics) {
        for (regex, resolved) in self.resolved.values_mut() {
            *resolved = matches(regex, topics);
        }
    }

    fn topics(&self, expression: &str) -> Option<&TopicCounts> {
        self.resolved.get(expression).map(|(_, topics)| topics)
    }
}

fn matches(regex: &Regex, topics: &Topics) -> TopicCounts {
    let matching = topics.iter().filter(|(name, _)| regex.is_match(name));
    matching.map(|(_, size)| (size.id, size.partition_count)).collect()
}

impl Group {
    /// The topics of a subscription that exist.
    pub(super) fn resolved(&self, topics: &Topics, subscription: &Subscription) -> TopicCounts {
        let named = subscription.topics.iter().filter_map(|name| topics.by_name(name));
        let mut resolved: TopicCounts = named.map(|size| (size.id, size.partition_count)).collect();
        let matched = subscription.regex.as_ref().and_then(|expression| self.regexes.topics(expression));
        resolved.extend(matched.into_iter().flatten().map(|(id, count)| (*id, *count)));
        resolved
    }

    /// Matches all expressions against other topics.
    pub(super) fn refresh_regexes(&mut self, topics: &Topics) {
        self.regexes.refresh(topics);
    }

    /// Forgets expressions that no member has any more.
    pub(super) fn drop_unused_regexes(&mut self) {
        let members = &self.members;
        let is_used =
            |expression: &String| members.values().any(|member| member.subscription.regex.as_ref() == Some(expression));
        self.regexes.resolved.retain(|expression, _| is_used(expression));
    }

    /// Whether a member is subscribed to the topic.
    pub(super) fn is_subscribed_to(&self, topics: &Topics, topic: &str) -> bool {
        let id = topics.by_name(topic).map(|size| size.id);
        self.members.values().any(|member| {
            let matched = member.subscription.regex.as_ref().and_then(|expression| self.regexes.topics(expression));
            member.subscription.topics.iter().any(|name| name == topic)
                || id.is_some_and(|id| matched.is_some_and(|matched| matched.contains_key(&id)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_whole_names() {
        let regex = compiled("a|b.", 1 << 20).unwrap();
        assert!(regex.is_match("a") && regex.is_match("bc"));
        assert!(!regex.is_match("ab") && !regex.is_match("xbc") && !regex.is_match("bcd"));
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        for bad in ["(", "a)(b", "*", "[z-a]", "\\p{Nothing}", "(?:a{1000}){1000}{1000}"] {
            assert!(compiled(bad, 1 << 20).is_err(), "{bad}");
        }
    }
}
