//! S3 servers that misbehave: what the store says, and a start that is refused.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use crate::harness::{Ended, Server, alluvium, end};

/// What a server does with a request: method, path, body; status and body.
type Respond = Arc<dyn Fn(&str, &str, Vec<u8>) -> (&'static str, Vec<u8>) + Send + Sync>;

/// Starts a server that lives as long as the test program; its endpoint.
#[allow(clippy::disallowed_methods, reason = "a server of the test, beside the process that is tested")]
fn endpoint(respond: Respond) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let respond = respond.clone();
            std::thread::spawn(move || serve(stream, &respond));
        }
    });
    endpoint
}

fn serve(stream: TcpStream, respond: &Respond) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let (mut head, mut length) = (String::new(), 0);
        while reader.read_line(&mut head).ok()? > 2 {}
        for line in head.lines() {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let mut words = head.split_whitespace();
        let (status, answer) = respond(words.next()?, words.next()?, body);
        let length = answer.len();
        write!(writer, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: \"1\"\r\n").ok()?;
        write!(writer, "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n").ok()?;
        writer.write_all(&answer).ok()?;
    }
}

fn error(code: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>").into()
}

fn start(endpoint: &str) -> Ended {
    let mut command = alluvium(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--store=s3://bucket/prefix",
        "--log-filter=off",
        "--set=store_retries=0",
        "--set=store_connect_timeout=1s",
        "--endpoint",
        endpoint,
    ]);
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    end(command)
}

#[test]
fn a_missing_bucket() {
    let complaint = start(&endpoint(Arc::new(|_, _, _| ("404 Not Found", error("NoSuchBucket"))))).expect_refused(1);
    assert!(complaint.contains("does not exist") && complaint.contains("create the bucket"), "{complaint}");
}

#[test]
fn wrong_credentials() {
    let respond: Respond = Arc::new(|_, _, _| ("403 Forbidden", error("InvalidAccessKeyId")));
    let complaint = start(&endpoint(respond)).expect_refused(1);
    assert!(complaint.contains("AWS_ACCESS_KEY_ID"), "{complaint}");
}

#[test]
fn nobody_at_the_endpoint() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let complaint = start(&format!("http://127.0.0.1:{port}")).expect_refused(1);
    assert!(complaint.contains("check that the store runs"), "{complaint}");
}

/// A store that takes everything and keeps it.
fn keeping() -> impl Fn(&str, &str, Vec<u8>) -> (&'static str, Vec<u8>) + Send + Sync {
    let objects: Mutex<HashMap<String, Vec<u8>>> = Mutex::default();
    move |method, path, body| {
        let mut objects = objects.lock().unwrap();
        match method {
            "PUT" => {
                objects.insert(path.to_owned(), body);
                ("200 OK", Vec::new())
            }
            "GET" if path.contains('?') => ("200 OK", b"<ListBucketResult></ListBucketResult>".to_vec()),
            "GET" => match objects.get(path) {
                Some(body) => ("200 OK", body.clone()),
                None => ("404 Not Found", error("NoSuchKey")),
            },
            _ => ("204 No Content", Vec::new()),
        }
    }
}

#[test]
fn a_store_that_ignores_the_condition() {
    let complaint = start(&endpoint(Arc::new(keeping()))).expect_refused(1);
    assert!(complaint.contains("would lose records"), "{complaint}");
}

#[test]
fn a_second_signal_ends_what_waits_for_the_store() {
    let keep = keeping();
    let hangs = Arc::new(AtomicBool::new(false));
    let (hanging, hung) = channel();
    let hanging = Mutex::new(hanging);
    let respond: Respond = {
        let hangs = hangs.clone();
        Arc::new(move |method, path, body| {
            while method == "PUT" && hangs.load(Ordering::SeqCst) {
                hanging.lock().unwrap().send(()).unwrap();
                std::thread::park();
            }
            keep(method, path, body)
        })
    };
    let mut command = alluvium(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--store=s3://bucket/prefix",
        "--set=store_probe=false",
        "--endpoint",
        &endpoint(respond),
    ]);
    command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    let mut server = Server::start(command);
    server.run(&["produce", "t", "before"]).expect_done();
    hangs.store(true, Ordering::SeqCst);
    let mut waiting = server.client(&["produce", "t", "during"]).spawn().unwrap();
    hung.recv().unwrap();
    server.signal("-TERM");
    server.logs("stopping");
    let (code, _logged) = server.stop();
    assert_eq!(code, 130);
    waiting.kill().unwrap();
    waiting.wait().unwrap();
}
