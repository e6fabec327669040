//! Whether clients get here by the addresses that they are told.
//!
//! An address that leads nowhere is the most common mistake with Kafka, and shows at the clients alone. So a node that serves
//! goes to its own advertised addresses as a client would, and says what it found. It serves all the same: its own network
//! may not be that of its clients.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_protocol::message;
use alluvium_protocol::messages::MetadataRequest;

use super::node::Node;
use super::settings::NodeSettings;
use crate::client::connection::Connection;

const METADATA_VERSION_MAX: i16 = 12;
/// How long an address may take to answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(4);
/// How long a way that does not lead here yet, such as a load balancer, has to open.
const SECOND_TRY_AFTER: Duration = Duration::from_secs(4);

/// Begins to look, in a task of its own that ends by itself.
pub(crate) fn check(node: &Node, settings: &NodeSettings, runtime: &Runtime) {
    for address in settings.advertise.clone() {
        let expected = Expected { cluster_id: node.cluster_id().to_owned(), node_id: settings.node_id_chosen() };
        let own = runtime.clone();
        drop(runtime.spawn("advertised address", async move {
            let Err(_first) = expected.found_at(&address, &own).await else { return };
            own.sleep(SECOND_TRY_AFTER).await;
            match expected.found_at(&address, &own).await {
                Ok(()) => tracing::debug!(address, "the advertised address leads here"),
                Err(reason) => tracing::warn!(
                    address,
                    reason,
                    "clients are told an address that does not lead here from this machine: see --advertise"
                ),
            }
        }));
    }
}

/// Who should answer.
struct Expected {
    cluster_id: String,
    node_id: i32,
}

impl Expected {
    /// Whether this node answers at the address; the error says what does.
    async fn found_at(&self, address: &str, runtime: &Runtime) -> Result<(), String> {
        let connection = Connection::open(address, ANSWER_WAIT_MAX, runtime).await.map_err(|error| error.reason())?;
        let request = message!(MetadataRequest { topics: Some(Vec::new()) });
        let answer = connection.call(&request, METADATA_VERSION_MAX).await.map_err(|error| error.reason())?;
        let cluster_id = answer.cluster_id.as_ref().map_or("", |id| id.as_str());
        if cluster_id != self.cluster_id {
            return Err(format!("another cluster answers there ({cluster_id})"));
        }
        if !crate::client::cluster_admin::is_node(&connection, self.node_id).await {
            return Err("another node of the cluster answers there".to_owned());
        }
        Ok(())
    }
}
