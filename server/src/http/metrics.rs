//! `/metrics`: reads the counters of all rooms and writes them as the metrics that [`definitions`] names.
//!
//! Invariants:
//! 1. Every metric is defined in one table, of which docs/reference/metrics.md is made; a scrape writes no other.
//! 2. A scrape takes no lock that a request waits for longer than a copy takes, and its size is bounded: series per topic and
//!    per group have limits, and what is left out is counted.

mod cluster;
mod compaction;
pub mod definitions;
mod groups;
mod kafka;
mod log;
mod process;
mod read_path;
mod rest;
mod store;
mod transactions;
mod write_path;

use alluvium_infra::metrics::Exposition;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Observed;

/// All metrics now.
pub(super) async fn answer(State(observed): State<Observed>) -> Response {
    let headers = [(header::CONTENT_TYPE, Exposition::CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    let runtime = observed.parts().runtime.clone();
    // Tens of thousands of partitions take their time: requests are not to wait for it.
    match runtime.spawn_blocking(move || collect(&observed)).await {
        Ok(text) => (headers, text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// The text of a scrape.
pub(super) fn collect(observed: &Observed) -> String {
    let mut exposition = Exposition::new();
    process::collect(&mut exposition, observed);
    store::collect(&mut exposition, observed.parts());
    if let Some(node) = observed.node() {
        kafka::collect(&mut exposition, node);
        rest::collect(&mut exposition, node);
        write_path::collect(&mut exposition, node);
        let view = node.log.view();
        log::collect(&mut exposition, node, &view, observed.parts().topic_series_max);
        cluster::collect(&mut exposition, node);
        read_path::collect(&mut exposition, node);
        compaction::collect(&mut exposition, observed.compactor_counters(), &view);
        groups::collect(&mut exposition, node, &view, observed.parts().group_series_max);
        transactions::collect(&mut exposition, node, &view);
    }
    exposition.into_text()
}
