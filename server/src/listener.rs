//! Accepts TCP connections and keeps their number within the limit.
//!
//! Invariants:
//! 1. A connection above the limit is closed at once, with one log line a minute about it.
//! 2. An accept error (file descriptors, a peer that is gone already) never ends the listener.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::runtime::Instant;
use alluvium_infra::shutdown::Shutdown;
use alluvium_log::format::node::NodeListener;
use alluvium_protocol::messages::StrBytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::connection::{self, ConnectionParts};
use crate::context::{Client, Endpoint, ListenerIdentity, Node};
use crate::settings::{ListenerSettings, split_host_port};

/// Pause after an accept error, so that a lasting one does not spin.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);
/// How often the connection limit is spoken of.
const LIMIT_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A listener that has its port and does not accept yet.
#[derive(Debug)]
pub(crate) struct BoundListener {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) settings: ListenerSettings,
}

impl BoundListener {
    /// The address that other nodes tell clients.
    pub(crate) fn announced(&self) -> NodeListener {
        let name = self.settings.name.clone();
        if let Some((host, port)) = self.settings.advertised.as_deref().and_then(split_host_port) {
            return NodeListener { name, host, port };
        }
        let ip = self.address.ip().to_canonical();
        let ip = if ip.is_unspecified() { address_of_this_machine().unwrap_or(ip) } else { ip };
        NodeListener { name, host: ip.to_string(), port: self.address.port() }
    }
}

/// The address from which this machine would reach others. Connecting a datagram socket sends nothing.
fn address_of_this_machine() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_unspecified())
}

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
pub(crate) async fn accept(listener: BoundListener, parts: ListenerParts) {
    let BoundListener { socket, settings, .. } = listener;
    let identity = ListenerIdentity { name: settings.name.as_str().into(), zonal: settings.zonal };
    let advertised = settings.advertised;
    let mut limit_logged: Option<Instant> = None;
    while let Some(accepted) = parts.shutdown.unless_triggered(socket.accept()).await {
        match accepted {
            Ok((stream, peer)) => serve(stream, peer, (advertised.as_deref(), &identity), &parts, &mut limit_logged),
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
    (advertised, identity): (Option<&str>, &ListenerIdentity),
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
        client: Client { peer, endpoint, listener: identity.clone() },
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
