//! What the HTTP API counts: requests by route and class of status, and their latencies.
//!
//! Invariant: counting never waits and never allocates; a request is counted once, when its answer is ready.

use std::time::Duration;

use alluvium_infra::metrics::{Counter, Latencies, LatencySnapshot};
use axum::http::StatusCode;

use super::routes::ROUTES;

/// Classes of status, in the order of their counters.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

#[derive(Debug, Default)]
struct RouteCounters {
    classes: [Counter; CLASSES.len()],
    latencies: Latencies,
}

/// The counters of a process.
#[derive(Debug)]
pub(crate) struct RestCounters {
    /// In the order of the routes; then one for what is no route.
    routes: Vec<RouteCounters>,
}

impl Default for RestCounters {
    fn default() -> Self {
        Self { routes: (0..=ROUTES.len()).map(|_| RouteCounters::default()).collect() }
    }
}

impl RestCounters {
    /// Counts a request to this method of this path, as the router knows it.
    pub(super) fn answered(&self, method: &str, path: &str, status: StatusCode, latency: Duration) {
        let is_it = |route: &super::routes::Route| route.path == path && route.method.eq_ignore_ascii_case(method);
        let place = ROUTES.iter().position(is_it).unwrap_or(ROUTES.len());
        let counters = &self.routes[place];
        let class = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        counters.classes[class].increment();
        counters.latencies.record(latency);
    }

    /// Method, path, class and count of what was asked for.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, &'static str, u64)> {
        self.named().flat_map(|(method, path, counters)| {
            let counts = CLASSES.iter().zip(&counters.classes);
            counts.map(move |(class, counter)| (method, path, *class, counter.get())).filter(|(.., count)| *count > 0)
        })
    }

    /// Method, path and latencies of what was asked for.
    pub(crate) fn latencies(&self) -> impl Iterator<Item = (&'static str, &'static str, LatencySnapshot)> {
        let all = self.named().map(|(method, path, counters)| (method, path, counters.latencies.snapshot()));
        all.filter(|(.., latencies)| latencies.count() > 0)
    }

    fn named(&self) -> impl Iterator<Item = (&'static str, &'static str, &RouteCounters)> {
        let names = ROUTES.iter().map(|route| (route.method, route.path)).chain([("any", "none")]);
        names.zip(&self.routes).map(|((method, path), counters)| (method, path, counters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_route_and_class() {
        let counters = RestCounters::default();
        for status in [StatusCode::OK, StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
            counters.answered("GET", "/topics", status, Duration::from_millis(1));
        }
        counters.answered("PATCH", "/topics", StatusCode::METHOD_NOT_ALLOWED, Duration::ZERO);
        let counted: Vec<_> = counters.requests().collect();
        assert_eq!(counted, [("get", "/topics", "2xx", 2), ("get", "/topics", "4xx", 1), ("any", "none", "4xx", 1)]);
        assert_eq!(counters.latencies().map(|(.., latencies)| latencies.count()).collect::<Vec<_>>(), [3, 1]);
    }
}
