//! The one table of what Alluvium serves: ApiVersions advertises it, the server dispatches by it, the reference page is made of it.
//!
//! Invariants, each a unit test:
//! 1. Rows are sorted by code, without duplicates.
//! 2. `advertised_min <= version_min <= version_max`; the codec decodes and encodes every version of `version_min..=version_max`.
//! 3. No row goes above the newest version that Kafka 4.2 has as stable.
//! 4. A version in `advertised_min..version_min` is advertised but answered with UNSUPPORTED_VERSION. Produce alone has such:
//!    old librdkafka and kcat take "Produce v0 to v2 advertised" as the sign for message format v2 and compression (KAFKA-18659).

/// One API that the server answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ServedApi {
    /// Which API.
    pub key: ApiName,
    /// Its number on the wire.
    pub code: i16,
    /// Kafka's name for it.
    pub name: &'static str,
    /// Oldest version that ApiVersions shows.
    pub advertised_min: i16,
    /// Oldest version that is served.
    pub version_min: i16,
    /// Newest version that is shown and served.
    pub version_max: i16,
    /// First version in the flexible encoding (compact lengths, tagged fields), `i16::MAX` when there is none.
    pub flexible_min: i16,
}

impl ServedApi {
    /// Whether a request of this version is decoded and answered in full.
    pub const fn serves(&self, version: i16) -> bool {
        self.version_min <= version && version <= self.version_max
    }

    /// Whether ApiVersions shows this version.
    pub const fn advertises(&self, version: i16) -> bool {
        self.advertised_min <= version && version <= self.version_max
    }

    /// Whether this version uses the flexible encoding.
    pub const fn is_flexible(&self, version: i16) -> bool {
        version >= self.flexible_min
    }
}

macro_rules! served {
    ($($name:ident = $code:literal, $descriptor:ident, versions $min:literal ..= $max:literal $(, advertised from $advertised:literal)?;)*) => {
        /// The served APIs by name, for an exhaustive dispatch.
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub enum ApiName {
            $(#[doc = concat!(stringify!($name), ", code ", stringify!($code), ".")] $name,)*
        }

        /// Everything that is served, sorted by code.
        pub const SERVED: &[ServedApi] = &[$(ServedApi {
            key: ApiName::$name,
            code: $code,
            name: stringify!($name),
            advertised_min: first_of(&[$($advertised,)? $min]),
            version_min: $min,
            version_max: $max,
            flexible_min: flexible_min(&kafka_wire::$descriptor),
        }),*];
    };
}

const fn first_of(candidates: &[i16]) -> i16 {
    candidates[0]
}

const fn flexible_min(descriptor: &kafka_wire::ApiDescriptor) -> i16 {
    match descriptor.flexible_versions {
        Some(range) => range.min().value(),
        None => i16::MAX,
    }
}

served! {
    Produce = 0, PRODUCE_API_DESCRIPTOR, versions 3 ..= 13, advertised from 0;
    Fetch = 1, FETCH_API_DESCRIPTOR, versions 4 ..= 18;
    ListOffsets = 2, LIST_OFFSETS_API_DESCRIPTOR, versions 1 ..= 11;
    Metadata = 3, METADATA_API_DESCRIPTOR, versions 0 ..= 13;
    OffsetCommit = 8, OFFSET_COMMIT_API_DESCRIPTOR, versions 2 ..= 10;
    OffsetFetch = 9, OFFSET_FETCH_API_DESCRIPTOR, versions 1 ..= 10;
    FindCoordinator = 10, FIND_COORDINATOR_API_DESCRIPTOR, versions 0 ..= 6;
    JoinGroup = 11, JOIN_GROUP_API_DESCRIPTOR, versions 0 ..= 9;
    Heartbeat = 12, HEARTBEAT_API_DESCRIPTOR, versions 0 ..= 4;
    LeaveGroup = 13, LEAVE_GROUP_API_DESCRIPTOR, versions 0 ..= 5;
    SyncGroup = 14, SYNC_GROUP_API_DESCRIPTOR, versions 0 ..= 5;
    DescribeGroups = 15, DESCRIBE_GROUPS_API_DESCRIPTOR, versions 0 ..= 6;
    ListGroups = 16, LIST_GROUPS_API_DESCRIPTOR, versions 0 ..= 5;
    ApiVersions = 18, API_VERSIONS_API_DESCRIPTOR, versions 0 ..= 4;
    CreateTopics = 19, CREATE_TOPICS_API_DESCRIPTOR, versions 2 ..= 7;
    DeleteTopics = 20, DELETE_TOPICS_API_DESCRIPTOR, versions 1 ..= 6;
    DeleteRecords = 21, DELETE_RECORDS_API_DESCRIPTOR, versions 0 ..= 2;
    InitProducerId = 22, INIT_PRODUCER_ID_API_DESCRIPTOR, versions 0 ..= 5;
    OffsetForLeaderEpoch = 23, OFFSET_FOR_LEADER_EPOCH_API_DESCRIPTOR, versions 2 ..= 4;
    AddPartitionsToTxn = 24, ADD_PARTITIONS_TO_TXN_API_DESCRIPTOR, versions 0 ..= 5;
    AddOffsetsToTxn = 25, ADD_OFFSETS_TO_TXN_API_DESCRIPTOR, versions 0 ..= 4;
    EndTxn = 26, END_TXN_API_DESCRIPTOR, versions 0 ..= 5;
    WriteTxnMarkers = 27, WRITE_TXN_MARKERS_API_DESCRIPTOR, versions 1 ..= 2;
    TxnOffsetCommit = 28, TXN_OFFSET_COMMIT_API_DESCRIPTOR, versions 0 ..= 5;
    DescribeConfigs = 32, DESCRIBE_CONFIGS_API_DESCRIPTOR, versions 1 ..= 4;
    AlterConfigs = 33, ALTER_CONFIGS_API_DESCRIPTOR, versions 0 ..= 2;
    DescribeLogDirs = 35, DESCRIBE_LOG_DIRS_API_DESCRIPTOR, versions 1 ..= 4;
    CreatePartitions = 37, CREATE_PARTITIONS_API_DESCRIPTOR, versions 0 ..= 3;
    DeleteGroups = 42, DELETE_GROUPS_API_DESCRIPTOR, versions 0 ..= 2;
    ElectLeaders = 43, ELECT_LEADERS_API_DESCRIPTOR, versions 0 ..= 2;
    IncrementalAlterConfigs = 44, INCREMENTAL_ALTER_CONFIGS_API_DESCRIPTOR, versions 0 ..= 1;
    AlterPartitionReassignments = 45, ALTER_PARTITION_REASSIGNMENTS_API_DESCRIPTOR, versions 0 ..= 1;
    ListPartitionReassignments = 46, LIST_PARTITION_REASSIGNMENTS_API_DESCRIPTOR, versions 0 ..= 0;
    OffsetDelete = 47, OFFSET_DELETE_API_DESCRIPTOR, versions 0 ..= 0;
    DescribeQuorum = 55, DESCRIBE_QUORUM_API_DESCRIPTOR, versions 0 ..= 2;
    DescribeCluster = 60, DESCRIBE_CLUSTER_API_DESCRIPTOR, versions 0 ..= 2;
    DescribeProducers = 61, DESCRIBE_PRODUCERS_API_DESCRIPTOR, versions 0 ..= 0;
    DescribeTransactions = 65, DESCRIBE_TRANSACTIONS_API_DESCRIPTOR, versions 0 ..= 0;
    ListTransactions = 66, LIST_TRANSACTIONS_API_DESCRIPTOR, versions 0 ..= 2;
    ConsumerGroupHeartbeat = 68, CONSUMER_GROUP_HEARTBEAT_API_DESCRIPTOR, versions 0 ..= 1;
    ConsumerGroupDescribe = 69, CONSUMER_GROUP_DESCRIBE_API_DESCRIPTOR, versions 0 ..= 1;
    ListConfigResources = 74, LIST_CONFIG_RESOURCES_API_DESCRIPTOR, versions 0 ..= 1;
    DescribeTopicPartitions = 75, DESCRIBE_TOPIC_PARTITIONS_API_DESCRIPTOR, versions 0 ..= 0;
}

impl ApiName {
    /// The row of the table.
    pub fn served(self) -> &'static ServedApi {
        &SERVED[self as usize]
    }

    /// The API's number on the wire.
    pub fn code(self) -> i16 {
        self.served().code
    }

    /// Kafka's name for the API.
    pub fn name(self) -> &'static str {
        self.served().name
    }
}

impl std::fmt::Display for ApiName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Looks an API up by its number; `None` when it is not served.
pub fn served(code: i16) -> Option<&'static ServedApi> {
    SERVED.binary_search_by_key(&code, |row| row.code).ok().map(|index| &SERVED[index])
}

/// Kafka's name for any API number, served or not, for logs and error messages.
pub fn name_of(code: i16) -> Option<&'static str> {
    kafka_wire::API_DESCRIPTORS
        .iter()
        .find(|descriptor| descriptor.api_key.value() == code)
        .and_then(|descriptor| descriptor.request.name.strip_suffix("Request"))
}

#[cfg(test)]
mod tests;
