//! `alluvium transaction list`.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{print_json, print_table};

/// List transactional ids
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only ids in this state, such as ongoing or completecommit. May be repeated
    #[arg(long, value_name = "STATE")]
    state: Vec<String>,
    /// Only ids with a transaction that has been open for longer, such as 5m
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    open_for: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    let open_for_ms = arguments.open_for.map(|least| i64::try_from(least.as_millis()).unwrap_or(i64::MAX));
    let mut listed = cluster.transactions(open_for_ms).await?;
    let wanted = |state: &str| {
        arguments.state.is_empty() || arguments.state.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(state))
    };
    listed.retain(|transaction| wanted(&transaction.state));
    if arguments.json {
        let documents: Vec<Value> = listed
            .iter()
            .map(|transaction| {
                json!({
                    "transactional_id": transaction.transactional_id,
                    "state": transaction.state,
                    "producer_id": transaction.producer_id,
                    "coordinator": transaction.coordinator,
                })
            })
            .collect();
        return print_json(&documents);
    }
    if listed.is_empty() {
        let filtered = !arguments.state.is_empty() || arguments.open_for.is_some();
        eprintln!("{}", if filtered { "there are no such transactions" } else { "there are no transactional ids yet" });
        return Ok(());
    }
    print_table(
        &["TRANSACTIONAL ID", "STATE", ">PRODUCER", ">COORDINATOR"],
        listed.into_iter().map(|transaction| {
            vec![
                transaction.transactional_id,
                transaction.state,
                transaction.producer_id.to_string(),
                transaction.coordinator.to_string(),
            ]
        }),
    )
}
