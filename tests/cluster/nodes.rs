//! The nodes: processes of the real program on one prefix of a bucket on MinIO.
//!
//! - Only processes that were started here are signalled; all are killed when the cluster is dropped.
//! - A node keeps its id, its ports and its log over its restarts. Ports are below the range that outgoing connections use, so that
//!   nobody takes the port of a node that is down.
//! - Nothing of this test's environment reaches a node but what is named here.

#![allow(clippy::disallowed_methods, reason = "the program's environment is a fact of this machine")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_protocol::messages::ApiVersionsRequest;
use alluvium_tests::places;
use alluvium_tests::wire::Wire;
use tempfile::TempDir;

use crate::network::Network;
use crate::waiting::eventually;

/// A process is given this long to serve, on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);
/// A process is given this long to end after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(40);

/// How a cluster is built.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Settings of each node, by name.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Network namespaces for the nodes; without them all are on loopback.
    pub(crate) network: Option<Network>,
}

/// Some nodes, numbered from 0 here; node ids are one more.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Node>,
    pub(crate) url: String,
    pub(crate) endpoint: String,
    pub(crate) runtime: Runtime,
    folder: TempDir,
}

/// One node, up or down.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) zone: String,
    /// Where clients find it.
    pub(crate) address: String,
    /// Its log, over all restarts.
    log: PathBuf,
    /// What goes before the program: the namespace to run it in.
    wrapper: Vec<String>,
    arguments: Vec<String>,
    /// Variables that only this node has.
    pub(crate) environment: Vec<(String, String)>,
    process: Option<Child>,
}

/// The program: `ALLUVIUM_BIN`, or what cargo has built beside this test.
fn program() -> Option<PathBuf> {
    if let Ok(path) = std::env::var("ALLUVIUM_BIN") {
        return Some(PathBuf::from(path));
    }
    let built = std::env::current_exe().ok()?.parent()?.parent()?.join("alluvium");
    built.exists().then_some(built)
}

impl Cluster {
    /// Three nodes in three zones on a fresh prefix, none of them started; `None`: something is missing here, which was said.
    pub(crate) fn plan(scenario: &str, plan: &Plan, runtime: &Runtime) -> Option<Cluster> {
        let endpoint = places::endpoint("the cluster", "minio")?;
        let Some(program) = program() else {
            places::skip("the cluster (there is no program: run cargo build -p alluvium, or set ALLUVIUM_BIN)");
            return None;
        };
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let url = format!("s3://{}/cluster/{scenario}/{}", places::bucket(), runtime.unique_uuid());
        let endpoint = plan.network.as_ref().map_or(endpoint, Network::endpoint);
        let mut cluster = Cluster { nodes: Vec::new(), url, endpoint, runtime: runtime.clone(), folder };
        for index in 0..3 {
            cluster.add(scenario, &program, plan, index);
        }
        Some(cluster)
    }

    /// Three nodes that serve and know each other.
    pub(crate) async fn start(scenario: &str, plan: &Plan, runtime: &Runtime) -> Option<Cluster> {
        let mut cluster = Cluster::plan(scenario, plan, runtime)?;
        for index in 0..cluster.nodes.len() {
            cluster.nodes[index].start();
        }
        cluster.complete().await;
        Some(cluster)
    }

    fn add(&mut self, scenario: &str, program: &Path, plan: &Plan, index: usize) {
        let (host, peer_host, wrapper) = match &plan.network {
            Some(network) => (network.client_host(index), network.peer_host(index), network.wrapper(index)),
            None => ("127.0.0.1".to_owned(), "127.0.0.1".to_owned(), Vec::new()),
        };
        let id = index as i32 + 1;
        let zone = format!("zone-{id}");
        let address = format!("{host}:{}", free_port(&self.runtime));
        let peer_address = format!("{peer_host}:{}", free_port(&self.runtime));
        let mut arguments: Vec<String> =
            ["serve", "--store", &self.url, "--endpoint", &self.endpoint, "--allow-http"].map(str::to_owned).to_vec();
        for (flag, value) in [
            ("--node-id", id.to_string()),
            ("--zone", zone.clone()),
            ("--listen", address.clone()),
            ("--peer-listen", peer_address),
        ] {
            arguments.extend([flag.to_owned(), value]);
        }
        let kept = std::env::var_os("ALLUVIUM_TEST_CLUSTER_LOGS").map(PathBuf::from);
        if kept.is_some() {
            arguments.extend(["--log-filter", "info,alluvium_server::kafka=debug"].map(str::to_owned));
        }
        for (name, value) in &plan.settings {
            arguments.extend(["--set".to_owned(), format!("{name}={value}")]);
        }
        let folder = kept.as_deref().unwrap_or(self.folder.path());
        let log = folder.join(format!("{scenario}-node-{id}.log"));
        let arguments = [vec![program.display().to_string()], arguments].concat();
        self.nodes.push(Node { id, zone, address, log, wrapper, arguments, environment: Vec::new(), process: None });
    }

    /// Where clients begin.
    pub(crate) fn bootstrap(&self) -> String {
        self.nodes.iter().map(|node| node.address.clone()).collect::<Vec<_>>().join(",")
    }

    /// The index of the node with this id.
    pub(crate) fn index_of(&self, id: i32) -> usize {
        self.nodes.iter().position(|node| node.id == id).unwrap_or_else(|| panic!("there is no node {id}"))
    }

    /// Waits until every node serves and sees all that are up, and no others.
    pub(crate) async fn complete(&mut self) {
        for index in 0..self.nodes.len() {
            if self.nodes[index].is_up() {
                self.serving(index).await;
            }
        }
        let up: Vec<i32> = self.nodes.iter().filter(|node| node.is_up()).map(|node| node.id).collect();
        for node in self.nodes.iter().filter(|node| node.is_up()) {
            let what = format!("node {} sees the nodes {up:?}", node.id);
            eventually(&self.runtime, Duration::from_secs(20), &what, async || {
                crate::asking::members(&node.address, &self.runtime).await.is_some_and(|ids| ids == up)
            })
            .await;
        }
    }

    /// Waits until a node answers.
    pub(crate) async fn serving(&mut self, index: usize) {
        let runtime = self.runtime.clone();
        let node = &mut self.nodes[index];
        let serving = async {
            loop {
                let patience = Duration::from_secs(5);
                if let Ok(mut wire) = Wire::open_within(patience, &node.address, &runtime).await
                    && wire.call(&ApiVersionsRequest::default(), 0).await.is_ok()
                {
                    return;
                }
                if let Some(status) = node.ended() {
                    panic!("node {} ended by itself ({status}):\n{}", node.id, node.last_words());
                }
                runtime.sleep(Duration::from_millis(10)).await;
            }
        };
        if runtime.timeout(START_MAX, serving).await.is_err() {
            panic!("node {} does not serve:\n{}", self.nodes[index].id, self.nodes[index].last_words());
        }
    }

    /// Ends all nodes in good order and looks for complaints in their logs.
    pub(crate) async fn stop(mut self) {
        let runtime = self.runtime.clone();
        for node in &mut self.nodes {
            if node.is_up() {
                node.stop(&runtime).await;
            }
        }
        self.no_complaints();
    }

    /// Fails when a node panicked or logged an error.
    pub(crate) fn no_complaints(&self) {
        for node in &self.nodes {
            let complaints = node.lines(|line| line.contains("ERROR") || line.contains("panicked"));
            assert!(complaints.is_empty(), "node {}: {complaints:#?}", node.id);
        }
    }
}

impl Node {
    /// Starts the process, which does not serve yet.
    pub(crate) fn start(&mut self) {
        assert!(self.process.is_none(), "node {} is up", self.id);
        self.process = Some(self.spawn());
    }

    /// Another process with all that this node has.
    pub(crate) fn spawn(&self) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(&self.log).expect("the log is writable");
        let command = [self.wrapper.clone(), self.arguments.clone()].concat();
        let key = places::access_key("minio");
        let path = std::env::var_os("PATH").unwrap_or_default();
        Command::new(&command[0])
            .args(&command[1..])
            .env_clear()
            .env("PATH", path)
            .env("AWS_ACCESS_KEY_ID", key)
            .env("AWS_SECRET_ACCESS_KEY", key)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", command[0]))
    }

    /// Where its peers find it.
    pub(crate) fn peer_address(&self) -> String {
        let place = self.arguments.iter().position(|argument| argument == "--peer-listen").expect("it was given one");
        self.arguments[place + 1].clone()
    }

    /// Gives the flag another value, from the next start on; a flag that is new is added.
    pub(crate) fn set_flag(&mut self, flag: &str, value: &str) {
        match self.arguments.iter().position(|argument| argument == flag) {
            Some(place) => value.clone_into(&mut self.arguments[place + 1]),
            None => self.arguments.extend([flag.to_owned(), value.to_owned()]),
        }
    }

    /// Writes to a log of its own from the next start on.
    pub(crate) fn set_log(&mut self, name: &str) {
        self.log.set_file_name(name);
    }

    pub(crate) fn is_up(&self) -> bool {
        self.process.is_some()
    }

    /// How the process ended, if it did so by itself.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut()?.try_wait().expect("a child can be waited for")
    }

    /// SIGKILL, and waiting for the end.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _gone = process.kill();
            let _reaped = process.wait();
        }
    }

    /// SIGTERM, without waiting.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Waits for the end of a process that was told to end, or ends by itself.
    pub(crate) async fn end(&mut self, runtime: &Runtime) -> ExitStatus {
        let ending = async {
            loop {
                if let Some(status) = self.ended() {
                    return status;
                }
                runtime.sleep(Duration::from_millis(5)).await;
            }
        };
        let status = runtime.timeout(STOP_MAX, ending).await;
        let status = status.unwrap_or_else(|_| panic!("node {} does not end:\n{}", self.id, self.last_words()));
        self.process = None;
        status
    }

    /// SIGTERM, and waiting for a good end.
    pub(crate) async fn stop(&mut self, runtime: &Runtime) {
        self.terminate();
        let status = self.end(runtime).await;
        assert!(status.success(), "SIGTERM ends node {} well: {status}\n{}", self.id, self.last_words());
    }

    /// Freezes the process: it keeps its connections and says nothing.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Ends [`Node::freeze`].
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.as_ref().expect("the node is up");
        let sent = Command::new("kill").args([&format!("-{signal}"), &process.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{signal} is sent to node {}", self.id);
    }

    /// Lines of the log for which `wanted` holds.
    pub(crate) fn lines(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| wanted(line)).map(str::to_owned).collect()
    }

    /// What the processes logged last.
    pub(crate) fn last_words(&self) -> String {
        let lines = self.lines(|line| !line.contains("startup::announce"));
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let Some(node) = self.nodes.iter().find(|node| node.is_up()).filter(|_| std::thread::panicking()) else {
            return;
        };
        let Some(program) = program() else { return };
        for words in [["group", "list"], ["transaction", "list"]] {
            let told =
                Command::new(&program).args(words).args(["--timeout", "5s", "--bootstrap", &node.address]).output();
            let told = told.expect("the program runs");
            let (said, complained) = (String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
            eprintln!("== alluvium {}\n{said}{complained}", words.join(" "));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("== the last words of node {}\n{}", self.id, self.last_words());
        }
    }
}

/// A port that nobody listens on now, below those that outgoing connections are given.
fn free_port(runtime: &Runtime) -> u16 {
    for _ in 0..1000 {
        let port = 12_000 + runtime.random_below(20_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free");
}
