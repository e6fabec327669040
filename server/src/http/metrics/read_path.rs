//! Caches and fetches that wait.

use alluvium_infra::metrics::Exposition;
use alluvium_reader::CacheKind;

use super::definitions as metric;
use crate::context::Node;

pub(super) fn collect(exposition: &mut Exposition, node: &Node) {
    let counters = node.reader.counters();
    let mut requests = exposition.family(&metric::CACHE_REQUESTS);
    for cache in CacheKind::ALL {
        requests.value(&[cache.name(), "hit"], counters.hits(cache));
        requests.value(&[cache.name(), "miss"], counters.misses(cache));
    }
    let (live, replay) = node.reader.cached_bytes();
    let tail: u64 = node.log.shards().iter().map(|shard| shard.tail().bytes()).sum();
    let mut bytes = exposition.family(&metric::CACHE_BYTES);
    bytes.value(&[CacheKind::Tail.name()], tail);
    bytes.value(&[CacheKind::Live.name()], live);
    bytes.value(&[CacheKind::Replay.name()], replay);
    exposition.value(&metric::READ_BYTES, counters.bytes.get());
    exposition.value(&metric::FETCH_WAITS, counters.waits.get());
    exposition.value(&metric::FETCH_WAKEUPS, counters.wakeups.get());
}
