//! Running a query and writing its rows.

use std::io::{BufWriter, IsTerminal, Read};

use alluvium_infra::telemetry::TelemetryOptions;
use alluvium_infra::{Runtime, telemetry, tls};
use alluvium_query::{OutputForm, PrintError, Queries, QueryError, QuerySettings};

use super::{Arguments, Isolation, Output};
use crate::commands::Context;
use crate::failure::Failure;
use crate::startup::flags::{self, NodeFlags};
use crate::startup::settings::NodeSettings;
use crate::startup::signals::Signals;
use crate::startup::store::existing_log;

pub(super) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    tls::install();
    let node = NodeFlags { set: arguments.set.clone(), ..NodeFlags::default() };
    let loaded = flags::load(&node, arguments.store.as_deref(), &arguments.store_flags, None)?;
    // What fails is told by the one who knows it.
    let options = TelemetryOptions { filter: "warn".to_owned(), ..loaded.settings.telemetry_options() };
    telemetry::start(&options).map_err(Failure::usage)?;
    let sql = text_of(&arguments.sql)?;
    let tasks = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(loaded.settings.worker_threads_chosen())
        .thread_name("alluvium")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the threads cannot be started: {error}")))?;
    // Signals are waited for here and the query runs there: it may keep all of its threads busy for as long as it takes.
    let waiting = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("signals cannot be waited for: {error}")))?;
    let ended = waiting.block_on(async {
        let mut signals = Signals::catch()?;
        let answering = answer(sql, arguments, loaded.settings.clone(), context.runtime.clone());
        let answering = {
            let _there = tasks.enter();
            context.runtime.spawn("answer", answering)
        };
        tokio::select! {
            ended = answering => ended.map_err(|error| Failure::failed(format!("the query was cut off: {error}")))?,
            _signal = signals.next() => Err(Failure::Interrupted),
        }
    });
    // A query that was cut short may still be reading.
    tasks.shutdown_background();
    ended
}

fn text_of(sql: &str) -> Result<String, Failure> {
    if sql != "-" {
        return Ok(sql.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

async fn answer(sql: String, arguments: Arguments, settings: NodeSettings, runtime: Runtime) -> Result<(), Failure> {
    let log = existing_log(&settings, "query", &runtime).await?;
    let settings = QuerySettings {
        isolation: match arguments.isolation {
            Isolation::ReadCommitted => alluvium_reader::Isolation::ReadCommitted,
            Isolation::ReadUncommitted => alluvium_reader::Isolation::ReadUncommitted,
        },
        memory_bytes_max: arguments.memory.as_usize(),
        workers: settings.worker_threads_chosen(),
    };
    let queries = Queries::new(log, settings, runtime);
    let answer = queries.run(&sql).await.map_err(refused)?;
    let form = match arguments.output {
        Output::Table => OutputForm::Table,
        Output::Json => OutputForm::Json,
        Output::Csv => OutputForm::Csv,
    };
    let mut out = BufWriter::with_capacity(64 * 1024, std::io::stdout());
    let rows = alluvium_query::print(answer, form, &mut out).await.map_err(|error| match error {
        PrintError::Query(error) => refused(error),
        PrintError::Output(error) => error.into(),
    })?;
    if form == OutputForm::Table && std::io::stdout().is_terminal() {
        eprintln!("{rows} {}", if rows == 1 { "row" } else { "rows" });
    }
    Ok(())
}

fn refused(error: QueryError) -> Failure {
    match error {
        QueryError::Invalid(_) | QueryError::NotAQuery => Failure::usage(error),
        QueryError::MemoryExhausted(_) => Failure::failed(format!("{error}: raise --memory or ask for less")),
        _ => Failure::failed(error),
    }
}
