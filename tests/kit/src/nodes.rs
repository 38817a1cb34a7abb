//! Nodes as processes of their own, made, started, killed and asked through their own command lines.
//!
//! The program that runs is this very executable, called again: see [`program`](crate::program).

use crate::{
    ports,
    program::{ROLE_COMMAND, TIED},
};
use farthing_node::{
    card::{Card, RoleName},
    probe::PROBE_VARIABLE,
};
use serde_json::Value;
use std::{
    fs::OpenOptions,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// How long a node may take until it answers requests.
pub const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a command of a node may take; to encrypt large goods takes a while.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);

/// The exit code of a command that did its work and found something that must not be: its answer says what.
const EXIT_FOUND: i32 = 3;

/// The file in a node's directory that its messages go to.
pub const LOG_FILE: &str = "log";

/// The longest line that a node is ready with (bytes).
const READY_LINE_MAX_BYTES: u64 = 1024;

/// How much of a log an error repeats (bytes).
const LOG_TAIL_BYTES: usize = 800;

/// Why a process did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The operating system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A node did not become ready.
    #[error(
        "the {role} is not ready after {}: {why}; its log ends:\n{log}",
        seconds(READY_TIMEOUT)
    )]
    NotReady {
        /// Which.
        role: RoleName,
        /// What it did instead.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// A command failed.
    #[error("`farthing-{role} {command}` failed: {why}")]
    Failed {
        /// Whose command.
        role: RoleName,
        /// Which.
        command: String,
        /// What it said.
        why: String,
    },
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> ProcessError {
    let what = what.into();
    move |source| ProcessError::Io { what, source }
}

/// A node: its directory, its card, and while it runs its process. The process ends when this is dropped.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    role: RoleName,
    dir: PathBuf,
    card: Card,
    probe: Option<PathBuf>,
    process: Arc<Mutex<Option<Child>>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        // A killer that is still about would otherwise keep the process.
        self.killer().kill();
    }
}

/// Kills a node's process from wherever that has to happen at once.
#[derive(Debug, Clone)]
pub struct Killer(Arc<Mutex<Option<Child>>>);

impl Killer {
    /// Sends SIGKILL: no warning, nothing is finished, nothing is flushed. `false` if it was not running.
    pub fn kill(&self) -> bool {
        lock(&self.0)
            .as_mut()
            .is_some_and(|child| child.start_kill().is_ok())
    }
}

fn lock(process: &Mutex<Option<Child>>) -> MutexGuard<'_, Option<Child>> {
    process.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Node {
    /// Makes a node in `dir`, on a free port of the loopback device. `options` go to `init` as they are.
    ///
    /// # Errors
    /// When `init` fails.
    pub async fn init(
        program: &Path,
        role: RoleName,
        dir: &Path,
        options: &[&str],
    ) -> Result<Node, ProcessError> {
        let port = ports::free().map_err(io("a port"))?;
        let listen = format!("{}:{port}", Ipv4Addr::LOCALHOST);
        let options = [&["--listen", &listen], options].concat();
        Self::printed(program, role, "init", dir, &options).await
    }

    /// The node that somebody else made in `dir`, and may be running.
    ///
    /// # Errors
    /// When there is none of this role.
    pub async fn existing(program: &Path, role: RoleName, dir: &Path) -> Result<Node, ProcessError> {
        Self::printed(program, role, "card", dir, &[]).await
    }

    /// The node whose card `command` prints.
    async fn printed(
        program: &Path,
        role: RoleName,
        command: &str,
        dir: &Path,
        options: &[&str],
    ) -> Result<Node, ProcessError> {
        let printed = command_json(program, role, &[command], dir, options).await?;
        let card = printed.get("card").and_then(Value::as_str).unwrap_or_default();
        let card: Result<Card, _> = card.parse();
        let card = card.map_err(|why| ProcessError::Failed {
            role,
            command: command.into(),
            why: format!("it printed no card: {why}"),
        })?;
        Ok(Node {
            program: program.to_path_buf(),
            role,
            dir: dir.to_path_buf(),
            card,
            probe: None,
            process: Arc::default(),
        })
    }

    /// Has the node wait at every point for whoever listens on `socket`, whenever it is started from now on.
    #[must_use]
    pub fn with_probe(mut self, socket: PathBuf) -> Node {
        self.probe = Some(socket);
        self
    }

    /// What the node does.
    pub fn role(&self) -> RoleName {
        self.role
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Kills the process, for those who cannot wait.
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.process))
    }

    /// Starts the process and waits until it answers requests, on the address in its card as ever.
    ///
    /// # Errors
    /// When it does not become ready within [`READY_TIMEOUT`].
    pub async fn start(&self) -> Result<(), ProcessError> {
        let log = self.dir.join(LOG_FILE);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(io(log.display().to_string()))?;
        let mut command = command(&self.program, self.role, &["serve"], &self.dir, &[]);
        command
            .stdin(Stdio::piped())
            .stderr(Stdio::from(log))
            .env(TIED, "1");
        if let Some(socket) = &self.probe {
            command.env(PROBE_VARIABLE, socket);
        }
        let mut child = command
            .spawn()
            .map_err(io(format!("the {} cannot be started", self.role)))?;
        match timeout(READY_TIMEOUT, ready(&mut child)).await {
            Ok(Ok(address)) if address == self.card.address => {
                *lock(&self.process) = Some(child);
                Ok(())
            }
            Ok(Ok(address)) => Err(self.not_ready(format!(
                "it serves {address}, its card says {}",
                self.card.address
            ))),
            Ok(Err(why)) => Err(self.not_ready(why)),
            Err(_) => Err(self.not_ready("it says nothing".into())),
        }
    }

    fn not_ready(&self, why: String) -> ProcessError {
        ProcessError::NotReady {
            role: self.role,
            why,
            log: self.log_tail(),
        }
    }

    fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(self.dir.join(LOG_FILE)).unwrap_or_default();
        let from =
            (log.len().saturating_sub(LOG_TAIL_BYTES)..=log.len()).find(|at| log.is_char_boundary(*at));
        log.get(from.unwrap_or(0)..).unwrap_or_default().to_owned()
    }

    /// The process's id, while it runs.
    pub fn process_id(&self) -> Option<u32> {
        lock(&self.process).as_ref().and_then(Child::id)
    }

    /// Whether the process runs.
    pub fn is_running(&self) -> bool {
        lock(&self.process)
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Kills the process (SIGKILL) and waits until it is gone. Nothing needs a gentler end: what a node has said is
    /// on its disk.
    ///
    /// # Errors
    /// When the operating system cannot tell what became of it.
    pub async fn kill(&self) -> Result<(), ProcessError> {
        let child = lock(&self.process).take();
        match child {
            Some(mut child) => child
                .kill()
                .await
                .map_err(io(format!("the {} cannot be killed", self.role))),
            None => Ok(()),
        }
    }

    /// Kills the process if it still runs, and starts it again on the same address.
    ///
    /// # Errors
    /// As [`kill`](Node::kill) and [`start`](Node::start).
    pub async fn restart(&self) -> Result<(), ProcessError> {
        self.kill().await?;
        self.start().await
    }

    /// Runs one of the node's own commands (`words`, its directory, `rest`) and returns what it prints for programs.
    ///
    /// # Errors
    /// When it fails; the message is the command's own.
    pub async fn admin(&self, words: &[&str], rest: &[&str]) -> Result<Value, ProcessError> {
        command_json(&self.program, self.role, words, &self.dir, rest).await
    }

    /// Has the node work with others from now on.
    ///
    /// # Errors
    /// As [`admin`](Node::admin).
    pub async fn knows<const N: usize>(&self, others: [&Node; N]) -> Result<(), ProcessError> {
        for other in others {
            self.admin(&["network", "add"], &[&other.card.to_string()])
                .await?;
        }
        Ok(())
    }
}

/// The address that a starting node says it serves.
async fn ready(child: &mut Child) -> Result<SocketAddr, String> {
    let stdout = child.stdout.take().ok_or("its output is not there")?;
    let mut reader = BufReader::new(stdout.take(READY_LINE_MAX_BYTES));
    let mut line = String::new();
    let read = reader
        .read_line(&mut line)
        .await
        .map_err(|error| error.to_string())?;
    if read == 0 {
        return Err("it has ended".into());
    }
    let address = line.trim().rsplit(' ').next().unwrap_or_default();
    address.parse().map_err(|_| format!("it said `{}`", line.trim()))
}

/// One of a role's commands, ready to be run.
fn command(program: &Path, role: RoleName, words: &[&str], dir: &Path, rest: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args([ROLE_COMMAND, role.as_str()])
        .args(words)
        .arg(dir)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        // A group of its own: what a terminal sends to the demo is the demo's to deal with.
        .process_group(0);
    command
}

async fn command_json(
    program: &Path,
    role: RoleName,
    words: &[&str],
    dir: &Path,
    rest: &[&str],
) -> Result<Value, ProcessError> {
    let failed = |why: String| ProcessError::Failed {
        role,
        command: words.join(" "),
        why,
    };
    let mut command = command(program, role, words, dir, &[rest, &["--json"]].concat());
    let running = command.output();
    let output = match timeout(COMMAND_TIMEOUT, running).await {
        Ok(output) => output.map_err(io(format!("{} cannot be run", program.display())))?,
        Err(_) => return Err(failed(format!("no end after {}", seconds(COMMAND_TIMEOUT)))),
    };
    if !output.status.success() && output.status.code() != Some(EXIT_FOUND) {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| failed(format!("its answer is not JSON: {error}")))
}
