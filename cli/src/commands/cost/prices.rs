//! The price table: a TOML file, one of which is built in.
//!
//! Invariant: what passes [`Prices::parse`] has every price, none of them negative, and storage tiers that end with one without
//! an end.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// The built-in table, as it stands in the file.
pub(super) const BUILT_IN: &str = include_str!("prices.toml");

/// Bytes of a GB as providers bill it.
pub(super) const GIGABYTE: f64 = 1e9;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prices {
    /// Where the prices come from.
    pub(super) source: String,
    /// When they were true.
    pub(super) as_of: String,
    pub(super) requests: RequestPrices,
    pub(super) storage: StoragePrices,
    pub(super) nodes: NodePrices,
    pub(super) load_balancer: LoadBalancerPrices,
    pub(super) functions: FunctionPrices,
    pub(super) network: NetworkPrices,
}

/// Dollars per 1,000.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestPrices {
    pub(super) put: f64,
    pub(super) get: f64,
    pub(super) list: f64,
    pub(super) delete: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoragePrices {
    pub(super) tiers: Vec<Tier>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tier {
    /// How much has this price; without it all that is left.
    pub(super) gigabytes: Option<f64>,
    pub(super) price: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NodePrices {
    pub(super) processor_hour: f64,
    pub(super) gibibyte_hour: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoadBalancerPrices {
    pub(super) hour: f64,
    pub(super) capacity_unit_hour: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FunctionPrices {
    pub(super) request_million: f64,
    pub(super) gibibyte_second: f64,
    pub(super) log_bytes_per_request: f64,
    pub(super) log_gigabyte: f64,
    pub(super) schedule_million: f64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkPrices {
    pub(super) zone_gigabyte: f64,
}

impl Prices {
    /// The table of a file, or the built-in one.
    pub(super) fn load(file: Option<&Path>) -> Result<Prices, Failure> {
        let Some(file) = file else { return Prices::parse(BUILT_IN).map_err(Failure::failed) };
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
        Prices::parse(&text).map_err(|reason| Failure::usage(format!("{}: {reason}", file.display())))
    }

    /// A table from its text.
    pub(super) fn parse(text: &str) -> Result<Prices, String> {
        let prices: Prices = toml::from_str(text).map_err(|error| error.to_string())?;
        prices.check()?;
        Ok(prices)
    }

    fn check(&self) -> Result<(), String> {
        let numbers = [
            self.requests.put,
            self.requests.get,
            self.requests.list,
            self.requests.delete,
            self.nodes.processor_hour,
            self.nodes.gibibyte_hour,
            self.load_balancer.hour,
            self.load_balancer.capacity_unit_hour,
            self.functions.request_million,
            self.functions.gibibyte_second,
            self.functions.log_bytes_per_request,
            self.functions.log_gigabyte,
            self.functions.schedule_million,
            self.network.zone_gigabyte,
        ];
        let tiers = self.storage.tiers.iter().flat_map(|tier| [tier.price, tier.gigabytes.unwrap_or(0.0)]);
        if numbers.into_iter().chain(tiers).any(|number| !number.is_finite() || number < 0.0) {
            return Err("a price is negative or no number".to_owned());
        }
        let open: Vec<bool> = self.storage.tiers.iter().map(|tier| tier.gigabytes.is_none()).collect();
        match open.split_last() {
            Some((true, others)) if !others.contains(&true) => Ok(()),
            _ => Err("storage.tiers must end with one without gigabytes, for all that is left".to_owned()),
        }
    }

    /// Dollars a month for so many bytes that are kept all the time.
    pub(super) fn storage(&self, bytes: f64) -> f64 {
        let mut left = bytes / GIGABYTE;
        let mut dollars = 0.0;
        for tier in &self.storage.tiers {
            let here = tier.gigabytes.map_or(left, |most| left.min(most));
            dollars += here * tier.price;
            left -= here;
        }
        dollars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_says_everything() {
        let prices = Prices::parse(BUILT_IN).unwrap();
        assert!((prices.requests.put - 0.005).abs() < 1e-12);
        assert!(!prices.source.is_empty() && !prices.as_of.is_empty());
    }

    #[test]
    fn storage_is_paid_by_tiers() {
        let prices = Prices::parse(BUILT_IN).unwrap();
        assert!((prices.storage(1e12) - 23.0).abs() < 1e-6);
        let half_a_petabyte = 50_000.0 * 0.023 + 450_000.0 * 0.022;
        assert!((prices.storage(500e12) - half_a_petabyte).abs() < 1e-6);
        assert!((prices.storage(501e12) - half_a_petabyte - 21.0).abs() < 1e-6);
    }

    #[test]
    fn tables_that_leave_something_open_are_refused() {
        for (old, new, reason) in [
            ("put = 0.005", "put = -1", "negative"),
            ("put = 0.005", "", "put"),
            ("put = 0.005", "put = 0.005\npost = 1", "post"),
            ("    { price = 0.021 },\n", "", "without gigabytes"),
            ("as_of", "since", "since"),
        ] {
            let refused = Prices::parse(&BUILT_IN.replacen(old, new, 1)).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
