//! The stores that a suite runs on: memory, a local folder, and the S3 servers that the environment names.
//!
//! The servers: `ALLUVIUM_TEST_MINIO_ENDPOINT`, `ALLUVIUM_TEST_MOTO_ENDPOINT` and `ALLUVIUM_TEST_S3RVER_ENDPOINT`, which must be refused
//! (tests/support starts them), with a bucket `ALLUVIUM_TEST_S3_BUCKET` (default `conformance`). Without them a line says what was skipped; with
//! `ALLUVIUM_TEST_NO_SKIP=1` that is a failure.

#![allow(clippy::print_stdout, reason = "a suite says what it skips")]

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::store::{self, FolderStore, MemoryStore, Store, StoreCredentials, StoreOptions};

/// A fresh corner of a store, with two handles to it as two nodes would have them.
#[derive(Clone, Debug)]
pub struct Place {
    /// Which store it is.
    pub name: &'static str,
    /// One node's handle.
    pub one: Arc<dyn Store>,
    /// Another node's handle.
    pub other: Arc<dyn Store>,
    /// Clock and randomness.
    pub runtime: Runtime,
}

/// Memory, with the runtime of a simulation.
pub fn memory(runtime: &Runtime) -> Place {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(runtime.clone()));
    Place { name: "memory", one: store.clone(), other: store, runtime: runtime.clone() }
}

/// A folder on this machine's disk.
pub fn folder(folder: &std::path::Path) -> Place {
    let runtime = Runtime::system();
    let open = || -> Arc<dyn Store> {
        Arc::new(FolderStore::open(folder.join("data"), false, &runtime).expect("a temporary folder is writable"))
    };
    Place { name: "folder", one: open(), other: open(), runtime: runtime.clone() }
}

/// Where an S3 server of the environment listens, or a line that says what is skipped without it.
///
/// # Panics
/// When it is missing and nothing may be skipped.
pub fn endpoint(suite: &str, server: &str) -> Option<String> {
    let variable = format!("ALLUVIUM_TEST_{}_ENDPOINT", server.to_uppercase());
    let Ok(endpoint) = std::env::var(&variable) else {
        skip(&format!("{suite} on {server} ({variable} is not set)"));
        return None;
    };
    Some(endpoint)
}

/// Says what is skipped.
///
/// # Panics
/// When nothing may be skipped.
pub fn skip(what: &str) {
    println!("skipped: {what}");
    assert!(std::env::var("ALLUVIUM_TEST_NO_SKIP").as_deref() != Ok("1"), "nothing may be skipped: {what}");
}

/// The bucket that the environment names.
pub fn bucket() -> String {
    std::env::var("ALLUVIUM_TEST_S3_BUCKET").unwrap_or_else(|_| "conformance".to_owned())
}

/// The access key of a test server, which is its secret too.
pub fn access_key(server: &str) -> &'static str {
    match server {
        "minio" => "minioadmin",
        "s3rver" => "S3RVER",
        _ => "moto",
    }
}

/// A fresh prefix of the bucket of an S3 server, unless it is skipped.
pub fn server(suite: &str, server: &'static str) -> Option<Place> {
    let endpoint = endpoint(suite, server)?;
    let runtime = Runtime::system();
    let key = access_key(server).to_owned();
    let credentials = StoreCredentials { access_key_id: key.clone(), secret_access_key: key, session_token: None };
    let options = StoreOptions { endpoint: Some(endpoint), credentials: Some(credentials), ..StoreOptions::default() };
    let url = format!("s3://{}/{}/{}", bucket(), suite.replace(' ', "-"), runtime.unique_uuid());
    let open = || store::open(&url, &options, &runtime).expect("the URL of the bucket is valid");
    Some(Place { name: server, one: open(), other: open(), runtime: runtime.clone() })
}
