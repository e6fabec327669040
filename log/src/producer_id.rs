//! Producer ids: blocks of them are claimed with put-if-absent, one object a block.
//!
//! Invariant: an id is given out once, by one node; ids of a block that a node did not use are lost, which is fine.

use std::sync::Arc;

use alluvium_infra::Runtime;
use alluvium_infra::store::{Payload, Store, StoreError};
use bytes::Bytes;
use tokio::sync::Mutex;

use crate::paths::{ClusterPaths, ShardPaths};

/// Ids in a block.
const BLOCK_IDS: i64 = 1000;
const LIST_PAGE: usize = 1000;
/// Blocks that are tried before giving up; each miss means that another node took it meanwhile.
const ATTEMPTS_MAX: u32 = 64;

/// Hands out producer ids.
#[derive(Debug)]
pub(crate) struct ProducerIds {
    store: Arc<dyn Store>,
    paths: ClusterPaths,
    runtime: Runtime,
    claimed: Mutex<Claimed>,
}

#[derive(Debug, Default)]
struct Claimed {
    next: i64,
    end: i64,
    last_block: Option<u64>,
}

impl ProducerIds {
    pub(crate) fn new(store: Arc<dyn Store>, paths: ClusterPaths, runtime: Runtime) -> Self {
        Self { store, paths, runtime, claimed: Mutex::default() }
    }

    /// An id that nobody had before.
    pub(crate) async fn allocate(&self) -> Result<i64, StoreError> {
        let mut claimed = self.claimed.lock().await;
        if claimed.next == claimed.end {
            let block = self.claim(claimed.last_block).await?;
            claimed.last_block = Some(block);
            claimed.next = block as i64 * BLOCK_IDS;
            claimed.end = claimed.next + BLOCK_IDS;
        }
        let id = claimed.next;
        claimed.next += 1;
        Ok(id)
    }

    async fn claim(&self, last: Option<u64>) -> Result<u64, StoreError> {
        let mut block = match last {
            Some(last) => last + 1,
            None => self.newest_block().await?.map_or(0, |newest| newest + 1),
        };
        let id = Bytes::copy_from_slice(self.runtime.random_uuid().as_bytes());
        let mut failure = StoreError::Conflict;
        for _ in 0..ATTEMPTS_MAX {
            let path = self.paths.producer_id_block(block);
            if let Err(error) = self.store.put_if_absent(&path, Payload::from(id.clone())).await {
                // As with slots: only the object tells whose it is.
                match self.store.get(&path).await {
                    Ok(found) if found == id => return Ok(block),
                    Ok(_) => {
                        block += 1;
                        failure = error;
                        continue;
                    }
                    Err(StoreError::NotFound) => {
                        failure = error;
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            return Ok(block);
        }
        Err(failure)
    }

    async fn newest_block(&self) -> Result<Option<u64>, StoreError> {
        let prefix = self.paths.producer_id_prefix();
        let mut newest = None;
        let mut after: Option<String> = None;
        loop {
            let page = self.store.list(&prefix, after.as_deref(), LIST_PAGE).await?;
            let on_page = page.objects.iter().filter_map(|object| ShardPaths::parse_number(object.path.as_ref())).max();
            newest = newest.max(on_page);
            after = page.objects.last().map(|object| object.path.as_ref().to_owned());
            if !page.truncated || after.is_none() {
                return Ok(newest);
            }
        }
    }
}
