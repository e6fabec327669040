//! The start-up probe.

use alluvium_log::OpenLogError;
use alluvium_log::probe::ProbeError;
use alluvium_tests::node::Node;
use alluvium_tests::rogues::{Rogue, RogueStore};

use alluvium_tests::places::Place;

use crate::corner::Corner;

pub(crate) async fn the_probe_passes_here_and_refuses_rogues(corner: &Corner) {
    let mut options = corner.options();
    options.log.probe = true;
    for _ in 0..2 {
        let node =
            Node::open(corner.store.clone(), &options, &corner.runtime).await.expect("the store is probed and opens");
        node.close().await;
    }
    assert!(corner.keys("/probe/").await.is_empty(), "the probe cleans up");
    for rogue in [Rogue::Overwrites, Rogue::ChecksThenWrites, Rogue::RefusesAndWrites] {
        let store = RogueStore::new(corner.store.clone(), rogue);
        let refused = Node::open(store, &options, &corner.runtime).await.expect_err("a rogue is refused");
        assert!(matches!(refused, OpenLogError::Probe(ProbeError::ConditionIgnored { .. })), "{rogue:?}: {refused}");
        let message = refused.to_string();
        assert!(message.contains("If-None-Match") && message.contains("conditional writes"), "{message}");
        assert!(corner.keys("/probe/").await.is_empty(), "the probe cleans up");
    }
}

/// A store that other people wrote, with two handles: it answers as S3 does, but for the condition.
pub(crate) async fn the_probe_refuses(place: &Place) {
    let corner = Corner::new(place, 0);
    let mut options = corner.options();
    options.log.probe = true;
    let refused = Node::open(corner.store.clone(), &options, &corner.runtime).await.expect_err("the store is refused");
    assert!(matches!(refused, OpenLogError::Probe(ProbeError::ConditionIgnored { .. })), "{}: {refused}", place.name);
    assert!(corner.keys("").await.is_empty(), "nothing stays behind, and no cluster was made");
}
