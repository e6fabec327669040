//! One bounded pass of the compactor for each event. A schedule's event says nothing that matters; `{"at_once": true}` makes
//! everything due that can be done at all, as `alluvium compact --once` does.
//!
//! Invariants: a pass ends before the invocation does; what it has committed stays, and what it had begun is garbage that a later
//! pass collects. Two passes at once harm nobody: each replacement is validated against the state that it follows.

use std::sync::Arc;
use std::time::Duration;

use alluvium_compactor::{AllShards, Compactor, CompactorParts, RoundReport};
use alluvium_infra::Runtime;
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;
use crate::settings::FunctionSettings;
use crate::until_terminated;

/// What is kept of an invocation's time, for what a pass cannot break off at once.
const END_MARGIN_MS: u64 = 2_000;

/// Compacts at every event until the process is ended.
pub async fn serve(settings: FunctionSettings, runtime: Runtime) -> anyhow::Result<()> {
    let sandbox = Arc::new(Sandbox::new(settings, runtime, "compactor-function"));
    let compacting = sandbox.clone();
    let service = service_fn(move |event: LambdaEvent<Value>| {
        let sandbox = compacting.clone();
        async move { pass(&sandbox, &event.payload, &event.context).await }
    });
    until_terminated(lambda_runtime::run(service), sandbox.close()).await
}

/// One pass; fails only when nothing could be begun, so that whoever retries does so for a reason.
async fn pass(sandbox: &Sandbox<()>, event: &Value, context: &Context) -> Result<Value, Error> {
    let runtime = sandbox.runtime();
    let (log, ()) = sandbox.opened(|_| ()).await?;
    // It may have been frozen for hours.
    log.catch_up().await?;
    let settings = sandbox.settings().compactor_settings();
    let settings = if event["at_once"] == true { settings.at_once() } else { settings };
    let compactor = Compactor::new(CompactorParts { log: log.clone(), duty: Arc::new(AllShards), settings });
    let now_ms = u64::try_from(runtime.now_ms()).unwrap_or(0);
    let left = Duration::from_millis(context.deadline.saturating_sub(now_ms).saturating_sub(END_MARGIN_MS));
    let begun = runtime.monotonic();
    let report = runtime.timeout(left, compactor.run_once(None, |_| {})).await.ok();
    let took_ms = runtime.monotonic().saturating_duration_since(begun).as_millis() as u64;
    let told = match &report {
        Some(report) => shown(report, took_ms),
        None => json!({ "complete": false, "took_ms": took_ms }),
    };
    tracing::info!(report = %told, "compaction pass ended");
    match report {
        Some(RoundReport { failed, .. }) if failed > 0 => {
            Err(format!("{failed} jobs failed, and what they were to merge is as it was: {told}").into())
        }
        _ => Ok(told),
    }
}

fn shown(report: &RoundReport, took_ms: u64) -> Value {
    let RoundReport { replaced, lost, failed, unreadable, retentions, collected } = report;
    json!({
        "complete": true,
        "took_ms": took_ms,
        "replaced": replaced,
        "lost": lost,
        "failed": failed,
        "unreadable": unreadable,
        "retentions": retentions,
        "collected": {
            "garbage": collected.garbage,
            "orphans": collected.orphans,
            "entries": collected.entries,
            "checkpoints": collected.checkpoints,
        },
    })
}
