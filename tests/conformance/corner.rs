//! What a scenario gets: a cluster of its own in the store, and nodes on it.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{Faulty, Metered, Store, StorePath};
use alluvium_log::paths::ClusterPaths;
use alluvium_record::{TopicId, TopicPartition};
use alluvium_tests::node::{Node, NodeOptions};
use alluvium_tests::places::Place;

/// A fresh cluster of one scenario.
pub(crate) struct Corner {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) other: Arc<dyn Store>,
    pub(crate) runtime: Runtime,
    root: String,
}

impl Corner {
    pub(crate) fn new(place: &Place, number: u32) -> Corner {
        Corner {
            store: place.one.clone(),
            other: place.other.clone(),
            runtime: place.runtime.clone(),
            root: format!("C{number:02}"),
        }
    }

    /// A second cluster in the same corner.
    pub(crate) fn part(&self, name: &str) -> Corner {
        Corner {
            store: self.store.clone(),
            other: self.other.clone(),
            runtime: self.runtime.clone(),
            root: format!("{}/{name}", self.root),
        }
    }

    /// Options of a node here: not probed, which has a scenario of its own, and quick to try again.
    pub(crate) fn options(&self) -> NodeOptions {
        let mut options = NodeOptions::default();
        options.log.root.clone_from(&self.root);
        options.log.probe = false;
        options.log.commit.slot.backoff_min = Duration::from_millis(5);
        options.log.commit.slot.backoff_max = Duration::from_millis(100);
        // Whatever the default is: scenarios know which of their flushes are large.
        options.ingest.inline_bytes_max = 512 << 10;
        options
    }

    pub(crate) fn paths(&self) -> ClusterPaths {
        ClusterPaths::new(&self.root)
    }

    /// A node on the first handle.
    pub(crate) async fn node(&self) -> Node {
        self.node_with(&self.options()).await
    }

    /// A node on the first handle with other options.
    pub(crate) async fn node_with(&self, options: &NodeOptions) -> Node {
        Node::open(self.store.clone(), options, &self.runtime).await.expect("the log opens")
    }

    /// A node on the second handle.
    pub(crate) async fn other_node(&self) -> Node {
        Node::open(self.other.clone(), &self.options(), &self.runtime).await.expect("the log opens")
    }

    /// A node whose requests are counted.
    pub(crate) async fn metered_node(&self, options: &NodeOptions) -> (Node, Arc<Metered>) {
        let metered = Metered::new(self.store.clone(), self.runtime.clone());
        let node = Node::open(metered.clone(), options, &self.runtime).await.expect("the log opens");
        (node, metered)
    }

    /// A node whose store can be told to fail.
    pub(crate) async fn faulty_node(&self, options: &NodeOptions) -> (Node, Arc<Faulty>) {
        let faulty = Faulty::new(self.store.clone(), self.runtime.clone());
        let node = Node::open(faulty.clone(), options, &self.runtime).await.expect("the log opens");
        (node, faulty)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.runtime.now_ms()
    }

    /// The keys of this cluster that contain `text`, in order.
    pub(crate) async fn keys(&self, text: &str) -> Vec<StorePath> {
        let prefix = format!("{}/", self.root);
        let mut keys = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list(&prefix, after.as_deref(), 1000).await.expect("lists");
            after = page.objects.last().map(|object| object.path.as_str().to_owned());
            keys.extend(page.objects.into_iter().map(|object| object.path));
            if !page.truncated {
                keys.retain(|key| key.as_str().contains(text));
                return keys;
            }
        }
    }
}

/// A partition of a topic.
pub(crate) fn at(topic: TopicId, partition: i32) -> TopicPartition {
    TopicPartition { topic, partition }
}
