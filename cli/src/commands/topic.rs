//! `alluvium topic`: topics made, listed, described, changed, deleted.

mod alter;
mod create;
mod delete;
mod describe;
mod list;

use clap::Subcommand;

use super::Context;
use crate::client::{ClientFlags, Cluster};
use crate::failure::Failure;

/// Make, list, describe, change and delete topics
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(create::Arguments),
    List(list::Arguments),
    Describe(describe::Arguments),
    Alter(alter::Arguments),
    Delete(delete::Arguments),
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    context.block_on(async {
        match arguments.action {
            Action::Create(arguments) => create::run(arguments, context).await,
            Action::List(arguments) => list::run(arguments, context).await,
            Action::Describe(arguments) => describe::run(arguments, context).await,
            Action::Alter(arguments) => alter::run(arguments, context).await,
            Action::Delete(arguments) => delete::run(arguments, context).await,
        }
    })
}

async fn connect(flags: &ClientFlags, context: &Context) -> Result<Cluster, Failure> {
    Ok(Cluster::connect(flags, &context.runtime).await?)
}

/// Reads `name=value`.
fn config_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE, such as retention.ms=86400000".to_owned()),
    }
}
