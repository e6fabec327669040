//! `alluvium topic delete`.

use std::io::{BufRead, IsTerminal, Write};

use alluvium_protocol::errors::ErrorCode;

use super::connect;
use crate::client::ClientFlags;
use crate::commands::Context;
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
    if !arguments.yes && !confirmed(&arguments.topics)? {
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

fn confirmed(topics: &[String]) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("deleting needs --yes when nobody can be asked"));
    }
    eprint!("delete {} with all records? [y/N] ", topics.join(", "));
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}
