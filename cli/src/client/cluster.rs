//! A cluster: its brokers, who leads what, and trying again.
//!
//! Any broker answers questions about the cluster; partitions are asked of their leaders, topics are changed at the
//! controller, as Kafka wants it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_infra::settings;
use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::metadata_request::MetadataRequestTopic;
use alluvium_protocol::messages::metadata_response::MetadataResponseTopic;
use alluvium_protocol::messages::{MetadataRequest, MetadataResponse, StrBytes, Uuid};

use super::ClientError;
use super::connection::Connection;

const METADATA_VERSION_MAX: i16 = 12;
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(50);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a topic may take to appear after it was asked for, where servers make topics on first use.
const TOPIC_APPEARS_WITHIN: Duration = Duration::from_secs(3);

/// Flags of every command that talks to a server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ClientFlags {
    /// Servers to begin with, separated by commas
    #[arg(short, long, value_name = "HOST:PORT", env = "ALLUVIUM_BOOTSTRAP", default_value = "127.0.0.1:9092")]
    pub(crate) bootstrap: String,
    /// The longest wait for one thing to be done, tries included
    #[arg(long, value_name = "DURATION", env = "ALLUVIUM_TIMEOUT", default_value = "30s")]
    pub(crate) timeout: settings::Duration,
}

/// A partition and its leader.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leader {
    pub(crate) partition: i32,
    pub(crate) node_id: i32,
}

/// A topic as metadata shows it.
#[derive(Clone, Debug)]
pub(crate) struct TopicMetadata {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) replication_factor: usize,
    pub(crate) partitions: Vec<Leader>,
}

/// A connection to a cluster.
#[derive(Debug)]
pub(crate) struct Cluster {
    bootstrap: Vec<String>,
    timeout: Duration,
    isolation: Isolation,
    runtime: Runtime,
    /// Addresses of the brokers by node id.
    brokers: HashMap<i32, String>,
    controller_id: i32,
    connections: HashMap<String, Arc<Connection>>,
}

/// Which records of transactions are read; Kafka's `isolation.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Isolation {
    /// All of them
    ReadUncommitted,
    /// Those of transactions that were committed, and nothing behind the first that is open
    ReadCommitted,
}

impl Isolation {
    /// As requests say it.
    pub(crate) fn code(self) -> i8 {
        match self {
            Isolation::ReadUncommitted => 0,
            Isolation::ReadCommitted => 1,
        }
    }
}

impl Cluster {
    /// Connects to the first of the servers that answers.
    pub(crate) async fn connect(flags: &ClientFlags, runtime: &Runtime) -> Result<Cluster, ClientError> {
        let addresses = flags.bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty());
        let mut cluster = Cluster {
            bootstrap: addresses.map(with_port).collect(),
            timeout: flags.timeout.get(),
            isolation: Isolation::ReadUncommitted,
            runtime: runtime.clone(),
            brokers: HashMap::new(),
            controller_id: -1,
            connections: HashMap::new(),
        };
        cluster.any().await?;
        Ok(cluster)
    }

    /// Which records of transactions are read, and where partitions end for the reader.
    pub(crate) fn isolation(&self) -> Isolation {
        self.isolation
    }

    /// Reads so from now on.
    pub(crate) fn set_isolation(&mut self, isolation: Isolation) {
        self.isolation = isolation;
    }

    /// The longest wait for one thing.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The same in the form of Kafka's requests.
    pub(crate) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Clock, randomness and tasks.
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// When a thing that begins now has to be done.
    pub(crate) fn deadline(&self) -> Instant {
        self.runtime.monotonic() + self.timeout
    }

    /// Waits before the next try, or gives the error back when there is no time for one or no sense in it.
    pub(crate) async fn pause(
        &self,
        error: ClientError,
        tries: &mut u32,
        deadline: Instant,
    ) -> Result<(), ClientError> {
        let pause = RETRY_PAUSE_MIN.saturating_mul(1 << (*tries).min(8)).min(RETRY_PAUSE_MAX);
        *tries += 1;
        if !error.is_retriable() || self.runtime.monotonic() + pause >= deadline {
            return Err(error);
        }
        tracing::debug!(%error, "trying again");
        self.runtime.sleep(pause).await;
        Ok(())
    }

    /// A connection to any server.
    pub(crate) async fn any(&mut self) -> Result<Arc<Connection>, ClientError> {
        let mut addresses = self.bootstrap.clone();
        addresses.extend(self.brokers.values().cloned());
        let mut first_error = None;
        for address in addresses {
            match self.open(&address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| ClientError::Connect {
            address: "nowhere".to_owned(),
            reason: "no server is named".to_owned(),
        }))
    }

    /// A connection to this broker.
    pub(crate) async fn broker(&mut self, node_id: i32) -> Result<Arc<Connection>, ClientError> {
        if !self.brokers.contains_key(&node_id) {
            self.metadata(Some(&[]), false).await?;
        }
        match self.brokers.get(&node_id).cloned() {
            Some(address) => self.open(&address).await,
            None => Err(ClientError::Refused {
                what: format!("broker {node_id}"),
                code: ErrorCode::LeaderNotAvailable,
                message: String::new(),
            }),
        }
    }

    /// A connection to the broker that changes topics.
    pub(crate) async fn controller(&mut self) -> Result<Arc<Connection>, ClientError> {
        if self.controller_id < 0 {
            self.metadata(Some(&[]), false).await?;
        }
        match self.controller_id {
            -1 => self.any().await,
            node_id => self.broker(node_id).await,
        }
    }

    /// Asks who the controller is before it is used again.
    pub(super) fn forget_controller(&mut self) {
        self.controller_id = -1;
    }

    /// A connection to this address, the one that is open if it still is.
    pub(super) async fn open(&mut self, address: &str) -> Result<Arc<Connection>, ClientError> {
        if let Some(known) = self.connections.get(address)
            && !known.is_broken()
        {
            return Ok(known.clone());
        }
        let opened = Arc::new(Connection::open(address, self.timeout, &self.runtime).await?);
        self.connections.insert(address.to_owned(), opened.clone());
        Ok(opened)
    }

    /// Asks for these topics, or all, and learns the brokers by the way.
    pub(crate) async fn metadata(
        &mut self,
        topics: Option<&[&str]>,
        create: bool,
    ) -> Result<MetadataResponse, ClientError> {
        let named = |name: &&str| message!(MetadataRequestTopic { name: Some(StrBytes::from(*name)) });
        let request = message!(MetadataRequest {
            topics: topics.map(|names| names.iter().map(named).collect()),
            allow_auto_topic_creation: create,
        });
        let answer = self.any().await?.call(&request, METADATA_VERSION_MAX).await?;
        self.brokers =
            answer.brokers.iter().map(|broker| (broker.node_id, address_of(&broker.host, broker.port))).collect();
        self.controller_id = answer.controller_id;
        Ok(answer)
    }

    /// All topics but internal ones, by name.
    pub(crate) async fn topics(&mut self) -> Result<Vec<TopicMetadata>, ClientError> {
        let (deadline, mut tries) = (self.deadline(), 0);
        loop {
            match self.metadata(None, false).await {
                Ok(answer) => {
                    let visible = answer.topics.iter().filter(|topic| !topic.is_internal);
                    let mut topics: Vec<TopicMetadata> = visible.map(described).collect();
                    topics.sort_by(|left, right| left.name.cmp(&right.name));
                    return Ok(topics);
                }
                Err(error) => self.pause(error, &mut tries, deadline).await?,
            }
        }
    }

    /// One topic, all of whose partitions have a leader. With `create`, servers that do so make it.
    pub(crate) async fn topic(&mut self, name: &str, create: bool) -> Result<TopicMetadata, ClientError> {
        let (deadline, mut tries) = (self.deadline(), 0);
        let appears_until = self.runtime.monotonic() + TOPIC_APPEARS_WITHIN;
        loop {
            let error = match self.topic_once(name, create).await {
                Ok(topic) => return Ok(topic),
                Err(error) => error,
            };
            let missing = error.code() == Some(ErrorCode::UnknownTopicOrPartition);
            if missing && (!create || self.runtime.monotonic() >= appears_until) {
                return Err(ClientError::Refused {
                    what: format!("topic {name}"),
                    code: ErrorCode::UnknownTopicOrPartition,
                    message: format!(": there is no such topic; make it with `alluvium topic create {name}`"),
                });
            }
            self.pause(error, &mut tries, deadline).await?;
        }
    }

    /// The ids of all brokers, in order.
    pub(crate) async fn node_ids(&mut self) -> Result<Vec<i32>, ClientError> {
        self.metadata(Some(&[]), false).await?;
        let mut ids: Vec<i32> = self.brokers.keys().copied().collect();
        ids.sort_unstable();
        Ok(ids)
    }

    async fn topic_once(&mut self, name: &str, create: bool) -> Result<TopicMetadata, ClientError> {
        let answer = self.metadata(Some(&[name]), create).await?;
        let Some(topic) = answer.topics.first() else {
            return Err(ClientError::Refused {
                what: format!("topic {name}"),
                code: ErrorCode::UnknownTopicOrPartition,
                message: String::new(),
            });
        };
        ClientError::refused(format!("topic {name}"), topic.error_code, None)?;
        for partition in &topic.partitions {
            let leaderless = if partition.leader_id < 0 { ErrorCode::LeaderNotAvailable.code() } else { 0 };
            ClientError::refused(format!("topic {name}, partition {}", partition.partition_index), leaderless, None)?;
        }
        Ok(described(topic))
    }
}

fn described(topic: &MetadataResponseTopic) -> TopicMetadata {
    let leader = |partition: i32, node_id: i32| Leader { partition, node_id };
    let mut partitions: Vec<Leader> =
        topic.partitions.iter().map(|partition| leader(partition.partition_index, partition.leader_id)).collect();
    partitions.sort_by_key(|leader| leader.partition);
    TopicMetadata {
        name: topic.name.as_ref().map_or_else(String::new, ToString::to_string),
        id: topic.topic_id,
        replication_factor: topic.partitions.first().map_or(0, |partition| partition.replica_nodes.len()),
        partitions,
    }
}

/// A host and a port as one address.
pub(super) fn address_of(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Kafka's port where none is given.
fn with_port(address: &str) -> String {
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let bare_v6 = address.matches(':').count() > 1 && !address.starts_with('[');
    match (has_port, bare_v6) {
        (_, true) => format!("[{address}]:9092"),
        (true, false) => address.to_owned(),
        (false, false) => format!("{address}:9092"),
    }
}

#[cfg(test)]
mod tests {
    use super::with_port;

    #[test]
    fn the_port_may_be_left_out() {
        assert_eq!(with_port("example"), "example:9092");
        assert_eq!(with_port("example:1"), "example:1");
        assert_eq!(with_port("[::1]:1"), "[::1]:1");
        assert_eq!(with_port("[::1]"), "[::1]:9092");
        assert_eq!(with_port("::1"), "[::1]:9092");
    }
}
