//! `alluvium cost`: the bill, the price table, and whether the model agrees with what a node really asks of its store.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{Server, alluvium, json, run};

/// How far the model may be from what was counted: a factor.
const AGREEMENT: f64 = 1.6;

fn bill(arguments: &[&str]) -> Value {
    json(&run(&[&["cost", "--json"], arguments].concat()).expect_done())
}

/// How much of an item there is in a month.
fn quantity(bill: &Value, name: &str) -> f64 {
    let items = bill["items"].as_array().unwrap();
    items.iter().find(|item| item["name"] == name).map_or(0.0, |item| item["quantity_per_month"].as_f64().unwrap())
}

fn dollars(bill: &Value) -> f64 {
    bill["dollars_per_month"].as_f64().unwrap()
}

#[test]
fn items_and_topics_add_up_to_the_bill() {
    for deployment in ["nodes", "functions"] {
        let bill = bill(&["--deployment", deployment, "--topic", "a=300,1KiB,3", "--topic", "b=100,1KiB,1"]);
        for part in ["items", "topics"] {
            let sum: f64 =
                bill[part].as_array().unwrap().iter().map(|item| item["dollars_per_month"].as_f64().unwrap()).sum();
            assert!((sum - dollars(&bill)).abs() < 1e-6, "{part}: {sum} of {bill}");
        }
        assert_eq!(bill["topics"][0]["topic"], "a");
        let table = run(&["cost", "--deployment", deployment, "--topic", "a=1", "--topic", "b=1"]).expect_done();
        assert!(table.contains("total") && table.contains("TOPIC") && table.contains("prices of"), "{table}");
    }
}

#[test]
fn idle_functions_cost_next_to_nothing() {
    let bill = bill(&["--deployment", "functions", "-r", "0"]);
    assert!(dollars(&bill) < 1.0, "{bill}");
    assert_eq!(bill["dollars_per_million_records"], Value::Null);
}

#[test]
fn the_price_table_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prices.toml");
    let built_in = run(&["cost", "--print-prices"]).expect_done();
    let load = ["--prices", file.to_str().unwrap(), "--no-load-balancer"];
    std::fs::write(&file, &built_in).unwrap();
    let before = bill(&load);
    assert_eq!(before, bill(&["--no-load-balancer"]));
    std::fs::write(&file, built_in.replace("put = 0.005", "put = 0.010").replace("2025-06", "2031-01")).unwrap();
    let after = bill(&load);
    let puts = quantity(&before, "PUT");
    assert!((dollars(&after) - dollars(&before) - puts / 1_000.0 * 0.005).abs() < 1e-6, "{after}");
    assert_eq!(after["prices_as_of"], "2031-01");
    std::fs::write(&file, built_in.replace("put = 0.005", "")).unwrap();
    let refused = run(&[&["cost"][..], &load].concat()).expect_refused(2);
    assert!(refused.contains("prices.toml") && refused.contains("put"), "{refused}");
}

#[test]
fn loads_that_make_no_sense_are_refused() {
    for wrong in [
        &["--topic", "a"][..],
        &["-r", "-1"],
        &["--shards", "0"],
        &["--nodes", "0"],
        &["--behind", "101"],
        &["--flush-interval", "0s"],
        &["--record-bytes", "0B"],
        &["--over", "1s"],
    ] {
        assert_eq!(run(&[&["cost"], wrong].concat()).code, 2, "{wrong:?}");
    }
    let nobody = run(&["cost", "--metrics", "http://127.0.0.1:1/metrics"]).expect_refused(1);
    assert!(nobody.contains("127.0.0.1:1"), "{nobody}");
}

fn metrics_of(server: &Server) -> String {
    let (_, rest) = server.line.split_once("metrics ").unwrap();
    rest.split([',', ')']).next().unwrap().to_owned()
}

/// A node on a store as slow as S3, a load of known size, and the requests that its counters tell, against those of the model.
#[test]
#[allow(clippy::disallowed_methods, reason = "a load is paced by the clock, beside the process that is tested")]
fn the_model_agrees_with_a_node() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("model+file://{}", folder.path().display());
    let server =
        Server::start(alluvium(&["serve", "--listen=127.0.0.1:0", "--http-listen=127.0.0.1:0", "--store", &store]));
    let metrics = metrics_of(&server);
    server.run(&["topic", "create", "orders", "-p", "4"]).expect_done();
    let cases = [
        // Lines a second, and what the model is told beside it.
        (5, &["--producers-wait"][..]),
        (100, &["--producers-wait"]),
    ];
    for (lines_per_second, told) in cases {
        let mut producer = server.client(&["produce", "orders"]).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = producer.stdin.take().unwrap();
        let counted = alluvium(&["cost", "--json", "--metrics", &metrics, "--over", "6s"]).spawn().unwrap();
        // Paced by the clock, and longer than the two looks are apart.
        let begun = Instant::now();
        for line in 0..lines_per_second * 9 {
            let due = Duration::from_secs_f64(f64::from(line) / f64::from(lines_per_second));
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            stdin.write_all(format!("line {line}\n").as_bytes()).unwrap();
        }
        drop(stdin);
        assert!(producer.wait().unwrap().success());
        let counted = counted.wait_with_output().unwrap();
        assert!(counted.status.success(), "{counted:?}");
        let counted = json(&String::from_utf8(counted.stdout).unwrap());
        let rate = lines_per_second.to_string();
        let load = ["-r", &rate, "-b", "100B", "--records-per-request", "1", "-p", "4", "-c", "0", "--nodes", "1"];
        let reckoned = bill(&[&load[..], told, &["--no-compaction", "--no-load-balancer"]].concat());
        let (real, model) = (quantity(&counted, "PUT"), quantity(&reckoned, "PUT"));
        println!("{lines_per_second} lines a second: {real:.0} PUTs a month counted, {model:.0} by the model");
        assert!(
            real > 0.0 && (real / model).max(model / real) < AGREEMENT,
            "PUTs: {real} counted, {model} by the model"
        );
        // Heartbeats alone: one in six seconds, and those of the probes for /readyz.
        let (real, model) = (quantity(&counted, "GET"), quantity(&reckoned, "GET"));
        assert!(real <= model * 3.0 && model > 0.0, "GETs: {real} counted, {model} by the model");
        assert_eq!(counted["topics"][0]["topic"], "orders", "{counted}");
        let records = counted["topics"][0]["records_per_month"].as_f64().unwrap() / (730.0 * 3600.0);
        assert!((records / f64::from(lines_per_second) - 1.0).abs() < 0.4, "{records} records a second");
    }
}

/// Three loads of records of 1 KiB that are read once and kept for a week.
const LOADS: [(&str, &[&str]); 3] = [
    ("nobody produces", &["-r", "0"]),
    ("100 records a second, 100 a request", &["-r", "100", "--records-per-request", "100"]),
    ("5,000 records a second, 500 a request", &["-r", "5000", "--records-per-request", "500"]),
];

/// What the modules make unless they are told otherwise: the defaults of their variables.
const CLUSTER: [&str; 4] = ["--shards", "8", "--partitions", "8"];
/// The smallest time that Google bills of a run of a job, and a month of one schedule.
const JOB_SECONDS_MIN: f64 = 60.0;
const JOB_SCHEDULE_DOLLARS: f64 = 0.10;

fn google_prices() -> String {
    format!("{}/../terraform/google/prices.toml", env!("CARGO_MANIFEST_DIR"))
}

/// The dollars of all items that belong to a module.
fn of_module(module: &str, load: &[&str]) -> f64 {
    let sum = |arguments: &[&str], kinds: &[&str], name: &str| -> f64 {
        let bill = bill(&[load, &CLUSTER, arguments].concat());
        let items = bill["items"].as_array().unwrap().iter();
        let wanted = items.filter(|item| {
            kinds.contains(&item["kind"].as_str().unwrap()) && item["name"].as_str().unwrap().starts_with(name)
        });
        wanted.fold(0.0, |sum, item| sum + item["dollars_per_month"].as_f64().unwrap())
    };
    let functions = |more: &[&str]| sum(&[&["--deployment", "functions"], more].concat(), &["compute"], "functions");
    let google = google_prices();
    let instance = ["--prices", &google, "--nodes", "1", "--node-memory", "1GiB", "--no-load-balancer"];
    match module {
        "ingest" => functions(&["-c", "0", "--no-compaction"]),
        "reader" => functions(&["--no-compaction"]) - functions(&["-c", "0", "--no-compaction"]),
        "compactor" => functions(&[]) - functions(&["--no-compaction"]),
        "bucket with functions" => sum(&["--deployment", "functions"], &["requests", "storage"], ""),
        "bucket with nodes" => sum(&[], &["requests", "storage"], ""),
        "gateway" => sum(&[], &["compute", "network"], ""),
        // Without load there is no instance, and nothing is asked of the bucket.
        "one instance" if load == LOADS[0].1 => 0.0,
        "one instance" => sum(&instance, &["compute"], ""),
        "bucket with one instance" if load == LOADS[0].1 => 0.0,
        "bucket with one instance" => sum(&instance, &["requests", "storage"], ""),
        "a job every ten minutes" => of_jobs(load),
        _ => panic!("there is no module {module}"),
    }
}

/// The compactor as a job of Google: one processor and 2 GiB while it works, a minute at least.
fn of_jobs(load: &[&str]) -> f64 {
    let quantities = |more: &[&str]| {
        let bill = bill(&[load, &["--deployment", "functions", "--compactor-memory", "1GiB"], more].concat());
        (quantity(&bill, "functions: time"), quantity(&bill, "functions: schedule"))
    };
    let ((with, runs), (without, _)) = (quantities(&[]), quantities(&["--no-compaction"]));
    let seconds = ((with - without) / runs).max(JOB_SECONDS_MIN);
    let prices: toml::Table = std::fs::read_to_string(google_prices()).unwrap().parse().unwrap();
    let hourly = |name: &str| prices["nodes"][name].as_float().unwrap();
    JOB_SCHEDULE_DOLLARS + runs * seconds / 3_600.0 * (hourly("processor_hour") + 2.0 * hourly("gibibyte_hour"))
}

fn cost_table(columns: &[&str]) -> String {
    let heads: Vec<String> = columns.iter().map(|column| format!(" {column} |")).collect();
    let mut table = format!("| Load |{}\n|---|{}\n", heads.concat(), "---:|".repeat(columns.len()));
    for (name, load) in LOADS {
        let cells: Vec<String> = columns.iter().map(|column| format!(" {:.2} |", of_module(column, load))).collect();
        table += &format!("| {name} |{}\n", cells.concat());
    }
    table
}

/// ALLUVIUM_WRITE_COSTS=1 writes them.
#[test]
fn the_costs_of_the_terraform_modules_are_those_of_the_command() {
    let modules = [
        ("modules/bucket", &["bucket with functions", "bucket with nodes"][..]),
        ("modules/ingest", &["ingest"]),
        ("modules/reader", &["reader"]),
        ("modules/compactor", &["compactor"]),
        ("modules/gateway", &["gateway"]),
        ("google/modules/bucket", &["bucket with one instance"]),
        ("google/modules/http", &["one instance"]),
        ("google/modules/compactor", &["a job every ten minutes"]),
    ];
    for (module, columns) in modules {
        let path = format!("{}/../terraform/{module}/README.md", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read_to_string(&path).unwrap();
        let (head, rest) = kept.split_once("<!-- cost -->\n").unwrap();
        let (_, tail) = rest.split_once("<!-- /cost -->").unwrap();
        let made = format!("{head}<!-- cost -->\n{}<!-- /cost -->{tail}", cost_table(columns));
        if std::env::var_os("ALLUVIUM_WRITE_COSTS").is_some() {
            std::fs::write(&path, &made).unwrap();
        } else {
            assert!(kept == made, "{path} has old costs: run this test with ALLUVIUM_WRITE_COSTS=1");
        }
    }
}
