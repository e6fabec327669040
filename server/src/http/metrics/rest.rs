//! Requests to the HTTP API.

use alluvium_infra::metrics::Exposition;

use super::definitions as metric;
use crate::context::Node;

pub(super) fn collect(exposition: &mut Exposition, node: &Node) {
    let mut requests = exposition.family(&metric::REST_REQUESTS);
    for (method, path, class, count) in node.rest_counters.requests() {
        requests.value(&[method, path, class], count);
    }
    let mut durations = exposition.family(&metric::REST_DURATION);
    for (method, path, latencies) in node.rest_counters.latencies() {
        durations.latencies(&[method, path], &latencies);
    }
}
