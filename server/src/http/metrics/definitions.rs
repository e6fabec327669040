//! Every metric of a node: the one table.

use alluvium_infra::metrics::{Metric, MetricKind};

macro_rules! metrics {
    ($($title:literal: { $($constant:ident = $kind:ident $name:literal [$($label:literal),*] $meaning:literal;)+ })+) => {
        $($(pub(crate) static $constant: Metric =
            Metric { name: $name, kind: MetricKind::$kind, labels: &[$($label),*], meaning: $meaning };)+)+

        /// All metrics, by section of the reference page.
        pub static SECTIONS: &[(&str, &[&Metric])] = &[$(($title, &[$(&$constant),+])),+];
    };
}

metrics! {
    "The process": {
        NODE_INFO = Gauge "alluvium_node_info" ["version", "node_id", "zone", "cluster_id"] "Always 1; its labels say which node this is. Absent until the node serves.";
        NODE_READY = Gauge "alluvium_node_serving" [] "1 from the moment the node serves until it drains, else 0.";
        ESSENTIAL_TASKS = Gauge "alluvium_essential_tasks" ["task"] "Running tasks that the node cannot live without.";
        ESSENTIAL_FAILED = Gauge "alluvium_essential_task_failed" [] "1 when an essential task has panicked: the node is about to end.";
        PROCESS_CPU = Counter "process_cpu_seconds_total" [] "Processor time of all threads, user and system.";
        PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "Memory that is resident.";
        PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [] "Address space.";
        PROCESS_THREADS = Gauge "process_threads" [] "Threads.";
        PROCESS_FDS = Gauge "process_open_fds" [] "File descriptors in use.";
        PROCESS_FDS_MAX = Gauge "process_max_fds" [] "File descriptors that may be in use.";
        PROCESS_START = Gauge "process_start_time_seconds" [] "When the node started, seconds since 1970.";
    }
    "The object store": {
        STORE_REQUESTS = Counter "alluvium_store_requests_total" ["operation", "outcome"] "Requests to the store. `absent` and `lost` are answers like any other: there was no such object, or somebody had written it before.";
        STORE_DURATION = Histogram "alluvium_store_request_duration_seconds" ["operation"] "How long requests to the store took, retries inside included.";
        STORE_BYTES = Counter "alluvium_store_bytes_total" ["operation"] "Bytes of objects that were sent or received.";
        STORE_COST = Counter "alluvium_store_cost_dollars_total" ["operation"] "Estimated cost of the requests at `store_prices`, whatever store it is.";
        STORE_ANSWER_AGE = Gauge "alluvium_store_answer_age_seconds" [] "How long ago the store last served a request. Absent before the first.";
    }
    "The Kafka door": {
        KAFKA_REQUESTS = Counter "alluvium_kafka_requests_total" ["api", "outcome"] "Requests of clients: `answered`, `given_up` (its client went away, or the node drained while it waited) or `closed` (answered by closing the connection).";
        KAFKA_ERRORS = Counter "alluvium_kafka_errors_total" ["api", "error"] "Error codes in answers, one for each partition, topic or group that has one. A series begins with the first error.";
        KAFKA_DURATION = Histogram "alluvium_kafka_request_duration_seconds" ["api"] "From the arrival of a request's last byte until its answer was ready. Fetch, JoinGroup and SyncGroup wait as long as the client asks.";
        KAFKA_RECEIVED = Counter "alluvium_kafka_received_bytes_total" ["api"] "Bytes of requests.";
        KAFKA_SENT = Counter "alluvium_kafka_sent_bytes_total" [] "Bytes of answers that were written.";
        KAFKA_CONNECTIONS = Gauge "alluvium_kafka_connections" [] "Open connections.";
        KAFKA_CONNECTIONS_MAX = Gauge "alluvium_kafka_connections_max" [] "Connections that may be open (`connections`).";
        KAFKA_ACCEPTED = Counter "alluvium_kafka_connections_accepted_total" [] "Connections that were accepted.";
        KAFKA_REFUSED = Counter "alluvium_kafka_connections_refused_total" [] "Connections that were closed because too many were open.";
        PRODUCE_IN_FLIGHT = Gauge "alluvium_produce_in_flight_bytes" [] "Bytes of Produce requests in memory.";
        PRODUCE_IN_FLIGHT_MAX = Gauge "alluvium_produce_in_flight_max_bytes" [] "Bytes of Produce requests that may be in memory (`bytes_in_flight`).";
        FETCH_IN_FLIGHT = Gauge "alluvium_fetch_in_flight_bytes" [] "Bytes of Fetch answers in memory.";
        FETCH_IN_FLIGHT_MAX = Gauge "alluvium_fetch_in_flight_max_bytes" [] "Bytes of Fetch answers in memory above which fetches become small.";
        FETCH_SESSIONS = Gauge "alluvium_fetch_sessions" [] "Fetch sessions that are kept.";
    }
    "The HTTP API": {
        REST_REQUESTS = Counter "alluvium_rest_requests_total" ["method", "route", "status"] "Requests by route and class of status (`2xx`, `4xx`, `5xx`); `none` is what is no route. A series begins with the first request.";
        REST_DURATION = Histogram "alluvium_rest_request_duration_seconds" ["method", "route"] "From the arrival of a request's head until its answer began. Reads wait as long as the client asks.";
    }
    "The write path": {
        PRODUCE_BATCHES = Counter "alluvium_produce_batches_total" ["outcome"] "Batches of clients by what became of them: `appended`, `duplicate`, `rejected` (a rule), `failed` (not written, try again) or `unknown`.";
        PRODUCE_RECORDS = Counter "alluvium_produce_records_total" [] "Records that became durable through this node.";
        PRODUCE_RECORD_BYTES = Counter "alluvium_produce_record_bytes_total" [] "Bytes of the batches that became durable through this node.";
        FLUSHES = Counter "alluvium_flushes_total" ["kind"] "Flushes: `inline` ones ride in their entry, for a `segment` an object is written before.";
        FLUSH_BYTES = Counter "alluvium_flush_bytes_total" ["kind"] "Bytes of flushes.";
        FLUSH_DURATION = Histogram "alluvium_flush_duration_seconds" [] "From the moment when a flush left the buffer until its batches were answered.";
        COMMIT_DURATION = Histogram "alluvium_commit_duration_seconds" [] "From the write of a log slot until it was known who holds it, over all shards.";
        ENTRIES_APPLIED = Counter "alluvium_shard_entries_applied_total" ["shard", "source"] "Log entries that were applied: `own`, `pushed` by the node that wrote them, or `read` from the store.";
        SLOTS_LOST = Counter "alluvium_shard_slots_lost_total" ["shard"] "Log slots that another node had taken when this one wrote.";
        FORWARDS = Counter "alluvium_forwards_total" ["outcome"] "Appends that were sent to the node that leads their shard: `answered`, `failed`, `not_sent`, `committed_here` (no answer came) or `unknown` (no answer came, and nobody knows).";
    }
    "The log": {
        SHARD_ENTRY = Gauge "alluvium_shard_entry_number" ["shard"] "The newest log entry that this node has applied. The difference to the largest of all nodes is its lag.";
        SHARD_LOOK_AGE = Gauge "alluvium_shard_look_age_seconds" ["shard"] "How long ago this node saw the end of the shard's log in the store.";
        SHARD_LOOKS = Counter "alluvium_shard_looks_total" ["shard"] "Times the shard's log was read to its end.";
        TOPICS = Gauge "alluvium_topics" [] "Topics of the cluster.";
        PARTITIONS = Gauge "alluvium_partitions" [] "Partitions of the cluster.";
        TOPIC_RECORDS = Counter "alluvium_topic_records_total" ["topic"] "Records ever written to a topic, through whichever node: the sum of its high watermarks. For the first topics by name, up to `metrics_topics`.";
        TOPIC_PARTITIONS = Gauge "alluvium_topic_partitions" ["topic"] "Partitions of a topic, for the same topics.";
        TOPIC_OMITTED = Gauge "alluvium_topic_series_omitted" [] "Topics without series of their own, because there are more than `metrics_topics`.";
    }
    "The cluster": {
        MEMBERS = Gauge "alluvium_cluster_members" [] "Nodes that are up as this node sees it, itself included.";
        LINKS = Gauge "alluvium_cluster_links" [] "Other nodes that this one has a link to.";
        MEMBER_LINKED = Gauge "alluvium_cluster_member_linked" ["node", "zone"] "1 for each other node that is up and that this one has a link to, 0 without a link.";
        SHARD_LEADS = Gauge "alluvium_shard_leads" ["shard"] "1 when this node is the one advised for the shard, as it sees the cluster.";
        LINKS_OPENED = Counter "alluvium_cluster_links_opened_total" [] "Links that were opened.";
        HEARTBEATS = Counter "alluvium_cluster_heartbeats_total" ["outcome"] "Heartbeats that were `written` to the store, and that `failed`.";
        PUSHES = Counter "alluvium_cluster_pushes_total" ["outcome"] "Log entries `sent` to other nodes, `dropped` because too much waited, and `received`.";
        APPENDS_TAKEN = Counter "alluvium_cluster_appends_taken_total" ["outcome"] "Appends of other nodes that were `served`, and that were `refused`: malformed, too many, or for a shard that is not open.";
    }
    "The read path": {
        CACHE_REQUESTS = Counter "alluvium_cache_requests_total" ["cache", "outcome"] "Lookups by cache, `hit` or `miss`: runs in the `tail` of newest records, blocks in the `live` and the `replay` cache.";
        CACHE_BYTES = Gauge "alluvium_cache_bytes" ["cache"] "Bytes that are cached.";
        READ_BYTES = Counter "alluvium_read_bytes_total" [] "Bytes of records that fetches were given.";
        FETCH_WAITS = Counter "alluvium_fetch_waits_total" [] "Fetches that found too little and began to wait.";
        FETCH_WAKEUPS = Counter "alluvium_fetch_wakeups_total" [] "Times a waiting fetch was woken because one of its partitions had changed.";
    }
    "Compaction": {
        COMPACTION_JOBS = Counter "alluvium_compaction_jobs_total" ["outcome"] "Jobs of this node's compactor: `done`, `lost` (their runs were changed meanwhile) or `failed`.";
        COMPACTION_DAMAGED = Counter "alluvium_compaction_damaged_total" [] "Jobs that failed because something in the store is damaged or missing. Look at the log: nothing is repaired by itself.";
        COMPACTION_UNREADABLE = Counter "alluvium_compaction_unreadable_total" [] "Runs that stay as they came because a producer packed a batch wrongly. They are served and not merged, and keys behind them are not compacted.";
        COMPACTION_READ_BYTES = Counter "alluvium_compaction_read_bytes_total" [] "Bytes of runs that were read to be merged or compacted by key, as often as they were read.";
        COMPACTION_WRITTEN_BYTES = Counter "alluvium_compaction_written_bytes_total" [] "Bytes of Parquet files that were written.";
        COMPACTION_RECORDS = Counter "alluvium_compaction_records_total" ["what"] "Records that files were `written` with, and those that were `removed`: aborted, deleted, or compacted by key.";
        RETENTIONS = Counter "alluvium_retentions_total" [] "Times that retention moved the start of a partition.";
        GARBAGE_OBJECTS = Gauge "alluvium_garbage_objects" ["shard"] "Objects that nobody refers to and that are not deleted yet.";
        GARBAGE_DELETES = Counter "alluvium_garbage_deletes_total" ["outcome"] "Objects that garbage collection `deleted`, or could not (`failed`) and tries again.";
        CLOCK_DOUBTS = Counter "alluvium_compaction_clock_doubts_total" [] "Times that the store's clock was not believed, so that nothing was deleted.";
    }
    "Consumer groups": {
        GROUPS = Gauge "alluvium_groups" ["protocol"] "Groups of the cluster: `classic`, `consumer` (KIP-848), or `none` for those that have offsets and no members.";
        GROUP_MEMBERS = Gauge "alluvium_group_members" ["protocol"] "Members of all groups, as the log knows them.";
        COORDINATED = Gauge "alluvium_coordinator_groups" ["type", "state"] "Groups that this node coordinates, by Kafka's names of their type and state.";
        COORDINATOR_EPOCH = Gauge "alluvium_coordinator_epoch" ["shard"] "The epoch under which this node coordinates the groups of a shard. Absent where it does not.";
        TAKE_OVERS = Counter "alluvium_coordinator_take_overs_total" ["shard"] "Take-overs of a shard's groups that this node has begun.";
        GROUP_LAG = Gauge "alluvium_group_lag_records" ["group", "topic", "partition"] "Records behind the offset that a group committed. The same on each node; for the first groups by name, up to `metrics_group_series`.";
        GROUP_OMITTED = Gauge "alluvium_group_series_omitted" [] "Series of group lag that were left out, because there are more than `metrics_group_series`.";
    }
    "Transactions": {
        TRANSACTIONAL_IDS = Gauge "alluvium_transactional_ids" ["state"] "Transactional ids of the cluster by Kafka's names of their state.";
        TRANSACTION_OPEN_MAX = Gauge "alluvium_transaction_open_seconds_max" [] "How long the oldest open transaction has been open, 0 when there is none. It ends at its timeout at the latest.";
        PARTITIONS_HELD = Gauge "alluvium_partitions_with_open_transaction" [] "Partitions in which an open transaction holds readers of committed records back.";
    }
}

/// All metrics.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    SECTIONS.iter().flat_map(|(_, metrics)| metrics.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_follow_the_conventions_of_prometheus() {
        let mut names = BTreeSet::new();
        for metric in all() {
            let name = metric.name;
            assert!(names.insert(name), "{name} is defined twice");
            assert!(name.starts_with("alluvium_") || name.starts_with("process_"), "{name}");
            assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == MetricKind::Counter, "{name}");
            assert!(metric.kind != MetricKind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(metric.meaning.ends_with('.') && !metric.meaning.contains(['\n', '|']), "{name}");
        }
    }
}
