//! What a node is told about itself and about the pace of membership.
//!
//! Invariant: what passes [`ClusterSettings::validate`] and [`ClusterSettings::advertised`] can be given to others: an address
//! that means "any" or "this machine's choice" is never announced.

use std::collections::BTreeSet;
use std::time::Duration;

use alluvium_log::format::node::NodeListener;
use alluvium_record::NodeId;

/// How a node takes part in the cluster.
#[derive(Debug, Clone)]
pub struct ClusterSettings {
    /// Kafka broker id; no two live nodes have the same.
    pub node_id: NodeId,
    /// Availability zone, Kafka's rack.
    pub zone: Option<String>,
    /// Where clients reach this node.
    pub listeners: Vec<NodeListener>,
    /// Where to listen for other nodes, as host:port; port 0 is any free one.
    pub peer_listen: String,
    /// Where other nodes reach this one, as host:port; what is listened on when absent.
    pub peer_advertised: Option<String>,
    /// Time between two heartbeats.
    pub heartbeat_interval: Duration,
    /// Time until a heartbeat that failed is tried again.
    pub heartbeat_retry: Duration,
    /// How long a heartbeat counts.
    pub fresh_for: Duration,
    /// Time between two listings of all node records.
    pub list_interval: Duration,
    /// Time between two looks at the record of a node without link.
    pub record_interval: Duration,
    /// Time between two pings of a link.
    pub ping_interval: Duration,
    /// Unanswered pings that end a link.
    pub pings_unanswered_max: u32,
    /// How long connecting and greeting may take.
    pub connect_timeout: Duration,
    /// First wait before a node is connected to again.
    pub backoff_min: Duration,
    /// Longest wait before a node is connected to again.
    pub backoff_max: Duration,
    /// How long the answer to a forwarded append is waited for.
    pub answer_wait: Duration,
    /// A clock that is off from the store's by more than this is warned about.
    pub clock_difference_max: Duration,
}

impl ClusterSettings {
    /// The defaults for a node with this id.
    #[must_use]
    pub fn new(node_id: NodeId) -> Self {
        Self {
            node_id,
            zone: None,
            listeners: Vec::new(),
            peer_listen: "127.0.0.1:0".to_owned(),
            peer_advertised: None,
            heartbeat_interval: Duration::from_secs(6),
            heartbeat_retry: Duration::from_secs(1),
            fresh_for: Duration::from_secs(8),
            list_interval: Duration::from_secs(30),
            record_interval: Duration::from_secs(2),
            ping_interval: Duration::from_millis(500),
            pings_unanswered_max: 3,
            connect_timeout: Duration::from_secs(1),
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(2),
            answer_wait: Duration::from_secs(2),
            clock_difference_max: Duration::from_secs(30),
        }
    }

    /// Checks what can be checked before anything is opened.
    ///
    /// # Errors
    /// What is wrong, in words for whoever wrote the settings.
    pub fn validate(&self) -> Result<(), String> {
        if self.node_id.0 < 0 {
            return Err(format!("node id {} is negative: give one from 0 on", self.node_id));
        }
        let mut names = BTreeSet::new();
        for NodeListener { name, host, port } in &self.listeners {
            if name.is_empty() || !names.insert(name) {
                return Err(format!("listener name \"{name}\" must be given once"));
            }
            check_host(host).map_err(|reason| format!("listener {name} cannot advertise \"{host}\": {reason}"))?;
            if *port == 0 {
                return Err(format!("listener {name} cannot advertise port 0: clients must know the port"));
            }
        }
        split_address(&self.peer_listen)?;
        if let Some(advertised) = &self.peer_advertised {
            check_advertised(advertised)?;
        }
        if self.fresh_for <= self.heartbeat_interval {
            return Err("a heartbeat must count for longer than the time between two".to_owned());
        }
        if self.pings_unanswered_max == 0 || self.ping_interval.is_zero() || self.connect_timeout.is_zero() {
            return Err("pings and connecting need time".to_owned());
        }
        Ok(())
    }

    /// The address that other nodes are told, when this one listens on `bound`.
    ///
    /// # Errors
    /// When nobody else could use it.
    pub fn advertised(&self, bound: &str) -> Result<String, String> {
        let advertised = self.peer_advertised.as_deref().unwrap_or(bound);
        check_advertised(advertised)?;
        Ok(advertised.to_owned())
    }
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self::new(NodeId(0))
    }
}

fn check_advertised(address: &str) -> Result<(), String> {
    let (host, port) = split_address(address)?;
    check_host(host).map_err(|reason| {
        format!("\"{address}\" cannot be advertised to other nodes: {reason}; set the peer address")
    })?;
    if port == 0 {
        return Err(format!(
            "\"{address}\" cannot be advertised to other nodes: port 0 is no port; set the peer address"
        ));
    }
    Ok(())
}

fn check_host(host: &str) -> Result<(), &'static str> {
    match host.trim_matches(['[', ']']) {
        "" => Err("the host is missing"),
        "0.0.0.0" | "::" | "*" => Err("it stands for every address of this machine and reaches nobody from another"),
        _ => Ok(()),
    }
}

/// Host and port of `host:port`; an IPv6 host stands in brackets.
fn split_address(address: &str) -> Result<(&str, u16), String> {
    let malformed = || format!("\"{address}\" is not host:port");
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err(format!("\"{address}\" is not host:port: an IPv6 host stands in brackets"));
    }
    Ok((host, port.parse().map_err(|_| malformed())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_can_be_used() {
        assert_eq!(ClusterSettings::new(NodeId(3)).validate(), Ok(()));
        assert_eq!(ClusterSettings::default().advertised("127.0.0.1:7000"), Ok("127.0.0.1:7000".to_owned()));
    }

    #[test]
    fn what_reaches_nobody_is_not_announced() {
        let advertise = |address: &str| {
            let settings = ClusterSettings { peer_advertised: Some(address.to_owned()), ..ClusterSettings::default() };
            settings.validate()
        };
        for good in ["node-1:7000", "10.0.0.1:7000", "[fd00::1]:7000"] {
            assert_eq!(advertise(good), Ok(()), "{good}");
        }
        for bad in ["0.0.0.0:7000", "[::]:7000", "node-1:0", "node-1", ":7000", "fd00::1:7000", "node:99999", ""] {
            assert!(advertise(bad).is_err(), "{bad}");
        }
        assert!(ClusterSettings::default().advertised("0.0.0.0:7000").is_err());
    }

    #[test]
    fn listeners_need_a_name_a_host_and_a_port() {
        let listen = |name: &str, host: &str, port| {
            let listener = NodeListener { name: name.to_owned(), host: host.to_owned(), port };
            ClusterSettings { listeners: vec![listener], ..ClusterSettings::default() }.validate()
        };
        assert_eq!(listen("PLAINTEXT", "localhost", 9092), Ok(()));
        assert!(listen("PLAINTEXT", "0.0.0.0", 9092).is_err());
        assert!(listen("PLAINTEXT", "localhost", 0).is_err());
        assert!(listen("PLAINTEXT", "", 9092).is_err());
        assert!(listen("", "localhost", 9092).is_err());
    }

    #[test]
    fn paces_that_contradict_each_other_are_refused() {
        let defaults = ClusterSettings::default();
        let slow = ClusterSettings { heartbeat_interval: defaults.fresh_for, ..defaults.clone() };
        assert!(slow.validate().is_err());
        assert!(ClusterSettings { pings_unanswered_max: 0, ..defaults.clone() }.validate().is_err());
        assert!(ClusterSettings { node_id: NodeId(-1), ..defaults }.validate().is_err());
    }
}
