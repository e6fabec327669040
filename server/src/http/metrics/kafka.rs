//! Requests of Kafka clients, their connections and the memory they take.

use alluvium_infra::metrics::Exposition;

use super::definitions as metric;
use crate::context::Node;
use crate::door_counters::RequestOutcome;
use crate::fetch_memory::FETCH_MEMORY_BYTES_MAX;

pub(super) fn collect(exposition: &mut Exposition, node: &Node) {
    let counters = &node.counters;
    let mut requests = exposition.family(&metric::KAFKA_REQUESTS);
    for (api, counted) in counters.apis() {
        for outcome in RequestOutcome::ALL {
            requests.value(&[api, outcome.name()], counted.ended(outcome));
        }
    }
    let mut errors = exposition.family(&metric::KAFKA_ERRORS);
    for (api, counted) in counters.apis() {
        for (error, count) in counted.errors() {
            errors.value(&[api, error.name()], count);
        }
    }
    let mut durations = exposition.family(&metric::KAFKA_DURATION);
    for (api, counted) in counters.apis() {
        let latencies = counted.latencies();
        // A histogram has many series: those of an API that nobody uses are left out.
        if latencies.count() > 0 {
            durations.latencies(&[api], &latencies);
        }
    }
    let mut received = exposition.family(&metric::KAFKA_RECEIVED);
    for (api, counted) in counters.apis() {
        received.value(&[api], counted.received_bytes());
    }
    exposition.value(&metric::KAFKA_SENT, counters.sent_bytes.get());
    exposition.value(&metric::KAFKA_CONNECTIONS, counters.connections());
    exposition.value(&metric::KAFKA_CONNECTIONS_MAX, node.settings.connections_max);
    exposition.value(&metric::KAFKA_ACCEPTED, counters.connections_accepted.get());
    exposition.value(&metric::KAFKA_REFUSED, counters.connections_refused.get());
    let (available, most) = (node.ingest.bytes_available(), node.ingest.bytes_in_flight_max());
    exposition.value(&metric::PRODUCE_IN_FLIGHT, most.saturating_sub(available));
    exposition.value(&metric::PRODUCE_IN_FLIGHT_MAX, most);
    exposition.value(&metric::FETCH_IN_FLIGHT, node.fetch_memory.in_use());
    exposition.value(&metric::FETCH_IN_FLIGHT_MAX, FETCH_MEMORY_BYTES_MAX);
    exposition.value(&metric::FETCH_SESSIONS, node.fetch_sessions.count());
}
