//! The Kafka wire protocol, sans-I/O: frames, headers, messages, error codes and the table of served versions.
//!
//! The crate turns bytes into messages and messages into bytes. It opens no socket, keeps no connection state and knows nothing
//! of logs or groups. The message codec itself is a dependency that no other room names; everything goes through this facade.
//!
//! Invariants:
//! 1. No input makes any function here panic.
//! 2. Before the structure of a request is known to fit its frame, nothing is allocated in proportion to a length or count that
//!    the peer claims; what a request becomes in memory is bounded by [`frame::FrameLimits`].
//! 3. Record bytes are never copied: decoded they are slices of the frame, encoded ([`response::FetchResponseFrame`]) they are
//!    handed through as they came.
//! 4. What is advertised, what is dispatched and what is documented is one table, [`apis::SERVED`].

pub mod apis;
pub mod client;
pub mod consumer;
pub mod errors;
pub mod frame;
pub mod messages;
pub mod request;
pub mod response;
#[cfg(test)]
mod samples;

pub use kafka_wire_core::{DecodeError, EncodeError};
