//! Stock clients in processes of their own (tests/clients/worker), whose lines become the history.

#![allow(clippy::disallowed_methods, reason = "the cache of the clients is named by this process's environment")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use alluvium_infra::Runtime;
use alluvium_infra::runtime::Instant;
use alluvium_tests::places;
use parking_lot::Mutex;

use crate::history::{History, Role};
use crate::waiting::eventually;

/// Longer than a client may need to get its last answers and leave its group.
const FINISH_MAX: Duration = Duration::from_secs(90);

/// What a producer or consumer is told.
#[derive(Clone, Debug)]
pub(crate) struct RoleSpec {
    name: String,
    group: Option<String>,
    copies: bool,
    argument: String,
}

/// A producer with so many records a second; `more` is as in tests/clients/worker/README.md.
pub(crate) fn produce(name: &str, rate: u32, more: &str) -> RoleSpec {
    let argument = format!("produce,name={name},rate={rate}{}{more}", comma(more));
    RoleSpec { name: name.to_owned(), group: None, copies: false, argument }
}

/// A member of a group.
pub(crate) fn consume(name: &str, group: &str, more: &str) -> RoleSpec {
    let argument = format!("consume,name={name},group={group}{}{more}", comma(more));
    RoleSpec { name: name.to_owned(), group: Some(group.to_owned()), copies: false, argument }
}

/// A member of a group that copies to another topic in transactions.
pub(crate) fn copy(name: &str, id: &str, group: &str, to: &str) -> RoleSpec {
    let argument = format!("copy,name={name},id={id},group={group},to={to}");
    RoleSpec { name: name.to_owned(), group: None, copies: true, argument }
}

fn comma(more: &str) -> &str {
    if more.is_empty() { "" } else { "," }
}

/// All workers of a scenario; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Workers {
    pub(crate) history: Arc<Mutex<History>>,
    pub(crate) topic: String,
    pub(crate) partitions: i32,
    bootstrap: String,
    commands: BTreeMap<&'static str, Vec<String>>,
    processes: Vec<Worker>,
    runtime: Runtime,
}

#[derive(Debug)]
struct Worker {
    names: Vec<String>,
    process: Child,
    stdin: ChildStdin,
}

impl Workers {
    /// Installs the clients of these languages; `None`: one cannot be installed, which was said.
    pub(crate) fn install(
        languages: &[&'static str],
        bootstrap: &str,
        topic: &str,
        partitions: i32,
        runtime: &Runtime,
    ) -> Option<Workers> {
        let mut commands = BTreeMap::new();
        for language in languages {
            commands.insert(*language, command(language)?);
        }
        Some(Workers {
            history: Arc::default(),
            topic: topic.to_owned(),
            partitions,
            bootstrap: bootstrap.to_owned(),
            commands,
            processes: Vec::new(),
            runtime: runtime.clone(),
        })
    }

    /// Starts a process with these roles.
    pub(crate) fn start(&mut self, language: &str, roles: &[RoleSpec]) {
        let command = &self.commands[language];
        let errors = std::fs::File::options().create(true).append(true).open(log_of(language)).expect("a log");
        let mut process = Command::new(&command[0])
            .args(&command[1..])
            .arg(format!("bootstrap={}", self.bootstrap))
            .arg(format!("topic={}", self.topic))
            .arg(format!("partitions={}", self.partitions))
            .args(roles.iter().map(|role| &role.argument))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", command[0]));
        let stdin = process.stdin.take().expect("its stdin is ours");
        let lines = BufReader::new(process.stdout.take().expect("its stdout is ours")).lines();
        for role in roles {
            self.history.lock().expect(&role.name, role.group.as_deref(), role.copies);
        }
        let (history, runtime) = (self.history.clone(), self.runtime.clone());
        drop(self.runtime.spawn_blocking(move || {
            for line in lines.map_while(Result::ok) {
                history.lock().take(&line, runtime.monotonic());
            }
        }));
        let names = roles.iter().map(|role| role.name.clone()).collect();
        self.processes.push(Worker { names, process, stdin });
    }

    /// Waits until every member owns something and every producer was acknowledged something in every partition.
    pub(crate) async fn warm(&mut self, longest: Duration) {
        let partitions = self.partitions as usize;
        let (runtime, history) = (self.runtime.clone(), self.history.clone());
        let warm = async || {
            self.still_well();
            history.lock().roles.values().all(|role| match role.group {
                _ if role.copies => !role.copied.is_empty(),
                Some(_) => !role.read.is_empty(),
                None => role.acknowledged.len() >= 2 * partitions,
            })
        };
        let _took = eventually(&runtime, longest, "every client has begun", warm).await;
    }

    /// Fails when a role failed or a process ended.
    pub(crate) fn still_well(&mut self) {
        let failures = self.history.lock().failures();
        assert!(failures.is_empty(), "{failures:#?}");
        for worker in &mut self.processes {
            let ended = worker.process.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "the worker of {:?} ended: {ended:?}", worker.names);
        }
    }

    /// Ends producers, waits until every group has read everything acknowledged, ends the members.
    pub(crate) async fn finish(&mut self) {
        let (runtime, history) = (self.runtime.clone(), self.history.clone());
        self.end_roles(false).await;
        let groups = history.lock().groups();
        for group in groups {
            let what = format!("group {group} reads everything acknowledged");
            let all_read = async || {
                self.still_well();
                history.lock().unread(&group) == 0
            };
            let _took = eventually(&runtime, Duration::from_secs(60), &what, all_read).await;
        }
        self.end_roles(true).await;
    }

    /// Ends all members of groups, or all producers, in good order.
    pub(crate) async fn end_roles(&mut self, members: bool) {
        let chosen: Vec<String> = {
            let history = self.history.lock();
            let alike = |role: &Role| role.group.is_some() == members && !role.copies && !role.done;
            history.roles.iter().filter(|(_, role)| alike(role)).map(|(name, _)| name.clone()).collect()
        };
        self.end(&chosen).await;
    }

    /// Ends all copiers in good order.
    pub(crate) async fn end_copiers(&mut self) {
        let chosen: Vec<String> = {
            let history = self.history.lock();
            let copiers = history.roles.iter().filter(|(_, role)| role.copies && !role.done);
            copiers.map(|(name, _)| name.clone()).collect()
        };
        self.end(&chosen).await;
    }

    async fn end(&mut self, chosen: &[String]) {
        for name in chosen {
            self.tell_finish(name);
        }
        let (runtime, history) = (self.runtime.clone(), self.history.clone());
        let all_done = async || {
            self.still_well();
            let history = history.lock();
            chosen.iter().all(|name| history.roles[name].done)
        };
        let _took = eventually(&runtime, FINISH_MAX, &format!("{chosen:?} end in good order"), all_done).await;
    }

    /// kill -9 of the process of this role, with all its roles.
    pub(crate) fn kill(&mut self, name: &str) {
        let place = self.processes.iter().position(|worker| worker.names.iter().any(|other| other == name));
        let mut worker = self.processes.remove(place.unwrap_or_else(|| panic!("nobody is named {name}")));
        worker.process.kill().expect("a child can be killed");
        let _reaped = worker.process.wait();
        for name in &worker.names {
            self.history.lock().roles.get_mut(name).expect("it was started").done = true;
        }
    }

    /// Whether every producer was acknowledged something, and every group has read something, in each partition since `since`.
    pub(crate) fn progressed(&self, since: Instant) -> bool {
        let history = self.history.lock();
        let mut moved: BTreeMap<&str, Vec<bool>> = BTreeMap::new();
        for (name, role) in history.roles.iter().filter(|(_, role)| !role.copies) {
            let client = role.group.as_deref().unwrap_or(name);
            let moved = moved.entry(client).or_insert_with(|| vec![false; self.partitions as usize]);
            let acknowledged = role.acknowledged.iter().rev().take_while(|record| record.at > since);
            acknowledged.for_each(|record| moved[record.partition as usize] = true);
            let read = role.read.iter().rev().take_while(|record| record.at > since);
            read.for_each(|record| moved[record.partition as usize] = true);
        }
        moved.values().flatten().all(|moved| *moved)
    }

    /// Tells one role to end in good order.
    pub(crate) fn tell_finish(&mut self, name: &str) {
        let worker = self.processes.iter_mut().find(|worker| worker.names.iter().any(|other| other == name));
        let worker = worker.unwrap_or_else(|| panic!("nobody is named {name}"));
        writeln!(worker.stdin, "finish {name}").expect("the worker listens");
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.processes {
            let _gone = worker.process.kill();
            let _reaped = worker.process.wait();
        }
        if std::thread::panicking() {
            for (name, role) in &self.history.lock().roles {
                let newest = &role.notes[role.notes.len().saturating_sub(5)..];
                eprintln!(
                    "{name}: {} acknowledged, {} read, {} times copied, done {}, failures {:?}, ownership {:?}, notes {newest:?}",
                    role.acknowledged.len(),
                    role.read.len(),
                    role.copied.len(),
                    role.done,
                    role.failures,
                    role.ownership.iter().rev().take(6).map(|(_, owned)| owned).collect::<Vec<_>>(),
                );
            }
        }
    }
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("clients/worker/command")
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/alluvium");
    std::env::var_os("ALLUVIUM_CACHE").map_or_else(home, PathBuf::from)
}

fn log_of(language: &str) -> PathBuf {
    let kept = std::env::var_os("ALLUVIUM_TEST_CLUSTER_LOGS").map(PathBuf::from);
    let folder = kept.unwrap_or_else(|| cache().join("logs"));
    std::fs::create_dir_all(&folder).expect("the cache is writable");
    folder.join(format!("cluster-worker-{language}.log"))
}

/// The command of a worker, after installing it; `None`: it cannot be installed here, which was said.
fn command(language: &str) -> Option<Vec<String>> {
    let asked = Command::new(here()).arg(language).output().expect("the script of the workers runs");
    if asked.status.code() == Some(3) {
        places::skip(&format!("{language}: {}", String::from_utf8_lossy(&asked.stderr).trim()));
        return None;
    }
    assert!(asked.status.success(), "{language} is not installed: {}", String::from_utf8_lossy(&asked.stderr));
    Some(String::from_utf8(asked.stdout).expect("a command is text").lines().map(str::to_owned).collect())
}
