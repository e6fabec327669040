//! What each setting means, for `--print-settings` and the reference page.

/// A setting and what it means.
pub(crate) struct NamedSetting {
    pub(crate) name: &'static str,
    pub(crate) meaning: &'static str,
}

const fn row(name: &'static str, meaning: &'static str) -> NamedSetting {
    NamedSetting { name, meaning }
}

/// Every setting, in the order of the reference page.
pub(crate) const NAMED: &[NamedSetting] = &[
    row(
        "listen",
        "Addresses for Kafka clients, host:port or NAME://host:port. Port 0 takes any free port. The first is called PLAINTEXT.",
    ),
    row(
        "advertise",
        "Addresses told to clients, host:port, one for each of listen. Without one: the address the client came by.",
    ),
    row(
        "zonal_listeners",
        "Names of listeners whose clients are told to produce to nodes of this node's zone: give them out by zone.",
    ),
    row(
        "node_id",
        "The id of this node in Kafka's metadata; no two live nodes may share one. auto takes a random one.",
    ),
    row("zone", "The zone of this node, told to clients as its rack."),
    row("peer_listen", "Where other nodes of the cluster connect, host:port. none: this process stands alone."),
    row("peer_advertise", "Address told to other nodes, host:port, when they cannot use the one listened on."),
    row("worker_threads", "Threads that run tasks; auto is one for each processor."),
    row(
        "store",
        "Where everything is kept: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, file:///folder, memory://. With model+ in front the store is as slow as S3.",
    ),
    row("endpoint", "Where an S3-compatible store listens, such as http://127.0.0.1:9000."),
    row("region", "Region of the bucket. Without it: AWS_REGION, AWS_DEFAULT_REGION, us-east-1."),
    row("allow_http", "Allows plain HTTP to the store. An http:// endpoint allows it by itself."),
    row(
        "access_key_id",
        "Credentials for S3 in place of those of the environment (AWS_ACCESS_KEY_ID, web identity, ECS, EC2).",
    ),
    row("secret_access_key", "The secret that goes with access_key_id. Never shown."),
    row("session_token", "For temporary credentials. Never shown."),
    row("store_connect_timeout", "The longest wait for a connection to the store."),
    row("store_request_timeout", "The longest wait for one attempt of a request to the store, transfer included."),
    row(
        "store_retries",
        "How often reads and plain writes are tried again. The write that commits is never blindly repeated.",
    ),
    row("store_sync", "Local folder only: every write is flushed to the disk before it is acknowledged."),
    row("store_probe", "Checks at start that the store honours put-if-absent. Without that, records would be lost."),
    row("shards", "Logs that a new cluster is spread over. An existing cluster keeps its own; see alluvium cluster."),
    row(
        "probe_interval",
        "While consumers wait, records of nodes that did not tell this one are looked for this often.",
    ),
    row(
        "flush_interval",
        "While producers keep sending, one flush in this time; auto is 5 ms on a local store and 50 ms elsewhere.",
    ),
    row("linger", "How long the first batch after an idle spell waits for company."),
    row("flush_bytes", "A flush goes at once when so much has come in."),
    row("inline_bytes", "A flush up to this size is one object; a larger one writes its data first."),
    row("bytes_in_flight", "Produce requests that may be in memory, over all clients; more wait."),
    row("segment_uploads", "Large flushes that are written at the same time."),
    row("hedge_after", "After this long without an answer the commit is sent a second time, byte for byte the same."),
    row("tail_cache_bytes", "Newest records kept in memory."),
    row("block_cache_bytes", "Cache for consumers near the end."),
    row("replay_cache_bytes", "Cache for consumers far behind, apart, so that they evict nobody else's blocks."),
    row("replay_distance", "A consumer is far behind when more bytes than this follow its position."),
    row("read_ahead_blocks", "Blocks of 512 KiB read ahead of a consumer far behind."),
    row("reads_in_flight", "Reads from the store that run at the same time."),
    row(
        "compaction",
        "Whether this node merges records into Parquet files, applies retention, compacts keys and deletes garbage, for the shards that it leads.",
    ),
    row("merge_bytes", "Records of a partition become a Parquet file when there are so many bytes of them,"),
    row("merge_age", "or when the oldest have waited for so long. Less than 64 KiB wait six times as long."),
    row("parquet_bytes", "Bytes of records that become one Parquet file at most."),
    row("key_memory_bytes", "Memory for keys when a topic is compacted. With less of it there are more passes."),
    row("retention_interval", "How often retention.ms and retention.bytes are looked at."),
    row("garbage_grace", "How long an object stays that nothing refers to any more."),
    row("auto_create_topics", "Whether a topic is made when a client first asks for it."),
    row("default_partitions", "Partitions of a topic made without a count."),
    row(
        "default_replication_factor",
        "Replication factor of a topic made without one. Reported as asked; the store replicates.",
    ),
    row("partitions_per_topic", "The most partitions of one topic."),
    row("request_bytes", "The largest request."),
    row("request_memory_bytes", "Requests other than Produce that may be in memory at once."),
    row("fetch_bytes", "The largest Fetch answer."),
    row("connections", "Connections served at once."),
    row("requests_in_flight", "Requests of one connection that may wait for their answer before more are read."),
    row("fetch_sessions", "Fetch sessions kept at once."),
    row("idle_timeout", "A connection silent for this long is closed."),
    row(
        "stall_timeout",
        "A request that stops arriving, or an answer that is not taken, for this long ends its connection.",
    ),
    row("drain_timeout", "At the end, open requests are waited for this long, at most 30 s."),
    row("group_session_timeout_min", "The shortest session timeout that a group member may ask for."),
    row("group_session_timeout_max", "The longest session timeout that a group member may ask for."),
    row("group_initial_rebalance_delay", "How long a new group waits for more members."),
    row("group_members", "The most members of one group."),
    row("group_consumer_session_timeout", "Silence after which a member of the consumer protocol is taken for dead."),
    row("group_consumer_heartbeat_interval", "How often members of the consumer protocol send heartbeats."),
    row(
        "group_consumer_migration",
        "Which groups may change their protocol while they have members: disabled, upgrade, downgrade or bidirectional.",
    ),
    row("offsets_retention", "How long committed offsets of a group without members are kept."),
    row("transaction_timeout_max", "The longest transaction timeout that a producer may ask for."),
    row("transactional_id_expiration", "How long a transactional id without a transaction is kept."),
    row("offset_metadata_bytes", "The longest text that may come with a committed offset."),
    row(
        "rest_listen",
        "Address for the HTTP API (produce, read, topics, groups), host:port. Without it there is none. Whoever reaches it may read and write.",
    ),
    row("rest_bytes", "The largest request of the HTTP API, and the largest answer with records."),
    row("rest_connections", "Connections to the HTTP API served at once."),
    row(
        "http_listen",
        "Address for /metrics, /healthz and /readyz, host:port. Without it there are none. Whoever reaches it may read it.",
    ),
    row("metrics_group_series", "The most series of group lag in one scrape; what is left out is counted."),
    row("metrics_topics", "The most topics with series of their own in one scrape."),
    row("store_prices", "Dollars per 1,000 requests, for the estimated cost. The default is S3 Standard in us-east-1."),
    row("log_format", "Log lines: text or json."),
    row(
        "log_filter",
        "What is logged, such as info or warn,alluvium_log=debug. ALLUVIUM_LOG and RUST_LOG go before it.",
    ),
];
