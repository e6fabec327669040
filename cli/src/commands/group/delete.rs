//! `alluvium group delete`.

use alluvium_protocol::errors::ErrorCode;

use crate::client::{ClientFlags, Cluster};
use crate::commands::Context;
use crate::commands::confirmation::confirmed;
use crate::failure::Failure;

/// Delete groups without members, with all that they have committed
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Names of the groups
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// A group that does not exist is no error
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let question = format!("delete {} with all committed offsets?", arguments.groups.join(", "));
    if !arguments.yes && !confirmed(&question)? {
        return Err(Failure::failed("nothing was deleted"));
    }
    let mut cluster = Cluster::connect(&arguments.client, &context.runtime).await?;
    for name in &arguments.groups {
        match cluster.delete_group(name).await {
            Ok(()) => println!("deleted {name}"),
            Err(error) if arguments.if_exists && error.code() == Some(ErrorCode::GroupIdNotFound) => {
                println!("there is no {name}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
