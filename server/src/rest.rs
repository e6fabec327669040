//! The HTTP API: the same log for those who cannot speak Kafka, after the Confluent REST Proxy, v2 and v3.
//!
//! One router serves it, in a node and in functions: [`Rest::router`] has the routes of a [`Role`]. Handlers work on the same
//! node as the Kafka doors do: ingest, reader, coordinator and log, never each other. [`error`] is the one map to its codes.
//!
//! Invariants:
//! 1. No input from the network makes this crate panic or hold memory beyond its limits: bodies have one, and room in ingest
//!    is taken before what is produced is read.
//! 2. An answer of success is about what is durable. What is in doubt says so ([`error`]).
//! 3. Every refusal, that of a path or a method too, is JSON with a code and a sentence.
//! 4. Every route stands in one table ([`routes`]), from which the router and the OpenAPI document are made.

mod clusters;
mod consumers;
mod counters;
mod error;
mod extract;
mod group_offsets;
mod groups;
mod openapi;
mod partitioner;
mod produce;
mod produce_records;
mod produce_topics;
mod read;
mod record;
mod request_id;
mod routes;
mod split;
mod time;
mod topics_listed;
mod topics_managed;
mod v3;

use std::sync::Arc;
use std::time::Duration;

use alluvium_coordinator::transaction::{TransactionParts, Transactions};
use alluvium_coordinator::{CoordinatorParts, Coordinators};
use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_ingest::Ingest;
use alluvium_log::{Log, Topic, View};
use alluvium_reader::Reader;
use alluvium_record::TopicPartition;
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

pub(crate) use counters::RestCounters;
pub use extract::AnswerBy;

use crate::context::{Node, STORE_WAIT_MAX};
use crate::door_counters::DoorCounters;
use crate::fetch_memory::FetchMemory;
use crate::fetch_session::FetchSessions;
use crate::leadership::LeadsNothing;
use crate::nodes::Nodes;
use crate::settings::ServerSettings;
use consumers::Consumers;
use error::RestError;

/// Which routes are served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// All of them.
    Node,
    /// Those that produce.
    Ingest,
    /// Those that read, and commit offsets.
    Reader,
}

/// Settings of the HTTP API.
#[derive(Clone, Debug)]
pub struct RestSettings {
    /// Which routes are served.
    pub role: Role,
    /// The largest request, and the largest record of a stream, in bytes.
    pub request_bytes_max: usize,
    /// The largest answer with records, in bytes.
    pub response_bytes_max: usize,
}

impl Default for RestSettings {
    fn default() -> Self {
        Self { role: Role::Node, request_bytes_max: 16 * 1024 * 1024, response_bytes_max: 16 * 1024 * 1024 }
    }
}

/// What the HTTP API of a process without Kafka doors stands on.
pub struct RestParts {
    /// The log of the cluster.
    pub log: Log,
    /// Where produced batches go.
    pub ingest: Ingest,
    /// Where batches come from.
    pub reader: Reader,
    /// Settings that it shares with the Kafka doors.
    pub server: ServerSettings,
    /// Its own.
    pub settings: RestSettings,
    /// Clock, randomness and tasks.
    pub runtime: Runtime,
    /// Ends waiting requests.
    pub shutdown: Shutdown,
}

/// The HTTP API of one process. Cloning shares it.
#[derive(Clone)]
pub struct Rest {
    inner: Arc<Inner>,
}

struct Inner {
    node: Arc<Node>,
    settings: RestSettings,
    shutdown: Shutdown,
    consumers: Consumers,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Rest").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl Rest {
    pub(crate) fn of(node: Arc<Node>, settings: RestSettings, shutdown: Shutdown) -> Self {
        Self { inner: Arc::new(Inner { node, settings, shutdown, consumers: Consumers::default() }) }
    }

    /// The API of a process that has no Kafka doors and leads nothing.
    pub fn without_doors(parts: RestParts) -> Self {
        let RestParts { log, ingest, reader, server, settings, runtime, shutdown } = parts;
        let leadership = Arc::new(LeadsNothing::new(&server));
        let groups = Coordinators::start(CoordinatorParts {
            log: log.clone(),
            leadership: leadership.clone(),
            settings: crate::group_settings(&server),
            consumer_settings: crate::consumer_group_settings(&server),
            offsets_retention: Duration::from_millis(server.offsets_retention_ms),
            runtime: runtime.clone(),
        });
        let transactions = Transactions::start(TransactionParts {
            log: log.clone(),
            leadership,
            settings: crate::transaction_settings(&server),
            runtime: runtime.clone(),
        });
        let node = Node {
            nodes: Nodes::new(None, &server, Vec::new()),
            log,
            ingest,
            reader,
            groups,
            transactions,
            fetch_sessions: FetchSessions::new(server.fetch_sessions_max, runtime.clone()),
            fetch_memory: FetchMemory::default(),
            counters: DoorCounters::default(),
            rest_counters: RestCounters::default(),
            settings: server,
            runtime,
        };
        Self::of(Arc::new(node), settings, shutdown)
    }

    /// The routes of this process's role.
    pub fn router(&self) -> Router {
        routes::router(self.inner.settings.role)
            .fallback(unknown_path)
            .method_not_allowed_fallback(unknown_method)
            .layer(axum::middleware::from_fn_with_state(self.clone(), observe))
            .with_state(self.clone())
    }

    fn node(&self) -> &Arc<Node> {
        &self.inner.node
    }

    fn settings(&self) -> &RestSettings {
        &self.inner.settings
    }

    fn consumers(&self) -> &Consumers {
        &self.inner.consumers
    }

    fn shutdown(&self) -> &Shutdown {
        &self.inner.shutdown
    }

    /// The state after a look at the log.
    async fn fresh_view(&self) -> Result<View, RestError> {
        self.node().caught_up().await.ok_or_else(RestError::not_known)
    }

    /// A topic by its name.
    async fn topic(&self, name: &str) -> Result<Topic, RestError> {
        let view = self.node().view(|view| view.topic_by_name(name).is_some()).await;
        match view.state.topic_by_name(name) {
            Some(topic) => Ok(topic.clone()),
            None if view.is_stale() => Err(RestError::not_known()),
            None => Err(RestError::topic_not_found(name)),
        }
    }

    /// A partition by the name of its topic.
    async fn partition(&self, name: &str, index: i32) -> Result<TopicPartition, RestError> {
        let found = |view: &View| crate::topics::find_partition(view, name, index);
        let view = self.node().view(|view| found(view).is_some()).await;
        match found(&view.state) {
            Some(found) => Ok(found),
            None if view.is_stale() => Err(RestError::not_known()),
            None if view.state.topic_by_name(name).is_none() => Err(RestError::topic_not_found(name)),
            None => Err(RestError::partition_not_found(index)),
        }
    }

    /// Reads the log of the partition's shard to its end.
    async fn look(&self, topic_partition: TopicPartition) -> Result<(), RestError> {
        let Some(shard) = self.node().shard_of(topic_partition) else { return Err(RestError::not_known()) };
        match self.node().runtime.timeout(STORE_WAIT_MAX, shard.catch_up()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(RestError::not_known()),
        }
    }

    /// The node that is advised for a partition.
    fn leader_of(&self, topic_partition: TopicPartition) -> i32 {
        let shard = self.node().state().shard_of(topic_partition);
        let members = self.node().nodes.members();
        let leader = shard.and_then(|shard| members.leader(shard).map(|member| member.id.0));
        leader.unwrap_or(self.node().settings.node_id)
    }
}

/// An answer in JSON.
struct JsonAnswer {
    media_type: &'static str,
    body: String,
}

fn json_answer(media_type: &'static str, body: &impl Serialize) -> JsonAnswer {
    // Answers are structs of numbers, texts and what was JSON before.
    JsonAnswer { media_type, body: serde_json::to_string(body).unwrap_or_default() }
}

impl IntoResponse for JsonAnswer {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, self.media_type), (header::CACHE_CONTROL, "no-store")];
        (headers, self.body).into_response()
    }
}

async fn unknown_path(request: Request) -> RestError {
    RestError::new(error::code::NOT_FOUND, format!("HTTP 404: there is no {}", request.uri().path()))
}

async fn unknown_method(request: Request) -> RestError {
    let told = format!("HTTP 405: {} does not take {}", request.uri().path(), request.method());
    RestError::new(error::code::METHOD_NOT_ALLOWED, told)
}

/// Counts every request and tells of it.
async fn observe(State(rest): State<Rest>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let runtime = &rest.node().runtime;
    let begun = runtime.monotonic();
    let response = next.run(request).await;
    let took = runtime.monotonic().saturating_duration_since(begun);
    let (took_ms, status) = (took.as_millis() as u64, response.status());
    rest.node().rest_counters.answered(method.as_str(), &route, status, took);
    let error = response.extensions().get::<RestError>();
    if status >= StatusCode::INTERNAL_SERVER_ERROR {
        let error = error.map(|error| error.message.as_str()).unwrap_or_default();
        tracing::warn!(%method, route, status = status.as_u16(), took_ms, error, "http request failed");
    } else {
        let error = error.map(|error| error.message.as_str());
        tracing::debug!(%method, route, status = status.as_u16(), took_ms, error, "http request");
    }
    response
}
