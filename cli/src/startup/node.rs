//! A node: the rooms put together, and taken apart again in the other order.

use std::net::SocketAddr;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::shutdown::Shutdown;
use alluvium_infra::store;
use alluvium_ingest::Ingest;
use alluvium_log::Log;
use alluvium_reader::Reader;
use alluvium_server::{Server, ServerParts, StartServerError};

use super::settings::NodeSettings;
use super::store::{log_not_opened, not_opened};
use crate::failure::Failure;

/// The longest wait for batches whose clients have gone.
const FLUSH_WAIT_MAX: Duration = Duration::from_secs(5);
/// The longest wait for the last commit and the checkpoint.
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(5);

/// A node that serves.
#[derive(Debug)]
pub(crate) struct Node {
    log: Log,
    ingest: Ingest,
    server: Server,
    shutdown: Shutdown,
    runtime: Runtime,
}

impl Node {
    /// Store, log, ingest, reader, front door. On return clients are served.
    pub(crate) async fn start(settings: &NodeSettings, runtime: &Runtime) -> Result<Node, Failure> {
        let server_settings = settings.server_settings().map_err(Failure::Usage)?;
        let store =
            store::open(&settings.store, &settings.store_options(), runtime).map_err(|error| not_opened(&error))?;
        let log = Log::open(store, settings.log_options(), runtime.clone())
            .await
            .map_err(|error| log_not_opened(&error, &settings.store))?;
        let ingest = Ingest::start(log.clone(), settings.ingest_settings(), runtime.clone());
        let reader = Reader::new(log.clone(), settings.reader_settings(), runtime.clone());
        let shutdown = Shutdown::new();
        let parts = ServerParts {
            log: log.clone(),
            ingest: ingest.clone(),
            reader,
            settings: server_settings,
            runtime: runtime.clone(),
            shutdown: shutdown.clone(),
        };
        match Server::start(parts).await {
            Ok(server) => Ok(Node { log, ingest, server, shutdown, runtime: runtime.clone() }),
            Err(error) => {
                shutdown.trigger();
                let _cut = runtime.timeout(CLOSE_WAIT_MAX, log.close()).await;
                Err(not_listening(&error))
            }
        }
    }

    /// The addresses listened on.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.server.local_addrs()
    }

    /// The id of the cluster in the store.
    pub(crate) fn cluster_id(&self) -> &str {
        self.log.cluster_id()
    }

    /// Answers what was accepted, flushes, closes the log. Each step has its limit; what was acknowledged is in the
    /// store already, so a step that is cut loses nothing.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        let mut cut = Vec::new();
        if let Err(error) = self.server.drain().await {
            cut.push(format!("connections: {error}"));
        }
        if self.runtime.timeout(FLUSH_WAIT_MAX, self.ingest.drain()).await.is_err() {
            cut.push("produce requests were still waiting for the store".to_owned());
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

fn not_listening(error: &StartServerError) -> Failure {
    match error {
        StartServerError::Setting(error) => Failure::usage(error),
        StartServerError::Bind { error: cause, .. } => {
            let advice = match cause.kind() {
                std::io::ErrorKind::AddrInUse => {
                    "another process has this port: stop it, or choose another with --listen"
                }
                std::io::ErrorKind::PermissionDenied => "ports below 1024 need privileges: choose a higher one",
                _ => "give an address of this machine as host:port, such as --listen 127.0.0.1:9092",
            };
            Failure::failed(format!("{error}: {advice}"))
        }
    }
}
