//! A node as a process, made, started, killed, stopped and asked as its operator would.

use super::run::{PATIENCE, Said, ended, run, until};
use farthing_kit::program::{ROLE_COMMAND, TIED};
use farthing_node::{
    card::{Card, RoleName},
    home::{CONFIG_FILE, OLD_CONFIG_FILE},
    probe::PROBE_VARIABLE,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, mpsc},
    thread,
};

/// A node: its directory and its card, and the process while it runs, which is killed when this is dropped.
#[derive(Debug)]
pub struct Node {
    program: PathBuf,
    role: RoleName,
    dir: PathBuf,
    card: Card,
    /// Who is told of every point that it reaches, if anyone listens there.
    probe: Option<PathBuf>,
    child: Mutex<Option<Child>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Node {
    /// Makes a node in `dir` that listens on `listen`; with port 0 it chooses a free one and keeps it.
    pub fn init(program: &Path, role: RoleName, dir: &Path, listen: &str) -> Node {
        let words = [OsArg::Text("init"), OsArg::Path(dir)];
        let mut command = command(program, role, &words);
        command.args(["--listen", listen, "--json"]);
        let made = run(command).done();
        Self::of(program, role, dir, &made)
    }

    /// The node of an older version that is in `dir`, set to listen on `listen`.
    pub fn moved(program: &Path, role: RoleName, dir: &Path, listen: SocketAddr) -> Node {
        let path = dir.join(OLD_CONFIG_FILE);
        let config = fs::read(&path).expect("its configuration");
        let mut config: Value = serde_json::from_slice(&config).expect("its configuration in JSON");
        config["listen"] = listen.to_string().into();
        fs::write(&path, config.to_string()).expect("its configuration is written");
        let mut command = command(program, role, &[OsArg::Text("card"), OsArg::Path(dir)]);
        command.arg("--json");
        let said = run(command).done();
        assert!(
            dir.join(CONFIG_FILE).exists() && !path.exists(),
            "the configuration is not taken over"
        );
        Self::of(program, role, dir, &said)
    }

    /// The node in `dir` with the card that `said` has.
    fn of(program: &Path, role: RoleName, dir: &Path, said: &Value) -> Node {
        let card = said["card"].as_str().expect("a card").parse().expect("a card");
        Node {
            program: program.to_owned(),
            role,
            dir: dir.to_owned(),
            card,
            probe: None,
            child: Mutex::default(),
        }
    }

    /// The same, telling `socket` of every point that it reaches while it runs.
    pub fn probed(mut self, socket: Option<&Path>) -> Node {
        self.probe = socket.map(Path::to_owned);
        self
    }

    /// Its card, with the address on which it serves.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().expect("nobody has panicked with it")
    }

    /// Starts it, and waits until it answers requests.
    pub fn start(&self) {
        if let Err((code, log)) = self.try_start() {
            panic!("the {} does not start ({code:?}); its log:\n{log}", self.role);
        }
    }

    /// Starts it, and waits until it answers requests or has ended.
    ///
    /// # Errors
    /// Its exit code and its log, when it ended.
    pub fn try_start(&self) -> Result<(), (Option<i32>, String)> {
        assert!(self.child().is_none(), "the {} runs already", self.role);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log");
        let mut command = command(
            &self.program,
            self.role,
            &[OsArg::Text("serve"), OsArg::Path(&self.dir)],
        );
        // Tied to its standard input, so that it ends even if this process is killed.
        command
            .env(TIED, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some(socket) = &self.probe {
            command.env(PROBE_VARIABLE, socket);
        }
        let mut child = command.spawn().expect("the program starts");
        let line = first_line(child.stdout.take().expect("its output"));
        if line.is_empty() {
            let status = ended(&mut child, "a node that says nothing ends");
            return Err((status.code(), self.log()));
        }
        let serving = format!("farthing-{} serving {}", self.role, self.card.address);
        assert_eq!(line.trim_end(), serving);
        *self.child() = Some(child);
        Ok(())
    }

    /// Sends SIGKILL and waits until the process is gone; one that does not run is left alone.
    pub fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill().expect("a child can be killed");
            ended(&mut child, "it is dead");
        }
    }

    /// Whether it was started, and somebody else has killed it.
    pub fn has_died(&self) -> bool {
        let mut child = self.child();
        child
            .as_mut()
            .is_some_and(|child| child.try_wait().expect("a child can be asked after").is_some())
    }

    /// Kills it and starts it again, on the same address.
    pub fn restart(&self) {
        self.kill();
        self.start();
    }

    fn signal(&self, signal: Signal) {
        let child = self.child();
        let child = child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("a child takes signals");
    }

    /// Freezes it (SIGSTOP): its sockets are there, and nobody answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen one go on (SIGCONT).
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    pub fn stop(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        let mut child = self.child().take().expect("it runs");
        ended(&mut child, "a node that is asked to stop ends")
    }

    /// Runs one of its commands (`words`, its directory, `rest`).
    pub fn command(&self, words: &[&str], rest: &[&str]) -> Said {
        let mut all: Vec<OsArg<'_>> = words.iter().map(|word| OsArg::Text(word)).collect();
        all.push(OsArg::Path(&self.dir));
        all.extend(rest.iter().map(|word| OsArg::Text(word)));
        let mut command = command(&self.program, self.role, &all);
        command.arg("--json");
        run(command)
    }

    /// Runs one of its commands, which must succeed.
    #[track_caller]
    pub fn ask(&self, words: &[&str], rest: &[&str]) -> Value {
        self.command(words, rest).done()
    }

    /// Has it work with the node of this card.
    pub fn knows(&self, card: &Card) {
        self.ask(&["network", "add"], &[&card.to_string()]);
    }

    fn log_path(&self) -> PathBuf {
        // Beside the directory, on the same disk: where that is full, so is the log.
        self.dir.with_extension("log")
    }

    /// All that it has logged since it was made.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Waits until its log has `what`.
    pub fn until_log_says(&self, what: &str) {
        until(&format!("the log of the {} says `{what}`", self.role), || {
            self.log().contains(what).then_some(())
        });
    }
}

enum OsArg<'a> {
    Text(&'a str),
    Path(&'a Path),
}

fn command(program: &Path, role: RoleName, words: &[OsArg<'_>]) -> Command {
    let mut command = Command::new(program);
    command.args([ROLE_COMMAND, role.as_str()]);
    for word in words {
        match word {
            OsArg::Text(text) => command.arg(text),
            OsArg::Path(path) => command.arg(path),
        };
    }
    command
}

/// The first line that a node prints; empty if it ends without one.
fn first_line(out: ChildStdout) -> String {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut lines = BufReader::new(out);
        let mut line = String::new();
        let _gone = lines.read_line(&mut line);
        let _gone = tell.send(line);
        // What follows is read, so that the node can go on saying it.
        let _gone = std::io::copy(&mut lines, &mut std::io::sink());
    });
    told.recv_timeout(PATIENCE).expect("a node says that it is ready")
}
