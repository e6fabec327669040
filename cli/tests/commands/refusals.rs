//! Starts and requests that cannot work: one line that says what to do.

use std::net::TcpListener;

use crate::harness::{alluvium, end, run};

#[test]
fn a_port_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = folder.path().to_str().unwrap();
    let complaint = run(&["dev", "--listen", &address, "--data", data]).expect_refused(1);
    assert!(complaint.contains(&address) && complaint.contains("--listen"), "{complaint}");
    let complaint = run(&["dev", "--listen", "nonsense", "--data", data]).expect_refused(1);
    assert!(complaint.contains("host:port"), "{complaint}");
}

#[test]
fn a_file_in_place_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").unwrap();
    for data in [file.clone(), file.join("below")] {
        let data = data.to_str().unwrap();
        let complaint = run(&["dev", "--listen", "127.0.0.1:0", "--data", data]).expect_refused(1);
        assert!(complaint.contains(data) && complaint.contains("choose another folder"), "{complaint}");
    }
}

#[test]
fn a_cluster_of_a_newer_release() {
    let folder = tempfile::tempdir().unwrap();
    let newer = r#"{"format_version": 99, "cluster_id": "x", "shard_count": 1, "created_ms": 0}"#;
    std::fs::write(folder.path().join("cluster.json"), newer).unwrap();
    let data = folder.path().to_str().unwrap();
    let complaint = run(&["dev", "--listen", "127.0.0.1:0", "--data", data]).expect_refused(1);
    assert!(complaint.contains("99") && complaint.contains("upgrade alluvium"), "{complaint}");
    std::fs::write(folder.path().join("cluster.json"), b"noise").unwrap();
    let complaint = run(&["dev", "--listen", "127.0.0.1:0", "--data", data]).expect_refused(1);
    assert!(complaint.contains("cluster.json"), "{complaint}");
}

#[test]
fn a_store_that_is_none() {
    let complaint = run(&["serve"]).expect_refused(2);
    assert!(complaint.contains("--store"), "{complaint}");
    for store in ["bucket", "ftp://host/x", "s3://", "file://"] {
        let complaint = run(&["serve", "--listen", "127.0.0.1:0", "--store", store]).expect_refused(2);
        assert!(complaint.contains("s3://bucket/prefix"), "{complaint}");
    }
}

#[test]
fn a_server_that_is_not_there() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    for arguments in [&["topic", "list"][..], &["produce", "t", "v"], &["consume", "t"]] {
        let mut command = alluvium(arguments);
        command.env("ALLUVIUM_BOOTSTRAP", &address);
        let complaint = end(command).expect_refused(1);
        assert!(complaint.contains(&address) && complaint.contains("alluvium dev"), "{complaint}");
    }
}

#[test]
fn a_server_that_speaks_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut command = alluvium(&["topic", "list", "--timeout", "2s", "--bootstrap", &address]);
    let running = command.spawn().unwrap();
    let (mut stream, _peer) = listener.accept().unwrap();
    std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    let ended = running.wait_with_output().unwrap();
    let complaint = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("does not speak Kafka's protocol"), "{complaint}");
}
