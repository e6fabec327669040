//! The clock of the groups: the wall clock at the start plus monotonic time, so that it never jumps.

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;

/// Milliseconds since 1970 that only go forward.
#[derive(Clone, Debug)]
pub(super) struct GroupClock {
    runtime: Runtime,
    started: Instant,
    started_ms: i64,
}

impl GroupClock {
    pub(super) fn new(runtime: Runtime) -> GroupClock {
        GroupClock { started: runtime.monotonic(), started_ms: runtime.now_ms(), runtime }
    }

    pub(super) fn now_ms(&self) -> i64 {
        let elapsed = self.runtime.monotonic().saturating_duration_since(self.started);
        self.started_ms.saturating_add(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }
}
