//! Accepts TCP connections and keeps their number within the limit.
//!
//! Invariants:
//! 1. A connection above the limit is closed at once, with one log line a minute about it.
//! 2. An accept error (file descriptors, a peer that is gone already) never ends the listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::Instant;
use alluvium_infra::shutdown::Shutdown;
use alluvium_protocol::messages::StrBytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::connection::{self, ConnectionParts};
use crate::context::{Client, Endpoint, Node};
use crate::settings::split_host_port;

/// Pause after an accept error, so that a lasting one does not spin.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);
/// How often the connection limit is spoken of.
const LIMIT_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// What the listeners of a node share.
#[derive(Clone)]
pub(crate) struct ListenerParts {
    pub(crate) node: Arc<Node>,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) request_memory: Arc<Semaphore>,
    /// Stops the listener, and holds the drain until its connections have ended.
    pub(crate) shutdown: Shutdown,
    /// Cancelled with the shutdown: connections read no further frame.
    pub(crate) draining: CancellationToken,
}

/// Accepts connections until the shutdown.
pub(crate) async fn accept(listener: TcpListener, advertised: Option<String>, parts: ListenerParts) {
    let mut limit_logged: Option<Instant> = None;
    while let Some(accepted) = parts.shutdown.unless_triggered(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => serve(stream, peer, advertised.as_deref(), &parts, &mut limit_logged),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                parts.node.runtime.sleep(ACCEPT_ERROR_PAUSE).await;
            }
        }
    }
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    advertised: Option<&str>,
    parts: &ListenerParts,
    limit_logged: &mut Option<Instant>,
) {
    let Ok(slot) = parts.connections.clone().try_acquire_owned() else {
        parts.node.counters.connections_refused.increment();
        let now = parts.node.runtime.monotonic();
        if limit_logged.is_none_or(|logged| now.saturating_duration_since(logged) >= LIMIT_LOG_INTERVAL) {
            *limit_logged = Some(now);
            let connections_max = parts.node.settings.connections_max;
            tracing::warn!(%peer, connections_max, "connection refused: raise connections_max to serve more clients");
        }
        return;
    };
    let endpoint = match endpoint(&stream, advertised) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            tracing::debug!(%peer, %error, "a connection went away while it was accepted");
            return;
        }
    };
    let connection = ConnectionParts {
        node: parts.node.clone(),
        stream,
        client: Client { peer, endpoint },
        request_memory: parts.request_memory.clone(),
        draining: parts.draining.clone(),
    };
    let node = parts.node.clone();
    node.counters.connections_accepted.increment();
    parts.shutdown.spawn(&parts.node.runtime, "connection", async move {
        connection::serve(connection).await;
        node.counters.connections_ended.increment();
        drop(slot);
    });
}

/// The address clients are told: the advertised one, or the one they reached us by.
fn endpoint(stream: &TcpStream, advertised: Option<&str>) -> std::io::Result<Endpoint> {
    if let Some((host, port)) = advertised.and_then(split_host_port) {
        return Ok(Endpoint { host: StrBytes::from(host), port: i32::from(port) });
    }
    let local = stream.local_addr()?;
    Ok(Endpoint { host: StrBytes::from(local.ip().to_canonical().to_string()), port: i32::from(local.port()) })
}
