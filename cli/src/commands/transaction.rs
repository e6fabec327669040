//! `alluvium transaction`: transactional ids listed and described, open transactions aborted.

mod abort;
mod describe;
mod list;

use clap::Subcommand;

use super::Context;
use crate::failure::Failure;

/// List and describe transactional ids, abort what they have open
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::Arguments),
    Describe(describe::Arguments),
    Abort(abort::Arguments),
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    context.block_on(async {
        match arguments.action {
            Action::List(arguments) => list::run(arguments, context).await,
            Action::Describe(arguments) => describe::run(arguments, context).await,
            Action::Abort(arguments) => abort::run(arguments, context).await,
        }
    })
}
