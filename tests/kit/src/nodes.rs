//! Nodes as separate processes: creates, starts, kills and asks them through their own command lines.
//!
//! Each process runs this executable: see [`program`](crate::program).

use crate::{
    ports,
    process::{ProcessError, Running, Said, io},
    program::{ROLE_COMMAND, TIED},
};
use farthing_node::{
    card::{Card, RoleName},
    logging::LOG_VARIABLE,
    probe::PROBE_VARIABLE,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs::OpenOptions,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// The most time until a node replies to requests after its start, and until it has ended after a request to stop.
pub const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// The exit code of a command that worked and found a problem. Its output names the problem.
const EXIT_FOUND: i32 = 3;

/// The log file in a node's directory.
pub const LOG_FILE: &str = "log";

/// The longest line with which a node reports that it is ready (bytes).
const READY_LINE_MAX_BYTES: u64 = 1024;

/// The part of a log that an error repeats (bytes).
const LOG_TAIL_BYTES: usize = 800;

/// The number of checks whether a killed node has ended.
const GONE_LOOKS_MAX: usize = 200;

/// The pause between two of these checks.
const GONE_PAUSE: Duration = Duration::from_millis(5);

/// A node: its directory, its card, and its process while it runs. Dropping it ends the process.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    role: RoleName,
    dir: PathBuf,
    card: Card,
    probe: Option<PathBuf>,
    log_level: Option<String>,
    process: Arc<Mutex<Option<Child>>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        // A killer that still exists would keep the process.
        if self.killer().kill() {
            // Until it has ended, it may write into a directory that is about to be removed.
            for _ in 0..GONE_LOOKS_MAX {
                if !self.is_running() {
                    return;
                }
                thread::sleep(GONE_PAUSE);
            }
        }
    }
}

/// Kills a node's process at once, from any thread.
#[derive(Debug, Clone)]
pub struct Killer(Arc<Mutex<Option<Child>>>);

impl Killer {
    /// Sends SIGKILL: nothing is finished or flushed. `false` if the process was not running.
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
    /// Creates a node in `dir` that listens on `listen`, or on a free port of the loopback device.
    ///
    /// # Errors
    /// When `init` fails.
    pub async fn init(
        program: &Path,
        role: RoleName,
        dir: &Path,
        listen: Option<SocketAddr>,
    ) -> Result<Node, ProcessError> {
        Self::init_in(program, role, dir, listen, None).await
    }

    /// As [`init`](Node::init), with the store in the database of this URL, if there is one.
    ///
    /// # Errors
    /// When `init` fails.
    pub async fn init_in(
        program: &Path,
        role: RoleName,
        dir: &Path,
        listen: Option<SocketAddr>,
        store: Option<&str>,
    ) -> Result<Node, ProcessError> {
        let listen = match listen {
            Some(listen) => listen,
            None => (Ipv4Addr::LOCALHOST, ports::free().map_err(io("a port"))?).into(),
        };
        let listen = listen.to_string();
        let store = store.map(|store| ["--store", store]);
        let options: Vec<&str> = ["--listen", &listen]
            .into_iter()
            .chain(store.into_iter().flatten())
            .collect();
        Self::printed(program, role, "init", dir, &options).await
    }

    /// Opens an existing node in `dir`, which may be running.
    ///
    /// # Errors
    /// When `dir` has no node of this role.
    pub async fn existing(program: &Path, role: RoleName, dir: &Path) -> Result<Node, ProcessError> {
        Self::printed(program, role, "card", dir, &[]).await
    }

    /// The node whose card the command `word` prints.
    async fn printed(
        program: &Path,
        role: RoleName,
        word: &str,
        dir: &Path,
        options: &[&str],
    ) -> Result<Node, ProcessError> {
        let said = run(program, role, &[word], dir, options).await?;
        let printed = said.done()?;
        let card = printed.get("card").and_then(Value::as_str).unwrap_or_default();
        let card: Result<Card, _> = card.parse();
        let card = card.map_err(|why| ProcessError::Failed {
            command: said.command,
            why: format!("it printed no card: {why}"),
        })?;
        Ok(Node {
            program: program.to_path_buf(),
            role,
            dir: dir.to_path_buf(),
            card,
            probe: None,
            log_level: None,
            process: Arc::default(),
        })
    }

    /// Makes the node wait at every point for the listener on `socket`, if there is one. Takes effect with the next
    /// start.
    #[must_use]
    pub fn with_probe(mut self, socket: Option<PathBuf>) -> Node {
        self.probe = socket;
        self
    }

    /// Sets the level of the log, if there is one. Takes effect with the next start.
    #[must_use]
    pub fn with_log_level(mut self, level: Option<String>) -> Node {
        self.log_level = level;
        self
    }

    /// The role.
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

    /// A handle that kills the process without waiting.
    pub fn killer(&self) -> Killer {
        Killer(Arc::clone(&self.process))
    }

    /// Starts the process and waits until it replies to requests at the address in its card.
    ///
    /// # Errors
    /// When it ends, or does not become ready within [`READY_TIMEOUT`].
    pub async fn start(&self) -> Result<(), ProcessError> {
        let log = self.log_path();
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(io(log.display().to_string()))?;
        let mut command = command(&self.program, self.role, &["serve"], &self.dir, &[]);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(log))
            .env(TIED, "1")
            .kill_on_drop(true)
            // A separate group: signals of the terminal go only to the program that started the node.
            .process_group(0);
        if let Some(socket) = &self.probe {
            command.env(PROBE_VARIABLE, socket);
        }
        if let Some(level) = &self.log_level {
            command.env(LOG_VARIABLE, level);
        }
        let mut child = command
            .spawn()
            .map_err(io(format!("the {} cannot be started", self.role)))?;
        match timeout(READY_TIMEOUT, ready(&mut child)).await {
            Ok(Ok(address)) if self.card.address == address.into() => {
                *lock(&self.process) = Some(child);
                Ok(())
            }
            Ok(Ok(address)) => {
                let why = format!("it serves {address}, its card says {}", self.card.address);
                Err(self.not_ready(why, None))
            }
            Ok(Err(why)) => {
                let ended = timeout(READY_TIMEOUT, child.wait()).await;
                let code = ended.ok().and_then(Result::ok).and_then(|status| status.code());
                Err(self.not_ready(why, code))
            }
            Err(_) => {
                let why = format!("it says nothing for {} s", READY_TIMEOUT.as_secs());
                Err(self.not_ready(why, None))
            }
        }
    }

    fn not_ready(&self, why: String, code: Option<i32>) -> ProcessError {
        let log = self.log();
        let from =
            (log.len().saturating_sub(LOG_TAIL_BYTES)..=log.len()).find(|at| log.is_char_boundary(*at));
        ProcessError::NotReady {
            role: self.role,
            why,
            code,
            log: log.get(from.unwrap_or(0)..).unwrap_or_default().to_owned(),
        }
    }

    fn log_path(&self) -> PathBuf {
        self.dir.join(LOG_FILE)
    }

    /// The whole log since the node was created.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
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

    /// Whether the process was started and then killed by another process.
    pub fn has_died(&self) -> bool {
        lock(&self.process)
            .as_mut()
            .is_some_and(|child| matches!(child.try_wait(), Ok(Some(_))))
    }

    /// Kills the process (SIGKILL) and waits until it has ended. A node needs no gentler end: its disk has all
    /// that it replied.
    ///
    /// # Errors
    /// When the operating system cannot tell how it ended.
    pub async fn kill(&self) -> Result<(), ProcessError> {
        let child = lock(&self.process).take();
        let Some(mut child) = child else { return Ok(()) };
        match child.try_wait() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => child.kill().await,
            Err(error) => Err(error),
        }
        .map_err(io(format!("the {} cannot be killed", self.role)))
    }

    /// Kills the process if it still runs, and starts it again on the same address.
    ///
    /// # Errors
    /// As [`kill`](Node::kill) and [`start`](Node::start).
    pub async fn restart(&self) -> Result<(), ProcessError> {
        self.kill().await?;
        self.start().await
    }

    fn signal(&self, signal: Signal) -> Result<(), ProcessError> {
        let id = self.process_id().and_then(|id| i32::try_from(id).ok());
        let sent = match id.and_then(Pid::from_raw) {
            Some(process) => kill_process(process, signal).map_err(Into::into),
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        sent.map_err(io(format!("the {} takes no signal", self.role)))
    }

    /// Freezes the process (SIGSTOP): its sockets stay open, and nothing replies.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self) -> Result<(), ProcessError> {
        self.signal(Signal::STOP)
    }

    /// Lets a frozen process go on (SIGCONT).
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw(&self) -> Result<(), ProcessError> {
        self.signal(Signal::CONT)
    }

    /// Asks the process to stop (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// When it does not run, or does not end within [`READY_TIMEOUT`].
    pub async fn stop(&self) -> Result<ExitStatus, ProcessError> {
        self.signal(Signal::TERM)?;
        let child = lock(&self.process).take();
        let ended = match child {
            Some(mut child) => {
                // Taken out, because waiting closes it, and a tied node ends when its standard input closes.
                let _input = child.stdin.take();
                timeout(READY_TIMEOUT, child.wait()).await
            }
            None => Ok(Err(std::io::ErrorKind::NotFound.into())),
        };
        ended
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .map_err(io(format!("the {} does not stop", self.role)))
    }

    /// Runs one of the node's own commands: `words`, its directory, `rest`.
    ///
    /// # Errors
    /// When it cannot be run, or does not end.
    pub async fn command(&self, words: &[&str], rest: &[&str]) -> Result<Said, ProcessError> {
        run(&self.program, self.role, words, &self.dir, rest).await
    }

    /// Runs one of the node's own commands (`words`, its directory, `rest`) and returns its JSON.
    ///
    /// # Errors
    /// When it fails; the message is the command's own.
    pub async fn admin(&self, words: &[&str], rest: &[&str]) -> Result<Value, ProcessError> {
        self.command(words, rest).await?.ended_with(&[0, EXIT_FOUND])
    }

    /// Adds the card of another node to the node.
    ///
    /// # Errors
    /// As [`admin`](Node::admin).
    pub async fn knows(&self, card: &Card) -> Result<(), ProcessError> {
        self.admin(&["network", "add"], &[&card.to_string()]).await?;
        Ok(())
    }
}

/// The address that a starting node reports.
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

/// One of a role's commands, ready to run.
fn command(program: &Path, role: RoleName, words: &[&str], dir: &Path, rest: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args([ROLE_COMMAND, role.as_str()])
        .args(words)
        .arg(dir)
        .args(rest);
    command
}

/// Runs one of a role's commands and returns its JSON.
async fn run(
    program: &Path,
    role: RoleName,
    words: &[&str],
    dir: &Path,
    rest: &[&str],
) -> Result<Said, ProcessError> {
    let command = command(program, role, words, dir, &[rest, &["--json"]].concat());
    let name = format!("farthing-{role} {}", words.join(" "));
    Running::start(command, &name)?.end().await
}
