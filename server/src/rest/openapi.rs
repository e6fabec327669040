//! `GET /openapi.json`: the routes of this process's role as an OpenAPI 3.1 document.
//!
//! Made from [`ROUTES`] and from the schemas here. A test checks that each schema is used and each one that is named is here.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::produce_topics::V2;
use super::routes::{Gives, ROUTES, Route, Takes};
use super::{Rest, Role, v3};

const JSON: &str = "application/json";
const EMBEDDED: [&str; 3] = [
    "application/vnd.kafka.binary.v2+json",
    "application/vnd.kafka.json.v2+json",
    "application/vnd.kafka.string.v2+json",
];

pub(super) async fn handle(State(rest): State<Rest>) -> Response {
    v3::one(document(rest.settings().role, rest.node().log.cluster_id())).into_response()
}

/// The document for a role.
fn document(role: Role, cluster: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES.iter().filter(|route| route.roles.contains(&role)) {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route, cluster);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Alluvium",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Records, topics and consumer groups over HTTP, after the Confluent REST Proxy.",
        },
        "paths": paths,
        "components": { "schemas": schemas() },
    })
}

fn operation(route: &Route, cluster: &str) -> Value {
    let mut responses = json!({ "default": content("A refusal.", &[JSON], "Error") });
    let (status, success) = match route.gives {
        Gives::Nothing => ("204", json!({ "description": "Done." })),
        Gives::Json(schema) => ("200", content("Done.", &[JSON], schema)),
        Gives::Created(schema) => ("201", content("Done.", &[JSON], schema)),
        Gives::V2(schema) => ("200", content("Done.", &[V2], schema)),
        Gives::Embedded(schema) => ("200", content("Done.", &EMBEDDED, schema)),
    };
    if let Gives::Created(schema) = route.gives {
        responses["200"] = content("It could be made (validate_only).", &[JSON], schema);
    }
    responses[status] = success;
    let mut operation = json!({
        "summary": route.summary,
        "parameters": parameters(route, cluster),
        "responses": responses,
    });
    let body = match route.takes {
        Takes::Nothing => return operation,
        Takes::Json(schema) => (true, content("", &[JSON], schema)),
        Takes::Optional(schema) => (false, content("", &[JSON], schema)),
        Takes::EmbeddedRecords => (true, content("", &EMBEDDED, "EmbeddedRecords")),
    };
    operation["requestBody"] = json!({ "required": body.0, "content": body.1["content"] });
    operation
}

fn content(description: &str, media_types: &[&str], schema: &str) -> Value {
    let reference = json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } });
    let content: Map<String, Value> =
        media_types.iter().map(|media_type| ((*media_type).to_owned(), reference.clone())).collect();
    json!({ "description": description, "content": content })
}

/// The parts of the path, and what may be given behind it.
fn parameters(route: &Route, cluster: &str) -> Vec<Value> {
    let mut parameters: Vec<Value> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": named(name, cluster) }))
        .collect();
    let mut add = |place: &str, name: &str, schema: Value, description: &str| {
        parameters.push(json!({ "name": name, "in": place, "schema": schema, "description": description }));
    };
    let produces = matches!(route.takes, Takes::EmbeddedRecords | Takes::Json("NewRecord"));
    if produces {
        let id = json!({ "type": "string", "pattern": "^[!-~]{1,255}$" });
        add("header", "Idempotency-Key", id, "The same id with the same records is one set of records.");
    }
    let number = || json!({ "type": "integer", "format": "int64", "minimum": 0 });
    match route.gives {
        Gives::Json("Records") => {
            let offset = json!({ "anyOf": [number(), { "enum": ["earliest", "latest"] }], "default": "earliest" });
            add("query", "offset", offset, "Where to begin.");
            add("query", "max_bytes", number(), "Bytes of records, about; at least one record is given.");
            add("query", "max_records", number(), "Records at most.");
            add("query", "wait_ms", json!({ "type": "integer", "minimum": 0, "maximum": 60_000 }), "How long to wait.");
            add(
                "query",
                "format",
                json!({ "enum": ["binary", "json", "string"], "default": "binary" }),
                "How they are shown.",
            );
            add(
                "query",
                "key_format",
                json!({ "enum": ["binary", "json", "string"] }),
                "How keys are shown, if otherwise.",
            );
            let isolation = json!({ "enum": ["read_committed", "read_uncommitted"], "default": "read_committed" });
            add("query", "isolation", isolation, "Whether records of open and aborted transactions are shown.");
        }
        Gives::Embedded(_) => {
            add("query", "timeout", number(), "How long to wait, in milliseconds.");
            add("query", "max_bytes", number(), "Bytes of records, about.");
        }
        _ => {}
    }
    if route.path.ends_with("/consumer-groups/{group}/offsets") && route.method == "get" {
        add("query", "topic", json!({ "type": "string" }), "This topic alone.");
        add("query", "partition", number(), "This partition alone.");
    }
    parameters
}

/// The schema of a part of the path.
fn named(name: &str, cluster: &str) -> Value {
    match name {
        "cluster" => json!({ "type": "string", "enum": [cluster] }),
        "topic" => json!({ "type": "string", "pattern": "^[a-zA-Z0-9_-]{1,249}$" }),
        "partition" => json!({ "type": "integer", "format": "int32", "minimum": 0 }),
        _ => json!({ "type": "string", "minLength": 1 }),
    }
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

fn list_of(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// Every schema by its name.
fn schemas() -> Value {
    let text = json!({ "type": "string" });
    let texts = list_of(&text);
    let index = json!({ "type": "integer", "format": "int32", "minimum": 0, "maximum": i32::MAX });
    let offset = json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX });
    let nullable = |kind: &str| json!({ "type": [kind, "null"] });
    let place = object(&["topic", "partition"], json!({ "topic": text, "partition": index }));
    let position = object(
        &["topic", "partition", "offset"],
        json!({ "topic": text, "partition": index, "offset": offset, "metadata": text }),
    );
    let data = object(&["type"], json!({ "type": { "enum": ["BINARY", "JSON", "STRING"] }, "data": {} }));
    let header = object(&["name"], json!({ "name": text, "value": nullable("string") }));
    let embedded = object(&[], json!({ "key": {}, "value": {}, "partition": index }));
    let config = object(&["name", "value"], json!({ "name": text, "value": text }));
    let outcome = object(
        &["partition", "offset", "error_code", "error"],
        json!({
            "partition": nullable("integer"), "offset": nullable("integer"), "error_code": nullable("integer"),
            "error": nullable("string"),
        }),
    );
    let group_offset = object(
        &["topic_name", "partition_id", "offset"],
        json!({ "topic_name": text, "partition_id": index, "offset": offset, "metadata": text }),
    );
    let partition = object(
        &["partition", "leader", "replicas"],
        json!({ "partition": index, "leader": { "type": "integer" }, "replicas": { "type": "array" } }),
    );
    let at_least_one = |items: &Value| json!({ "type": "array", "items": items, "minItems": 1 });
    let written = schemas_of_requests(&place, &position, &group_offset, &config, &at_least_one);
    let mut all = json!({
        "Error": object(&["error_code", "message"], json!({ "error_code": { "type": "integer" }, "message": text })),
        "Document": { "type": "object" },
        "EmbeddedRecords": object(&["records"], json!({ "records": at_least_one(&embedded) })),
        "ProduceOutcomes": object(&["offsets"], json!({ "offsets": list_of(&outcome) })),
        "NewRecord": object(&[], json!({
            "partition_id": index, "headers": list_of(&header), "key": data, "value": data,
            "timestamp": { "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "format": "date-time" }] },
        })),
        "ProducedRecord": object(&["error_code"], json!({ "error_code": { "type": "integer" } })),
        "Records": object(&["next_offset", "records"], json!({ "next_offset": offset, "records": { "type": "array" } })),
        "Names": texts,
        "Topics": object(&["topics"], json!({ "topics": texts })),
        "Topic": object(&["name", "configs", "partitions"], json!({
            "name": text, "configs": { "type": "object" }, "partitions": list_of(&partition),
        })),
        "Partition": partition,
        "Partitions": list_of(&partition),
        "PartitionOffsets": object(
            &["beginning_offset", "end_offset"],
            json!({ "beginning_offset": offset, "end_offset": offset }),
        ),
        "List": object(&["kind", "metadata", "data"], json!({ "kind": text, "data": { "type": "array" } })),
        "Resource": object(&["kind", "metadata"], json!({ "kind": text, "metadata": { "type": "object" } })),
        "Results": object(&["results"], json!({ "results": { "type": "array" } })),
        "ConsumerMade": object(&["instance_id", "base_uri"], json!({ "instance_id": text, "base_uri": text })),
        "ConsumedRecords": list_of(&object(&["topic", "partition", "offset"], json!({}))),
        "CommittedOffsets": object(&["offsets"], json!({ "offsets": list_of(&position) })),
    });
    if let (Some(all), Value::Object(written)) = (all.as_object_mut(), written) {
        all.extend(written);
    }
    all
}

/// Those of requests that are no records.
fn schemas_of_requests(
    place: &Value,
    position: &Value,
    group_offset: &Value,
    config: &Value,
    at_least_one: &dyn Fn(&Value) -> Value,
) -> Value {
    let text = json!({ "type": "string" });
    json!({
        "NewTopic": object(&["topic_name"], json!({
            "topic_name": { "type": "string", "pattern": "^[a-zA-Z0-9_-]{1,249}$" },
            "partitions_count": { "type": "integer", "minimum": 1, "maximum": 100 },
            "replication_factor": { "type": "integer", "minimum": 1, "maximum": 3 },
            "configs": list_of(config), "validate_only": { "type": "boolean" },
        })),
        "ConfigValue": object(&["value"], json!({ "value": text })),
        "GroupOffsets": object(&["offsets"], json!({ "offsets": at_least_one(group_offset) })),
        "Consumer": object(&[], json!({
            "name": { "type": "string", "minLength": 1 }, "format": { "enum": ["binary", "json", "string"] },
            "auto.offset.reset": { "enum": ["earliest", "latest", "none"] },
            "auto.commit.enable": { "enum": ["true", "false"] },
        })),
        "Subscription": { "oneOf": [
            object(&["topics"], json!({ "topics": at_least_one(&text) })),
            object(&["topic_pattern"], json!({ "topic_pattern": text })),
        ] },
        "Places": object(&["partitions"], json!({ "partitions": list_of(place) })),
        "Positions": object(&["offsets"], json!({ "offsets": list_of(position) })),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                let name = fields.get("$ref").and_then(Value::as_str);
                found.extend(name.and_then(|name| name.strip_prefix("#/components/schemas/")));
                fields.values().for_each(|field| references(field, found));
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn each_route_is_described_and_each_schema_is_there_and_used() {
        let document = document(Role::Node, "c");
        let described: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(described, ROUTES.len(), "no route is described twice, none is left out");
        let mut used = BTreeSet::new();
        references(&document["paths"], &mut used);
        let schemas = schemas();
        let defined: BTreeSet<&str> = schemas.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(used, defined);
    }

    #[test]
    fn a_function_describes_what_it_serves() {
        let paths = |role| document(role, "c")["paths"].as_object().unwrap().len();
        assert!(paths(Role::Ingest) < paths(Role::Reader) && paths(Role::Reader) < paths(Role::Node));
        let ingest = document(Role::Ingest, "c");
        assert!(ingest["paths"]["/topics/{topic}"].get("post").is_some());
        assert!(ingest["paths"]["/topics/{topic}"].get("get").is_none());
    }
}
