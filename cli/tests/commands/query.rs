//! SQL over what a server wrote, while it runs and after it has gone; the list of files for others.

use crate::harness::{Server, run};

/// A folder with a server that has two topics: `orders`, merged but for the last record, and `web.clicks`.
fn served(folder: &std::path::Path) -> (Server, String) {
    let server = Server::dev(folder);
    let columns = "--config=alluvium.parquet.value.columns=amount:int64";
    server.run(&["topic", "create", "orders", "--partitions", "1", columns]).expect_done();
    let lines = "ann:{\"amount\":1}\nbob:{\"amount\":20}\n";
    server.feed(&["produce", "orders", "--key-separator", ":"], lines.as_bytes()).expect_done();
    let store = format!("--store=file://{}", folder.join("data").to_str().unwrap());
    run(&["compact", "--once", &store]).expect_done();
    server.feed(&["produce", "orders", "--key-separator", ":"], b"eve:{\"amount\":300}\n").expect_done();
    server.run(&["produce", "web.clicks", "x"]).expect_done();
    (server, store)
}

#[test]
fn the_files_of_a_topic_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (server, store) = served(folder.path());
    server.stop();
    let listed = run(&["export", "orders", &store]);
    assert_eq!(listed.code, 0, "{listed:?}");
    let path = listed.out.trim();
    assert!(path.starts_with('/') && path.ends_with(".parquet"), "{path}");
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    assert!(listed.err.contains("orders: 1 files with 2 rows"), "{}", listed.err);
    assert!(listed.err.contains("orders/0: offsets 2 to 2 are not in files yet"), "{}", listed.err);
    let json: serde_json::Value =
        serde_json::from_str(&run(&["export", "orders", &store, "--output=json"]).expect_done()).unwrap();
    assert_eq!((&json["files"][0]["rows"], &json["files"][0]["last_offset"]), (&2.into(), &1.into()));
    assert_eq!((&json["files"][0]["uri"], &json["files"][0]["bytes"]), (&path.into(), &bytes.len().into()));
    assert_eq!(
        (&json["not_in_files"][0]["from_offset"], &json["not_in_files"][0]["end_offset"]),
        (&2.into(), &3.into())
    );
    let sql = run(&["export", "orders", &store, "--output=sql"]).expect_done();
    assert!(sql.starts_with("SELECT * FROM read_parquet([") && sql.contains(&format!("'{path}'")), "{sql}");
    let refused = run(&["export", "web.clicks", &store, "--output=sql"]).expect_refused(1);
    assert!(refused.contains("web.clicks has no Parquet file yet"), "{refused}");
    assert!(run(&["export", "ordres", &store]).expect_refused(1).contains("there is no topic ordres"));
    assert!(run(&["export", "orders", &store, "-p", "4"]).expect_refused(1).contains("no partition 4"));
}

#[test]
fn a_store_without_a_cluster_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let url = |name: &str| format!("--store=file://{}", folder.path().join(name).to_str().unwrap());
    assert!(run(&["export", "orders", &url("none")]).expect_refused(1).contains("there is no such folder"));
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    assert!(run(&["export", "orders", &url("empty")]).expect_refused(1).contains("there is no cluster"));
    assert!(!folder.path().join("none").exists());
    assert!(!folder.path().join("empty/cluster.json").exists());
}

#[cfg(not(feature = "query"))]
#[test]
fn a_build_without_sql_says_how_to_get_it() {
    let refused = run(&["query", "select 1", "--store=memory://"]).expect_refused(1);
    assert!(refused.contains("--features query"), "{refused}");
}

#[cfg(feature = "query")]
mod with_sql {
    use std::time::{Duration, Instant};

    use super::{run, served};
    use crate::harness::{Ended, alluvium};

    fn ask(store: &str, arguments: &[&str]) -> Ended {
        run(&[&["query", store], arguments].concat())
    }

    #[test]
    fn files_and_what_is_not_in_them_are_one_table() {
        let folder = tempfile::tempdir().unwrap();
        let (server, store) = served(folder.path());
        let sql = "select key, value ->> 'amount' as amount, value_amount + 1 as more from orders order by offset";
        let table = "key  amount  more\nann  1          2\nbob  20        21\neve  300      301\n";
        assert_eq!(ask(&store, &[sql]).expect_done(), table, "beside a server");
        server.stop();
        assert_eq!(ask(&store, &[sql]).expect_done(), table, "without one");
        let json = ask(&store, &[sql, "--output=json"]).expect_done();
        assert_eq!(json.lines().next(), Some("{\"key\":\"ann\",\"amount\":\"1\",\"more\":2}"));
        let csv = ask(&store, &["select offset, value from orders order by 1 limit 1", "-o", "csv"]).expect_done();
        assert_eq!(csv, "offset,value\r\n0,\"{\"\"amount\"\":1}\"\r\n");
        let recent = "select count(*) as n from orders where timestamp > now() - interval '5 minutes'";
        assert_eq!(ask(&store, &[recent]).expect_done(), "n\n3\n");
        assert_eq!(ask(&store, &["select count(*) as n from \"web.clicks\""]).expect_done(), "n\n1\n");
        let none = ask(&store, &["select offset from orders where offset > 100"]).expect_done();
        assert_eq!(none, "offset\n");
        let uncommitted = ask(&store, &["select count(*) as n from orders", "--isolation=read_uncommitted"]);
        assert_eq!(uncommitted.expect_done(), "n\n3\n");
        let settings = ask(&store, &["select 1 as one", "--set=worker_threads=1", "--memory=16MiB"]);
        assert_eq!(settings.expect_done(), "one\n  1\n");
    }

    #[test]
    fn mistakes_are_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let (server, store) = served(folder.path());
        server.stop();
        let refused = ask(&store, &["select offset frm orders"]).expect_refused(2);
        assert!(refused.contains("Line: 1, Column: 19"), "{refused}");
        let refused = ask(&store, &["select * from ordres"]).expect_refused(1);
        assert!(refused.ends_with("there is no topic ordres; did you mean orders?"), "{refused}");
        let refused = ask(&store, &["delete from orders"]).expect_refused(2);
        assert!(refused.contains("changes nothing"), "{refused}");
        let refused = ask(&store, &["select * from orders", "--output=xml"]);
        assert_eq!(refused.code, 2, "{refused:?}");
        let refused = run(&["query", "select 1", "--store=file:///nowhere/at/all"]).expect_refused(1);
        assert!(refused.contains("no such folder"), "{refused}");
    }

    #[test]
    fn sql_comes_from_stdin_and_a_closed_output_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let (server, store) = served(folder.path());
        let piped = server.feed(&["query", "-", &store], b"select count(*) as n\nfrom orders\n");
        assert_eq!(piped.expect_done(), "n\n3\n");
        server.stop();
        // A hundred million rows; the first line is enough for the reader.
        let sql = "select a.value from generate_series(1, 100000000) as a(value)";
        let mut child = alluvium(&["query", &store, sql, "-o", "json"]).spawn().unwrap();
        let mut line = String::new();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        drop(out);
        assert_eq!(line, "{\"value\":1}\n");
        assert!(child.wait().unwrap().success());
    }

    /// Processor time of a process in hundredths of a second.
    fn processor_ticks(process: u32) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        // Behind the name, which may have anything in it: state first, then numbers.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "another process is waited for, without a runtime")]
    fn an_interrupt_ends_a_query() {
        let folder = tempfile::tempdir().unwrap();
        let (server, store) = served(folder.path());
        server.stop();
        let sql = "select count(*) from generate_series(1, 100000000) a join generate_series(1, 1000000) b on a.value % 7 < b.value";
        let mut child = alluvium(&["query", &store, sql]).spawn().unwrap();
        // It has been at it for a while, with all of its threads.
        let deadline = Instant::now() + Duration::from_secs(120);
        while cfg!(target_os = "linux") && processor_ticks(child.id()) < 200 {
            assert!(child.try_wait().unwrap().is_none(), "the query has ended");
            if Instant::now() > deadline {
                let killed = child.kill();
                panic!("the query does not compute; ended: {killed:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let interrupted = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(interrupted.success());
        assert!(!child.wait().unwrap().success());
    }
}
