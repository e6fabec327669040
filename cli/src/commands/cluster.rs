//! `alluvium cluster`: the nodes, the shards and what is in them.

mod describe;
mod set_shards;

use clap::Subcommand;

use super::Context;
use crate::failure::Failure;

/// Show the cluster: nodes, leaders, shards, what it holds
///
/// Without a subcommand it is `describe`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[group(skip)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    describe: describe::Arguments,
}

#[derive(Debug, Subcommand)]
enum Action {
    Describe(describe::Arguments),
    SetShards(set_shards::Arguments),
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    context.block_on(async {
        match arguments.action {
            None => describe::run(arguments.describe, context).await,
            Some(Action::Describe(arguments)) => describe::run(arguments, context).await,
            Some(Action::SetShards(arguments)) => set_shards::run(arguments, context).await,
        }
    })
}
