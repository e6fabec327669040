//! One seed, one history: two processes give the same bytes; and what is wrong with an input is said clearly.

use std::path::Path;
use std::process::{Command, Output};

fn sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_alluvium-sim")).args(arguments).output().expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn two_processes_give_the_same_trace() {
    for scenario in
        ["mixed", "race", "freeze", "crash", "groups", "pressure", "linked", "split", "coordinators", "grow"]
    {
        for seed in ["3", "4"] {
            let arguments = ["--seed", seed, "--scenario", scenario];
            let (one, other) = (sim(&arguments), sim(&arguments));
            assert!(one.stdout.len() > 10_000, "{scenario} {seed} has a trace");
            assert_eq!(text(&one.stdout), text(&other.stdout), "{scenario} {seed}");
            assert!(one.status.success(), "{scenario} {seed}: {}", text(&one.stdout));
        }
    }
}

#[test]
fn a_history_file_is_replayed_and_refused_when_it_does_not_match() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.history");
    let name = path.to_str().expect("a name");
    assert!(sim(&["--seed", "5", "--scenario", "store", "--quiet", "--save", name]).status.success());
    let replayed = sim(&["--replay", name]);
    assert!(replayed.status.success(), "{}", text(&replayed.stderr));
    assert!(text(&replayed.stdout).starts_with("same trace"));

    let refused = |change: &dyn Fn(&str) -> String, message: &str| {
        let changed = folder.path().join("changed.history");
        let whole = std::fs::read_to_string(&path).expect("was written");
        std::fs::write(&changed, change(&whole)).expect("is written");
        let output = sim(&["--replay", changed.to_str().expect("a name")]);
        assert!(!output.status.success(), "{message}");
        assert!(text(&output.stderr).contains(message), "{message}: {}", text(&output.stderr));
    };
    refused(&|whole| whole.replacen("\"version\":2", "\"version\":1", 1), "has version 1");
    refused(&|whole| whole.replacen("\"scenario\":\"store\"", "\"scenario\":\"storm\"", 1), "which does not exist");
    refused(&|whole| whole.replacen("written at", "WRITTEN at", 1), "the trace differs");
    refused(&|whole| whole.lines().take(40).map(|line| format!("{line}\n")).collect(), "the trace differs");
    refused(&|_| "nonsense\n".to_owned(), "is not a history file");
    let missing = sim(&["--replay", "/nowhere/at.all"]);
    assert!(!missing.status.success());
}

#[test]
fn bad_input_is_named() {
    let output = sim(&["--seed", "1", "--scenario", "storm"]);
    assert!(!output.status.success());
    assert!(text(&output.stderr).contains("there is no scenario \"storm\""));
    assert!(!sim(&["--seeds", "7..7"]).status.success());
    assert!(!sim(&["--seeds", "seven"]).status.success());
    assert!(!sim(&[]).status.success());
}

#[test]
fn the_histories_kept_as_examples_can_be_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut count = 0;
    for file in std::fs::read_dir(&folder).expect("the folder exists") {
        let path = file.expect("can be read").path();
        if path.extension().is_some_and(|extension| extension == "history") {
            let (_, _, text) = alluvium_sim::replay::read(&path).expect("is a history of this version");
            assert!(text.lines().count() > 100, "{} is complete", path.display());
            count += 1;
        }
    }
    assert!(count >= 2, "{count} examples");
}
