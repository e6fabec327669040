//! One suite of numbered scenarios that every store must pass: memory, folder, MinIO, moto, and a model in front of memory.
//!
//! The S3 servers come from the environment: `ALLUVIUM_TEST_MINIO_ENDPOINT` and `ALLUVIUM_TEST_MOTO_ENDPOINT` (see
//! tests/support), with a bucket `ALLUVIUM_TEST_S3_BUCKET` (default `conformance`). Without them a line says what was skipped;
//! with `ALLUVIUM_TEST_NO_SKIP=1` that is a failure.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may fail by panicking and says what it ran or skipped"
)]

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::store::{self, FolderStore, MemoryStore, Store, StoreCredentials, StoreOptions};

#[path = "store_conformance/failures.rs"]
mod failures;
#[path = "store_conformance/scenarios.rs"]
mod scenarios;

/// An S3 server to test against.
struct Server {
    endpoint: String,
    bucket: String,
    credentials: StoreCredentials,
}

impl Server {
    fn from_environment(name: &str, key: &str) -> Option<Server> {
        let variable = format!("ALLUVIUM_TEST_{}_ENDPOINT", name.to_uppercase());
        let Ok(endpoint) = std::env::var(&variable) else {
            println!("skipped: store conformance on {name} ({variable} is not set)");
            assert!(
                std::env::var("ALLUVIUM_TEST_NO_SKIP").as_deref() != Ok("1"),
                "{variable} is not set and nothing may be skipped"
            );
            return None;
        };
        let bucket = std::env::var("ALLUVIUM_TEST_S3_BUCKET");
        Some(Server {
            endpoint,
            bucket: bucket.unwrap_or_else(|_| "conformance".to_owned()),
            credentials: StoreCredentials {
                access_key_id: key.to_owned(),
                secret_access_key: key.to_owned(),
                session_token: None,
            },
        })
    }

    fn options(&self) -> StoreOptions {
        StoreOptions {
            endpoint: Some(self.endpoint.clone()),
            credentials: Some(self.credentials.clone()),
            ..StoreOptions::default()
        }
    }

    fn url(&self, runtime: &Runtime) -> String {
        format!("s3://{}/run/{}", self.bucket, runtime.unique_uuid())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    let runtime = Runtime::system();
    let memory = Arc::new(MemoryStore::new(runtime.clone()));
    let store: Arc<dyn Store> = memory.clone();
    scenarios::run("memory", &store, &store, &runtime).await;
    assert_eq!(memory.upload_count(), 0, "uploads that were left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn folder() {
    let runtime = Runtime::system();
    let folder = tempfile::tempdir().unwrap();
    let open = || FolderStore::open(folder.path().join("data"), false, &runtime).unwrap();
    let (one, other): (Arc<dyn Store>, Arc<dyn Store>) = (Arc::new(open()), Arc::new(open()));
    scenarios::run("folder", &one, &other, &runtime).await;
    assert_eq!(std::fs::read_dir(folder.path().join("data/.tmp")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn synced_folder() {
    let runtime = Runtime::system();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().join("data").display());
    let options = StoreOptions { sync: true, ..StoreOptions::default() };
    let open = || store::open(&url, &options, &runtime).unwrap();
    scenarios::run("synced folder", &open(), &open(), &runtime).await;
}

#[test]
fn modelled_memory() {
    Runtime::simulate(1, |runtime| async move {
        let store = store::open("model+memory://", &StoreOptions::default(), &runtime).unwrap();
        scenarios::run("model in front of memory", &store, &store, &runtime).await;
    });
}

async fn on_server(name: &str, key: &str) {
    let Some(server) = Server::from_environment(name, key) else {
        return;
    };
    let runtime = Runtime::system();
    let url = server.url(&runtime);
    let open = || store::open(&url, &server.options(), &runtime).unwrap();
    scenarios::run(name, &open(), &open(), &runtime).await;
    failures::run(name, &server, &runtime).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minio() {
    on_server("minio", "minioadmin").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto() {
    on_server("moto", "moto").await;
}
