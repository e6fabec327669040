//! The binary itself, run as people run it: what it prints, what it exits with, what it keeps.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cluster;
mod cost;
mod deploy;
mod group_admin;
mod groups;
mod harness;
mod inspect;
mod nodes;
mod pages;
mod query;
mod records;
mod refusals;
mod scrub;
mod serving;
mod settings;
mod stores;
mod topics;
mod transactions;
