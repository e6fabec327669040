//! What can be set about ingest.

use std::time::Duration;

use alluvium_infra::limits;

/// Settings of ingest.
#[derive(Debug, Clone)]
pub struct IngestSettings {
    /// Bytes of produce requests that may be on their way, over all connections.
    pub bytes_in_flight_max: usize,
    /// A flush goes when the buffer has so many bytes.
    pub flush_bytes_max: usize,
    /// A flush up to so many bytes rides inside its entry; a larger one goes to a segment first.
    pub inline_bytes_max: usize,
    /// At most one flush in so long a time while producers keep sending.
    pub flush_interval: Duration,
    /// How long the first batch after an idle spell waits for company.
    pub linger: Duration,
    /// Segments that are uploaded at the same time.
    pub segment_uploads_max: usize,
}

impl Default for IngestSettings {
    fn default() -> Self {
        Self {
            bytes_in_flight_max: limits::BYTES_IN_FLIGHT_MAX,
            flush_bytes_max: limits::FLUSH_BYTES_MAX,
            inline_bytes_max: limits::INLINE_BYTES_MAX,
            flush_interval: Duration::from_millis(50),
            linger: Duration::from_millis(5),
            segment_uploads_max: limits::SEGMENT_UPLOADS_MAX,
        }
    }
}
