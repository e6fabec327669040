//! `alluvium cluster set-shards`.

use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::failure::Failure;

/// Spread the topics that are made from now on over more shards
///
/// A shard is one log of commits; more of them commit side by side. Topics and groups that exist stay where they are. The
/// count can never be lowered.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// New number of shards
    #[arg(value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    // Other servers take configurations that mean nothing to them.
    if cluster.shard_count().await?.is_none() {
        return Err(Failure::failed("the server has no shards: it is not Alluvium, or an older release"));
    }
    cluster.set_shard_count(arguments.count).await?;
    let plural = if arguments.count == 1 { "" } else { "s" };
    println!("new topics are spread over {} shard{plural}", arguments.count);
    Ok(())
}
