//! The cluster as a whole: who is in it, and what is configured for all of it.
//!
//! Kafka has no words for shards and releases of nodes. Alluvium tells them as configuration: `alluvium.shards` of the
//! brokers' default resource, and `alluvium.version` and `alluvium.shards.led` of each broker. Other servers have none.

use std::collections::BTreeMap;

use alluvium_protocol::message;
use alluvium_protocol::messages::describe_configs_request::DescribeConfigsResource;
use alluvium_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use alluvium_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest, StrBytes};

use super::configs::{DESCRIBE_CONFIGS_VERSION_MAX, INCREMENTAL_ALTER_CONFIGS_VERSION_MAX, OPERATION_SET};
use super::connection::Connection;
use super::{ClientError, Cluster};

/// The number of brokers among the kinds of resources.
const RESOURCE_BROKER: i8 = 4;
/// The brokers' resource that stands for all of them.
const ALL_BROKERS: &str = "";
/// How many shards the partitions of new topics are spread over.
const SHARDS: &str = "alluvium.shards";
/// The release that a node runs.
const VERSION: &str = "alluvium.version";
/// The shards that a node leads.
const SHARDS_LED: &str = "alluvium.shards.led";

/// What the cluster says of itself.
#[derive(Clone, Debug)]
pub(crate) struct ClusterDescription {
    pub(crate) cluster_id: Option<String>,
    /// Node id, -1 when nobody knows.
    pub(crate) controller: i32,
    /// By id.
    pub(crate) nodes: Vec<NodeDescription>,
    /// `None` where the server has no shards.
    pub(crate) shard_count: Option<u32>,
    pub(crate) topic_count: usize,
    pub(crate) partition_count: usize,
}

/// A node of the cluster.
#[derive(Clone, Debug)]
pub(crate) struct NodeDescription {
    pub(crate) node_id: i32,
    pub(crate) address: String,
    /// Its rack, in Kafka's word.
    pub(crate) zone: Option<String>,
    /// `None` when it does not say, or does not answer.
    pub(crate) version: Option<String>,
    /// The same.
    pub(crate) shards_led: Option<Vec<u32>>,
    /// Partitions of topics whose leader it is.
    pub(crate) partitions_led: usize,
    /// Why it did not answer.
    pub(crate) error: Option<String>,
}

impl Cluster {
    /// Everything that is known about the cluster. A node that does not answer is shown with the reason.
    pub(crate) async fn describe(&mut self) -> Result<ClusterDescription, ClientError> {
        let (deadline, mut tries) = (self.deadline(), 0);
        let metadata = loop {
            match self.metadata(None, false).await {
                Ok(metadata) => break metadata,
                Err(error) => self.pause(error, &mut tries, deadline).await?,
            }
        };
        let topics = || metadata.topics.iter().filter(|topic| !topic.is_internal);
        let mut led: BTreeMap<i32, usize> = BTreeMap::new();
        for partition in topics().flat_map(|topic| &topic.partitions) {
            *led.entry(partition.leader_id).or_default() += 1;
        }
        let mut nodes = Vec::new();
        for broker in &metadata.brokers {
            let mut node = NodeDescription {
                node_id: broker.node_id,
                address: super::cluster::address_of(&broker.host, broker.port),
                zone: broker.rack.as_ref().map(ToString::to_string),
                version: None,
                shards_led: None,
                partitions_led: led.get(&broker.node_id).copied().unwrap_or_default(),
                error: None,
            };
            match self.configs_of_node(broker.node_id).await {
                Ok(mut configs) => {
                    node.version = configs.remove(VERSION);
                    node.shards_led = configs.remove(SHARDS_LED).map(|list| shard_numbers(&list));
                }
                Err(error) => node.error = Some(error.to_string()),
            }
            nodes.push(node);
        }
        nodes.sort_by_key(|node| node.node_id);
        let shard_count = self.shard_count().await?;
        Ok(ClusterDescription {
            cluster_id: metadata.cluster_id.as_ref().map(ToString::to_string),
            controller: metadata.controller_id,
            nodes,
            shard_count,
            topic_count: topics().count(),
            partition_count: topics().map(|topic| topic.partitions.len()).sum(),
        })
    }

    /// How many shards new topics are spread over; `None` where the server has none.
    pub(crate) async fn shard_count(&mut self) -> Result<Option<u32>, ClientError> {
        let any = self.any().await?;
        let shards = broker_configs(&any, ALL_BROKERS, &[SHARDS]).await?.remove(SHARDS);
        Ok(shards.and_then(|count| count.parse().ok()))
    }

    async fn configs_of_node(&mut self, node_id: i32) -> Result<BTreeMap<String, String>, ClientError> {
        let connection = self.broker(node_id).await?;
        broker_configs(&connection, &node_id.to_string(), &[VERSION, SHARDS_LED]).await
    }

    /// Spreads the partitions of topics made from now on over so many shards.
    pub(crate) async fn set_shard_count(&mut self, count: u32) -> Result<(), ClientError> {
        let config = message!(AlterableConfig {
            name: StrBytes::from(SHARDS),
            config_operation: OPERATION_SET,
            value: Some(StrBytes::from(count.to_string())),
        });
        let resource = message!(AlterConfigsResource {
            resource_type: RESOURCE_BROKER,
            resource_name: StrBytes::from(ALL_BROKERS),
            configs: vec![config],
        });
        let request = message!(IncrementalAlterConfigsRequest { resources: vec![resource] });
        self.at_controller(&request, INCREMENTAL_ALTER_CONFIGS_VERSION_MAX, |answer| {
            answer.responses.iter().try_for_each(|result| {
                ClientError::refused("the shard count", result.error_code, result.error_message.as_ref())
            })
        })
        .await
    }
}

/// The values of some configurations of a brokers' resource; those that it does not have are left out.
async fn broker_configs(
    connection: &Connection,
    resource: &str,
    names: &[&str],
) -> Result<BTreeMap<String, String>, ClientError> {
    let wanted = message!(DescribeConfigsResource {
        resource_type: RESOURCE_BROKER,
        resource_name: StrBytes::from(resource),
        configuration_keys: Some(names.iter().map(|name| StrBytes::from(*name)).collect()),
    });
    let request = message!(DescribeConfigsRequest { resources: vec![wanted] });
    let answer = connection.call(&request, DESCRIBE_CONFIGS_VERSION_MAX).await?;
    let mut configs = BTreeMap::new();
    for result in answer.results {
        ClientError::refused("configuration of the brokers", result.error_code, result.error_message.as_ref())?;
        let values = result.configs.into_iter().filter_map(|config| Some((config.name, config.value?)));
        configs.extend(values.map(|(name, value)| (name.to_string(), value.to_string())));
    }
    Ok(configs)
}

/// Whether this node is at the other end: a broker tells its configuration to those who ask for it by its own id.
pub(crate) async fn is_node(connection: &Connection, node_id: i32) -> bool {
    broker_configs(connection, &node_id.to_string(), &[VERSION]).await.is_ok()
}

/// The numbers in a list with commas.
fn shard_numbers(list: &str) -> Vec<u32> {
    list.split(',').filter_map(|number| number.trim().parse().ok()).collect()
}
