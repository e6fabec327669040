//! From a URL to a store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{FolderStore, MemoryStore, Modelled, OpenStoreError, Store, StoreModel, StorePath};
use crate::Runtime;

/// What a store may be told beside its URL. The defaults suit S3 in the same region.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Where the store listens, for S3-compatible stores other than Amazon's: `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// The region; without it `AWS_REGION`, `AWS_DEFAULT_REGION` or `us-east-1`.
    pub region: Option<String>,
    /// Allows plain HTTP even when the endpoint comes from elsewhere; an `http://` endpoint allows it by itself.
    pub allow_http: bool,
    /// Credentials in place of those in the environment.
    pub credentials: Option<StoreCredentials>,
    /// The longest wait for a connection.
    pub connect_timeout: Duration,
    /// The longest wait for one attempt, transfer included.
    pub request_timeout: Duration,
    /// How often reads and plain writes are tried again. `put_if_absent` never is.
    pub retries_max: usize,
    /// After this long no further attempt is begun.
    pub retry_duration_max: Duration,
    /// Idle connections that are kept, which bounds how many parallel reads are cheap.
    pub connections_idle_max: usize,
    /// Local folders only: each write is on the disk before it is answered.
    pub sync: bool,
}

impl Default for StoreOptions {
    fn default() -> StoreOptions {
        StoreOptions {
            endpoint: None,
            region: None,
            allow_http: false,
            credentials: None,
            connect_timeout: Duration::from_secs(2),
            request_timeout: Duration::from_secs(10),
            retries_max: 4,
            retry_duration_max: Duration::from_secs(8),
            connections_idle_max: 64,
            sync: false,
        }
    }
}

/// A pair of keys for S3. Its `Debug` form hides the secret.
#[derive(Clone)]
pub struct StoreCredentials {
    /// The public part.
    pub access_key_id: String,
    /// The secret part.
    pub secret_access_key: String,
    /// For temporary credentials.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for StoreCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StoreCredentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// A URL taken apart: `scheme://host/prefix`.
#[derive(Debug)]
#[cfg_attr(not(feature = "cloud"), allow(dead_code, reason = "only cloud stores have a bucket"))]
pub(crate) struct StoreUrl<'a> {
    pub(crate) text: &'a str,
    pub(crate) scheme: &'a str,
    pub(crate) bucket: &'a str,
    /// Without slashes at either end; may be empty.
    pub(crate) prefix: &'a str,
}

/// Opens the store that `url` names: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`, `file:///folder` (or
/// `file://relative/folder`), `memory://`. With `model+` before the scheme the store answers with the latency and bandwidth of
/// S3 ([`super::Modelled`]).
///
/// Nothing is written to a bucket and no request is sent; a folder is made when it is missing.
pub fn open(url: &str, options: &StoreOptions, runtime: &Runtime) -> Result<Arc<dyn Store>, OpenStoreError> {
    if let Some(modelled) = url.strip_prefix("model+") {
        let inner = open(modelled, options, runtime)?;
        return Ok(Modelled::new(inner, StoreModel::s3(), runtime.clone()));
    }
    let invalid = |reason: &str| OpenStoreError::InvalidUrl { url: url.to_owned(), reason: reason.to_owned() };
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err(invalid("there is no scheme"));
    };
    match scheme {
        "memory" => Ok(Arc::new(MemoryStore::new(runtime.clone()))),
        "file" if rest.is_empty() => Err(invalid("the folder is missing")),
        "file" => Ok(Arc::new(FolderStore::open(PathBuf::from(rest), options.sync, runtime)?)),
        "s3" | "s3a" | "gs" | "az" | "azure" => {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            let prefix = prefix.trim_matches('/');
            if bucket.is_empty() {
                return Err(invalid("the bucket is missing"));
            }
            if !prefix.is_empty() {
                StorePath::parse(prefix).map_err(|error| invalid(&error.to_string()))?;
            }
            open_cloud(&StoreUrl { text: url, scheme, bucket, prefix }, options, runtime)
        }
        _ => Err(invalid(&format!("the scheme \"{scheme}\" is unknown"))),
    }
}

#[cfg(feature = "cloud")]
fn open_cloud(url: &StoreUrl<'_>, options: &StoreOptions, runtime: &Runtime) -> Result<Arc<dyn Store>, OpenStoreError> {
    super::cloud::open(url, options, runtime)
}

#[cfg(not(feature = "cloud"))]
fn open_cloud(
    url: &StoreUrl<'_>,
    _options: &StoreOptions,
    _runtime: &Runtime,
) -> Result<Arc<dyn Store>, OpenStoreError> {
    Err(OpenStoreError::NotBuilt(url.scheme.to_owned()))
}
