//! The two clients of each kind of bucket, from options and environment.

use std::env;
use std::sync::Arc;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::clock::{ObservingConnector, StoreClock};
use super::failure::{RETRY_WAIT_FIRST, RETRY_WAIT_MAX};
use super::{Client, Clients};
use crate::store::OpenStoreError;
use crate::store::open::{StoreOptions, StoreUrl};

/// The endpoint in use, when it is not the provider's own.
pub(crate) fn endpoint_of(url: &StoreUrl<'_>, options: &StoreOptions) -> Option<String> {
    let from_environment =
        |names: &[&str]| names.iter().find_map(|name| env::var(name).ok()).filter(|text| !text.is_empty());
    options.endpoint.clone().or_else(|| match url.scheme {
        "s3" | "s3a" => from_environment(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"]),
        "az" | "azure" => from_environment(&["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"]),
        _ => None,
    })
}

/// Amazon S3 and everything that speaks like it.
pub(crate) fn s3(
    url: &StoreUrl<'_>,
    options: &StoreOptions,
    clock: &Arc<StoreClock>,
) -> Result<Clients, OpenStoreError> {
    let connector = ObservingConnector::new(clock);
    let endpoint = endpoint_of(url, options);
    let plain = is_plain(endpoint.as_deref());
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(url.bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_client_options(client_options(options, plain))
        .with_http_connector(connector.clone());
    // Over TLS the transport guards the body; hashing it again would cost more than sending it.
    builder = builder.with_unsigned_payload(!plain);
    match &endpoint {
        Some(endpoint) => {
            check_endpoint(url, endpoint)?;
            builder = builder
                .with_endpoint(endpoint)
                .with_config(AmazonS3ConfigKey::S3Endpoint, endpoint)
                .with_virtual_hosted_style_request(false);
        }
        // A dot in the name of a bucket does not fit the provider's certificate.
        None => builder = builder.with_virtual_hosted_style_request(!url.bucket.contains('.')),
    }
    if let Some(region) = options.region.clone().or_else(|| env::var("AWS_REGION").ok()) {
        builder = builder.with_region(region);
    }
    if let Some(credentials) = &options.credentials {
        builder = builder
            .with_access_key_id(&credentials.access_key_id)
            .with_secret_access_key(&credentials.secret_access_key);
        if let Some(token) = &credentials.session_token {
            builder = builder.with_token(token);
        }
    } else {
        check_s3_credentials(url, &builder, endpoint.is_some())?;
    }
    if plain && given(&builder, AmazonS3ConfigKey::AccessKeyId) {
        // Nothing will be sent over TLS, so the system's certificates need not be loaded.
        let plain_options = client_options(options, plain).with_no_system_certificates(true);
        builder = builder.with_client_options(plain_options);
    }
    let retrying = builder.clone().with_retry(retrying(options)).build().map_err(|error| refused(url, &error))?;
    let once = builder
        .with_http_connector(connector.sharing())
        .with_credentials(Arc::clone(retrying.credentials()))
        .with_retry(once())
        .build()
        .map_err(|error| refused(url, &error))?;
    Ok(Clients { once: Arc::new(once) as Arc<dyn Client>, retrying: Arc::new(retrying) })
}

fn given(builder: &AmazonS3Builder, key: AmazonS3ConfigKey) -> bool {
    builder.get_config_value(&key).is_some_and(|value| !value.is_empty())
}

/// With an endpoint of one's own there is no instance role to ask, and asking would only take time.
fn check_s3_credentials(
    url: &StoreUrl<'_>,
    builder: &AmazonS3Builder,
    has_endpoint: bool,
) -> Result<(), OpenStoreError> {
    let missing =
        |reason: &str| Err(OpenStoreError::Credentials { url: url.text.to_owned(), reason: reason.to_owned() });
    match (given(builder, AmazonS3ConfigKey::AccessKeyId), given(builder, AmazonS3ConfigKey::SecretAccessKey)) {
        (true, true) => return Ok(()),
        (true, false) => {
            return missing("AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not");
        }
        (false, true) => {
            return missing("AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not");
        }
        (false, false) => {}
    }
    let unsigned = builder.get_config_value(&AmazonS3ConfigKey::SkipSignature).is_some_and(|value| value == "true");
    let role =
        ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"];
    let has_role = role.iter().any(|name| env::var(name).is_ok_and(|value| !value.is_empty()));
    if has_endpoint && !unsigned && !has_role {
        return missing("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    }
    Ok(())
}

/// Google Cloud Storage, with the usual application default credentials.
pub(crate) fn google(
    url: &StoreUrl<'_>,
    options: &StoreOptions,
    clock: &Arc<StoreClock>,
) -> Result<Clients, OpenStoreError> {
    let connector = ObservingConnector::new(clock);
    let endpoint = endpoint_of(url, options);
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(url.bucket)
        .with_client_options(client_options(options, is_plain(endpoint.as_deref())))
        .with_http_connector(connector.clone());
    if let Some(endpoint) = &endpoint {
        check_endpoint(url, endpoint)?;
        builder = builder.with_base_url(endpoint).with_skip_signature(options.credentials.is_none());
    }
    let retrying = builder.clone().with_retry(retrying(options)).build().map_err(|error| refused(url, &error))?;
    let once = builder
        .with_http_connector(connector.sharing())
        .with_credentials(Arc::clone(retrying.credentials()))
        .with_retry(once())
        .build()
        .map_err(|error| refused(url, &error))?;
    Ok(Clients { once: Arc::new(once), retrying: Arc::new(retrying) })
}

/// Azure Blob Storage; the account comes from `AZURE_STORAGE_ACCOUNT_NAME`.
pub(crate) fn azure(
    url: &StoreUrl<'_>,
    options: &StoreOptions,
    clock: &Arc<StoreClock>,
) -> Result<Clients, OpenStoreError> {
    let connector = ObservingConnector::new(clock);
    let endpoint = endpoint_of(url, options);
    let plain = is_plain(endpoint.as_deref());
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(url.bucket)
        .with_client_options(client_options(options, plain))
        .with_http_connector(connector.clone());
    if let Some(endpoint) = &endpoint {
        check_endpoint(url, endpoint)?;
        builder = builder.with_endpoint(endpoint.clone()).with_allow_http(plain || options.allow_http);
    }
    if builder.get_config_value(&AzureConfigKey::AccountName).is_none() {
        let reason = "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY".to_owned();
        return Err(OpenStoreError::Credentials { url: url.text.to_owned(), reason });
    }
    let retrying = builder.clone().with_retry(retrying(options)).build().map_err(|error| refused(url, &error))?;
    let once = builder
        .with_http_connector(connector.sharing())
        .with_credentials(Arc::clone(retrying.credentials()))
        .with_retry(once())
        .build()
        .map_err(|error| refused(url, &error))?;
    Ok(Clients { once: Arc::new(once), retrying: Arc::new(retrying) })
}

fn is_plain(endpoint: Option<&str>) -> bool {
    endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
}

fn check_endpoint(url: &StoreUrl<'_>, endpoint: &str) -> Result<(), OpenStoreError> {
    if endpoint.starts_with("http://") || endpoint.starts_with("https://") {
        return Ok(());
    }
    Err(OpenStoreError::Configuration {
        url: url.text.to_owned(),
        reason: format!("the endpoint \"{endpoint}\" must begin with http:// or https://"),
    })
}

fn client_options(options: &StoreOptions, plain: bool) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(plain || options.allow_http)
        .with_connect_timeout(options.connect_timeout)
        .with_timeout(options.request_timeout)
        .with_pool_max_idle_per_host(options.connections_idle_max)
        // Below the 20 s after which S3 closes idle connections from its side.
        .with_pool_idle_timeout(std::time::Duration::from_secs(15))
}

fn retrying(options: &StoreOptions) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: RETRY_WAIT_FIRST, max_backoff: RETRY_WAIT_MAX, base: 2.0 },
        max_retries: options.retries_max,
        retry_timeout: options.retry_duration_max,
    }
}

fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

fn refused(url: &StoreUrl<'_>, error: &object_store::Error) -> OpenStoreError {
    OpenStoreError::Configuration { url: url.text.to_owned(), reason: error.to_string() }
}
