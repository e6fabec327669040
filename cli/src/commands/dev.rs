//! `alluvium dev`: everything in one process, data in a local folder.

use super::Context;
use crate::failure::Failure;
use crate::startup::flags::{self, NodeFlags, StoreFlags};

/// Where the data goes when nothing else is said.
const DATA_DEFAULT: &str = "./alluvium-data";

/// Serve Kafka on this machine with data in a local folder, to try things out and to develop against
///
/// Topics are made on first use. The same settings as for `serve` apply.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folder for the data (default: ./alluvium-data); it is made when it is missing
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    #[command(flatten)]
    node: NodeFlags,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    let store = arguments.data.as_deref().map(|folder| format!("file://{folder}"));
    let store_default = format!("file://{DATA_DEFAULT}");
    let mut loaded = flags::load(&arguments.node, store.as_deref(), &StoreFlags::default(), Some(&store_default))?;
    flags::stand_alone(&mut loaded);
    loaded.settings.choose_node_id(&context.runtime);
    if arguments.node.print_settings {
        return crate::startup::print_settings(&loaded);
    }
    crate::startup::serve(&loaded, context)
}
