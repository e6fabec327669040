//! Texts that are made from the code.

use crate::harness::run;

#[test]
fn the_reference_pages_are_those_of_the_code() {
    for page in ["cli", "settings", "metrics"] {
        let path = format!("{}/../docs/reference/{page}.md", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read_to_string(&path).unwrap();
        let made = run(&["reference", page]).expect_done();
        assert!(kept == made, "write `alluvium reference {page}` to docs/reference/{page}.md again");
    }
}

#[test]
fn every_shell_has_its_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(&["completions", shell]).expect_done();
        assert!(script.contains("consume") && script.contains("describe"), "{shell}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    let help = run(&["--help"]).expect_done();
    assert!(help.contains("Exit codes") && help.contains("dev"), "{help}");
    assert!(run(&["--version"]).expect_done().starts_with("alluvium "));
    assert_eq!(run(&[]).code, 2);
    assert_eq!(run(&["bogus"]).code, 2);
}
