//! The process that is killed: the real program on a folder or on an S3 server.

#![allow(clippy::disallowed_methods, reason = "the program's environment and age are facts of this machine")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_protocol::messages::ApiVersionsRequest;

use alluvium_tests::wire::Wire;

/// A process is given this long to serve.
const START_MAX: Duration = Duration::from_secs(30);

/// How to start the program again and again on the same data.
pub(crate) struct Victim {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    log: PathBuf,
    pub(crate) port: u16,
    runtime: Runtime,
}

/// The program: `ALLUVIUM_BIN`, or what cargo has built beside this test.
pub(crate) fn program() -> Option<PathBuf> {
    if let Ok(path) = std::env::var("ALLUVIUM_BIN") {
        return Some(PathBuf::from(path));
    }
    let built = std::env::current_exe().ok()?.parent()?.parent()?.join("alluvium");
    built.exists().then_some(built)
}

impl Victim {
    pub(crate) fn on_folder(program: PathBuf, folder: &Path, runtime: &Runtime) -> Victim {
        let data = folder.join("data").display().to_string();
        let arguments = vec!["dev".to_owned(), "--data".to_owned(), data];
        Victim::new(program, arguments, Vec::new(), folder, runtime)
    }

    pub(crate) fn on_server(
        program: PathBuf,
        url: &str,
        endpoint: &str,
        key: &str,
        folder: &Path,
        runtime: &Runtime,
    ) -> Victim {
        let arguments = ["serve", "--store", url, "--endpoint", endpoint].map(str::to_owned).to_vec();
        let environment = vec![("AWS_ACCESS_KEY_ID", key.to_owned()), ("AWS_SECRET_ACCESS_KEY", key.to_owned())];
        Victim::new(program, arguments, environment, folder, runtime)
    }

    fn new(
        program: PathBuf,
        mut arguments: Vec<String>,
        environment: Vec<(&'static str, String)>,
        folder: &Path,
        runtime: &Runtime,
    ) -> Victim {
        // Free now, and taken again by each of the processes to come.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        arguments.extend(["--listen".to_owned(), format!("127.0.0.1:{port}")]);
        // A few of the load's batches need a segment.
        arguments.extend(["--set", "inline_bytes=64KiB"].map(str::to_owned));
        let log = folder.join("victim.log");
        Victim { program, arguments, environment, log, port, runtime: runtime.clone() }
    }

    /// The same, with a compactor that finds something to do all the time.
    pub(crate) fn merging(mut self) -> Victim {
        self.arguments.extend(["--set", "merge_age=1s", "--set", "merge_bytes=256KiB"].map(str::to_owned));
        self
    }

    /// Where it keeps everything: a folder.
    pub(crate) fn data(&self) -> PathBuf {
        let data = self.arguments.iter().skip_while(|argument| *argument != "--data").nth(1);
        PathBuf::from(data.expect("this one is on a folder"))
    }

    /// The address of that.
    pub(crate) fn store_url(&self) -> String {
        format!("file://{}", self.data().display())
    }

    /// Starts `alluvium compact --once` on the same store.
    pub(crate) fn compact(&self) -> Running {
        self.spawn(&["compact".to_owned(), "--once".to_owned(), "--store".to_owned(), self.store_url()])
    }

    /// Starts a process. Nothing of this test's environment reaches it.
    pub(crate) fn start(&self) -> Running {
        self.spawn(&self.arguments)
    }

    fn spawn(&self, arguments: &[String]) -> Running {
        let log = std::fs::File::options().create(true).append(true).open(&self.log).expect("the log is writable");
        let child = Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.display()));
        Running { child }
    }

    /// Waits until the process answers.
    pub(crate) async fn serving(&self, running: &mut Running) {
        let serving = async {
            loop {
                if let Ok(mut wire) = Wire::open(("127.0.0.1", self.port), &self.runtime).await
                    && wire.call(&ApiVersionsRequest::default(), 0).await.is_ok()
                {
                    return;
                }
                if let Some(status) = running.child.try_wait().expect("a child can be waited for") {
                    panic!("the program ended by itself ({status}):\n{}", self.last_words());
                }
                self.runtime.sleep(Duration::from_millis(5)).await;
            }
        };
        let served = self.runtime.timeout(START_MAX, serving).await;
        assert!(served.is_ok(), "the program does not serve:\n{}", self.last_words());
    }

    /// What the processes logged last.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Lines of the log that no run of this test may cause.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains("ERROR") || line.contains("panicked")).map(str::to_owned).collect()
    }
}

/// A process; killed when it is dropped.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// SIGKILL, and waiting for the end.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Whether it has not ended by itself.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for its end by itself, and tells whether it was a good one.
    pub(crate) fn succeeds(mut self) -> bool {
        self.child.wait().expect("a child can be waited for").success()
    }

    fn end(&mut self) {
        // A process that ended by itself is found out by whoever waits for it to serve.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// SIGTERM, and waiting for a good end.
    pub(crate) async fn stop(mut self, runtime: &Runtime) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(asked.is_ok_and(|status| status.success()), "SIGTERM is sent");
        for _ in 0..3000 {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                assert!(status.success(), "SIGTERM ends the program well: {status}");
                return;
            }
            runtime.sleep(Duration::from_millis(10)).await;
        }
        panic!("SIGTERM does not end the program");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
