//! What the Kafka door counts: requests and their latencies by API, bytes, connections.
//!
//! Invariants: counting never waits and never allocates; every request that was read ends in exactly one outcome.

use std::time::Duration;

use alluvium_infra::metrics::{Counter, Latencies, LatencySnapshot};
use alluvium_protocol::apis::{self, SERVED};
use alluvium_protocol::errors::ErrorCode;

use crate::answer_errors::AnswerErrors;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestOutcome {
    /// Its answer was handed to the connection.
    Answered,
    /// It only waited, and its client went away or the node drained.
    GivenUp,
    /// The connection was closed instead of an answer.
    Closed,
}

impl RequestOutcome {
    /// All, in the order of their ordinals.
    pub(crate) const ALL: [RequestOutcome; 3] =
        [RequestOutcome::Answered, RequestOutcome::GivenUp, RequestOutcome::Closed];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RequestOutcome::Answered => "answered",
            RequestOutcome::GivenUp => "given_up",
            RequestOutcome::Closed => "closed",
        }
    }
}

/// The counters of one API.
#[derive(Debug, Default)]
pub(crate) struct ApiCounters {
    outcomes: [Counter; RequestOutcome::ALL.len()],
    received_bytes: Counter,
    latencies: Latencies,
    errors: ErrorCounters,
}

/// One counter for each error code, in the order of [`ErrorCode::ALL`].
#[derive(Debug)]
struct ErrorCounters(Box<[Counter]>);

impl Default for ErrorCounters {
    fn default() -> ErrorCounters {
        ErrorCounters(ErrorCode::ALL.iter().map(|_| Counter::new()).collect())
    }
}

/// The place of an error code in [`ErrorCode::ALL`]: the codes have no gaps.
fn place(code: i16) -> usize {
    usize::try_from(code - ErrorCode::ALL[0].code()).unwrap_or(0)
}

impl ApiCounters {
    /// Counts a request when it ends.
    pub(crate) fn ended_after(&self, outcome: RequestOutcome, latency: Duration) {
        self.outcomes[outcome as usize].increment();
        if outcome == RequestOutcome::Answered {
            self.latencies.record(latency);
        }
    }

    /// Counts the errors in an answer.
    pub(crate) fn answered_with(&self, answer: &impl AnswerErrors) {
        answer.each_error(&mut |code| {
            if code != ErrorCode::None.code()
                && let Some(counter) = self.errors.0.get(place(code))
            {
                counter.increment();
            }
        });
    }

    /// The errors that were answered, and how often.
    pub(crate) fn errors(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        let counts = ErrorCode::ALL.iter().copied().zip(self.errors.0.iter().map(Counter::get));
        counts.filter(|(_, count)| *count > 0)
    }

    /// Requests that ended so.
    pub(crate) fn ended(&self, outcome: RequestOutcome) -> u64 {
        self.outcomes[outcome as usize].get()
    }

    /// Latencies of those that were answered.
    pub(crate) fn latencies(&self) -> LatencySnapshot {
        self.latencies.snapshot()
    }

    /// Bytes of requests.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes.get()
    }
}

/// The counters of a node's door.
#[derive(Debug)]
pub(crate) struct DoorCounters {
    apis: Vec<ApiCounters>,
    /// For what has a number that is not served.
    other: ApiCounters,
    pub(crate) sent_bytes: Counter,
    pub(crate) connections_accepted: Counter,
    pub(crate) connections_ended: Counter,
    pub(crate) connections_refused: Counter,
}

impl Default for DoorCounters {
    fn default() -> DoorCounters {
        DoorCounters {
            apis: SERVED.iter().map(|_| ApiCounters::default()).collect(),
            other: ApiCounters::default(),
            sent_bytes: Counter::new(),
            connections_accepted: Counter::new(),
            connections_ended: Counter::new(),
            connections_refused: Counter::new(),
        }
    }
}

impl DoorCounters {
    /// Counts the arrival of a frame whose header begins with `code`, and gives the counters for its end.
    pub(crate) fn arrived(&self, code: i16, bytes: usize) -> &ApiCounters {
        let api = self.api(code);
        api.received_bytes.add(bytes as u64);
        api
    }

    /// The counters of the API with this number.
    pub(crate) fn api(&self, code: i16) -> &ApiCounters {
        apis::served(code).map_or(&self.other, |api| &self.apis[api.key as usize])
    }

    /// The names of all served APIs, and `other` for the rest, with their counters.
    pub(crate) fn apis(&self) -> impl Iterator<Item = (&'static str, &ApiCounters)> {
        SERVED.iter().map(|api| api.name).zip(&self.apis).chain([("other", &self.other)])
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> u64 {
        let ended = self.connections_ended.get();
        self.connections_accepted.get().saturating_sub(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_its_place() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(place(code.code()), index, "{code}");
        }
    }

    #[test]
    fn every_api_has_counters_of_its_own() {
        let counters = DoorCounters::default();
        for api in SERVED {
            counters.arrived(api.code, 10).ended_after(RequestOutcome::Answered, Duration::from_millis(5));
        }
        counters.arrived(i16::MAX, 7).ended_after(RequestOutcome::Closed, Duration::ZERO);
        for (name, counted) in counters.apis().take(SERVED.len()) {
            assert_eq!((counted.ended(RequestOutcome::Answered), counted.received_bytes()), (1, 10), "{name}");
            assert_eq!((counted.ended(RequestOutcome::Closed), counted.latencies().count()), (0, 1), "{name}");
        }
        let (name, other) = counters.apis().last().unwrap();
        assert_eq!((name, other.ended(RequestOutcome::Closed), other.received_bytes()), ("other", 1, 7));
    }
}
