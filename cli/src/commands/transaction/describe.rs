//! `alluvium transaction describe`.

use serde_json::{Value, json};

use crate::client::transactions::DescribedTransaction;
use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::failure::Failure;
use crate::output::{or_dash, print_json, print_table, time};

/// Show the state of transactional ids, and which partitions they have open
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Transactional ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    let mut described = Vec::with_capacity(arguments.ids.len());
    for id in &arguments.ids {
        described.push(cluster.transaction(id).await?);
    }
    if arguments.json {
        return print_json(&described.iter().map(document).collect::<Vec<Value>>());
    }
    print_table(
        &["TRANSACTIONAL ID", "STATE", ">PRODUCER", ">EPOCH", ">TIMEOUT", "OPEN SINCE", "PARTITIONS"],
        described.iter().map(|transaction| {
            let partitions = partitions(transaction);
            vec![
                transaction.transactional_id.clone(),
                transaction.state.clone(),
                transaction.producer_id.to_string(),
                transaction.producer_epoch.to_string(),
                format!("{} ms", transaction.timeout_ms),
                or_dash(transaction.started_ms.map(time)),
                or_dash(Some(partitions).filter(|partitions| !partitions.is_empty())),
            ]
        }),
    )
}

/// As other commands take them: `topic:0,1`.
fn partitions(transaction: &DescribedTransaction) -> String {
    let topic = |(name, partitions): (&String, &Vec<i32>)| {
        let numbers: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        format!("{name}:{}", numbers.join(","))
    };
    transaction.partitions.iter().map(topic).collect::<Vec<String>>().join(" ")
}

fn document(transaction: &DescribedTransaction) -> Value {
    json!({
        "transactional_id": transaction.transactional_id,
        "state": transaction.state,
        "producer_id": transaction.producer_id,
        "producer_epoch": transaction.producer_epoch,
        "timeout_ms": transaction.timeout_ms,
        "started_ms": transaction.started_ms,
        "partitions": transaction.partitions,
    })
}
