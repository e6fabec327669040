//! `/healthz` (is this process worth keeping?) and `/readyz` (should clients be sent here?).
//!
//! - `/healthz`: 200 unless a task that everybody depends on has panicked. A store that does not answer is no reason to
//!   restart a process.
//! - `/readyz`: 200 when the log is open, the store has answered within [`STORE_SILENCE_MAX`] and the node is not draining.
//!
//! Both answer JSON; with 503 it says why.

use std::time::Duration;

use alluvium_infra::store::Store;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Observed, STORE_PROBE_MAX};

/// When the store has been silent for so long, it is asked before the node is called ready. An idle node makes few requests.
const STORE_SILENCE_MAX: Duration = Duration::from_secs(15);

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
    let (store, runtime) = (&observed.parts().store, &observed.parts().runtime);
    if store.answered_ago().is_none_or(|ago| ago > STORE_SILENCE_MAX) {
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
