//! Logs to stderr: lines for people at a terminal, JSON for programs.
//!
//! Each JSON line says which node it is from, once [`identify`] was told. The filter comes from `ALLUVIUM_LOG`, else `RUST_LOG`, else the setting. A panic in any task is logged with its place
//! before the usual handling.

use std::io::{self, IsTerminal};
use std::panic;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::format::{Format, Json, Writer};
use tracing_subscriber::fmt::{self, FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is logged and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelemetryOptions {
    /// The form of a line.
    pub format: LogFormat,
    /// What is shown when the environment does not say otherwise, such as `info` or `warn,alluvium_log=debug`.
    pub filter: String,
}

impl Default for TelemetryOptions {
    fn default() -> TelemetryOptions {
        TelemetryOptions { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter has a mistake.
    #[error("the log filter \"{filter}\" (from {source_name}) is wrong: {reason}")]
    Filter {
        /// The filter.
        filter: String,
        /// Where it was given.
        source_name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Somebody has set up logging before.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Sets up logging for the whole process and logs panics. To be called once, in `main`.
pub fn start(options: &TelemetryOptions) -> Result<(), TelemetryError> {
    let (filter_text, source_name) = filter_in_effect(options);
    let filter = EnvFilter::builder().parse(&filter_text).map_err(|error| TelemetryError::Filter {
        filter: filter_text.clone(),
        source_name,
        reason: error.to_string(),
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let format = fmt::layer().with_writer(io::stderr);
    let set = match options.format {
        LogFormat::Text => {
            let colored = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            tracing::subscriber::set_global_default(registry.with(format.with_ansi(colored)))
        }
        LogFormat::Json => {
            let lines = IdentifiedJson(fmt::format().json().flatten_event(true));
            tracing::subscriber::set_global_default(registry.with(format.json().event_format(lines)))
        }
    };
    set.map_err(|_| TelemetryError::AlreadySet)?;
    log_panics();
    Ok(())
}

/// What each JSON line begins with: `"name":"value",` for each field.
static IDENTITY: OnceLock<String> = OnceLock::new();

/// Fields that every JSON line of this process begins with from now on, such as the ids of the node and of its cluster. The
/// first call counts: a process is one node.
pub fn identify(fields: &[(&str, &str)]) {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let fields = fields.iter().map(|(name, value)| format!("{}:{},", quoted(name), quoted(value)));
    // Whoever comes second is in the same process, and so the same node.
    let _kept = IDENTITY.set(fields.collect());
}

/// JSON lines that begin with the identity.
struct IdentifiedJson(Format<Json>);

impl<S, N> FormatEvent<S, N> for IdentifiedJson
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match (line.strip_prefix('{'), IDENTITY.get()) {
            (Some(rest), Some(identity)) => write!(writer, "{{{identity}{rest}"),
            _ => writer.write_str(&line),
        }
    }
}

fn filter_in_effect(options: &TelemetryOptions) -> (String, &'static str) {
    for name in ["ALLUVIUM_LOG", "RUST_LOG"] {
        if let Ok(filter) = std::env::var(name)
            && !filter.is_empty()
        {
            return (filter, name);
        }
    }
    (options.filter.clone(), "the settings")
}

fn log_panics() {
    panic::set_hook(Box::new(|panicked| {
        let message = panicked.payload_as_str().unwrap_or("(no message)");
        let place = panicked.location().map_or_else(String::new, ToString::to_string);
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(message, place, thread = thread.name().unwrap_or("unnamed"), %backtrace, "panic");
    }));
}

/// Collects the warnings and errors that are logged in a test's thread, and fails the test for those nobody expected.
///
/// ```
/// let logs = alluvium_infra::telemetry::WatchedLogs::start();
/// tracing::warn!(shard = 3, "the head moved back");
/// logs.expect("the head moved back"); // without this line the test would fail
/// ```
#[must_use = "logs are watched until this is dropped"]
#[derive(Debug)]
pub struct WatchedLogs {
    seen: Arc<Mutex<Vec<String>>>,
    expected: Mutex<Vec<String>>,
    _default: tracing::subscriber::DefaultGuard,
}

impl WatchedLogs {
    /// Watches the current thread (so, with a current-thread tokio runtime, all tasks of the test).
    pub fn start() -> WatchedLogs {
        let seen = Arc::default();
        let layer = WarningsLayer { seen: Arc::clone(&seen) };
        let default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        WatchedLogs { seen, expected: Mutex::default(), _default: default }
    }

    /// Warnings and errors that contain `text` are part of the test.
    pub fn expect(&self, text: &str) {
        self.expected.lock().push(text.to_owned());
    }

    /// All warnings and errors until now, as text.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().clone()
    }

    fn unexpected(&self) -> Vec<String> {
        let expected = self.expected.lock();
        self.seen().into_iter().filter(|line| !expected.iter().any(|text| line.contains(text.as_str()))).collect()
    }
}

impl Drop for WatchedLogs {
    #[allow(clippy::panic, reason = "failing the test is what this is for")]
    fn drop(&mut self) {
        let unexpected = self.unexpected();
        if !unexpected.is_empty() && !std::thread::panicking() {
            panic!("unexpected log lines:\n{}", unexpected.join("\n"));
        }
    }
}

struct WarningsLayer {
    seen: Arc<Mutex<Vec<String>>>,
}

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for WarningsLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let level = *event.metadata().level();
        if level != Level::WARN && level != Level::ERROR {
            return;
        }
        let mut line = EventLine(format!("{level} {}:", event.metadata().target()));
        event.record(&mut line);
        self.seen.lock().push(line.0);
    }
}

struct EventLine(String);

impl Visit for EventLine {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let text = match field.name() {
            "message" => format!(" {value:?}"),
            name => format!(" {name}={value:?}"),
        };
        self.0.push_str(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_begin_with_the_identity() {
        identify(&[("node_id", "3"), ("cluster_id", "a\"b")]);
        let written = Arc::new(Mutex::new(Vec::new()));
        let into = written.clone();
        let format = fmt::layer()
            .with_writer(move || SharedWriter(into.clone()))
            .json()
            .event_format(IdentifiedJson(fmt::format().json().flatten_event(true)));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(format), || {
            tracing::info!(shard = 7, "look");
        });
        let line: serde_json::Value = serde_json::from_slice(&written.lock()).unwrap();
        assert_eq!((&line["node_id"], &line["cluster_id"]), (&"3".into(), &"a\"b".into()));
        assert_eq!((&line["shard"], &line["message"], &line["level"]), (&7.into(), &"look".into(), &"INFO".into()));
    }

    struct SharedWriter(Arc<Mutex<Vec<u8>>>);

    impl io::Write for SharedWriter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn expected_warnings_pass_and_others_fail() {
        let logs = WatchedLogs::start();
        tracing::info!("nothing to see");
        tracing::warn!(shard = 3, "the head moved back");
        assert_eq!(logs.seen(), ["WARN alluvium_infra::telemetry::tests: the head moved back shard=3"]);
        assert_eq!(logs.unexpected().len(), 1);
        logs.expect("head moved");
        assert!(logs.unexpected().is_empty());
        drop(logs);
        let failed = panic::catch_unwind(|| {
            let _logs = WatchedLogs::start();
            tracing::error!("the store is on fire");
        });
        let message = *failed.unwrap_err().downcast::<String>().unwrap();
        assert!(message.contains("the store is on fire"), "{message}");
    }
}
