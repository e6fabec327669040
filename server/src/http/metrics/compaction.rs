//! What the compactor of this node does, and what waits to be deleted.

use alluvium_compactor::CompactorCounters;
use alluvium_infra::metrics::Exposition;
use alluvium_log::View;

use super::definitions as metric;

pub(super) fn collect(exposition: &mut Exposition, counters: &CompactorCounters, view: &View) {
    let mut jobs = exposition.family(&metric::COMPACTION_JOBS);
    jobs.value(&["done"], counters.jobs_done.get());
    jobs.value(&["lost"], counters.jobs_lost.get());
    jobs.value(&["failed"], counters.jobs_failed.get());
    exposition.value(&metric::COMPACTION_UNREADABLE, counters.runs_unreadable.get());
    exposition.value(&metric::COMPACTION_DAMAGED, counters.jobs_damaged.get());
    exposition.value(&metric::COMPACTION_READ_BYTES, counters.read_bytes.get());
    exposition.value(&metric::COMPACTION_WRITTEN_BYTES, counters.written_bytes.get());
    let mut records = exposition.family(&metric::COMPACTION_RECORDS);
    records.value(&["written"], counters.records_written.get());
    records.value(&["removed"], counters.records_removed.get());
    exposition.value(&metric::RETENTIONS, counters.retentions.get());
    let mut garbage = exposition.family(&metric::GARBAGE_OBJECTS);
    for state in view.states() {
        garbage.value(&[&state.shard().to_string()], state.garbage().count());
    }
    let mut deletes = exposition.family(&metric::GARBAGE_DELETES);
    deletes.value(&["deleted"], counters.objects_deleted.get());
    deletes.value(&["failed"], counters.deletes_failed.get());
    exposition.value(&metric::CLOCK_DOUBTS, counters.clock_doubts.get());
}
