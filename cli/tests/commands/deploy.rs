//! What is under deploy/ speaks of metrics and settings that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::harness::{Server, alluvium, end, run};

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The labels of each metric's samples, by name.
fn samples() -> BTreeMap<String, BTreeSet<String>> {
    let page = run(&["reference", "metrics"]).expect_done();
    let mut samples = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.trim_matches('|').split(" | ").map(str::trim);
        let (name, kind, labels) = (cells.next().unwrap(), cells.next().unwrap(), cells.next().unwrap());
        let labels: BTreeSet<String> = labels
            .split(", ")
            .map(|label| label.trim_matches('`').to_owned())
            .chain(["job", "instance"].map(str::to_owned))
            .collect();
        let name = name.trim_matches('`').to_owned();
        if kind == "histogram" {
            for suffix in ["_sum", "_count"] {
                samples.insert(format!("{name}{suffix}"), labels.clone());
            }
            samples.insert(format!("{name}_bucket"), labels.into_iter().chain(["le".to_owned()]).collect());
        } else {
            samples.insert(name, labels);
        }
    }
    assert!(samples.len() > 50, "{samples:?}");
    samples
}

/// Checks each metric in a text and the labels that it is selected by; how many there were.
fn check(text: &str, samples: &BTreeMap<String, BTreeSet<String>>) -> usize {
    let mut found = 0;
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut rest = text;
    while let Some(at) = ["alluvium_", "process_"].iter().filter_map(|prefix| rest.find(prefix)).min() {
        let whole = at == 0 || !rest[..at].ends_with(is_part);
        let name_on = &rest[at..];
        let name = &name_on[..name_on.find(|letter| !is_part(letter)).unwrap_or(name_on.len())];
        rest = &name_on[name.len()..];
        if !whole {
            continue;
        }
        found += 1;
        let labels = samples.get(name).unwrap_or_else(|| panic!("{name} is not served, but looked at in: {text}"));
        let Some((selector, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { continue };
        // A pattern may have commas of its own, but nothing that looks like a label before an equals sign.
        for matcher in selector.split(',').filter(|part| part.contains('=')) {
            let label = matcher.split(['=', '!']).next().unwrap().trim();
            assert!(labels.contains(label), "{name} has no label {label}: {text}");
        }
    }
    found
}

/// The queries of a dashboard, at whatever depth.
fn queries<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(query) if name == "expr" || name == "query" => found.push(query),
                    _ => queries(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_and_the_alerts_look_at_metrics_that_are_served() {
    let samples = samples();
    let dashboard: Value = serde_json::from_str(&read("grafana/dashboards/alluvium.json")).unwrap();
    let mut expressions = Vec::new();
    queries(&dashboard, &mut expressions);
    let looked_at: usize = expressions.iter().map(|expression| check(expression, &samples)).sum();
    assert!(looked_at > 50, "{looked_at}");
    let panels: Vec<&Value> = dashboard["panels"].as_array().unwrap().iter().collect();
    let ids: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    assert!(check(&read("prometheus/alerts.yml"), &samples) > 15);
}

/// `NAME: value` lines of a part of the compose file.
fn environment(text: &str) -> BTreeMap<&str, &str> {
    let pairs = text.lines().filter_map(|line| line.trim().split_once(": "));
    pairs
        .filter(|(name, _)| name.starts_with("ALLUVIUM_") || name.starts_with("AWS_"))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

#[test]
fn the_nodes_of_the_compose_file_get_settings_that_exist() {
    let compose = read("compose.yaml");
    let (common, services) = compose.split_once("\nservices:\n").unwrap();
    let common = environment(common);
    assert!(common.len() >= 6, "{common:?}");
    for id in 1..=3 {
        let (_, node) = services.split_once(&format!("\n  node-{id}:\n")).unwrap();
        let own = node.split("\n\n").next().unwrap();
        let environment: BTreeMap<_, _> = common.clone().into_iter().chain(environment(own)).collect();
        assert_eq!(environment["ALLUVIUM_NODE_ID"], id.to_string());
        // Who connects from outside comes by the published port, which is the advertised one.
        let outside = environment["ALLUVIUM_ADVERTISE"].split_once(",127.0.0.1:").unwrap().1;
        assert!(own.contains(&format!("ports: [\"127.0.0.1:{outside}:{outside}\", ")), "{own}");
        let http = environment["ALLUVIUM_REST_LISTEN"].rsplit_once(':').unwrap().1;
        assert!(own.contains(&format!("\"127.0.0.1:{}:{http}\"]", 8081 + id)), "{own}");
        assert!(environment["ALLUVIUM_LISTEN"].ends_with(&format!(":{outside}")), "{environment:?}");
        let mut command = alluvium(&["serve", "--print-settings"]);
        command.envs(&environment);
        let shown = end(command).expect_done();
        for (name, value) in environment.iter().filter(|(name, _)| name.starts_with("ALLUVIUM_")) {
            let setting = name.strip_prefix("ALLUVIUM_").unwrap().to_lowercase();
            let row = shown.lines().find(|line| line.split_whitespace().next() == Some(&setting));
            let row = row.unwrap_or_else(|| panic!("{setting} is not shown:\n{shown}"));
            assert!(row.contains(&value.replace(',', ", ")) && row.contains("environment"), "{row}");
        }
        let target = format!("\"node-{id}:9644\"");
        assert!(read("prometheus/prometheus.yml").contains(&target), "{target} is not scraped");
    }
}

#[test]
fn the_health_check_of_the_compose_file_tells_a_node_that_serves() {
    let compose = read("compose.yaml");
    let test =
        compose.lines().find_map(|line| line.trim().strip_prefix("test: ").filter(|test| test.contains("alluvium")));
    let words: Vec<String> = serde_json::from_str(test.unwrap()).unwrap();
    let server = Server::in_memory();
    let checked = |address: &str| {
        let arguments: Vec<&str> = words[2..]
            .iter()
            .map(|word| if word.starts_with("127.0.0.1:") { address } else { word.as_str() })
            .collect();
        run(&arguments).code
    };
    assert_eq!(words[..2], ["CMD", "/usr/local/bin/alluvium"]);
    assert_eq!(checked(&server.address), 0);
    let address = server.address.clone();
    server.kill();
    assert_ne!(checked(&address), 0);
}

#[test]
fn the_image_starts_with_settings_that_exist() {
    let image = read("Dockerfile");
    let words = image.split_whitespace().filter_map(|word| word.split_once('='));
    let environment: BTreeMap<&str, &str> = words.filter(|(name, _)| name.starts_with("ALLUVIUM_")).collect();
    assert!(environment.contains_key("ALLUVIUM_LISTEN"), "{environment:?}");
    let mut command = alluvium(&["serve", "--store", "memory://", "--print-settings"]);
    command.envs(&environment);
    end(command).expect_done();
}
