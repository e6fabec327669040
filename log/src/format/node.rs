//! Node records: who is in the cluster and how it is reached. JSON, overwritten by the node that it names.
//!
//! Invariant: fields are only added; a reader ignores those that it does not know.

use alluvium_infra::store::Payload;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::FormatError;

/// A node as it announces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Kafka broker id.
    pub node_id: i32,
    /// New at each start.
    pub incarnation: Uuid,
    /// Availability zone, Kafka's rack.
    #[serde(default)]
    pub zone: Option<String>,
    /// Where clients reach it.
    pub listeners: Vec<NodeListener>,
    /// Where other nodes reach it, as host:port.
    pub peer_address: String,
    /// Release that it runs.
    pub version: String,
    /// When it started, milliseconds since 1970 by the store's clock.
    pub started_ms: i64,
    /// When this record was written, milliseconds since 1970 by the store's clock.
    pub heartbeat_ms: i64,
}

/// One advertised address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeListener {
    /// Name of the listener; clients that came in by a listener are told the addresses of that name.
    pub name: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl NodeRecord {
    /// The record as an object.
    #[must_use]
    pub fn encode(&self) -> Payload {
        // Strings and numbers: this cannot fail.
        Payload::from(serde_json::to_vec_pretty(self).unwrap_or_default())
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When the object is not one.
    pub fn decode(object: &Bytes) -> Result<Self, FormatError> {
        serde_json::from_slice(object).map_err(|error| FormatError::malformed("node record", error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_survives_and_fields_of_later_releases_are_ignored() {
        let record = NodeRecord {
            node_id: 3,
            incarnation: Uuid::from_u128(7),
            zone: Some("a".to_owned()),
            listeners: vec![NodeListener { name: "PLAINTEXT".to_owned(), host: "127.0.0.1".to_owned(), port: 9092 }],
            peer_address: "127.0.0.1:7000".to_owned(),
            version: "0.1.0".to_owned(),
            started_ms: 1,
            heartbeat_ms: 2,
        };
        let bytes = record.encode().into_bytes();
        assert_eq!(NodeRecord::decode(&bytes), Ok(record.clone()));
        let mut json: serde_json::Value = serde_json::from_slice(&bytes).expect("json");
        json["new"] = serde_json::json!({"a": 1});
        assert_eq!(NodeRecord::decode(&Bytes::from(json.to_string())), Ok(record));
        assert!(NodeRecord::decode(&Bytes::from_static(b"{")).is_err());
    }
}
