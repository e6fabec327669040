//! Scenarios with two Rust clients: rdkafka (over a vendored librdkafka) and rskafka.
//!
//! Reads `BOOTSTRAP`, `SERVER_RESTART` and `REFERENCE`; arguments choose scenarios by a part of
//! their name. One line a scenario; exit code 1 when one failed. `--probe` prints what the clients'
//! own tests need to know of the broker.

mod probe;
mod rdkafka_groups;
mod rdkafka_records;
mod rskafka_records;
mod suite;

use std::process::ExitCode;

use suite::Suite;

#[tokio::main]
async fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("--probe") {
        return probe::run();
    }
    let mut suite = Suite::from_environment();
    rdkafka_records::run(&mut suite).await;
    rdkafka_groups::run(&mut suite).await;
    rskafka_records::run(&mut suite).await;
    suite.finish()
}
