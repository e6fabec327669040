//! The front door over a memory store, spoken to by a client that can also misbehave.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests drive real sockets with the real clock")]

mod bad_input;
mod commits;
mod configs;
mod groups;
mod harness;
mod http;
mod leaving;
mod outage;
mod records;
mod rest;
mod rest_consumers;
mod topics;
mod transaction_errors;
mod transactions;
