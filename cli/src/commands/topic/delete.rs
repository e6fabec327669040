//! `alluvium topic delete`.

use alluvium_protocol::errors::ErrorCode;

use super::connect;
use crate::client::ClientFlags;
use crate::commands::Context;
use crate::commands::confirmation::confirmed;
use crate::failure::Failure;

/// Delete topics with all their records
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Names of the topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// A topic that does not exist is no error
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) async fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    if !arguments.yes && !confirmed(&format!("delete {} with all records?", arguments.topics.join(", ")))? {
        return Err(Failure::failed("nothing was deleted"));
    }
    let mut cluster = connect(&arguments.client, context).await?;
    for name in &arguments.topics {
        match cluster.delete_topic(name).await {
            Ok(()) => println!("deleted {name}"),
            Err(error) if arguments.if_exists && error.code() == Some(ErrorCode::UnknownTopicOrPartition) => {
                println!("there is no {name}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
