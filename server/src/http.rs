//! The HTTP door, for those who watch a node: `/metrics` for Prometheus, `/healthz` and `/readyz` for whoever keeps it running.
//!
//! It opens before the log does, so that a slow start can be told from a dead process, and stays open while the node drains.
//! [`router`] is a plain [`axum::Router`], to be merged with others.
//!
//! Invariants:
//! 1. No handler changes anything, and none waits longer than [`STORE_PROBE_MAX`] for the store.
//! 2. Connections are bounded; what arrives above the limit waits in the listen queue.
//!
//! [`HttpServer`] serves other routers as well, those of [`crate::rest`] first of all: on an address of their own.

mod health;
pub mod metrics;
mod observed;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::shutdown::{DrainTimedOut, Shutdown};
use axum::Router;
use axum::routing::get;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use observed::{Observed, ObservedParts};

/// The longest wait for the store when somebody asks whether the node is ready.
pub const STORE_PROBE_MAX: Duration = Duration::from_secs(2);
/// Connections at once, for those who watch.
pub const CONNECTIONS_MAX: usize = 64;
/// Pause after an accept error, so that a lasting one does not spin.
const ACCEPT_ERROR_PAUSE: Duration = Duration::from_millis(100);

/// The address of the HTTP door cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {bind}: {error}")]
pub struct StartHttpError {
    /// The address as given.
    pub bind: String,
    /// What the system said.
    pub error: std::io::Error,
}

/// A running HTTP door.
#[derive(Debug)]
pub struct HttpServer {
    local_addr: SocketAddr,
    shutdown: Shutdown,
    runtime: Runtime,
}

impl HttpServer {
    /// Listens on `bind` (host:port; port 0 takes any free port) and serves `router` until the shutdown, over so many
    /// connections at once.
    pub async fn start(
        bind: &str,
        router: Router,
        connections_max: usize,
        runtime: &Runtime,
        shutdown: &Shutdown,
    ) -> Result<HttpServer, StartHttpError> {
        let refuse = |error| StartHttpError { bind: bind.to_owned(), error };
        let listener = TcpListener::bind(bind).await.map_err(refuse)?;
        let local_addr = listener.local_addr().map_err(refuse)?;
        let connections = Arc::new(Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS)));
        let listener = BoundedListener { listener, connections, runtime: runtime.clone() };
        let shutdown = shutdown.child();
        let stopping = shutdown.clone();
        shutdown.spawn(runtime, "http", async move {
            let stopped = async move { stopping.triggered().await };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "the http listener has ended");
            }
        });
        Ok(HttpServer { local_addr, shutdown, runtime: runtime.clone() })
    }

    /// Accepts no more, and waits until what was asked is answered.
    pub async fn drain(&self, wait_max: Duration) -> Result<(), DrainTimedOut> {
        self.shutdown.drain(&self.runtime, wait_max).await
    }

    /// The address listened on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

/// The paths that are served about `observed`.
pub fn router(observed: Observed) -> Router {
    Router::new()
        .route("/metrics", get(metrics::answer))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(observed)
}

/// Accepts while there is room.
struct BoundedListener {
    listener: TcpListener,
    connections: Arc<Semaphore>,
    runtime: Runtime,
}

/// A connection and its place.
struct BoundedStream {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

impl axum::serve::Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        // The semaphore is never closed.
        let place = self.connections.clone().acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => return (BoundedStream { stream, _place: place }, peer),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an http connection");
                    self.runtime.sleep(ACCEPT_ERROR_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
