//! Finding the coordinator of a group or a transactional id, and asking it until it answers.
//!
//! The coordinator is whoever the cluster says now. It may move between two requests: an answer that says so is
//! reason to ask who it is again, until time is up.

use std::sync::Arc;

use alluvium_protocol::errors::ErrorCode;
use alluvium_protocol::message;
use alluvium_protocol::messages::{FindCoordinatorRequest, RequestResponsePair, StrBytes};

use super::cluster::address_of;
use super::connection::Connection;
use super::{ClientError, Cluster};

/// The last version with one key a request, which every server has.
const FIND_COORDINATOR_VERSION_MAX: i16 = 3;

/// What has a coordinator.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Coordinated<'a> {
    /// A group, by its name.
    Group(&'a str),
    /// A transactional id.
    TransactionalId(&'a str),
}

impl<'a> From<&'a str> for Coordinated<'a> {
    fn from(group: &'a str) -> Coordinated<'a> {
        Coordinated::Group(group)
    }
}

impl Coordinated<'_> {
    fn key(self) -> (i8, StrBytes, String) {
        match self {
            Coordinated::Group(group) => (0, StrBytes::from(group), format!("coordinator of group {group}")),
            Coordinated::TransactionalId(id) => {
                (1, StrBytes::from(id), format!("coordinator of transactional id {id}"))
            }
        }
    }
}

/// A coordinator as it was found.
#[derive(Clone, Debug)]
pub(crate) struct Coordinator {
    pub(crate) node_id: i32,
    pub(crate) connection: Arc<Connection>,
}

impl Cluster {
    /// The coordinator of a group, once there is one.
    pub(crate) async fn coordinator(&mut self, group: &str) -> Result<Coordinator, ClientError> {
        let (deadline, mut tries) = (self.deadline(), 0);
        loop {
            match self.coordinator_once(Coordinated::Group(group)).await {
                Ok(coordinator) => return Ok(coordinator),
                Err(error) => self.pause(error, &mut tries, deadline).await?,
            }
        }
    }

    async fn coordinator_once(&mut self, of: Coordinated<'_>) -> Result<Coordinator, ClientError> {
        let (key_type, key, what) = of.key();
        let request = message!(FindCoordinatorRequest { key, key_type });
        let found = self.any().await?.call(&request, FIND_COORDINATOR_VERSION_MAX).await?;
        ClientError::refused(what, found.error_code, found.error_message.as_ref())?;
        let node_id = found.node_id;
        // The answer has an address of its own, so that no metadata is needed to go there.
        let connection = self.open(&address_of(&found.host, found.port)).await?;
        Ok(Coordinator { node_id, connection })
    }

    /// Asks the coordinator of a group or a transactional id, again where it moved. `refusal` finds the error inside the answer.
    pub(crate) async fn at_coordinator<'a, Q: RequestResponsePair>(
        &mut self,
        of: impl Into<Coordinated<'a>>,
        request: &Q,
        version_max: i16,
        refusal: impl Fn(&Q::Response) -> Result<(), ClientError>,
    ) -> Result<Q::Response, ClientError> {
        let of = of.into();
        let (deadline, mut tries) = (self.deadline(), 0);
        loop {
            let called = async {
                let coordinator = self.coordinator_once(of).await?;
                let answer = coordinator.connection.call(request, version_max).await?;
                refusal(&answer)?;
                Ok::<_, ClientError>(answer)
            };
            let error = match called.await {
                Ok(found) => return Ok(found),
                // Retriable in Kafka's table, since metadata may lag; here the answer comes from who decides.
                Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => return Err(error),
                Err(error) => error,
            };
            self.pause(error, &mut tries, deadline).await?;
        }
    }
}
