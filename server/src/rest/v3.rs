//! The frame of v3 answers: kind, metadata with the resource's path, data.
//!
//! Paths are relative: what this server is called outside is known to whoever stands before it.

use serde_json::{Value, json};

use super::JsonAnswer;

const MEDIA_TYPE: &str = "application/json";

/// Where a resource is and what it is called.
pub(super) fn metadata(path: &str, resource_name: &str) -> Value {
    json!({ "self": path, "resource_name": resource_name })
}

/// A link to other resources.
pub(super) fn related(path: &str) -> Value {
    json!({ "related": path })
}

/// One resource.
pub(super) fn one(resource: Value) -> JsonAnswer {
    super::json_answer(MEDIA_TYPE, &resource)
}

/// All of a kind.
pub(super) fn list(kind: &str, path: &str, data: Vec<Value>) -> JsonAnswer {
    let metadata = json!({ "self": path, "next": null });
    super::json_answer(MEDIA_TYPE, &json!({ "kind": kind, "metadata": metadata, "data": data }))
}
