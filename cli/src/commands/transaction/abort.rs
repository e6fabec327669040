//! `alluvium transaction abort`.

use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::commands::confirmation::confirmed;
use crate::failure::Failure;

/// Abort what transactional ids have open, and fence their producers, which have to begin anew
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Transactional ids
    #[arg(required = true, value_name = "ID")]
    ids: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let question = format!("abort what {} may have open, and fence the producer?", arguments.ids.join(", "));
    if !arguments.yes && !confirmed(&question)? {
        return Err(Failure::failed("nothing was aborted"));
    }
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    for id in &arguments.ids {
        let known = cluster.transaction(id).await?;
        if known.started_ms.is_none() {
            println!("{id} has nothing open");
            continue;
        }
        cluster.fence_transaction(&known).await?;
        println!("aborted the transaction of {id}");
    }
    Ok(())
}
