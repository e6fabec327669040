//! Changing topics.

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use alluvium_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use alluvium_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, RequestResponsePair, StrBytes,
};

use super::{ClientError, Cluster};

const CREATE_TOPICS_VERSION_MAX: i16 = 7;
/// The last version that takes names; later ones take ids as well, which nothing here needs.
const DELETE_TOPICS_VERSION_MAX: i16 = 5;
const CREATE_PARTITIONS_VERSION_MAX: i16 = 3;

/// A topic to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewTopic {
    pub(crate) name: String,
    /// -1 for the server's default.
    pub(crate) partition_count: i32,
    /// -1 for the server's default.
    pub(crate) replication_factor: i16,
    pub(crate) configs: Vec<(String, String)>,
}

impl Cluster {
    /// Calls the controller until it answers or time is up. `refusal` finds the error inside the answer.
    pub(super) async fn at_controller<Q: RequestResponsePair>(
        &mut self,
        request: &Q,
        version_max: i16,
        refusal: impl Fn(&Q::Response) -> Result<(), ClientError>,
    ) -> Result<(), ClientError> {
        let (deadline, mut tries) = (self.deadline(), 0);
        loop {
            let called = async {
                let connection = self.controller().await?;
                refusal(&connection.call(request, version_max).await?)
            };
            let error = match called.await {
                Ok(()) => return Ok(()),
                // Retriable in Kafka's table, since metadata may lag; here the answer comes from who decides.
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => return Err(error),
                Err(error) => error,
            };
            self.pause(error, &mut tries, deadline).await?;
            // It may be another one by now.
            self.forget_controller();
        }
    }

    /// Makes a topic.
    pub(crate) async fn create_topic(&mut self, topic: &NewTopic) -> Result<(), ClientError> {
        let config = |(name, value): &(String, String)| {
            message!(CreatableTopicConfig {
                name: StrBytes::from(name.as_str()),
                value: Some(StrBytes::from(value.as_str())),
            })
        };
        let creatable = message!(CreatableTopic {
            name: StrBytes::from(topic.name.as_str()),
            num_partitions: topic.partition_count,
            replication_factor: topic.replication_factor,
            configs: topic.configs.iter().map(config).collect(),
        });
        let request = message!(CreateTopicsRequest { topics: vec![creatable], timeout_ms: self.timeout_ms() });
        self.at_controller(&request, CREATE_TOPICS_VERSION_MAX, |answer| {
            answer.topics.iter().try_for_each(|result| {
                ClientError::refused(format!("topic {}", result.name), result.error_code, result.error_message.as_ref())
            })
        })
        .await
    }

    /// Deletes a topic with all that is in it.
    pub(crate) async fn delete_topic(&mut self, name: &str) -> Result<(), ClientError> {
        let request =
            message!(DeleteTopicsRequest { topic_names: vec![StrBytes::from(name)], timeout_ms: self.timeout_ms() });
        self.at_controller(&request, DELETE_TOPICS_VERSION_MAX, |answer| {
            answer.responses.iter().try_for_each(|result| {
                ClientError::refused(format!("topic {name}"), result.error_code, result.error_message.as_ref())
            })
        })
        .await
    }

    /// Gives a topic more partitions.
    pub(crate) async fn create_partitions(&mut self, name: &str, count: i32) -> Result<(), ClientError> {
        let topic = message!(CreatePartitionsTopic { name: StrBytes::from(name), count, assignments: None });
        let request = message!(CreatePartitionsRequest { topics: vec![topic], timeout_ms: self.timeout_ms() });
        self.at_controller(&request, CREATE_PARTITIONS_VERSION_MAX, |answer| {
            answer.results.iter().try_for_each(|result| {
                ClientError::refused(format!("topic {name}"), result.error_code, result.error_message.as_ref())
            })
        })
        .await
    }
}
