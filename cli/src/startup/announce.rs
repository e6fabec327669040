//! What a node says about itself: its settings, and that it serves.

use std::io::Write;

use alluvium_infra::settings::{Loaded, SettingSource, ShownSetting};
use alluvium_infra::telemetry::LogFormat;

use super::node::Node;
use super::settings::{NAMED, NodeSettings};
use crate::failure::Failure;
use crate::output::print_table;

/// Logs the settings: those that somebody set, the others at the level of debugging.
pub(crate) fn log_settings(loaded: &Loaded<NodeSettings>) {
    for ShownSetting { name, value, source } in &loaded.shown {
        let value = plain(value);
        match source {
            SettingSource::Default => tracing::debug!(name, value, %source, "setting"),
            _ => tracing::info!(name, value, %source, "setting"),
        }
    }
}

/// Prints all settings with their sources.
pub(crate) fn print_settings(loaded: &Loaded<NodeSettings>) -> Result<(), Failure> {
    let rows = NAMED.iter().filter_map(|named| {
        let shown = loaded.shown.iter().find(|shown| shown.name == named.name)?;
        Some(vec![shown.name.clone(), plain(&shown.value), shown.source.to_string()])
    });
    print_table(&["SETTING", "VALUE", "SOURCE"], rows)
}

/// A list without its brackets.
pub(crate) fn plain(value: &str) -> String {
    match serde_json::from_str::<Vec<String>>(value) {
        Ok(list) if list.is_empty() => "(none)".to_owned(),
        Ok(list) => list.join(", "),
        Err(_) if value.is_empty() => "(none)".to_owned(),
        Err(_) => value.to_owned(),
    }
}

/// One line on stdout: from now on clients are served.
pub(crate) fn serving(node: &Node, settings: &NodeSettings, ready_ms: u128) -> Result<(), Failure> {
    let addresses: Vec<String> = node.addresses().iter().map(ToString::to_string).collect();
    let (store, cluster_id) = (&settings.store, node.cluster_id());
    let (http, rest) = (node.http_address(), node.rest_address());
    let line = match settings.log_format {
        LogFormat::Text => {
            let addresses = addresses.join(", ");
            let metrics = http.map_or_else(String::new, |http| format!(", metrics http://{http}/metrics"));
            let api = rest.map_or_else(String::new, |rest| format!(", HTTP API http://{rest}"));
            format!(
                "alluvium serves Kafka on {addresses} (store {store}, cluster {cluster_id}{api}{metrics}, ready in {ready_ms} ms)"
            )
        }
        LogFormat::Json => serde_json::json!({
            "serving": addresses, "store": store, "cluster_id": cluster_id, "ready_ms": ready_ms,
            "http": http.map(|http| http.to_string()), "rest": rest.map(|rest| rest.to_string()),
        })
        .to_string(),
    };
    let mut out = std::io::stdout();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        // A node goes on serving when nobody reads what it prints.
        Ok(()) | Err(_) => Ok(()),
    }
}
