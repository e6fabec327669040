//! Reading what may arrive damaged: an object is called damaged only after it was read several times.
//!
//! A wrong bit on its way would otherwise take a shard out of service until the next start. What a newer release wrote
//! is no damage and is not read again.

use alluvium_infra::store::{Store, StoreError, StorePath};
use bytes::Bytes;

use crate::format::FormatError;

/// How often an object is read before it is called damaged.
const READS_MAX: u32 = 3;

/// Why an object could not be read.
#[derive(Debug)]
pub(crate) enum RereadError {
    /// The store did not answer.
    Store(StoreError),
    /// What it holds is not what the format says.
    Format(FormatError),
}

/// Decodes `bytes`, which came from `path`, and reads them again when they are damaged.
pub(crate) async fn decode_patiently<T>(
    store: &dyn Store,
    path: &StorePath,
    mut bytes: Bytes,
    decode: impl Fn(&Bytes) -> Result<T, FormatError>,
) -> Result<T, RereadError> {
    let mut reads = 1;
    loop {
        match decode(&bytes) {
            Ok(decoded) => return Ok(decoded),
            Err(error) if reads < READS_MAX && error.is_damage() => {
                tracing::warn!(%path, %error, "object arrived damaged: reading it again");
            }
            Err(error) => return Err(RereadError::Format(error)),
        }
        bytes = store.get(path).await.map_err(RereadError::Store)?;
        reads += 1;
    }
}
