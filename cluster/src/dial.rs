//! The care for a link to one other node: opens it, and opens it again when it ended, until the node is gone for good.
//!
//! Cost while there is no link: an attempt after 100 ms, then ever more rarely up to every 2 s, and one GET of the node's record
//! every 2 s, which is spared while the node itself has connected to this one.
//!
//! Invariant: of all attempts and links to one node there is one at a time.

use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::store::StoreError;
use alluvium_log::format::node::NodeRecord;
use alluvium_record::NodeId;
use tokio::sync::oneshot;

use crate::handshake::{self, LinkError};
use crate::link::Link;
use crate::node::Node;
use crate::table::{Learned, Source, Target};
use crate::transport::Connection;

/// Cares for the link to `id`. `first` is dropped after the first attempt.
pub(crate) async fn keep_link(node: Arc<Node>, id: NodeId, first: Option<oneshot::Sender<()>>) {
    let settings = &node.settings;
    let (mut first, mut backoff, mut last_error) = (first, settings.backoff_min, None);
    let mut read_record_at = node.runtime.monotonic();
    while !node.shutdown.is_triggered() {
        let target = node.table.lock().target(id);
        if let Some(target) = target {
            let begun = node.runtime.monotonic();
            let ended = attempt(&node, &target, first.take()).await;
            node.refresh();
            let lasted = node.runtime.monotonic() - begun;
            match ended {
                // A link that had lasted is opened again without delay: whether that is possible tells whether the node lives.
                Ok(()) if lasted >= settings.ping_interval => {
                    (backoff, read_record_at) = (settings.backoff_min, node.runtime.monotonic());
                    continue;
                }
                Ok(()) => {}
                Err(error) => note(&node, &target, error, &mut last_error),
            }
        }
        if node.runtime.monotonic() >= read_record_at && !node.table.lock().has_any_link(id) {
            read_record(&node, id).await;
            read_record_at = node.runtime.monotonic() + settings.record_interval;
        }
        if node.table.lock().give_up(id, node.runtime.monotonic()) {
            node.refresh();
            return;
        }
        node.refresh();
        let jitter = Duration::from_micros(node.runtime.random_below(backoff.as_micros() as u64 / 2));
        let mut wake = node.runtime.monotonic() + backoff + jitter;
        if !node.table.lock().has_any_link(id) {
            wake = wake.min(read_record_at);
        }
        tokio::select! {
            biased;
            () = node.shutdown.triggered() => return,
            () = node.stir.notified() => {}
            () = node.runtime.sleep_until(wake) => {}
        }
        backoff = (backoff * 2).min(settings.backoff_max);
    }
}

/// One attempt, and the link when it worked.
async fn attempt(node: &Arc<Node>, target: &Target, first: Option<oneshot::Sender<()>>) -> Result<(), LinkError> {
    let opened = node.shutdown.unless_triggered(open(node, target)).await;
    let (connection, link) = match opened {
        None => return Ok(()),
        Some(Ok(opened)) => opened,
        Some(Err(error)) => {
            node.table.lock().attempt_failed(target.id, target.incarnation, error.shows_absence());
            return Err(error);
        }
    };
    node.counters.links_opened.increment();
    node.refresh();
    drop(first);
    let reason = link.run(node, connection).await;
    node.table.lock().unlinked(link.id, link.incarnation, node.clock.now_ms());
    tracing::debug!(node = %node.id(), peer = %link.id, reason, "link ended");
    Ok(())
}

async fn open(node: &Arc<Node>, target: &Target) -> Result<(Connection, Arc<Link>), LinkError> {
    let (connection, greeting) = handshake::connect(node, &target.address, false).await?;
    if greeting.id != target.id {
        return Err(LinkError::OtherNode(greeting.id));
    }
    let (id, incarnation) = (greeting.id, greeting.incarnation);
    if node.learn(greeting.record, Source::Hello) == Learned::Superseded {
        return Err(LinkError::Unwanted("a younger node has its id".to_owned()));
    }
    let mut table = node.table.lock();
    if greeting.leaving {
        table.departed(id, incarnation);
        return Err(LinkError::Leaving);
    }
    let link = Link::new(id, incarnation);
    table.linked(id, incarnation, link.clone());
    Ok((connection, link))
}

/// Says in the log what is worth it, each thing once.
fn note(node: &Node, target: &Target, error: LinkError, last_error: &mut Option<LinkError>) {
    if last_error.as_ref() == Some(&error) {
        return;
    }
    match &error {
        LinkError::Unwanted(reason) => node.note_refusal(&target.address, target.id.0, reason),
        LinkError::Refused | LinkError::OtherNode(_) | LinkError::Unreachable(_) | LinkError::Leaving => {
            tracing::debug!(node = %node.id(), peer = %target.id, address = target.address, %error, "no link");
        }
    }
    *last_error = Some(error);
}

/// Looks whether the heart of a node still beats.
async fn read_record(node: &Arc<Node>, id: NodeId) {
    let path = node.log.paths().node(id);
    match node.store.get(&path).await {
        Ok(bytes) => match NodeRecord::decode(&bytes) {
            Ok(record) if record.node_id == id.0 => {
                node.learn(record, Source::Record);
            }
            Ok(_) | Err(_) => node.table.lock().record_gone(id),
        },
        Err(StoreError::NotFound) => node.table.lock().record_gone(id),
        // Nothing is known then; the last heartbeat that was seen grows old by itself.
        Err(error) => tracing::debug!(node = %node.id(), peer = %id, %error, "node record not readable"),
    }
}
