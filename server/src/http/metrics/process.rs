//! The process and the phase of the node.

use alluvium_infra::metrics::{Exposition, Metric, Number};
use alluvium_infra::process::ProcessUsage;

use super::definitions as metric;
use crate::http::Observed;

pub(super) fn collect(exposition: &mut Exposition, observed: &Observed) {
    let parts = observed.parts();
    if let Some(node) = observed.node() {
        let (id, zone) = (node.settings.node_id.to_string(), node.settings.zone.as_deref().unwrap_or_default());
        let labels = [parts.version, &id, zone, node.log.cluster_id()];
        exposition.family(&metric::NODE_INFO).value(&labels, 1_u64);
    }
    exposition.value(&metric::NODE_READY, observed.node().is_some() && !observed.is_draining());
    let mut tasks = exposition.family(&metric::ESSENTIAL_TASKS);
    for (name, count) in parts.runtime.essential_running() {
        tasks.value(&[name], count);
    }
    exposition.value(&metric::ESSENTIAL_FAILED, parts.runtime.essential_failure().is_some());
    let usage = ProcessUsage::read();
    let mut known = |metric: &'static Metric, value: Option<Number>| {
        if let Some(value) = value {
            exposition.family(metric).value(&[], value);
        }
    };
    known(&metric::PROCESS_CPU, usage.cpu_seconds.map(Number::Real));
    known(&metric::PROCESS_RESIDENT, usage.resident_bytes.map(Number::Whole));
    known(&metric::PROCESS_VIRTUAL, usage.virtual_bytes.map(Number::Whole));
    known(&metric::PROCESS_THREADS, usage.threads.map(Number::Whole));
    known(&metric::PROCESS_FDS, usage.open_files.map(Number::Whole));
    known(&metric::PROCESS_FDS_MAX, usage.open_files_max.map(Number::Whole));
    known(&metric::PROCESS_START, Some(Number::Real(observed.started_ms() as f64 / 1_000.0)));
}
