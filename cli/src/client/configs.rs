//! Reading and changing the configuration of topics.

use alluvium_protocol::message;
use alluvium_protocol::messages::describe_configs_request::DescribeConfigsResource;
use alluvium_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use alluvium_protocol::messages::{DescribeConfigsRequest, IncrementalAlterConfigsRequest, StrBytes};

use super::{ClientError, Cluster};

pub(super) const DESCRIBE_CONFIGS_VERSION_MAX: i16 = 4;
pub(super) const INCREMENTAL_ALTER_CONFIGS_VERSION_MAX: i16 = 1;
/// The number of topics among the kinds of resources.
const RESOURCE_TOPIC: i8 = 2;
/// Where a value comes from that was set on the topic itself.
const SOURCE_TOPIC: i8 = 1;
pub(super) const OPERATION_SET: i8 = 0;
const OPERATION_DELETE: i8 = 1;

/// One configuration of a topic.
#[derive(Clone, Debug)]
pub(crate) struct TopicConfig {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    /// Whether somebody set it on this topic.
    pub(crate) is_set: bool,
}

impl Cluster {
    /// All configurations of a topic.
    pub(crate) async fn topic_configs(&mut self, name: &str) -> Result<Vec<TopicConfig>, ClientError> {
        let resource = message!(DescribeConfigsResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: StrBytes::from(name),
            configuration_keys: None,
        });
        let request = message!(DescribeConfigsRequest { resources: vec![resource] });
        let (deadline, mut tries) = (self.deadline(), 0);
        loop {
            let called = async {
                let answer = self.any().await?.call(&request, DESCRIBE_CONFIGS_VERSION_MAX).await?;
                for result in &answer.results {
                    let what = format!("configuration of topic {name}");
                    ClientError::refused(what, result.error_code, result.error_message.as_ref())?;
                }
                Ok(answer)
            };
            let error: ClientError = match called.await {
                Ok(answer) => {
                    let all = answer.results.into_iter().flat_map(|result| result.configs);
                    return Ok(all
                        .map(|config| TopicConfig {
                            name: config.name.to_string(),
                            value: config.value.map(|value| value.to_string()),
                            is_set: config.config_source == SOURCE_TOPIC,
                        })
                        .collect());
                }
                Err(error) => error,
            };
            self.pause(error, &mut tries, deadline).await?;
        }
    }

    /// Sets some configurations of a topic and takes others back to their defaults.
    pub(crate) async fn alter_topic_configs(
        &mut self,
        name: &str,
        set: &[(String, String)],
        unset: &[String],
    ) -> Result<(), ClientError> {
        let changed = set.iter().map(|(name, value)| {
            message!(AlterableConfig {
                name: StrBytes::from(name.as_str()),
                config_operation: OPERATION_SET,
                value: Some(StrBytes::from(value.as_str())),
            })
        });
        let removed = unset.iter().map(|name| {
            message!(AlterableConfig {
                name: StrBytes::from(name.as_str()),
                config_operation: OPERATION_DELETE,
                value: None,
            })
        });
        let resource = message!(AlterConfigsResource {
            resource_type: RESOURCE_TOPIC,
            resource_name: StrBytes::from(name),
            configs: changed.chain(removed).collect(),
        });
        let request = message!(IncrementalAlterConfigsRequest { resources: vec![resource] });
        self.at_controller(&request, INCREMENTAL_ALTER_CONFIGS_VERSION_MAX, |answer| {
            answer.responses.iter().try_for_each(|result| {
                ClientError::refused(format!("topic {name}"), result.error_code, result.error_message.as_ref())
            })
        })
        .await
    }
}
