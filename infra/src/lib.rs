//! The floor of Alluvium: the only room that touches the outside.
//!
//! Everything that is not a pure function of its arguments comes from here, so that a simulation can replace it:
//! - [`store`]: the object store port (bytes and preconditions, never Kafka), its implementations and its wrappers;
//! - [`Runtime`]: clock, randomness, sleeping and spawning;
//! - [`Buffers`]: large buffers that are used again;
//! - [`published`]: the newest value of something, and who waits for it;
//! - [`planted`]: bugs for simulation to find;
//! - [`limits`]: every limit with its unit, and the relations between them checked at compile time;
//! - [`settings`]: typed settings from defaults, file, environment and flags;
//! - [`shutdown`]: one signal, many tasks, a bounded drain;
//! - [`telemetry`]: logs to stderr; [`metrics`]: numbers and their text; [`process`]: what the system knows about this
//!   process; [`tls`]: the one cryptography provider.
//!
//! Invariants:
//! 1. This crate imports no other crate of the workspace.
//! 2. No other crate calls the functions that `clippy.toml` bans; each `allow` here names its reason.

mod buffers;
pub mod limits;
pub mod metrics;
pub mod planted;
pub mod process;
pub mod published;
pub mod runtime;
pub mod settings;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod tls;

pub use buffers::Buffers;
pub use runtime::Runtime;
