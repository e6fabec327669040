//! The network between nodes: links with delays, and frames that suffer as the seed has it.
//!
//! Invariant: an append for the leader comes once and in order, or not at all, as TCP has it; everything else that may be lost,
//! doubled or overtaken is.

use std::sync::Arc;
use std::time::Duration;

use alluvium_cluster::ClusterSettings;
use alluvium_cluster::testing::{Fate, FrameSort, Network};
use alluvium_record::NodeId;

use crate::faults::{PeerFault, PeerFrame};
use crate::world::World;

/// The name of a node in the network.
#[must_use]
pub fn host_name(node: u32) -> String {
    format!("node-{node}")
}

fn node_of(host: &str) -> u32 {
    host.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(u32::MAX)
}

/// What a node is told about itself. Half of them listen on the same address after each start, as a machine does that keeps
/// its name.
#[must_use]
pub fn cluster_settings(node: u32) -> ClusterSettings {
    let port = if node.is_multiple_of(2) { 7000 } else { 0 };
    ClusterSettings { peer_listen: format!("{}:{port}", host_name(node)), ..ClusterSettings::new(NodeId(node as i32)) }
}

/// A network between the nodes of a world.
#[must_use]
pub fn network(world: &Arc<World>) -> Network {
    let network = Network::new(world.runtime.fork());
    if world.scenario.peer_faults_per_mille > 0 {
        let world = world.clone();
        network.set_fate(move |from, to, sort| {
            let frame = match sort {
                FrameSort::Forward => PeerFrame::Forward,
                FrameSort::Push => PeerFrame::Push,
                // Greetings come first on a connection and decide whether there is one.
                FrameSort::Greeting => return Fate::Arrives,
                _ => PeerFrame::Other,
            };
            match world.peer_fault(node_of(from), node_of(to), frame) {
                None => Fate::Arrives,
                Some(PeerFault::Lost) => Fate::IsLost,
                Some(PeerFault::Doubled) => Fate::ComesTwice,
                Some(PeerFault::Overtaken(ms)) => Fate::IsOvertaken(Duration::from_millis(ms)),
            }
        });
    }
    network
}
