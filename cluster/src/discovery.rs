//! The list of node records: read at the start and every 30 s, to find nodes that nobody told of.
//!
//! Cost: one LIST per 30 s, and one GET for each record that is fresh and whose node has no link with this one.
//!
//! Nodes that die leave their records behind. The node with the lowest id deletes those that nobody has written for a day; should
//! such a node come back, its next heartbeat writes the record again.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::limits;
use alluvium_infra::store::{ObjectInfo, StoreError};
use alluvium_log::format::node::NodeRecord;
use alluvium_record::NodeId;

use crate::node::Node;

/// A record that was not written for so long is deleted.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
use crate::table::Source;

/// Looks around until this node stops.
pub(crate) async fn keep_looking(node: Arc<Node>) {
    let mut failing = false;
    let interval = node.settings.list_interval;
    let mut pause = node.settings.record_interval;
    loop {
        let jitter = Duration::from_micros(node.runtime.random_below(interval.as_micros() as u64 / 10));
        // Somebody names a node that is not known here: soon, and ever more rarely when looking does not help.
        let told = async {
            node.runtime.sleep(pause).await;
            node.look_around.notified().await;
        };
        tokio::select! {
            biased;
            () = node.shutdown.triggered() => return,
            () = told => pause = (pause * 2).min(interval),
            () = node.runtime.sleep(interval - jitter) => pause = node.settings.record_interval,
        }
        let Some(looked) = node.shutdown.unless_triggered(look(&node)).await else { return };
        match looked {
            Ok(()) => failing = false,
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!(node = %node.id(), %error, "node records cannot be listed; trying again");
            }
            Err(_) => {}
        }
        node.refresh();
    }
}

/// Reads the records of all nodes that may live and are not linked.
pub(crate) async fn look(node: &Arc<Node>) -> Result<(), StoreError> {
    let prefix = node.log.paths().node_prefix();
    let mut after: Option<String> = None;
    loop {
        let page = node.store.list(&prefix, after.as_deref(), limits::LIST_KEYS_MAX).await?;
        for object in &page.objects {
            read(node, object).await?;
        }
        match page.objects.last() {
            Some(last) if page.truncated => after = Some(last.path.as_str().to_owned()),
            _ => return Ok(()),
        }
    }
}

async fn read(node: &Arc<Node>, object: &ObjectInfo) -> Result<(), StoreError> {
    let Ok(id) = object.path.file_name().parse().map(NodeId) else { return Ok(()) };
    let fresh = |time_ms| node.clock.is_within(time_ms, node.settings.fresh_for);
    if id != node.id() && !node.clock.is_within(object.last_modified_ms, FORGOTTEN_AFTER) {
        if node.members().controller().is_some_and(|lowest| lowest.id == node.id()) {
            node.store.delete(&object.path).await?;
        }
        return Ok(());
    }
    if id == node.id() || !fresh(object.last_modified_ms) || node.table.lock().has_any_link(id) {
        return Ok(());
    }
    let bytes = match node.store.get(&object.path).await {
        Ok(bytes) => bytes,
        Err(StoreError::NotFound) => return Ok(()),
        Err(error) => return Err(error),
    };
    match NodeRecord::decode(&bytes) {
        Ok(record) if record.node_id == id.0 && fresh(record.heartbeat_ms) => {
            node.learn(record, Source::Record);
        }
        Ok(record) if record.node_id == id.0 => {}
        Ok(_) => node.note_refusal(object.path.as_str(), id.0, "its record is of another node"),
        Err(error) => node.note_refusal(object.path.as_str(), id.0, &error.to_string()),
    }
    Ok(())
}
