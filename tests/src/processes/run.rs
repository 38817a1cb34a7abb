//! Running a program, and waiting for something, within a bound.

use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long anything may take that must happen. A wallet itself has 60 s of patience, and machines that test are busy.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The pause between two looks.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Looks until `look` finds something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "after {PATIENCE:?} still not: {what}");
        thread::sleep(LOOK_PAUSE);
    }
}

/// Says something on standard error that is shown even where tests that pass are silent.
pub fn tell(text: &str) {
    let _gone = writeln!(std::io::stderr(), "{text}");
}

/// Waits until `child` has ended, without closing its standard input.
pub fn ended(child: &mut Child, what: &str) -> ExitStatus {
    until(what, || child.try_wait().expect("a child can be asked after"))
}

/// What a program has said, and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    command: String,
}

impl Said {
    /// The one JSON value on standard output of a program that ended with `code`.
    #[track_caller]
    pub fn json(&self, code: i32) -> Value {
        self.must_end_with(code);
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.command, self.out))
    }

    /// The one JSON value of a program that did what it was asked.
    #[track_caller]
    pub fn done(&self) -> Value {
        self.json(0)
    }

    /// The error of a program that ended with `code`, as its JSON says it.
    #[track_caller]
    pub fn error(&self, code: i32) -> String {
        let value = self.json(code);
        value["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{}: no error in {value}", self.command))
            .to_owned()
    }

    /// Checks how it ended.
    #[track_caller]
    pub fn must_end_with(&self, code: i32) {
        assert_eq!(
            self.code,
            Some(code),
            "{}\n{}\n{}",
            self.command,
            self.out,
            self.err
        );
    }
}

/// A program that runs. It is killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    command: String,
    out: Gathered,
    err: Gathered,
}

/// What a program says, as far as it has said it.
#[derive(Debug)]
struct Gathered {
    text: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Gathered {
    fn so_far(&self) -> String {
        self.text.lock().expect("nobody has panicked with it").clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

impl Running {
    /// Starts `command`, which reads nothing.
    pub fn start(mut command: Command) -> Running {
        let text = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (out, err) = (child.stdout.take(), child.stderr.take());
        Running {
            command: text,
            out: gather(out.expect("its output")),
            err: gather(err.expect("its errors")),
            child,
        }
    }

    /// Waits until it has said `what` on standard error.
    pub fn until_says(&mut self, what: &str) {
        let command = self.command.clone();
        until(&format!("{command} says {what}"), || {
            let over = !self.is_running() && self.err.reader.is_finished();
            let said = self.err.so_far();
            let says = said.contains(what);
            assert!(says || !over, "{command} never said {what}:\n{said}");
            says.then_some(())
        });
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked after")
            .is_none()
    }

    /// Waits for it to end, but not longer than `most`; `None` if it still runs.
    pub fn ends_within(&mut self, most: Duration) -> Option<()> {
        let begun = Instant::now();
        while self.is_running() {
            if begun.elapsed() >= most {
                return None;
            }
            thread::sleep(LOOK_PAUSE);
        }
        Some(())
    }

    /// Sends SIGKILL, and waits until it is gone. It must still have been running.
    pub fn kill(mut self) {
        assert!(
            self.is_running(),
            "{} has ended before it was killed",
            self.command
        );
        self.child.kill().expect("a child can be killed");
        ended(&mut self.child, "it is dead");
    }

    /// Waits until it has ended.
    pub fn end(mut self) -> Said {
        let status = ended(&mut self.child, &self.command);
        until("all that it said is read", || {
            (self.out.reader.is_finished() && self.err.reader.is_finished()).then_some(())
        });
        Said {
            code: status.code(),
            out: self.out.so_far(),
            err: self.err.so_far(),
            command: self.command.clone(),
        }
    }
}

fn gather(from: impl Read + Send + 'static) -> Gathered {
    let text = Arc::new(Mutex::new(String::new()));
    let so_far = Arc::clone(&text);
    let reader = thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let mut text = so_far.lock().expect("nobody has panicked with it");
            text.push_str(&String::from_utf8_lossy(&line));
            text.push('\n');
        }
    });
    Gathered { text, reader }
}

/// Runs `command` to its end.
pub fn run(command: Command) -> Said {
    Running::start(command).end()
}
