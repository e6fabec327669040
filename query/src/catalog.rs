//! Topics by name.
//!
//! Invariants: a topic of exactly this name comes first; SQL makes names without quotes small, so the only topic that differs in
//! capitals alone answers to it, too.

use std::sync::Arc;

use alluvium_log::Topic;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::error::DataFusionError;

use crate::topic::{Sources, TopicTable};

/// The name of the one schema.
pub(crate) const SCHEMA: &str = "topics";
/// The name of the one catalog.
pub(crate) const CATALOG: &str = "alluvium";

const NEAR_MAX: usize = 3;

/// The catalog: one schema.
#[derive(Debug)]
pub(crate) struct Cluster(pub(crate) Arc<Topics>);

impl CatalogProvider for Cluster {
    fn schema_names(&self) -> Vec<String> {
        vec![SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == SCHEMA).then(|| Arc::clone(&self.0) as Arc<dyn SchemaProvider>)
    }
}

/// All topics.
#[derive(Debug)]
pub(crate) struct Topics(pub(crate) Sources);

impl Topics {
    pub(crate) fn find(&self, name: &str) -> Option<&Topic> {
        if let Some(topic) = self.0.view.topic_by_name(name) {
            return Some(topic);
        }
        let mut alike = self.0.view.topics().filter(|topic| topic.name.eq_ignore_ascii_case(name));
        alike.next().filter(|_| alike.next().is_none())
    }

    /// Names of topics that may be meant, the likeliest first.
    pub(crate) fn near(&self, name: &str) -> Vec<String> {
        let wanted = name.to_ascii_lowercase();
        let mut near: Vec<(usize, &str)> = self
            .0
            .view
            .topics()
            .filter_map(|topic| {
                let known = topic.name.to_ascii_lowercase();
                let steps = distance(&wanted, &known);
                let is_part =
                    known.len().min(wanted.len()) >= 3 && (known.contains(&wanted) || wanted.contains(&known));
                (steps <= 2.max(wanted.len() / 3) || is_part).then_some((steps, topic.name.as_str()))
            })
            .collect();
        near.sort_unstable();
        near.into_iter().take(NEAR_MAX).map(|(_, name)| name.to_owned()).collect()
    }
}

/// How many bytes have to be put in, taken out or changed to make one name of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, left) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, right) in other.bytes().enumerate() {
            let change = diagonal + usize::from(left != right);
            diagonal = row[column + 1];
            row[column + 1] = change.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[async_trait]
impl SchemaProvider for Topics {
    fn table_names(&self) -> Vec<String> {
        self.0.view.topics().map(|topic| topic.name.clone()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        let table = self.find(name).map(|topic| TopicTable::new(self.0.clone(), topic));
        Ok(table.map(|table| Arc::new(table) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.find(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distances_count_changes() {
        for (one, other, steps) in
            [("", "abc", 3), ("orders", "orders", 0), ("ordres", "orders", 2), ("kitten", "sitting", 3)]
        {
            assert_eq!((distance(one, other), distance(other, one)), (steps, steps));
        }
    }
}
