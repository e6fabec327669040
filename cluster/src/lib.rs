//! Many nodes on one bucket: who is up, who is advised to lead a shard, and the links between nodes.
//!
//! Everything here is a hint for speed. The bucket alone decides what is committed: a wrong belief about another node costs a
//! retry, never a record.
//!
//! - [`Cluster`]: join, leave, close; [`Members`]: who is up and who leads;
//! - `heartbeat`, `discovery`: records under `node/` in the bucket, on the store's clock;
//! - `dial`, `link`: the connection to each other node; `accept`: connections from them; `handshake`: who speaks;
//! - `table`: what is known of others and what follows from it;
//! - `peers`: appends forwarded and entries pushed for the log; `appends`, `messages`, `frame`: how they travel;
//! - [`Transport`]: TCP, or a network in memory for tests and the simulation (`testing`).
//!
//! Invariants:
//! 1. What the log asks of the cluster is answered without waiting, and each forwarded append exactly once.
//! 2. Every queue, frame and count that another node could make grow is bounded.
//! 3. Times that nodes tell each other are the store's: a wrong clock of a machine changes nothing.

mod accept;
mod appends;
mod cluster;
mod dial;
mod discovery;
mod frame;
mod handshake;
mod heartbeat;
mod join;
mod link;
mod members;
mod messages;
mod node;
mod outbox;
mod peers;
mod requests;
mod settings;
mod store_clock;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod transport;

pub use cluster::Cluster;
pub use join::JoinError;
pub use members::{Member, Members};
pub use node::Counters;
pub use settings::ClusterSettings;
pub use transport::{ConnectError, Connection, FrameReader, FrameWriter, Listener, TcpTransport, Transport};

#[cfg(test)]
mod tests;
