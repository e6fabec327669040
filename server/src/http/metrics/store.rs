//! Requests to the object store and what they cost.

use alluvium_infra::metrics::Exposition;
use alluvium_infra::store::{StoreOperation, StoreOutcome};

use super::definitions as metric;
use crate::http::ObservedParts;

pub(super) fn collect(exposition: &mut Exposition, parts: &ObservedParts) {
    let snapshot = parts.store.snapshot();
    let mut requests = exposition.family(&metric::STORE_REQUESTS);
    for operation in StoreOperation::ALL {
        for outcome in StoreOutcome::ALL {
            requests.value(&[operation.name(), outcome.name()], snapshot.of(operation).ended(outcome));
        }
    }
    let mut durations = exposition.family(&metric::STORE_DURATION);
    for operation in StoreOperation::ALL {
        durations.latencies(&[operation.name()], &snapshot.of(operation).latencies);
    }
    let mut bytes = exposition.family(&metric::STORE_BYTES);
    for operation in StoreOperation::ALL {
        bytes.value(&[operation.name()], snapshot.of(operation).bytes);
    }
    let mut cost = exposition.family(&metric::STORE_COST);
    for operation in StoreOperation::ALL {
        let requests = snapshot.of(operation).requests as f64;
        cost.value(&[operation.name()], requests * parts.prices.of(operation));
    }
    if let Some(ago) = parts.store.answered_ago() {
        exposition.value(&metric::STORE_ANSWER_AGE, ago.as_secs_f64());
    }
}
