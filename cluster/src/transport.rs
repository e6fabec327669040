//! Connections of byte frames between nodes: TCP outside, memory in the simulation.
//!
//! Invariants: frames of a connection come in the order in which they were sent, each once and whole, until it ends;
//! dropping either half of a connection ends it for the other side too.

use std::fmt::Debug;
use std::io;

use alluvium_infra::store::Payload;
use async_trait::async_trait;
use bytes::Bytes;

mod tcp;

pub use tcp::TcpTransport;

/// A way to reach other nodes.
#[async_trait]
pub trait Transport: Send + Sync + Debug + 'static {
    /// Listens on `address`, host:port.
    async fn listen(&self, address: &str) -> io::Result<Box<dyn Listener>>;

    /// Connects to `address`, host:port. Does not give up by itself: the caller has a timeout.
    async fn connect(&self, address: &str) -> Result<Connection, ConnectError>;
}

/// Where connections come in. Dropping it stops listening.
#[async_trait]
pub trait Listener: Send + Debug {
    /// Where it listens, with the port that was chosen.
    fn address(&self) -> String;

    /// The next connection.
    async fn accept(&mut self) -> io::Result<Connection>;
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    /// Reads frames.
    pub reader: Box<dyn FrameReader>,
    /// Writes frames.
    pub writer: Box<dyn FrameWriter>,
    /// The other side, for people.
    pub remote: String,
}

/// The reading half.
#[async_trait]
pub trait FrameReader: Send + Debug {
    /// The next frame; `None` when the other side has closed. A frame longer than `bytes_max` is an error.
    async fn read(&mut self, bytes_max: usize) -> io::Result<Option<Bytes>>;
}

/// The writing half.
#[async_trait]
pub trait FrameWriter: Send + Debug {
    /// Sends a frame whose bytes come in parts.
    async fn write(&mut self, frame: Payload) -> io::Result<()>;
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The machine answers that nobody listens there.
    #[error("connection refused")]
    Refused,
    /// Anything else: no route, no such name, no answer.
    #[error("{0}")]
    Unreachable(String),
}
