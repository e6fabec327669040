//! Runs scenarios one after another, each under a deadline, and prints one line for each.
//!
//! Invariants: a scenario that does not end in time is a failure, never a hang; names of topics and
//! groups carry a suffix of this run.

use std::fmt::{self, Display};
use std::future::Future;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

/// The reason why a scenario cannot be run here.
#[derive(Debug)]
pub struct Skip(pub &'static str);

impl Display for Skip {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Skip {}

/// Counts of what ran, and which scenarios were asked for.
pub struct Suite {
    only: Vec<String>,
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Suite {
    /// Scenarios whose names contain one of the arguments; all when there are none.
    pub fn from_environment() -> Self {
        Self { only: std::env::args().skip(1).collect(), passed: 0, failed: 0, skipped: 0 }
    }

    /// Runs a scenario with the usual deadline.
    pub async fn scenario(&mut self, name: &str, scenario: impl Future<Output = Result<()>> + Send + 'static) {
        self.scenario_within(name, Duration::from_secs(45), scenario).await;
    }

    /// Runs a scenario on a task of its own, so that a panic in it is a failure of it alone.
    pub async fn scenario_within(
        &mut self,
        name: &str,
        limit: Duration,
        scenario: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        if !self.only.is_empty() && !self.only.iter().any(|part| name.contains(part.as_str())) {
            return;
        }
        let started = Instant::now();
        let task = tokio::spawn(scenario);
        let abort = task.abort_handle();
        let outcome = match tokio::time::timeout(limit, task).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(anyhow::anyhow!("{panic}")),
            Err(_) => Err(anyhow::anyhow!("not done within {} s", limit.as_secs())),
        };
        abort.abort();
        self.report(name, outcome);
        if std::env::var_os("VERBOSE").is_some() {
            println!("   {} ms", started.elapsed().as_millis());
        }
    }

    fn report(&mut self, name: &str, outcome: Result<()>) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok {name}");
            }
            Err(error) => match error.downcast_ref::<Skip>() {
                Some(skip) => {
                    self.skipped += 1;
                    println!("skip {name}: {skip}");
                }
                None => {
                    self.failed += 1;
                    println!("FAIL {name}: {}", format!("{error:#}").replace('\n', " "));
                }
            },
        }
    }

    /// Prints the sum and gives the exit code.
    pub fn finish(self) -> ExitCode {
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        ExitCode::from(u8::from(self.failed > 0))
    }
}

/// The broker under test.
pub fn bootstrap() -> String {
    std::env::var("BOOTSTRAP").unwrap_or_else(|_| "127.0.0.1:9092".to_owned())
}

/// Whether the broker is Apache Kafka itself.
pub fn is_reference() -> bool {
    std::env::var("REFERENCE").is_ok_and(|value| value == "1")
}

/// A name that no other run uses.
pub fn unique(name: &str) -> String {
    static SUFFIX: LazyLock<String> = LazyLock::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{:x}-{}", since.as_millis() & 0xff_ffff_ffff, std::process::id())
    });
    format!("{name}-{}", *SUFFIX)
}

/// Waits until the condition holds; a deadline in place of a fixed sleep.
pub async fn eventually(what: &str, limit: Duration, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !condition()? {
        ensure!(Instant::now() < deadline, "not within {} s: {what}", limit.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Runs the command that stops and starts the server on the same data.
pub async fn restart_server() -> Result<()> {
    let command = std::env::var("SERVER_RESTART").unwrap_or_default();
    if command.trim().is_empty() {
        bail!(Skip("SERVER_RESTART is not set"));
    }
    let mut process = tokio::process::Command::new("sh");
    process.arg("-c").arg(command).stdout(std::process::Stdio::null());
    let status = tokio::time::timeout(Duration::from_secs(60), process.status())
        .await
        .context("the restart took over 60 s")??;
    ensure!(status.success(), "SERVER_RESTART: {status}");
    Ok(())
}

/// Fails with both values when they differ.
pub fn same<T: PartialEq + fmt::Debug>(what: &str, expected: T, found: T) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    let short = |value: &T| format!("{value:?}").chars().take(300).collect::<String>();
    bail!("{what}: expected {}, found {}", short(&expected), short(&found))
}
