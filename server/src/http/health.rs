//! `/healthz` (is this process worth keeping?) and `/readyz` (should clients be sent here?).
//!
//! - `/healthz`: 200 unless a task that everybody depends on has panicked. A store that does not answer is no reason to
//!   restart a process.
//! - `/readyz`: 200 when the log is open, the store answers (lately, or when it is asked now) and the node is not draining.
//!
//! Both answer JSON; with 503 it says why.

use alluvium_infra::store::Store;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Observed, ObservedParts, STORE_PROBE_MAX};

/// Whether the process is worth keeping.
pub(super) async fn healthz(State(observed): State<Observed>) -> Response {
    let runtime = &observed.parts().runtime;
    let failure = runtime.essential_failure();
    let body = json!({
        "healthy": failure.is_none(),
        "reasons": failure.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "tasks": runtime.essential_running(),
    });
    answer(failure.is_none(), &body)
}

/// Whether clients should be sent here.
pub(super) async fn readyz(State(observed): State<Observed>) -> Response {
    let reasons = reasons_against(&observed).await;
    let body = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "store_answered_ms_ago": observed.parts().store.answered_ago().map(|ago| ago.as_millis() as u64),
    });
    answer(reasons.is_empty(), &body)
}

async fn reasons_against(observed: &Observed) -> Vec<String> {
    let mut reasons: Vec<String> =
        observed.parts().runtime.essential_failure().iter().map(ToString::to_string).collect();
    if observed.is_draining() {
        reasons.push("the node is draining".to_owned());
    }
    let Some(node) = observed.node() else {
        reasons.push("the node is starting: the log is not open yet".to_owned());
        return reasons;
    };
    let ObservedParts { store, runtime, store_silence_max, .. } = observed.parts();
    if store.answered_ago().is_none_or(|ago| ago >= *store_silence_max) {
        match runtime.timeout(STORE_PROBE_MAX, store.get(&node.log.paths().cluster())).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => reasons.push(format!("the store does not serve: {error}")),
            Err(_elapsed) => reasons.push(format!("the store did not answer within {STORE_PROBE_MAX:?}")),
        }
    }
    reasons
}

fn answer(good: bool, body: &Value) -> Response {
    let status = if good { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, format!("{body}\n")).into_response()
}
