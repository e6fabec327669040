//! A small Kafka client for the command line: it follows leaders, tries again what may be tried again, and says plainly
//! what a server refused.
//!
//! Flow: [`connection`] (frames, versions, many requests in flight) -> [`cluster`] (metadata, leaders, retries) ->
//! [`admin`], [`producer`], [`consumer`], [`coordinator`] -> [`group`] (a member), [`group_admin`], [`group_describe`]; [`transactions`];
//! [`cluster_admin`].
//!
//! Invariants:
//! 1. Every wait has a limit: requests that of `--timeout`, connections a shorter one.
//! 2. It speaks to Kafka as to Alluvium: versions are those that both sides have.

pub(crate) mod admin;
pub(crate) mod cluster;
pub(crate) mod cluster_admin;
pub(crate) mod configs;
pub(crate) mod connection;
pub(crate) mod consumer;
pub(crate) mod coordinator;
pub(crate) mod error;
pub(crate) mod group;
pub(crate) mod group_admin;
pub(crate) mod group_describe;
pub(crate) mod offsets;
pub(crate) mod partitioner;
pub(crate) mod producer;
pub(crate) mod transactions;

pub(crate) use cluster::{ClientFlags, Cluster, Isolation};
pub(crate) use error::ClientError;
