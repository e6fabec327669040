//! The nodes of the cluster as clients are told: who is there, where to reach it, and who is advised for what.
//!
//! Every node takes every request; which one is named is a hint for speed. A process that stands alone names itself.
//!
//! Invariants: a client that came in by a listener is told the addresses of the listener of that name; this node's own
//! address is the one that the client reached it by, unless another is advertised; a node that has no listener of that name
//! is not named to it.

use std::sync::Arc;

use alluvium_cluster::{Cluster, Member, Members};
use alluvium_log::format::node::NodeListener;
use alluvium_log::{Topic, View};
use alluvium_protocol::messages::StrBytes;
use alluvium_record::{NodeId, ShardId, TopicPartition};
use uuid::Uuid;

use crate::context::{Client, Endpoint};
use crate::settings::ServerSettings;

/// Who is in the cluster.
#[derive(Clone, Debug)]
pub(crate) struct Nodes {
    cluster: Option<Cluster>,
    alone: Arc<Members>,
    own: NodeId,
    zone: Option<String>,
}

impl Nodes {
    pub(crate) fn new(cluster: Option<Cluster>, settings: &ServerSettings, listeners: Vec<NodeListener>) -> Self {
        let own = NodeId(settings.node_id);
        let itself = Member {
            id: own,
            incarnation: Uuid::nil(),
            zone: settings.zone.clone(),
            listeners,
            peer_address: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_ms: 0,
            linked: true,
        };
        let alone = Arc::new(Members::new(vec![itself]));
        Self { cluster, alone, own, zone: settings.zone.clone() }
    }

    /// Who is up, as this node sees it.
    pub(crate) fn members(&self) -> Arc<Members> {
        match self.cluster.as_ref().map(Cluster::members) {
            Some(members) if !members.all().is_empty() => members,
            // Alone, or the last one and leaving: there is nobody else to name.
            _ => self.alone.clone(),
        }
    }

    /// This node's part in the cluster.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    /// Whether clients are sent here. Not when this node leaves or cannot reach the store while others can: then they are told to ask
    /// for other leaders, which they do not do as long as they are answered.
    pub(crate) fn serves(&self) -> bool {
        self.members().get(self.own).is_some()
    }

    /// The nodes as one client is told now.
    pub(crate) fn as_seen_by(&self, client: &Client) -> Roster {
        let members = self.members();
        let brokers = members
            .all()
            .iter()
            .filter_map(|member| {
                let endpoint = if member.id == self.own {
                    client.endpoint.clone()
                } else {
                    let listener = member.listeners.iter().find(|listener| listener.name == *client.listener.name)?;
                    Endpoint { host: StrBytes::from(listener.host.as_str()), port: i32::from(listener.port) }
                };
                let rack = member.zone.as_deref().map(StrBytes::from);
                Some(Broker { id: member.id, endpoint, rack })
            })
            .collect();
        let zone = if client.listener.zonal { self.zone.clone() } else { None };
        Roster { members, brokers, zone }
    }

    /// The node that clients with this rack should rather read a partition from, when this node is elsewhere.
    pub(crate) fn preferred_replica(&self, topic_partition: TopicPartition, rack: &str) -> Option<NodeId> {
        if rack.is_empty() || self.zone.as_deref() == Some(rack) {
            return None;
        }
        self.members().replica_in_zone(topic_partition, rack).map(|member| member.id).filter(|id| *id != self.own)
    }
}

/// A node as clients are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) id: NodeId,
    pub(crate) endpoint: Endpoint,
    pub(crate) rack: Option<StrBytes>,
}

/// All nodes as one client is told, at one moment.
pub(crate) struct Roster {
    members: Arc<Members>,
    /// Those that the client can be told of, by id.
    pub(crate) brokers: Vec<Broker>,
    /// Set when the client asked for nodes of this zone by the listener that it came in by.
    zone: Option<String>,
}

impl Roster {
    /// The id of the node that is named as the controller, or -1.
    pub(crate) fn controller_id(&self) -> i32 {
        self.brokers.first().map_or(-1, |broker| broker.id.0)
    }

    /// Where a node is reached.
    pub(crate) fn broker(&self, id: NodeId) -> Option<&Broker> {
        self.brokers.iter().find(|broker| broker.id == id)
    }

    /// The node that is advised for what a shard holds, whatever the client's zone.
    pub(crate) fn leader(&self, shard: ShardId) -> Option<NodeId> {
        self.members.leader(shard).map(|member| member.id)
    }

    /// The node that the client is told to send a shard's records to.
    fn leader_for_client(&self, shard: ShardId) -> Option<NodeId> {
        let in_zone = self.zone.as_deref().and_then(|zone| self.members.leader_in_zone(shard, zone));
        in_zone.or_else(|| self.members.leader(shard)).map(|member| member.id)
    }

    /// Leaders by shard, worked out once for many partitions.
    pub(crate) fn leaders(&self, view: &View) -> Leaders<'_> {
        let by_shard = (0..view.states().count() as u32).map(|id| self.leader_for_client(ShardId(id))).collect();
        let zones = self.members.all().iter().filter_map(|member| member.zone.as_deref());
        let zones: std::collections::BTreeSet<&str> = zones.collect();
        Leaders { roster: self, by_shard, zones: zones.into_iter().collect() }
    }
}

/// Leaders and replicas of partitions, for one answer.
pub(crate) struct Leaders<'a> {
    roster: &'a Roster,
    by_shard: Vec<Option<NodeId>>,
    zones: Vec<&'a str>,
}

impl Leaders<'_> {
    /// The leader of a partition, or -1.
    pub(crate) fn of(&self, topic: &Topic, partition: i32) -> i32 {
        let shard = topic.shard_of(partition);
        self.by_shard.get(shard.0 as usize).copied().flatten().map_or(-1, |id| id.0)
    }

    /// The replicas of a partition: its leader, the nodes of other zones that should be read from there (KIP-392), and then as
    /// many as the replication factor asks for. The object store replicates: where nodes are missing, the leader stands in.
    pub(crate) fn replicas(&self, topic: &Topic, partition: i32) -> Vec<i32> {
        let leader = self.of(topic, partition);
        let factor = usize::try_from(topic.replication_factor).unwrap_or(1).max(1);
        let mut replicas = vec![leader];
        if self.zones.len() > 1 {
            let place = TopicPartition { topic: topic.id, partition };
            let in_zones = self.zones.iter().filter_map(|zone| self.roster.members.replica_in_zone(place, zone));
            for member in in_zones {
                if !replicas.contains(&member.id.0) {
                    replicas.push(member.id.0);
                }
            }
        }
        let members = self.roster.members.all();
        let first = members.iter().position(|member| member.id.0 == leader).unwrap_or(0);
        for offset in 1..members.len() {
            if replicas.len() >= factor {
                break;
            }
            let id = members[(first + offset) % members.len()].id.0;
            if !replicas.contains(&id) {
                replicas.push(id);
            }
        }
        while replicas.len() < factor {
            replicas.push(leader);
        }
        replicas
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alluvium_record::TopicId;

    use super::*;

    fn member(id: i32, zone: Option<&str>) -> Member {
        Member {
            id: NodeId(id),
            incarnation: Uuid::nil(),
            zone: zone.map(str::to_owned),
            listeners: Vec::new(),
            peer_address: String::new(),
            version: String::new(),
            started_ms: 0,
            linked: true,
        }
    }

    fn topic(replication_factor: i16) -> Topic {
        Topic {
            id: TopicId::from_bytes([3; 16]),
            name: "t".to_owned(),
            partition_count: 4,
            replication_factor,
            configs: BTreeMap::new(),
            shard_count: 1,
            created_ms: 0,
        }
    }

    fn replicas(members: Vec<Member>, leader: i32, factor: i16) -> Vec<i32> {
        let roster = Roster { members: Arc::new(Members::new(members)), brokers: Vec::new(), zone: None };
        let zones: std::collections::BTreeSet<&str> =
            roster.members.all().iter().filter_map(|member| member.zone.as_deref()).collect();
        let leaders =
            Leaders { roster: &roster, by_shard: vec![Some(NodeId(leader))], zones: zones.into_iter().collect() };
        leaders.replicas(&topic(factor), 0)
    }

    #[test]
    fn the_leader_stands_in_for_replicas_that_are_missing() {
        assert_eq!(replicas(vec![member(7, None)], 7, 3), [7, 7, 7]);
        assert_eq!(replicas(vec![member(7, None)], 7, 0), [7]);
        assert_eq!(replicas(vec![member(1, None), member(2, None), member(3, None)], 2, 2), [2, 3]);
        assert_eq!(replicas(vec![member(1, None), member(2, None), member(3, None)], 3, 3), [3, 1, 2]);
    }

    #[test]
    fn every_zone_has_a_replica_to_read_from() {
        let members = vec![member(1, Some("a")), member(2, Some("b")), member(3, Some("c")), member(4, Some("c"))];
        let found = replicas(members, 1, 1);
        assert_eq!(found[..2], [1, 2]);
        assert!(found.len() == 3 && (found[2] == 3 || found[2] == 4), "{found:?}");
    }
}
