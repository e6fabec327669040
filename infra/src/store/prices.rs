//! What requests cost, for estimates.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{StoreOperation, StoreSnapshot};

/// Dollars per thousand requests. The default is S3 Standard in us-east-1, which bills failed requests like others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StorePrices {
    /// PUT, with a condition or without, of the whole or of a part; beginning and finishing an upload in parts.
    pub put: f64,
    /// GET, of a range or of the whole.
    pub get: f64,
    /// LIST.
    pub list: f64,
    /// DELETE.
    pub delete: f64,
}

impl Default for StorePrices {
    fn default() -> StorePrices {
        StorePrices { put: 0.005, get: 0.000_4, list: 0.005, delete: 0.0 }
    }
}

/// A price list that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{part}\" is no price: write dollars per 1,000 requests, such as put=0.005,get=0.0004,list=0.005,delete=0")]
pub struct InvalidPrices {
    part: String,
}

impl StorePrices {
    /// Dollars per request.
    pub fn of(&self, operation: StoreOperation) -> f64 {
        let per_thousand = match operation {
            StoreOperation::PutIfAbsent
            | StoreOperation::Put
            | StoreOperation::BeginUpload
            | StoreOperation::PutPart
            | StoreOperation::FinishUpload => self.put,
            StoreOperation::Get | StoreOperation::GetRange => self.get,
            StoreOperation::List => self.list,
            StoreOperation::Delete | StoreOperation::AbortUpload => self.delete,
        };
        per_thousand / 1_000.0
    }

    /// Dollars for all requests of a snapshot.
    pub fn cost(&self, snapshot: &StoreSnapshot) -> f64 {
        StoreOperation::ALL.iter().map(|kind| snapshot.of(*kind).requests as f64 * self.of(*kind)).sum()
    }
}

impl fmt::Display for StorePrices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "put={},get={},list={},delete={}", self.put, self.get, self.list, self.delete)
    }
}

impl FromStr for StorePrices {
    type Err = InvalidPrices;

    /// Prices that are not named keep their default.
    fn from_str(text: &str) -> Result<StorePrices, InvalidPrices> {
        let mut prices = StorePrices::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let invalid = || InvalidPrices { part: part.to_owned() };
            let (name, dollars) = part.split_once('=').ok_or_else(invalid)?;
            let dollars: f64 = dollars.trim().parse().map_err(|_| invalid())?;
            if !dollars.is_finite() || dollars < 0.0 {
                return Err(invalid());
            }
            match name.trim() {
                "put" => prices.put = dollars,
                "get" => prices.get = dollars,
                "list" => prices.list = dollars,
                "delete" => prices.delete = dollars,
                _ => return Err(invalid()),
            }
        }
        Ok(prices)
    }
}

impl TryFrom<String> for StorePrices {
    type Error = InvalidPrices;

    fn try_from(text: String) -> Result<StorePrices, InvalidPrices> {
        text.parse()
    }
}

impl From<StorePrices> for String {
    fn from(prices: StorePrices) -> String {
        prices.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Runtime;
    use crate::store::{MemoryStore, Metered, Payload, Store, StorePath};

    #[test]
    fn prices_are_read_as_they_are_written() {
        let prices: StorePrices = " put = 0.01, delete=1".parse().unwrap();
        assert_eq!(prices, StorePrices { put: 0.01, delete: 1.0, ..StorePrices::default() });
        assert_eq!(prices.to_string().parse(), Ok(prices));
        for wrong in ["put", "put=x", "put=-1", "put=NaN", "post=1"] {
            assert!(wrong.parse::<StorePrices>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_cost_is_the_sum_over_all_requests_that_are_billed() {
        Runtime::simulate(1, |runtime| async move {
            let store = Metered::new(Arc::new(MemoryStore::new(runtime.clone())), runtime);
            let path = StorePath::from("a");
            store.put(&path, Payload::from(&b"a"[..])).await.unwrap();
            store.put_if_absent(&path, Payload::from(&b"a"[..])).await.unwrap_err();
            store.get(&path).await.unwrap();
            store.list("", None, 10).await.unwrap();
            store.delete(&path).await.unwrap();
            let cost = StorePrices::default().cost(&store.snapshot());
            assert!((cost - 0.000_015_4).abs() < 1e-12, "{cost}");
        });
    }
}
