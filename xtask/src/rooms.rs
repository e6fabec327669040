//! Who may import whom. The arrows of ARCHITECTURE.md, checked against each manifest.

use std::path::Path;

use anyhow::{Context, Result};

/// A room and the rooms that it may import.
const ARROWS: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("protocol", &[]),
    ("infra", &[]),
    ("log", &["record", "infra"]),
    ("table", &["record", "infra"]),
    ("ingest", &["log", "record", "infra"]),
    ("reader", &["log", "record", "infra", "table"]),
    ("coordinator", &["log", "record", "infra"]),
    ("cluster", &["log", "record", "infra"]),
    ("compactor", &["log", "record", "infra", "table"]),
    ("query", &["reader", "log", "record", "infra", "table"]),
    (
        "server",
        &["record", "protocol", "infra", "log", "table", "ingest", "reader", "coordinator", "cluster", "compactor"],
    ),
    (
        "functions",
        &[
            "record",
            "protocol",
            "infra",
            "log",
            "table",
            "ingest",
            "reader",
            "coordinator",
            "cluster",
            "compactor",
            "server",
        ],
    ),
    (
        "cli",
        &[
            "record",
            "protocol",
            "infra",
            "log",
            "table",
            "ingest",
            "reader",
            "coordinator",
            "cluster",
            "compactor",
            "server",
            "query",
        ],
    ),
];

/// Every import that goes against an arrow.
pub(crate) fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (room, allowed) in ARROWS {
        let path = root.join(room).join("Cargo.toml");
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let manifest: toml::Table = text.parse().with_context(|| format!("parsing {}", path.display()))?;
        let Some(dependencies) = manifest.get("dependencies").and_then(toml::Value::as_table) else { continue };
        for name in dependencies.keys() {
            let Some(imported) = name.strip_prefix("alluvium-") else { continue };
            if !allowed.contains(&imported) {
                found.push(format!("{room}/Cargo.toml: {room} may not import {imported}"));
            }
        }
    }
    Ok(found)
}
