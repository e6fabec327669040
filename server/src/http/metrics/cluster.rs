//! The other nodes, as this one sees them.

use alluvium_cluster::{Cluster, Counters, Members};
use alluvium_infra::metrics::Exposition;
use alluvium_record::NodeId;

use super::definitions as metric;
use crate::context::Node;

pub(super) fn collect(exposition: &mut Exposition, node: &Node) {
    let (members, own) = (node.nodes.members(), NodeId(node.settings.node_id));
    links(exposition, &members, own);
    let mut leads = exposition.family(&metric::SHARD_LEADS);
    for shard in node.log.shards() {
        let leads_it = members.leader(shard.id()).is_some_and(|leader| leader.id == own);
        leads.value(&[&shard.id().to_string()], leads_it);
    }
    // A process that stands alone has counted nothing.
    let alone = Counters::default();
    let counters = node.nodes.cluster().map_or(&alone, Cluster::counters);
    exposition.value(&metric::LINKS_OPENED, counters.links_opened.get());
    let mut heartbeats = exposition.family(&metric::HEARTBEATS);
    heartbeats.value(&["written"], counters.heartbeats.get());
    heartbeats.value(&["failed"], counters.heartbeats_failed.get());
    let mut pushes = exposition.family(&metric::PUSHES);
    pushes.value(&["sent"], counters.pushes_sent.get());
    pushes.value(&["dropped"], counters.pushes_dropped.get());
    pushes.value(&["received"], counters.pushes_received.get());
    let mut taken = exposition.family(&metric::APPENDS_TAKEN);
    taken.value(&["served"], counters.appends_served.get());
    taken.value(&["refused"], counters.appends_refused.get());
}

fn links(exposition: &mut Exposition, members: &Members, own: NodeId) {
    exposition.value(&metric::MEMBERS, members.all().len());
    let others = || members.all().iter().filter(|member| member.id != own);
    exposition.value(&metric::LINKS, others().filter(|member| member.linked).count());
    let mut linked = exposition.family(&metric::MEMBER_LINKED);
    for member in others() {
        linked.value(&[&member.id.0.to_string(), member.zone.as_deref().unwrap_or_default()], member.linked);
    }
}
