//! Running the binary: commands to their end, servers until they are stopped.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Its output, when it went well.
    pub(crate) fn expect_done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// Its one line of complaint, when it ended with this code.
    pub(crate) fn expect_refused(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        let complaints: Vec<&str> = self.err.lines().filter(|line| line.starts_with("alluvium: ")).collect();
        assert_eq!(complaints.len(), 1, "{self:?}");
        complaints[0].to_owned()
    }
}

/// The binary, with none of the settings of whoever runs the tests.
pub(crate) fn alluvium(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alluvium"));
    command.args(arguments).env_clear();
    for name in ["PATH", "HOME", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str]) -> Ended {
    end(alluvium(arguments))
}

/// Runs a prepared command to its end.
pub(crate) fn end(mut command: Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A server that runs.
pub(crate) struct Server {
    child: Child,
    /// The line that it printed.
    pub(crate) line: String,
    /// Where it serves.
    pub(crate) address: String,
}

impl Server {
    /// `alluvium dev` on any port with data in this folder.
    pub(crate) fn dev(folder: &std::path::Path) -> Server {
        let data = folder.join("data");
        Server::start(alluvium(&["dev", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]))
    }

    /// `alluvium serve` that forgets everything.
    pub(crate) fn in_memory() -> Server {
        Server::start(alluvium(&["serve", "--listen", "127.0.0.1:0", "--store", "memory://"]))
    }

    /// A prepared command, until it says that it serves.
    pub(crate) fn start(mut command: Command) -> Server {
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(at) = line.find("127.0.0.1:") else {
            let mut complaint = String::new();
            child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
            panic!("it does not serve: {line}{complaint}");
        };
        let rest = &line[at..];
        let length = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != ':');
        let address = rest[..length.unwrap_or(rest.len())].to_owned();
        Server { child, line, address }
    }

    /// A client command against this server.
    pub(crate) fn client(&self, arguments: &[&str]) -> Command {
        let mut command = alluvium(arguments);
        command.env("ALLUVIUM_BOOTSTRAP", &self.address).env("ALLUVIUM_TIMEOUT", "20s");
        command
    }

    /// Runs a client command to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        end(self.client(arguments))
    }

    /// Runs a client command that reads this from stdin.
    pub(crate) fn feed(&self, arguments: &[&str], input: &[u8]) -> Ended {
        let mut child = self.client(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Sends a signal to the process that was started here.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// SIGTERM; the exit code and what it logged.
    pub(crate) fn stop(self) -> (i32, String) {
        self.end_by("-TERM")
    }

    /// A signal that ends it; the exit code and what it logged.
    pub(crate) fn end_by(mut self, signal: &str) -> (i32, String) {
        self.signal(signal);
        let mut logged = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut logged).unwrap();
        (self.child.wait().unwrap().code().unwrap_or(-1), logged)
    }

    /// Reads the log until a line has this in it, and gives that line.
    pub(crate) fn logs(&mut self, part: &str) -> String {
        let mut reader = BufReader::new(self.child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the log ended without {part}");
        }
        // What was read ahead is lost, which nobody minds.
        self.child.stderr = Some(reader.into_inner());
        line
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The JSON documents of these lines.
pub(crate) fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// One JSON document.
pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}
