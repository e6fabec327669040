//! `alluvium serve`: a node on any store.

use super::Context;
use crate::failure::Failure;
use crate::startup::flags::{self, NodeFlags, StoreFlags};

/// Serve Kafka with all data in an object store
///
/// Settings come from flags, the environment (ALLUVIUM_<SETTING>), a TOML file (--config) and defaults, in this order.
/// Credentials come from the usual environment of the store: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, web identity,
/// ECS and EC2 roles; GOOGLE_SERVICE_ACCOUNT; AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, file:///folder or memory://
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    #[command(flatten)]
    store_flags: StoreFlags,
    #[command(flatten)]
    node: NodeFlags,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let mut loaded = flags::load(&arguments.node, arguments.store.as_deref(), &arguments.store_flags, None)?;
    loaded.settings.choose_node_id(&context.runtime);
    if arguments.node.print_settings {
        return crate::startup::print_settings(&loaded);
    }
    crate::startup::serve(&loaded, context)
}
