//! `alluvium group`: consumer groups of both protocols listed, described, set back, deleted.

mod delete;
mod delete_offsets;
mod describe;
mod lag;
mod list;
mod partitions;
mod reset_offsets;
mod target;

use clap::Subcommand;

use super::Context;
use crate::failure::Failure;

/// List and describe consumer groups, reset and delete their offsets, delete them
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    List(list::Arguments),
    Describe(describe::Arguments),
    ResetOffsets(Box<reset_offsets::Arguments>),
    DeleteOffsets(delete_offsets::Arguments),
    Delete(delete::Arguments),
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    context.block_on(async {
        match arguments.action {
            Action::List(arguments) => list::run(arguments, context).await,
            Action::Describe(arguments) => describe::run(arguments, context).await,
            Action::ResetOffsets(arguments) => reset_offsets::run(*arguments, context).await,
            Action::DeleteOffsets(arguments) => delete_offsets::run(arguments, context).await,
            Action::Delete(arguments) => delete::run(arguments, context).await,
        }
    })
}
