//! v3 clusters: there is one, the one of the bucket.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Rest;
use super::error::{RestError, code};
use super::extract::Names;
use super::v3;

/// Refuses another cluster than this one.
pub(super) fn check(rest: &Rest, cluster: &str) -> Result<(), RestError> {
    if cluster == rest.node().log.cluster_id() {
        return Ok(());
    }
    Err(RestError::new(code::NOT_FOUND, format!("Cluster {cluster} cannot be found.")))
}

/// `GET /v3/clusters`
pub(super) async fn list(State(rest): State<Rest>) -> Response {
    v3::list("KafkaClusterList", "/v3/clusters", vec![shown(&rest)]).into_response()
}

/// `GET /v3/clusters/{cluster}`
pub(super) async fn get(State(rest): State<Rest>, Names(cluster): Names<String>) -> Result<Response, RestError> {
    check(&rest, &cluster)?;
    Ok(v3::one(shown(&rest)).into_response())
}

fn shown(rest: &Rest) -> Value {
    let id = rest.node().log.cluster_id();
    let path = format!("/v3/clusters/{id}");
    json!({
        "kind": "KafkaCluster",
        "metadata": v3::metadata(&path, &format!("crn:///kafka={id}")),
        "cluster_id": id,
        "topics": v3::related(&format!("{path}/topics")),
        "consumer_groups": v3::related(&format!("{path}/consumer-groups")),
    })
}
