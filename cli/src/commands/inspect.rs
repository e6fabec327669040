//! `alluvium inspect`: any object of a store, for a person.

use std::path::Path;
use std::sync::Arc;

use alluvium_infra::store::{self, ObjectInfo, Store, StoreError, StoreOptions, StorePath};
use alluvium_infra::tls;
use bytes::Bytes;
use serde_json::json;

use super::Context;
use crate::failure::Failure;
use crate::output::{print_json, print_table, size, time};
use crate::startup::flags::StoreFlags;
use crate::startup::store::{advice, not_opened};

/// Objects asked for at a time.
const LIST_PAGE: usize = 1_000;

/// Show what is in a store: lists objects, and explains any one of them
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A store (s3://bucket/prefix, file:///folder, ...), a data folder, or a file that holds one object
    #[arg(value_name = "STORE|FOLDER|FILE")]
    target: String,
    /// An object to explain, or a prefix of objects to list (default: list everything)
    object: Option<String>,
    /// List at most so many objects
    #[arg(long, default_value_t = 1_000)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store_flags: StoreFlags,
}

pub(crate) fn run(arguments: Arguments, context: &Context) -> Result<(), Failure> {
    tls::install();
    let target = Path::new(&arguments.target);
    let folder = arguments.target.strip_prefix("file://").map_or(target, Path::new);
    if target.is_file() {
        let object = std::fs::read(target)
            .map_err(|error| Failure::failed(format!("{} cannot be read: {error}", arguments.target)))?;
        return explain(&arguments, &arguments.target, &Bytes::from(object));
    }
    let is_url = arguments.target.contains("://");
    if (!is_url || arguments.target.starts_with("file://")) && !folder.is_dir() {
        return Err(Failure::failed(format!(
            "{} is neither a store nor a folder nor a file: give s3://bucket/prefix, ./alluvium-data or a file",
            arguments.target
        )));
    }
    let url = if is_url { arguments.target.clone() } else { format!("file://{}", arguments.target) };
    context.block_on(async {
        let options = StoreOptions {
            endpoint: arguments.store_flags.endpoint.clone(),
            region: arguments.store_flags.region.clone(),
            allow_http: arguments.store_flags.allow_http,
            ..StoreOptions::default()
        };
        let store = store::open(&url, &options, &context.runtime).map_err(|error| not_opened(&error))?;
        look(&arguments, &url, &store).await
    })
}

async fn look(arguments: &Arguments, url: &str, store: &Arc<dyn Store>) -> Result<(), Failure> {
    let failed =
        |error: StoreError| Failure::failed(format!("the store {url} cannot be read: {error}{}", advice(&error, url)));
    let object = arguments.object.as_deref().unwrap_or_default().trim_start_matches('/');
    if let Ok(path) = StorePath::parse(object) {
        match store.get(&path).await {
            Ok(bytes) => return explain(arguments, object, &bytes),
            // A folder of a local store is found and cannot be read as an object.
            Err(StoreError::NotFound | StoreError::Other(_)) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let mut objects: Vec<ObjectInfo> = Vec::new();
    let mut more = true;
    while more && objects.len() < arguments.limit {
        let after = objects.last().map(|last| last.path.as_ref().to_owned());
        let page = (arguments.limit - objects.len()).min(LIST_PAGE);
        let listed = store.list(object, after.as_deref(), page).await.map_err(failed)?;
        more = listed.truncated && !listed.objects.is_empty();
        objects.extend(listed.objects);
    }
    if objects.is_empty() && !object.is_empty() {
        return Err(Failure::failed(format!("{url} has no object {object}, and none that begins so")));
    }
    list(arguments, &objects, more)
}

fn list(arguments: &Arguments, objects: &[ObjectInfo], more: bool) -> Result<(), Failure> {
    if arguments.json {
        let document = |object: &ObjectInfo| {
            json!({
                "object": object.path.as_ref(),
                "size_bytes": object.size,
                "last_modified_ms": object.last_modified_ms,
            })
        };
        return print_json(&objects.iter().map(document).collect::<Vec<_>>());
    }
    let row = |object: &ObjectInfo| vec![object.path.to_string(), size(object.size), time(object.last_modified_ms)];
    print_table(&["OBJECT", ">SIZE", "WRITTEN"], objects.iter().map(row))?;
    if more {
        eprintln!("there are more: raise --limit, or give the beginning of their names");
    }
    Ok(())
}

fn explain(arguments: &Arguments, name: &str, object: &Bytes) -> Result<(), Failure> {
    let description = alluvium_log::inspect::describe(object)
        .map_err(|error| Failure::failed(format!("{name} is not an object of alluvium, or damaged: {error}")))?;
    if arguments.json {
        return print_json(&json!({"object": name, "size_bytes": object.len(), "description": description}));
    }
    use std::io::Write;
    std::io::stdout().write_all(description.as_bytes())?;
    Ok(())
}
