//! Every route, once: what it is, who serves it and what answers.
//!
//! Invariant: the router and the OpenAPI document are made from [`ROUTES`], so that neither has a route that the other lacks.

use axum::Router;
use axum::routing::{MethodRouter, delete, get, post, put};

use super::consumers::doors as consumers;
use super::{
    Rest, Role, clusters, group_offsets, groups, openapi, produce_records, produce_topics, read, topics_listed,
    topics_managed,
};

/// The routes of a role.
pub(super) fn router(role: Role) -> Router<Rest> {
    let mut router = Router::new();
    for route in ROUTES.iter().filter(|route| route.roles.contains(&role)) {
        router = router.route(route.path, (route.handler)());
    }
    router
}

/// A method of a path.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) roles: &'static [Role],
    pub(super) summary: &'static str,
    pub(super) takes: Takes,
    pub(super) gives: Gives,
    handler: fn() -> MethodRouter<Rest>,
}

/// What the body of a request is: the name of a schema of the OpenAPI document.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Nothing,
    Json(&'static str),
    /// It may be left out.
    Optional(&'static str),
    /// v2 records, in the format that the Content-Type names.
    EmbeddedRecords,
}

/// What an answer of success is.
#[derive(Clone, Copy)]
pub(super) enum Gives {
    Nothing,
    Json(&'static str),
    Created(&'static str),
    V2(&'static str),
    /// v2 records, in the format of the consumer instance.
    Embedded(&'static str),
}

const ALL: &[Role] = &[Role::Node, Role::Ingest, Role::Reader];
const NODE: &[Role] = &[Role::Node];
const READ: &[Role] = &[Role::Node, Role::Reader];
const WRITE: &[Role] = &[Role::Node, Role::Ingest];

macro_rules! route {
    ($method:ident $path:literal $roles:expr, $handler:path, $summary:literal, $takes:expr, $gives:expr) => {
        Route {
            method: stringify!($method),
            path: $path,
            roles: $roles,
            summary: $summary,
            takes: $takes,
            gives: $gives,
            handler: || $method($handler),
        }
    };
}

/// All routes.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    route!(get "/openapi.json" ALL, openapi::handle, "This document.", Takes::Nothing, Gives::Json("Document")),
    route!(post "/consumers/{group}" NODE, consumers::create, "Makes a consumer instance.", Takes::Json("Consumer"), Gives::V2("ConsumerMade")),
    route!(delete "/consumers/{group}/instances/{instance}" NODE, consumers::delete, "Ends a consumer instance.", Takes::Nothing, Gives::Nothing),
    route!(get "/consumers/{group}/instances/{instance}/assignments" NODE, consumers::assignments, "The partitions that an instance owns.", Takes::Nothing, Gives::V2("Places")),
    route!(post "/consumers/{group}/instances/{instance}/assignments" NODE, consumers::assign, "Assigns partitions by hand.", Takes::Json("Places"), Gives::Nothing),
    route!(get "/consumers/{group}/instances/{instance}/offsets" NODE, consumers::committed, "Committed offsets of what the instance owns.", Takes::Nothing, Gives::V2("CommittedOffsets")),
    route!(post "/consumers/{group}/instances/{instance}/offsets" NODE, consumers::commit, "Commits these offsets, or where the instance stands.", Takes::Optional("Positions"), Gives::Nothing),
    route!(post "/consumers/{group}/instances/{instance}/positions" NODE, consumers::seek, "Sets where the instance goes on.", Takes::Json("Positions"), Gives::Nothing),
    route!(post "/consumers/{group}/instances/{instance}/positions/beginning" NODE, consumers::seek_to_beginning, "Goes on at the beginning.", Takes::Json("Places"), Gives::Nothing),
    route!(post "/consumers/{group}/instances/{instance}/positions/end" NODE, consumers::seek_to_end, "Goes on at the end.", Takes::Json("Places"), Gives::Nothing),
    route!(get "/consumers/{group}/instances/{instance}/records" NODE, consumers::records, "Reads on.", Takes::Nothing, Gives::Embedded("ConsumedRecords")),
    route!(get "/consumers/{group}/instances/{instance}/subscription" NODE, consumers::subscription, "The topics of an instance.", Takes::Nothing, Gives::V2("Topics")),
    route!(post "/consumers/{group}/instances/{instance}/subscription" NODE, consumers::subscribe, "Subscribes to topics.", Takes::Json("Subscription"), Gives::Nothing),
    route!(delete "/consumers/{group}/instances/{instance}/subscription" NODE, consumers::unsubscribe, "Ends the subscription.", Takes::Nothing, Gives::Nothing),
    route!(get "/topics" READ, topics_listed::list, "Names of all topics.", Takes::Nothing, Gives::V2("Names")),
    route!(get "/topics/{topic}" READ, topics_listed::get, "A topic, its configuration and partitions.", Takes::Nothing, Gives::V2("Topic")),
    route!(post "/topics/{topic}" WRITE, produce_topics::to_topic, "Produces records.", Takes::EmbeddedRecords, Gives::V2("ProduceOutcomes")),
    route!(get "/topics/{topic}/partitions" READ, topics_listed::list_partitions, "Partitions of a topic.", Takes::Nothing, Gives::V2("Partitions")),
    route!(get "/topics/{topic}/partitions/{partition}" READ, topics_listed::get_partition, "A partition.", Takes::Nothing, Gives::V2("Partition")),
    route!(post "/topics/{topic}/partitions/{partition}" WRITE, produce_topics::to_partition, "Produces records to a partition.", Takes::EmbeddedRecords, Gives::V2("ProduceOutcomes")),
    route!(get "/topics/{topic}/partitions/{partition}/offsets" READ, topics_listed::offsets, "First and next offset of a partition.", Takes::Nothing, Gives::V2("PartitionOffsets")),
    route!(get "/v3/clusters" READ, clusters::list, "The cluster, as a list.", Takes::Nothing, Gives::Json("List")),
    route!(get "/v3/clusters/{cluster}" READ, clusters::get, "The cluster.", Takes::Nothing, Gives::Json("Resource")),
    route!(get "/v3/clusters/{cluster}/consumer-groups" READ, groups::list, "Consumer groups.", Takes::Nothing, Gives::Json("List")),
    route!(get "/v3/clusters/{cluster}/consumer-groups/{group}" READ, groups::get, "A consumer group.", Takes::Nothing, Gives::Json("Resource")),
    route!(get "/v3/clusters/{cluster}/consumer-groups/{group}/consumers" READ, groups::members, "Members of a group.", Takes::Nothing, Gives::Json("List")),
    route!(get "/v3/clusters/{cluster}/consumer-groups/{group}/lags" READ, groups::lags, "How far a group is behind, by partition.", Takes::Nothing, Gives::Json("List")),
    route!(get "/v3/clusters/{cluster}/consumer-groups/{group}/lag-summary" READ, groups::lag_summary, "How far a group is behind.", Takes::Nothing, Gives::Json("Resource")),
    route!(get "/v3/clusters/{cluster}/consumer-groups/{group}/offsets" READ, group_offsets::get, "Committed offsets of a group.", Takes::Nothing, Gives::Json("List")),
    route!(post "/v3/clusters/{cluster}/consumer-groups/{group}/offsets" READ, group_offsets::commit, "Commits offsets without being a member.", Takes::Json("GroupOffsets"), Gives::Json("Results")),
    route!(get "/v3/clusters/{cluster}/topics" READ, topics_managed::list, "Topics.", Takes::Nothing, Gives::Json("List")),
    route!(post "/v3/clusters/{cluster}/topics" NODE, topics_managed::create, "Makes a topic.", Takes::Json("NewTopic"), Gives::Created("Resource")),
    route!(get "/v3/clusters/{cluster}/topics/{topic}" READ, topics_managed::get, "A topic.", Takes::Nothing, Gives::Json("Resource")),
    route!(delete "/v3/clusters/{cluster}/topics/{topic}" NODE, topics_managed::delete, "Deletes a topic with its records.", Takes::Nothing, Gives::Nothing),
    route!(get "/v3/clusters/{cluster}/topics/{topic}/configs" READ, topics_managed::configs, "Configuration of a topic.", Takes::Nothing, Gives::Json("List")),
    route!(get "/v3/clusters/{cluster}/topics/{topic}/configs/{config}" READ, topics_managed::get_config, "One configuration of a topic.", Takes::Nothing, Gives::Json("Resource")),
    route!(put "/v3/clusters/{cluster}/topics/{topic}/configs/{config}" NODE, topics_managed::set_config, "Sets a configuration of a topic.", Takes::Json("ConfigValue"), Gives::Nothing),
    route!(delete "/v3/clusters/{cluster}/topics/{topic}/configs/{config}" NODE, topics_managed::reset_config, "Takes a configuration back to its default.", Takes::Nothing, Gives::Nothing),
    route!(get "/v3/clusters/{cluster}/topics/{topic}/partitions" READ, topics_managed::partitions, "Partitions of a topic.", Takes::Nothing, Gives::Json("List")),
    route!(get "/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}" READ, topics_managed::partition, "A partition.", Takes::Nothing, Gives::Json("Resource")),
    route!(post "/v3/clusters/{cluster}/topics/{topic}/records" WRITE, produce_records::handle, "Produces a stream of records.", Takes::Json("NewRecord"), Gives::Json("ProducedRecord")),
    route!(get "/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/records" READ, read::handle, "Reads records from an offset on.", Takes::Nothing, Gives::Json("Records")),
];
