//! A node: the rooms put together, and taken apart again in the other order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alluvium_cluster::{Cluster, JoinError, TcpTransport};
use alluvium_compactor::{Compactor, CompactorParts, Duty};
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store::{self, Metered};
use alluvium_infra::{Runtime, telemetry};
use alluvium_ingest::Ingest;
use alluvium_log::Log;
use alluvium_log::format::node::NodeListener;
use alluvium_reader::Reader;
use alluvium_record::ShardId;
use alluvium_server::http::{self, HttpServer, Observed, ObservedParts};
use alluvium_server::rest::RestSettings;
use alluvium_server::{Listeners, Server, ServerParts, StartServerError};

use super::settings::NodeSettings;
use super::store::{log_not_opened, not_opened};
use crate::failure::Failure;

/// A node whose store has been silent for longer asks it before it calls itself ready.
const STORE_SILENCE_MAX: Duration = Duration::from_secs(15);
/// The longest wait for batches whose clients have gone.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(5);
/// The longest wait for the last commit and the checkpoint.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(10);

/// A node that serves.
#[derive(Debug)]
pub(crate) struct Node {
    log: Log,
    cluster: Option<Cluster>,
    ingest: Ingest,
    server: Server,
    compactor: Option<Compactor>,
    http: Option<HttpServer>,
    rest: Option<HttpServer>,
    observed: Observed,
    shutdown: Shutdown,
    drain_max: Duration,
    runtime: Runtime,
}

impl Node {
    /// Store, HTTP door, log, addresses, cluster, ingest, reader, front door. On return clients are served.
    pub(crate) async fn start(settings: &NodeSettings, runtime: &Runtime) -> Result<Node, Failure> {
        let server_settings = settings.server_settings().map_err(Failure::Usage)?;
        let store =
            store::open(&settings.store, &settings.store_options(), runtime).map_err(|error| not_opened(&error))?;
        let store = Metered::new(store, runtime.clone());
        let shutdown = Shutdown::new();
        let observed = observe(store.clone(), settings, runtime);
        let http = listen_http(&observed, settings, runtime, &shutdown).await?;
        let log = Log::open(store, settings.log_options(), runtime.clone())
            .await
            .map_err(|error| log_not_opened(&error, &settings.store))?;
        telemetry::identify(&[("node_id", &settings.node_id_chosen().to_string()), ("cluster_id", log.cluster_id())]);
        let listeners = match Listeners::bind(&server_settings).await {
            Ok(listeners) => listeners,
            Err(error) => return Err(give_up(&log, &shutdown, runtime, not_listening(&error)).await),
        };
        let cluster = match join(&log, settings, listeners.announced(), runtime).await {
            Ok(cluster) => cluster,
            Err(failure) => return Err(give_up(&log, &shutdown, runtime, failure).await),
        };
        let ingest = Ingest::start(log.clone(), settings.ingest_settings(), runtime.clone());
        let reader = Reader::new(log.clone(), settings.reader_settings(), runtime.clone());
        let parts = ServerParts {
            log: log.clone(),
            cluster: cluster.clone(),
            ingest: ingest.clone(),
            reader,
            listeners,
            settings: server_settings,
            runtime: runtime.clone(),
            shutdown: shutdown.clone(),
        };
        match Server::start(parts).await {
            Ok(server) => {
                let rest = match listen_rest(&server, settings, runtime, &shutdown).await {
                    Ok(rest) => rest,
                    Err(failure) => {
                        // Nobody has come yet: there is nothing that could hold it up.
                        let _nothing = server.drain().await;
                        return Err(leave(cluster, &log, &shutdown, runtime, failure).await);
                    }
                };
                observed.serving(&server);
                let compactor = compact(&log, &cluster, settings);
                if let Some(compactor) = &compactor {
                    observed.compacting(compactor);
                }
                let (drain_max, runtime) = (settings.drain_timeout.get(), runtime.clone());
                Ok(Node { log, cluster, ingest, server, compactor, http, rest, observed, shutdown, drain_max, runtime })
            }
            Err(error) => Err(leave(cluster, &log, &shutdown, runtime, not_listening(&error)).await),
        }
    }

    /// Until another node has taken this one's id; says so in one line.
    pub(crate) fn evicted(&self) -> impl Future<Output = String> + use<> {
        let cluster = self.cluster.clone();
        async move {
            match cluster {
                Some(cluster) => cluster.failed().await,
                None => std::future::pending().await,
            }
        }
    }

    /// The addresses listened on.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.server.local_addrs()
    }

    /// The address of the HTTP door, if there is one.
    pub(crate) fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(HttpServer::local_addr)
    }

    /// The address of the HTTP API, if there is one.
    pub(crate) fn rest_address(&self) -> Option<SocketAddr> {
        self.rest.as_ref().map(HttpServer::local_addr)
    }

    /// The id of the cluster in the store.
    pub(crate) fn cluster_id(&self) -> &str {
        self.log.cluster_id()
    }

    /// Answers what was accepted, flushes, closes the log. Each step has its limit; what was acknowledged is in the
    /// store already, so a step that is cut loses nothing.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let mut cut = Vec::new();
        self.observed.draining();
        // Others stop naming this node before it closes anything.
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
        }
        // Both at once: each ends what waits in it.
        let rest = async {
            match &self.rest {
                Some(rest) => rest.drain(self.drain_max).await,
                None => Ok(()),
            }
        };
        let (server, rest) = tokio::join!(self.server.drain(), rest);
        for (what, drained) in [("connections", server), ("HTTP requests", rest)] {
            if let Err(error) = drained {
                cut.push(format!("{what}: {error}"));
            }
        }
        if let Some(compactor) = &self.compactor
            && let Err(error) = compactor.stop().await
        {
            cut.push(format!("compaction: {error}"));
        }
        if self.runtime.timeout(FLUSH_WAIT_MAX, self.ingest.drain()).await.is_err() {
            cut.push("produce requests were still waiting for the store".to_owned());
        }
        if let Some(cluster) = &self.cluster {
            cluster.close().await;
        }
        if self.runtime.timeout(CLOSE_WAIT_MAX, self.log.close()).await.is_err() {
            cut.push("the log was not closed in time".to_owned());
        }
        self.shutdown.trigger();
        if cut.is_empty() {
            return Ok(());
        }
        Err(Failure::failed(format!(
            "stopped before everything was answered ({}); nothing that was acknowledged is lost",
            cut.join("; ")
        )))
    }
}

/// Begins to compact the shards that this node leads, if it is to.
fn compact(log: &Log, cluster: &Option<Cluster>, settings: &NodeSettings) -> Option<Compactor> {
    let parts = || CompactorParts {
        log: log.clone(),
        duty: Arc::new(NodeDuty(cluster.clone())),
        settings: settings.compactor_settings(),
    };
    settings.compaction.then(|| Compactor::start(parts()))
}

/// What the cluster advises; all shards for a process that stands alone.
#[derive(Debug)]
struct NodeDuty(Option<Cluster>);

impl Duty for NodeDuty {
    fn leads(&self, shard: ShardId) -> bool {
        let Some(cluster) = &self.0 else { return true };
        cluster.members().leader(shard).is_some_and(|member| member.id == cluster.node_id())
    }
}

/// Joins the cluster, unless this process stands alone.
async fn join(
    log: &Log,
    settings: &NodeSettings,
    listeners: Vec<NodeListener>,
    runtime: &Runtime,
) -> Result<Option<Cluster>, Failure> {
    let Some(cluster_settings) = settings.cluster_settings(listeners) else { return Ok(None) };
    let transport = Arc::new(TcpTransport);
    let joined = Cluster::start(log.clone(), cluster_settings, transport, runtime.clone()).await;
    joined.map(Some).map_err(|error| match &error {
        JoinError::Settings(_) => Failure::usage(error),
        JoinError::Listen { .. } => Failure::failed(format!("{error}: choose another address with --peer-listen")),
        JoinError::IdTaken { .. } => Failure::failed(format!("{error} (--node-id)")),
        JoinError::Store { .. } => Failure::failed(error.to_string()),
    })
}

/// Takes apart what a start that failed has made.
async fn give_up(log: &Log, shutdown: &Shutdown, runtime: &Runtime, failure: Failure) -> Failure {
    shutdown.trigger();
    let _cut = runtime.timeout(CLOSE_WAIT_MAX, log.close()).await;
    failure
}

/// As [`give_up`], for a node that others know of.
async fn leave(
    cluster: Option<Cluster>,
    log: &Log,
    shutdown: &Shutdown,
    runtime: &Runtime,
    failure: Failure,
) -> Failure {
    if let Some(cluster) = cluster {
        cluster.leave().await;
        cluster.close().await;
    }
    give_up(log, shutdown, runtime, failure).await
}

/// What the HTTP door will look at.
fn observe(store: Arc<Metered>, settings: &NodeSettings, runtime: &Runtime) -> Observed {
    Observed::new(ObservedParts {
        store,
        prices: settings.store_prices,
        store_silence_max: STORE_SILENCE_MAX,
        group_series_max: settings.metrics_group_series,
        topic_series_max: settings.metrics_topics,
        version: env!("CARGO_PKG_VERSION"),
        runtime: runtime.clone(),
    })
}

async fn listen_http(
    observed: &Observed,
    settings: &NodeSettings,
    runtime: &Runtime,
    shutdown: &Shutdown,
) -> Result<Option<HttpServer>, Failure> {
    let Some(bind) = settings.http_listen.as_deref().filter(|bind| !bind.is_empty()) else { return Ok(None) };
    let router = http::router(observed.clone());
    match HttpServer::start(bind, router, http::CONNECTIONS_MAX, runtime, shutdown).await {
        Ok(http) => Ok(Some(http)),
        Err(error) => {
            let advice = bind_advice(&error.error, "--http-listen 127.0.0.1:9644");
            Err(Failure::failed(format!("{error}: {advice}")))
        }
    }
}

async fn listen_rest(
    server: &Server,
    settings: &NodeSettings,
    runtime: &Runtime,
    shutdown: &Shutdown,
) -> Result<Option<HttpServer>, Failure> {
    let Some(bind) = settings.rest_listen.as_deref().filter(|bind| !bind.is_empty()) else { return Ok(None) };
    let bytes_max = settings.rest_bytes.as_usize();
    let rest = RestSettings { request_bytes_max: bytes_max, response_bytes_max: bytes_max, ..RestSettings::default() };
    let router = server.rest(rest).router();
    match HttpServer::start(bind, router, settings.rest_connections, runtime, shutdown).await {
        Ok(rest) => Ok(Some(rest)),
        Err(error) => {
            let advice = bind_advice(&error.error, "--rest-listen 127.0.0.1:8082");
            Err(Failure::failed(format!("{error}: {advice}")))
        }
    }
}

fn not_listening(error: &StartServerError) -> Failure {
    match error {
        StartServerError::Setting(error) => Failure::usage(error),
        StartServerError::Bind { error: cause, .. } => {
            Failure::failed(format!("{error}: {}", bind_advice(cause, "--listen 127.0.0.1:9092")))
        }
    }
}

/// What to do about an address that cannot be listened on.
fn bind_advice(cause: &std::io::Error, example: &str) -> String {
    match cause.kind() {
        std::io::ErrorKind::AddrInUse => {
            let flag = example.split_once(' ').map_or(example, |(flag, _)| flag);
            format!("another process has this port: stop it, or choose another with {flag}")
        }
        std::io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher one".to_owned(),
        _ => format!("give an address of this machine as host:port, such as {example}"),
    }
}
