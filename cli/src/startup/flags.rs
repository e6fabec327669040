//! Flags of `dev` and `serve`, and how they become the strongest layer of the settings.

use std::path::PathBuf;

use alluvium_infra::settings::{Layers, LoadSettingsError, Loaded, SettingSource};

use super::settings::{ALONE, NodeSettings};
use crate::failure::Failure;

/// Variables that begin with ALLUVIUM_ and belong to the client commands and to the test programs.
const ENVIRONMENT_OF_OTHERS: &[&str] = &[
    "ALLUVIUM_BOOTSTRAP",
    "ALLUVIUM_TIMEOUT",
    "ALLUVIUM_BIN",
    "ALLUVIUM_BENCH_*",
    "ALLUVIUM_CRASH_*",
    "ALLUVIUM_KAFKA_*",
    "ALLUVIUM_REGENERATE_*",
];

/// What `dev` and `serve` have in common.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct NodeFlags {
    /// Address for Kafka clients (default: 127.0.0.1:9092); port 0 takes any free port. May be repeated
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) listen: Vec<String>,
    /// Address told to clients, when they cannot use the one listened on. One for each --listen
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) advertise: Vec<String>,
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE", env = "ALLUVIUM_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Id of this node in Kafka's metadata (default: 1); auto takes a random one
    #[arg(long, value_name = "ID")]
    pub(crate) node_id: Option<String>,
    /// Availability zone of this node, told to clients as its rack
    #[arg(long, value_name = "ZONE")]
    pub(crate) zone: Option<String>,
    /// Address for the other nodes of the cluster (default: 127.0.0.1:0, any free port; for dev: none)
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) peer_listen: Option<String>,
    /// Address told to the other nodes, when they cannot use the one listened on
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) peer_advertise: Option<String>,
    /// Logs that a new cluster is spread over (default: 1)
    #[arg(long, value_name = "COUNT")]
    pub(crate) shards: Option<String>,
    /// Whether topics are made when a client first asks for them
    #[arg(long, value_name = "BOOL")]
    pub(crate) auto_create_topics: Option<String>,
    /// Partitions of topics made without a count
    #[arg(long, value_name = "COUNT")]
    pub(crate) default_partitions: Option<String>,
    /// While producers keep sending, one flush in this time: auto, or a duration such as 20ms
    #[arg(long, value_name = "DURATION")]
    pub(crate) flush_interval: Option<String>,
    /// Address for the HTTP API (default: none)
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) rest_listen: Option<String>,
    /// Address for /metrics, /healthz and /readyz (default: none)
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) http_listen: Option<String>,
    /// Log lines: text or json
    #[arg(long, value_name = "FORMAT")]
    pub(crate) log_format: Option<String>,
    /// What is logged, such as info or warn,alluvium_log=debug
    #[arg(long, value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
    /// Any setting by its name, such as --set linger=2ms. May be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print all settings in effect with their sources, and end
    #[arg(long)]
    pub(crate) print_settings: bool,
}

/// Flags about the store, for `serve` and `inspect`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct StoreFlags {
    /// Where an S3-compatible store listens, such as http://127.0.0.1:9000
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    /// Region of the bucket
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Allow plain HTTP to the store
    #[arg(long)]
    pub(crate) allow_http: bool,
}

/// Puts all layers together. Without a store anywhere, `store_default` is it.
pub(crate) fn load(
    flags: &NodeFlags,
    store: Option<&str>,
    store_flags: &StoreFlags,
    store_default: Option<&str>,
) -> Result<Loaded<NodeSettings>, Failure> {
    let layers = || layers(flags, store, store_flags);
    let mut loaded = layers()?.load::<NodeSettings>().map_err(refused)?;
    if !loaded.settings.store.is_empty() {
        return Ok(loaded);
    }
    let Some(store_default) = store_default else {
        return Err(Failure::usage(
            "no store is given: pass --store s3://bucket/prefix (or gs://, az://, file://, memory://), \
             set ALLUVIUM_STORE, or put store = \"...\" into the settings file",
        ));
    };
    loaded = layers()?.flag("store", store_default).load().map_err(refused)?;
    for shown in loaded.shown.iter_mut().filter(|shown| shown.name == "store") {
        shown.source = SettingSource::Default;
    }
    Ok(loaded)
}

/// A process that nobody told of other nodes stands alone.
pub(crate) fn stand_alone(loaded: &mut Loaded<NodeSettings>) {
    for shown in loaded.shown.iter_mut().filter(|shown| shown.name == "peer_listen") {
        if shown.source == SettingSource::Default {
            loaded.settings.peer_listen = ALONE.to_owned();
            shown.value = ALONE.to_owned();
        }
    }
}

fn layers(flags: &NodeFlags, store: Option<&str>, store_flags: &StoreFlags) -> Result<Layers, Failure> {
    let mut layers = Layers::new().environment_of_process();
    for name in ENVIRONMENT_OF_OTHERS {
        layers = layers.environment_ignoring(*name);
    }
    if let Some(file) = &flags.config {
        layers = layers.file(file);
    }
    for pair in &flags.set {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| Failure::usage(format!("--set {pair} is not NAME=VALUE")))?;
        layers = layers.flag(&name.trim().replace('-', "_"), value);
    }
    let given = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    Ok(layers
        .flag_if_given("listen", given(&flags.listen))
        .flag_if_given("advertise", given(&flags.advertise))
        .flag_if_given("node_id", flags.node_id.as_deref())
        .flag_if_given("zone", flags.zone.as_deref())
        .flag_if_given("peer_listen", flags.peer_listen.as_deref())
        .flag_if_given("peer_advertise", flags.peer_advertise.as_deref())
        .flag_if_given("shards", flags.shards.as_deref())
        .flag_if_given("auto_create_topics", flags.auto_create_topics.as_deref())
        .flag_if_given("default_partitions", flags.default_partitions.as_deref())
        .flag_if_given("flush_interval", flags.flush_interval.as_deref())
        .flag_if_given("rest_listen", flags.rest_listen.as_deref())
        .flag_if_given("http_listen", flags.http_listen.as_deref())
        .flag_if_given("log_format", flags.log_format.as_deref())
        .flag_if_given("log_filter", flags.log_filter.as_deref())
        .flag_if_given("store", store)
        .flag_if_given("endpoint", store_flags.endpoint.as_deref())
        .flag_if_given("region", store_flags.region.as_deref())
        .flag_if_given("allow_http", store_flags.allow_http.then_some(true)))
}

fn refused(error: LoadSettingsError) -> Failure {
    Failure::usage(error)
}
