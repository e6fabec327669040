//! Alluvium as cloud functions: what `ingest_lambda`, `reader_lambda` and `compactor_lambda` are made of.
//!
//! Flow: [`settings`] from the environment -> [`sandbox`] (store, log, the HTTP API; made once, again after a failure) -> [`http`]
//! (requests of function URLs and API gateways) or [`compaction`] (one bounded pass for each event).
//!
//! Invariants:
//! 1. What is not in the bucket when the reply leaves does not exist: nothing is left for later that anybody relies on.
//! 2. A process may be frozen between any two instructions, for hours, and go on. The log's commit protocol and its clock rule
//!    are what makes that safe; nothing here believes a clock or a state from before.
//! 3. A store that does not answer, or refuses, is an answer to the request, never the end of the process.

pub mod compaction;
pub mod http;
pub mod sandbox;
pub mod settings;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use alluvium_infra::settings::Layers;
use alluvium_infra::shutdown::{Shutdown, termination_signal};
use alluvium_infra::telemetry::{self, TelemetryOptions};
use alluvium_infra::{Runtime, tls};
use anyhow::Context;
use tower::Service;

use settings::FunctionSettings;

/// Threads of a function: one answers while another compresses or decodes.
const WORKER_THREADS: usize = 2;
/// How long a function that is told to end goes on with the request at hand.
const FINISH_WAIT_MAX: Duration = Duration::from_secs(1);

/// Runs one of the functions until it is told to end.
pub fn run<F: Future<Output = anyhow::Result<()>>>(
    function: impl FnOnce(FunctionSettings, Runtime) -> F,
) -> anyhow::Result<()> {
    let loaded = Layers::new().environment_of_process().load::<FunctionSettings>()?;
    let FunctionSettings { log_format, log_filter, .. } = &loaded.settings;
    telemetry::start(&TelemetryOptions { format: *log_format, filter: log_filter.clone() })?;
    tls::install();
    let mut tasks = tokio::runtime::Builder::new_multi_thread();
    let tasks = tasks.worker_threads(WORKER_THREADS).thread_name("alluvium").enable_all().build();
    let tasks = tasks.context("the threads cannot be started")?;
    let ended = tasks.block_on(function(loaded.settings, Runtime::system()));
    // What still runs is nothing that anybody relies on.
    tasks.shutdown_background();
    ended
}

/// Answers invocations until they end or somebody ends the process; then `close` is given a moment.
async fn until_terminated<F, C>(invocations: F, close: C) -> anyhow::Result<()>
where
    F: Future<Output = Result<(), lambda_runtime::Error>>,
    C: Future<Output = ()>,
{
    tokio::select! {
        ended = invocations => Err(have_ended(ended)),
        signal = termination_signal() => stop(signal, close).await,
    }
}

/// The same, and the invocation that `open` counts is answered before, if that takes no longer than [`FINISH_WAIT_MAX`].
async fn until_answered<F, C>(invocations: F, open: &Shutdown, runtime: &Runtime, close: C) -> anyhow::Result<()>
where
    F: Future<Output = Result<(), lambda_runtime::Error>>,
    C: Future<Output = ()>,
{
    let mut invocations = std::pin::pin!(invocations);
    let signal = tokio::select! {
        ended = &mut invocations => return Err(have_ended(ended)),
        signal = termination_signal() => signal,
    };
    tokio::select! {
        ended = &mut invocations => return Err(have_ended(ended)),
        drained = open.drain(runtime, FINISH_WAIT_MAX) => if let Err(error) = drained {
            tracing::warn!(%error, "a request is not answered");
        },
    }
    stop(signal, close).await
}

/// Invocations come for ever: that there are none any more is an error.
fn have_ended(ended: Result<(), lambda_runtime::Error>) -> anyhow::Error {
    match ended {
        Ok(()) => anyhow::anyhow!("invocations have ended"),
        Err(error) => anyhow::anyhow!("invocations have ended: {error}"),
    }
}

async fn stop(signal: std::io::Result<&'static str>, close: impl Future<Output = ()>) -> anyhow::Result<()> {
    tracing::info!(signal = signal.context("signals cannot be caught")?, "stopping");
    close.await;
    Ok(())
}

/// Counts the invocations that are not answered yet.
struct Counted<S> {
    service: S,
    open: Shutdown,
}

impl<S> Counted<S> {
    fn new(service: S, open: Shutdown) -> Self {
        Self { service, open }
    }
}

impl<S, I> Service<I> for Counted<S>
where
    S: Service<I>,
    S::Future: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>>>>;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, invocation: I) -> Self::Future {
        let (answered, open) = (self.service.call(invocation), self.open.guard());
        Box::pin(async move {
            let answered = answered.await;
            drop(open);
            answered
        })
    }
}
