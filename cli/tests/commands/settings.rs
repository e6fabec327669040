//! Flags, environment, file, defaults.

use crate::harness::{Server, alluvium, end, run};

fn line_of<'a>(printed: &'a str, name: &str) -> Vec<&'a str> {
    let line = printed.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.unwrap_or_else(|| panic!("{name} is not in {printed}")).split_whitespace().collect()
}

#[test]
fn each_setting_shows_where_it_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alluvium.toml");
    std::fs::write(&file, "store = \"s3://bucket/prefix\"\nlinger = \"3ms\"\ndefault_partitions = 4\n").unwrap();
    let file = file.to_str().unwrap();
    let mut command = alluvium(&[
        "serve",
        "--config",
        file,
        "--default-partitions",
        "6",
        "--set",
        "flush-bytes=2MiB",
        "--print-settings",
    ]);
    command.env("ALLUVIUM_LINGER", "4ms").env("ALLUVIUM_DEFAULT_PARTITIONS", "5");
    command.env("ALLUVIUM_ACCESS_KEY_ID", "who").env("ALLUVIUM_SECRET_ACCESS_KEY", "hunter2");
    let printed = end(command).expect_done();
    assert_eq!(line_of(&printed, "store"), ["store", "s3://bucket/prefix", "file", file]);
    assert_eq!(line_of(&printed, "linger"), ["linger", "4ms", "environment", "ALLUVIUM_LINGER"]);
    assert_eq!(line_of(&printed, "default_partitions"), ["default_partitions", "6", "flag"]);
    assert_eq!(line_of(&printed, "flush_bytes"), ["flush_bytes", "2MiB", "flag"]);
    assert_eq!(line_of(&printed, "flush_interval"), ["flush_interval", "auto", "default"]);
    assert_eq!(line_of(&printed, "secret_access_key")[1], "********");
    assert!(!printed.contains("hunter2"));
}

#[test]
fn a_server_shows_its_settings_without_secrets() {
    let mut command = alluvium(&["serve", "--store", "memory://", "--listen", "127.0.0.1:0"]);
    command.env("ALLUVIUM_ACCESS_KEY_ID", "who").env("ALLUVIUM_SECRET_ACCESS_KEY", "hunter2");
    let (code, logged) = Server::start(command).stop();
    assert_eq!(code, 0);
    assert!(logged.contains("access_key_id") && logged.contains("source=flag"), "{logged}");
    assert!(!logged.contains("hunter2"), "{logged}");
}

#[test]
fn unknown_names_and_wrong_values_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alluvium.toml");
    std::fs::write(&file, "store = \"memory://\"\nlingr = \"3ms\"\n").unwrap();
    let complaint = run(&["serve", "--config", file.to_str().unwrap()]).expect_refused(2);
    assert!(complaint.contains("lingr") && complaint.contains("\"linger\""), "{complaint}");
    let complaint = run(&["dev", "--set", "lingr=1ms"]).expect_refused(2);
    assert!(complaint.contains("unknown setting \"lingr\" (flag)"), "{complaint}");
    let mut command = alluvium(&["dev"]);
    command.env("ALLUVIUM_LINGR", "1ms");
    let complaint = end(command).expect_refused(2);
    assert!(complaint.contains("ALLUVIUM_LINGER"), "{complaint}");
    for arguments in [
        &["dev", "--set", "linger=5"][..],
        &["dev", "--set", "linger"],
        &["dev", "--flush-interval", "soon"],
        &["dev", "--log-format", "xml"],
        &["dev", "--default-partitions", "0"],
        &["dev", "--advertise", "nowhere"],
        &["dev", "--config", "/no/such/file.toml"],
        &["dev", "--log-filter", "a=b=c"],
    ] {
        run(arguments).expect_refused(2);
    }
}
