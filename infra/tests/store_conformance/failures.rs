//! What an S3 server's refusals become: each error must say what a person can do.

use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::store::{self, Payload, StoreCredentials, StoreError, StoreOptions, StorePath};

use super::Server;

/// Runs all of them and prints a line for each.
pub(crate) async fn run(name: &str, server: &Server, runtime: &Runtime) {
    a_missing_bucket_is_named(server, runtime).await;
    println!("ok {name} 21 a missing bucket is named");
    if name == "moto" {
        println!("-- {name} 22 wrong credentials are denied: does not apply, moto accepts any");
    } else {
        wrong_credentials_are_denied(server, runtime).await;
        println!("ok {name} 22 wrong credentials are denied");
    }
    a_server_that_is_away_is_unavailable(server, runtime).await;
    println!("ok {name} 23 a server that is away is unavailable");
    a_server_that_says_nothing_times_out(server, runtime).await;
    println!("ok {name} 24 a server that says nothing times out");
}

async fn a_missing_bucket_is_named(server: &Server, runtime: &Runtime) {
    let store = store::open("s3://no-such-bucket/x", &server.options(), runtime).unwrap();
    let path = StorePath::from("a");
    let named = |error: StoreError| {
        assert!(matches!(&error, StoreError::BucketMissing(words) if words.contains("no-such-bucket")), "{error:?}");
    };
    named(store.put_if_absent(&path, Payload::from(&b"x"[..])).await.unwrap_err());
    named(store.put(&path, Payload::from(&b"x"[..])).await.unwrap_err());
    named(store.get(&path).await.unwrap_err());
    named(store.get_range(&path, 0..1).await.unwrap_err());
    named(store.list("", None, 1).await.unwrap_err());
    named(store.delete(&path).await.unwrap_err());
}

async fn wrong_credentials_are_denied(server: &Server, runtime: &Runtime) {
    for (key, secret, meaning) in [
        (server.credentials.access_key_id.as_str(), "wrong", "the secret access key is wrong"),
        ("nobody", "wrong", "the access key id is unknown"),
    ] {
        let credentials = StoreCredentials {
            access_key_id: key.to_owned(),
            secret_access_key: secret.to_owned(),
            session_token: None,
        };
        let options = StoreOptions { credentials: Some(credentials), ..server.options() };
        let store = store::open(&server.url(runtime), &options, runtime).unwrap();
        let path = StorePath::from("a");
        let put = store.put_if_absent(&path, Payload::from(&b"x"[..])).await.unwrap_err();
        let list = store.list("", None, 1).await.unwrap_err();
        let get = store.get(&path).await.unwrap_err();
        for error in [put, list, get] {
            assert!(matches!(&error, StoreError::PermissionDenied(words) if words.contains(meaning)), "{error:?}");
        }
    }
}

async fn a_server_that_is_away_is_unavailable(server: &Server, runtime: &Runtime) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let options =
        StoreOptions { endpoint: Some(format!("http://127.0.0.1:{port}")), retries_max: 1, ..server.options() };
    let store = store::open("s3://bucket", &options, runtime).unwrap();
    let path = StorePath::from("a");
    let put = store.put_if_absent(&path, Payload::from(&b"x"[..])).await.unwrap_err();
    let get = store.get(&path).await.unwrap_err();
    for error in [put, get] {
        let cannot_connect = format!("cannot connect to bucket bucket at http://127.0.0.1:{port}");
        assert!(matches!(&error, StoreError::Unavailable(words) if words.contains(&cannot_connect)), "{error:?}");
    }
}

async fn a_server_that_says_nothing_times_out(server: &Server, runtime: &Runtime) {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let options = StoreOptions {
        endpoint: Some(format!("http://{}", silent.local_addr().unwrap())),
        request_timeout: Duration::from_millis(300),
        retries_max: 1,
        ..server.options()
    };
    let store = store::open("s3://bucket", &options, runtime).unwrap();
    let path = StorePath::from("a");
    let begun = runtime.monotonic();
    let put = store.put_if_absent(&path, Payload::from(&b"x"[..])).await;
    assert_eq!(put, Err(StoreError::Timeout));
    let waited = runtime.monotonic() - begun;
    assert!(waited < Duration::from_secs(1), "one attempt took {waited:?}");
    assert_eq!(store.get(&path).await, Err(StoreError::Timeout));
}
