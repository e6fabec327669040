//! Every limit of Alluvium, with its unit in its name, and the relations between them checked at compile time.
//!
//! A limit that an operator may change is a setting whose default stands here; the others are fixed. Nothing that a client can
//! make grow is without a line in this file.

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

// The wire.

/// The longest request frame that is read, as Kafka's `socket.request.max.bytes`.
pub const FRAME_BYTES_MAX: usize = 100 * MIB;
/// Connections that a node accepts at the same time.
pub const CONNECTIONS_MAX: usize = 10_000;
/// Requests of one connection that are answered in parallel before its socket is no longer read.
pub const REQUESTS_IN_FLIGHT_PER_CONNECTION_MAX: usize = 64;
/// An idle connection is closed after this, as Kafka's `connections.max.idle.ms`.
pub const CONNECTION_IDLE_MS_MAX: u64 = 600_000;
/// The longest time that a fetch may wait for data, whatever the client asks.
pub const FETCH_WAIT_MS_MAX: u64 = 60_000;
/// The most bytes of one fetch answer, as Kafka's `fetch.max.bytes` of the broker.
pub const FETCH_BYTES_MAX: usize = 55 * MIB;
/// Fetch sessions that a node remembers, as Kafka's `max.incremental.fetch.session.cache.slots`.
pub const FETCH_SESSIONS_MAX: usize = 1_000;

// The wire between nodes.

/// The longest frame between nodes.
pub const PEER_FRAME_BYTES_MAX: usize = 64 * MIB;
/// The longest frame of a peer that has not said who it is.
pub const PEER_HELLO_BYTES_MAX: usize = 64 * KIB;
/// Connections from other nodes at the same time.
pub const PEER_CONNECTIONS_MAX: usize = 1_000;
/// Appends of one peer that are served at the same time.
pub const PEER_REQUESTS_IN_FLIGHT_MAX: usize = 1_024;
/// Bytes of appends of one peer that are served at the same time.
pub const PEER_BYTES_IN_FLIGHT_MAX: usize = 64 * MIB;
/// Bytes that wait to be sent to one peer before appends are no longer forwarded to it.
pub const PEER_QUEUE_BYTES_MAX: usize = 16 * MIB;
/// Bytes that wait to be sent to one peer before entries are no longer pushed to it.
pub const PEER_PUSH_QUEUE_BYTES_MAX: usize = 8 * MIB;

// The write path.

/// The default of the topic setting `max.message.bytes`, as Kafka's.
pub const MESSAGE_BYTES_MAX: usize = 1_048_588;
/// The highest value that `max.message.bytes` may be set to.
pub const MESSAGE_BYTES_MAX_HIGHEST: usize = 64 * MIB;
/// A flush up to this rides inside its entry; a larger one gets a segment of its own.
///
/// Large enough for the largest request that librdkafka sends for one partition: one PUT instead of two for each.
pub const INLINE_BYTES_MAX: usize = 1024 * KIB;
/// A buffer of this size is flushed at once.
pub const FLUSH_BYTES_MAX: usize = 8 * MIB;
/// A run is cut here, unless one batch alone is longer.
pub const RUN_BYTES_MAX: usize = 512 * KIB;
/// Bytes of produce requests that a node holds before it stops reading sockets.
pub const BYTES_IN_FLIGHT_MAX: usize = 128 * MIB;
/// The shortest time between two flushes of one shard.
pub const FLUSH_INTERVAL_MS_MIN: u64 = 5;
/// Segments of one shard that are uploaded at the same time.
pub const SEGMENT_UPLOADS_MAX: usize = 8;
/// Batches of one producer and partition that are remembered to recognise duplicates, as Kafka's.
pub const PRODUCER_BATCHES_REMEMBERED: usize = 5;
/// Producers remembered per partition before the one unused for longest is forgotten.
pub const PRODUCERS_PER_PARTITION_MAX: usize = 10_000;
/// A producer that was silent for this long is forgotten, as Kafka's `producer.id.expiration.ms`.
pub const PRODUCER_EXPIRATION_MS: i64 = 86_400_000;
/// Producer ids that are reserved with one object.
pub const PRODUCER_ID_BLOCK: i64 = 1_000;
/// Record bytes that one batch may unpack to when its records must be looked at.
pub const DECOMPRESSED_BYTES_MAX: usize = 128 * MIB;

// Buffers.

/// Buffers that are shorter are not kept for others.
pub const BUFFER_BYTES_MIN: usize = 256 * KIB;
/// Bytes of buffers that a folder of objects keeps for what it reads next.
pub const FOLDER_BUFFERS_BYTES_MAX: usize = 16 * MIB;

// The log.

/// Shards of a cluster.
pub const SHARDS_MAX: u32 = 256;
/// The longest entry of a shard's log, inline data included.
pub const ENTRY_BYTES_MAX: usize = 8 * MIB;
/// Operations in one entry.
pub const OPERATIONS_PER_ENTRY_MAX: usize = 10_000;
/// Operations that wait for the next entry before callers are held back.
pub const OPERATIONS_WAITING_MAX: usize = 50_000;
/// The longest checkpoint that is read.
pub const CHECKPOINT_BYTES_MAX: usize = 1024 * MIB;
/// A checkpoint is written after this many entries.
pub const ENTRIES_PER_CHECKPOINT: u64 = 1_000;
/// Keys that are asked for with one LIST request.
pub const LIST_KEYS_MAX: usize = 1_000;
/// Bytes of a part of an object that comes in parts, but for the last one. No S3 takes less than 5 MiB.
pub const UPLOAD_PART_BYTES: usize = 8 * MIB;
/// Parts of one object that are sent at the same time.
pub const UPLOAD_PARTS_IN_FLIGHT_MAX: usize = 4;
/// Parts of one object, as S3 takes them.
pub const UPLOAD_PARTS_MAX: usize = 10_000;

// Tables (Parquet files).

/// What is decoded or copied before others that wait for the processor go first.
pub const COMPUTE_PIECE_BYTES: usize = 256 * KIB;
/// Raw record bytes of a row group, unless one record alone is longer.
pub const TABLE_ROW_GROUP_BYTES_MAX: usize = 8 * MIB;
/// Rows of a row group.
pub const TABLE_ROW_GROUP_ROWS_MAX: usize = 1_048_576;
/// Raw record bytes that are gathered before they are encoded, unless one record alone is longer.
pub const TABLE_CHUNK_BYTES_MAX: usize = MIB;
/// The longest footer of a table that is read.
pub const TABLE_FOOTER_BYTES_MAX: usize = 32 * MIB;
/// What is read of a table's end when the length of its footer is not known.
pub const TABLE_FOOTER_BYTES_GUESSED: usize = 64 * KIB;
/// Bytes of runs that become one table, unless one run alone is longer.
pub const TABLE_BYTES_TARGET: usize = 512 * MIB;
/// A table that is shorter is merged with others.
pub const SMALL_TABLE_BYTES: usize = 128 * MIB;
/// Columns that a topic may ask for out of its values.
pub const TABLE_VALUE_COLUMNS_MAX: usize = 64;

// Compaction.

/// So many bytes of runs are worth a table.
pub const MERGE_BYTES_MIN: usize = 64 * MIB;
/// So few bytes of runs wait for more, for a while.
pub const MERGE_IDLE_BYTES_MIN: usize = 64 * KIB;
/// Bytes that are read of runs with one request.
pub const MERGE_READ_BYTES: usize = 8 * MIB;
/// Reads that are under way, or wait to be merged, of one job.
pub const MERGE_READS_AHEAD_MAX: usize = 4;
/// Records that become one table with a bloom filter of its keys, unless one run alone has more: until the table ends, up to three
/// bytes of the filter are held for each.
pub const FILTERED_TABLE_RECORDS_MAX: u64 = 8 * 1024 * 1024;
/// Memory for the keys of a compaction by key.
pub const KEY_MEMORY_BYTES_MAX: usize = 128 * MIB;
/// Garbage that is deleted at the same time.
pub const DELETES_IN_FLIGHT_MAX: usize = 8;
/// Garbage that one entry forgets.
pub const FORGOTTEN_PER_ENTRY_MAX: usize = 1_000;
/// Garbage stays for so long.
pub const GARBAGE_GRACE_MS_MIN: u64 = 3_600_000;
/// An entry never names a table whose upload began longer ago than this.
pub const TABLE_AGE_MS_MAX: u64 = 6 * 3_600_000;

// What clients can create.

/// Topics of a cluster.
pub const TOPICS_MAX: usize = 10_000;
/// Partitions of one topic.
pub const PARTITIONS_PER_TOPIC_MAX: usize = 10_000;
/// Partitions of a cluster.
pub const PARTITIONS_MAX: usize = 100_000;
/// The longest name of a topic, as Kafka's.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;
/// Settings that may be set on one topic.
pub const TOPIC_CONFIGS_MAX: usize = 64;
/// The longest value of a topic setting.
pub const TOPIC_CONFIG_VALUE_BYTES_MAX: usize = 4 * KIB;

// Groups.

/// Consumer groups of a cluster.
pub const GROUPS_MAX: usize = 50_000;
/// Members of one group.
pub const GROUP_MEMBERS_MAX: usize = 1_000;
/// The longest id of a group, of a member or of a client.
pub const GROUP_ID_BYTES_MAX: usize = 1_024;
/// Subscription and assignment bytes of one member.
pub const GROUP_MEMBER_METADATA_BYTES_MAX: usize = MIB;
/// The longest text that may be committed beside an offset, as Kafka's `offset.metadata.max.bytes`.
pub const OFFSET_METADATA_BYTES_MAX: usize = 4_096;
/// Offsets in one commit request.
pub const OFFSETS_PER_COMMIT_MAX: usize = 10_000;
/// The shortest session timeout of a member, as Kafka's `group.min.session.timeout.ms`.
pub const GROUP_SESSION_TIMEOUT_MS_MIN: i32 = 6_000;
/// The longest session timeout of a member, as Kafka's `group.max.session.timeout.ms`.
pub const GROUP_SESSION_TIMEOUT_MS_MAX: i32 = 1_800_000;
/// How long a new group waits for more members, as Kafka's `group.initial.rebalance.delay.ms`.
pub const GROUP_INITIAL_REBALANCE_DELAY_MS: u64 = 3_000;
/// Offsets of an empty group are kept this long, as Kafka's `offsets.retention.minutes`.
pub const OFFSETS_RETENTION_MS: i64 = 7 * 86_400_000;

// Transactions.

/// The longest transaction timeout that a producer may ask for, as Kafka's `transaction.max.timeout.ms`.
pub const TRANSACTION_TIMEOUT_MS_MAX: u64 = 15 * 60 * 1000;
/// Transactional ids that are silent for so long are forgotten, as Kafka's `transactional.id.expiration.ms`.
pub const TRANSACTIONAL_ID_EXPIRATION_MS: u64 = 7 * 86_400_000;

// Caches.

/// What was just committed, ready to be served from memory.
pub const TAIL_CACHE_BYTES_MAX: usize = 64 * MIB;
/// Blocks of objects, by (object, block).
pub const BLOCK_CACHE_BYTES_MAX: usize = 128 * MIB;
/// What consumers that are far behind read, apart from the blocks so that a replay does not evict them: row groups of 20 partitions that are
/// read at the same time, or else each is decoded again for each megabyte that is fetched of it.
pub const REPLAY_CACHE_BYTES_MAX: usize = 256 * MIB;
/// The length of a block of the cache, and so of most ranged reads.
pub const BLOCK_BYTES: usize = 512 * KIB;
/// Reads from the store that are under way at the same time.
pub const READS_IN_FLIGHT_MAX: usize = 64;

// Life and death.

/// A drain that takes longer than this is cut.
pub const DRAIN_MS_MAX: u64 = 30_000;
/// A head that was seen longer ago than this is looked at again before a commit.
pub const HEAD_AGE_MS_MAX: u64 = 10_000;
/// An entry never names a segment whose upload began longer ago than this.
pub const SEGMENT_AGE_MS_MAX: u64 = 3_600_000;
/// A segment that no entry names is deleted after this.
pub const ORPHAN_AGE_MS_MIN: u64 = 86_400_000;

const _: () = {
    assert!(INLINE_BYTES_MAX < ENTRY_BYTES_MAX, "an entry holds its inline data and its operations");
    assert!(INLINE_BYTES_MAX <= FLUSH_BYTES_MAX, "what rides inline is no larger than a flush");
    assert!(RUN_BYTES_MAX <= FLUSH_BYTES_MAX, "a flush holds whole runs");
    assert!(MESSAGE_BYTES_MAX <= MESSAGE_BYTES_MAX_HIGHEST, "the default is allowed");
    assert!(MESSAGE_BYTES_MAX_HIGHEST < FRAME_BYTES_MAX, "the largest batch fits into a frame");
    assert!(MESSAGE_BYTES_MAX_HIGHEST < BYTES_IN_FLIGHT_MAX, "the largest batch can be admitted");
    assert!(FRAME_BYTES_MAX <= BYTES_IN_FLIGHT_MAX, "the largest frame can be admitted");
    assert!(FLUSH_BYTES_MAX * SEGMENT_UPLOADS_MAX <= BYTES_IN_FLIGHT_MAX, "all uploads fit into what is in flight");
    assert!(MESSAGE_BYTES_MAX_HIGHEST <= DECOMPRESSED_BYTES_MAX, "an uncompressed batch can be looked at");
    assert!(MESSAGE_BYTES_MAX <= FETCH_BYTES_MAX, "a batch of the default size fits into a fetch");
    assert!(RUN_BYTES_MAX <= BLOCK_BYTES, "a usual run spans at most two blocks");
    assert!(BLOCK_BYTES * READS_IN_FLIGHT_MAX <= BLOCK_CACHE_BYTES_MAX, "blocks being read do not evict each other");
    assert!(TABLE_CHUNK_BYTES_MAX <= TABLE_ROW_GROUP_BYTES_MAX, "a row group is made of chunks");
    assert!(TABLE_FOOTER_BYTES_GUESSED <= TABLE_FOOTER_BYTES_MAX, "the first look is not too long");
    assert!(FLUSH_BYTES_MAX <= TAIL_CACHE_BYTES_MAX, "the tail holds the newest flush");
    assert!(ENTRY_BYTES_MAX < PEER_FRAME_BYTES_MAX, "an entry can be pushed");
    assert!(ENTRY_BYTES_MAX <= PEER_PUSH_QUEUE_BYTES_MAX, "the longest entry can wait to be pushed");
    assert!(PEER_PUSH_QUEUE_BYTES_MAX < PEER_QUEUE_BYTES_MAX, "pushes leave room for appends");
    assert!(INLINE_BYTES_MAX < PEER_BYTES_IN_FLIGHT_MAX, "an append that rides inline can be forwarded");
    assert!(OPERATIONS_PER_ENTRY_MAX <= OPERATIONS_WAITING_MAX, "a full entry can wait");
    assert!(OFFSETS_PER_COMMIT_MAX <= OPERATIONS_PER_ENTRY_MAX, "one commit fits into one entry");
    assert!(PARTITIONS_PER_TOPIC_MAX <= PARTITIONS_MAX, "the largest topic fits into the cluster");
    assert!(GROUP_SESSION_TIMEOUT_MS_MIN < GROUP_SESSION_TIMEOUT_MS_MAX, "there is a timeout between");
    assert!(SEGMENT_AGE_MS_MAX < ORPHAN_AGE_MS_MIN, "what may still be named is never collected");
    assert!(TABLE_AGE_MS_MAX < ORPHAN_AGE_MS_MIN, "a table that may still be named is never collected");
    assert!(HEAD_AGE_MS_MAX < GARBAGE_GRACE_MS_MIN, "readers look at the log long before garbage goes");
    assert!(SMALL_TABLE_BYTES * 4 <= TABLE_BYTES_TARGET, "four small tables fit into one, which is merged no more");
    assert!(MERGE_IDLE_BYTES_MIN <= MERGE_BYTES_MIN, "enough bytes are enough at any age");
    assert!(MERGE_BYTES_MIN <= TABLE_BYTES_TARGET, "what is due fits into a table");
    assert!(RUN_BYTES_MAX <= MERGE_READ_BYTES, "a usual run is read at once");
    assert!(HEAD_AGE_MS_MAX < SEGMENT_AGE_MS_MAX, "the head is looked at long before collection");
};
