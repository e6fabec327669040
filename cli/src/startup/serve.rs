//! A node from its first to its last moment.

use alluvium_infra::settings::Loaded;
use alluvium_infra::{Runtime, telemetry, tls};

use super::node::Node;
use super::settings::NodeSettings;
use super::signals::Signals;
use super::{announce, reachability};
use crate::commands::Context;
use crate::failure::Failure;

/// How long a node that has lost its id may take to answer what it accepted.
const EVICTED_STOP_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// Runs a node until a signal ends it.
pub(crate) fn serve(loaded: &Loaded<NodeSettings>, context: &Context) -> Result<(), Failure> {
    telemetry::start(&loaded.settings.telemetry_options()).map_err(Failure::usage)?;
    tls::install();
    let tasks = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(loaded.settings.worker_threads_chosen())
        .thread_name("alluvium")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the threads cannot be started: {error}")))?;
    let ended = tasks.block_on(while_whole(&context.runtime, run(loaded, context)));
    // What still runs is past its time limit.
    tasks.shutdown_background();
    ended
}

/// Runs a node until it ends or one of its essential tasks panics. What such a task held may be in any state, so nothing is
/// drained: what was acknowledged is in the store, and the next start reads it there.
async fn while_whole(runtime: &Runtime, node: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::select! {
        ended = node => ended,
        failure = runtime.essential_failed() => Err(Failure::failed(format!("{failure}: the node ends"))),
    }
}

async fn run(loaded: &Loaded<NodeSettings>, context: &Context) -> Result<(), Failure> {
    let (settings, runtime) = (&loaded.settings, &context.runtime);
    let mut signals = Signals::catch()?;
    let node = tokio::select! {
        node = Node::start(settings, runtime) => node?,
        signal = signals.next() => {
            tracing::info!(signal, "stopped before serving");
            return Ok(());
        }
    };
    let ready_ms = (runtime.monotonic() - context.started).as_millis();
    announce::log_settings(loaded);
    announce::serving(&node, settings, ready_ms)?;
    reachability::check(&node, settings, runtime);
    let signal = tokio::select! {
        signal = signals.next() => signal,
        failure = node.evicted() => {
            // Another node has this one's id: whatever this one says of the cluster would mislead.
            let _cut = runtime.timeout(EVICTED_STOP_MAX, node.stop()).await;
            return Err(Failure::failed(failure));
        }
    };
    tracing::info!(signal, "stopping: open requests are answered, then the log is closed");
    let stopping = runtime.monotonic();
    tokio::select! {
        stopped = node.stop() => stopped?,
        _signal = signals.next() => return Err(Failure::Cut),
    }
    tracing::info!(took_ms = (runtime.monotonic() - stopping).as_millis() as u64, "stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_node_ends_with_the_panic_of_an_essential_task() {
        let runtime = Runtime::system();
        let panicking = runtime.clone();
        let node = async move {
            panicking.spawn_essential("shard", async { panic!("the state contradicts itself") });
            std::future::pending().await
        };
        let failure = while_whole(&runtime, node).await.unwrap_err();
        let told = failure.to_string();
        assert!(told.contains("\"shard\" panicked: the state contradicts itself"), "{told}");
        assert!(while_whole(&Runtime::system(), async { Ok(()) }).await.is_ok());
    }
}
