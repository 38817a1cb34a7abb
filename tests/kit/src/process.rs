//! A running program, its output and its end.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    io,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// The most time for a command, or for an expected message. Encrypting large goods takes a while.
pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(300);

/// The pause between two looks at a program's output.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// The size of one read of a program's output (bytes).
const READ_BYTES: usize = 8 * 1024;

/// The error of a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The operating system.
    #[error("{what}: {source}")]
    Io {
        /// The attempted operation.
        what: String,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A node did not become ready.
    #[error("the {role} is not ready: {why}; its log ends:\n{log}")]
    NotReady {
        /// Its name.
        role: farthing_node::card::RoleName,
        /// The observed problem.
        why: String,
        /// Its exit code, if it has ended.
        code: Option<i32>,
        /// The end of its log.
        log: String,
    },
    /// A command failed.
    #[error("`{command}` failed: {why}")]
    Failed {
        /// Its name.
        command: String,
        /// Its message.
        why: String,
    },
}

/// An error of the operating system in `what`.
pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> ProcessError {
    let what = what.into();
    move |source| ProcessError::Io { what, source }
}

/// A program's output and exit code.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
    /// The command, as it was typed.
    pub command: String,
}

impl Said {
    /// The one JSON value on standard output; null if the output is empty.
    #[must_use]
    pub fn printed(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_default()
    }

    /// The JSON value of a program that succeeded.
    ///
    /// # Errors
    /// When it ended with an exit code other than 0, or printed no JSON.
    pub fn done(&self) -> Result<Value, ProcessError> {
        self.ended_with(&[0])
    }

    /// The JSON value of a program that ended with one of `codes`.
    ///
    /// # Errors
    /// When it ended with another code, or printed no JSON.
    pub(crate) fn ended_with(&self, codes: &[i32]) -> Result<Value, ProcessError> {
        let failed = |why: String| ProcessError::Failed {
            command: self.command.clone(),
            why,
        };
        if !self.code.is_some_and(|code| codes.contains(&code)) {
            let said = if self.err.is_empty() { &self.out } else { &self.err };
            return Err(failed(said.trim().to_owned()));
        }
        serde_json::from_str(&self.out).map_err(|error| failed(format!("its answer is not JSON: {error}")))
    }

    /// Asserts the exit code.
    ///
    /// # Panics
    /// When it ended with another code.
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

    /// The one JSON value on standard output of a program that ended with `code`.
    ///
    /// # Panics
    /// When it ended with another code, or printed no JSON.
    #[track_caller]
    pub fn json(&self, code: i32) -> Value {
        self.must_end_with(code);
        let value: Result<Value, _> = serde_json::from_str(&self.out);
        assert!(value.is_ok(), "{}: {value:?}: {}", self.command, self.out);
        value.unwrap_or_default()
    }

    /// The error in the JSON of a program that ended with `code`.
    ///
    /// # Panics
    /// When it ended with another code, or its JSON has no error.
    #[track_caller]
    pub fn error(&self, code: i32) -> String {
        let value = self.json(code);
        let error = value.get("error").and_then(Value::as_str);
        assert!(error.is_some(), "{}: no error in {value}", self.command);
        error.unwrap_or_default().to_owned()
    }
}

/// A running program. Dropping it kills the program.
#[derive(Debug)]
pub struct Running {
    child: Child,
    command: String,
    out: Gathered,
    err: Gathered,
}

/// A program's output so far.
#[derive(Debug)]
struct Gathered {
    text: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Gathered {
    fn from(mut pipe: impl AsyncRead + Send + Unpin + 'static) -> Gathered {
        let text = Arc::new(Mutex::new(Vec::new()));
        let so_far = Arc::clone(&text);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; READ_BYTES];
            while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
                let mut text = so_far.lock().unwrap_or_else(PoisonError::into_inner);
                text.extend_from_slice(buffer.get(..length).unwrap_or_default());
            }
        });
        Gathered { text, reader }
    }

    fn so_far(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl Running {
    /// Starts `command` without input. Errors call it `name`.
    ///
    /// # Errors
    /// When the operating system cannot start it.
    pub fn start(mut command: Command, name: &str) -> Result<Running, ProcessError> {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            // A separate group: signals of the terminal go only to the program that started this one.
            .process_group(0)
            .spawn();
        let mut child = child.map_err(io(format!("`{name}` cannot be run")))?;
        let no_pipe = || io(format!("the output of `{name}`"))(io::ErrorKind::BrokenPipe.into());
        let out = child.stdout.take().ok_or_else(no_pipe)?;
        let err = child.stderr.take().ok_or_else(no_pipe)?;
        Ok(Running {
            command: name.to_owned(),
            out: Gathered::from(out),
            err: Gathered::from(err),
            child,
        })
    }

    fn failed(&self, why: impl Into<String>) -> ProcessError {
        ProcessError::Failed {
            command: self.command.clone(),
            why: why.into(),
        }
    }

    /// The process's id, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until `what` appears on standard error.
    ///
    /// # Errors
    /// When the program ends without it, or it does not appear within [`COMMAND_TIMEOUT`].
    pub async fn until_says(&mut self, what: &str) -> Result<(), ProcessError> {
        let begun = Instant::now();
        loop {
            let over = self.err.reader.is_finished() || begun.elapsed() > COMMAND_TIMEOUT;
            let said = self.err.so_far();
            if said.contains(what) {
                return Ok(());
            }
            if over {
                return Err(self.failed(format!("it never said {what}:\n{said}")));
            }
            sleep(LOOK_PAUSE).await;
        }
    }

    /// Waits at most `most` for its end. Returns whether it has ended.
    ///
    /// # Errors
    /// When the operating system cannot tell.
    pub async fn ends_within(&mut self, most: Duration) -> Result<bool, ProcessError> {
        match timeout(most, self.child.wait()).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(error)) => Err(io(format!("`{}`", self.command))(error)),
            Err(_) => Ok(false),
        }
    }

    /// Sends SIGKILL, and waits until the process has ended.
    ///
    /// # Errors
    /// When it had already ended.
    pub async fn kill(mut self) -> Result<(), ProcessError> {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return Err(self.failed("it has ended before it was killed"));
        }
        let killed = self.child.kill().await;
        killed.map_err(io(format!("`{}` cannot be killed", self.command)))
    }

    /// Sends SIGTERM, as a service manager does, and waits until it has ended.
    ///
    /// # Errors
    /// When it had already ended, or as [`end`](Running::end).
    pub async fn stop(self) -> Result<Said, ProcessError> {
        let id = self
            .process_id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let stopped = id.map(|id| kill_process(id, Signal::TERM));
        match stopped {
            Some(Ok(())) => self.end().await,
            _ => Err(self.failed("it cannot be stopped")),
        }
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When it has not ended within [`COMMAND_TIMEOUT`].
    pub async fn end(mut self) -> Result<Said, ProcessError> {
        let ended = timeout(COMMAND_TIMEOUT, async {
            let status = self.child.wait().await;
            for reader in [&mut self.out.reader, &mut self.err.reader] {
                // A reader that was aborted has read all output.
                let _read = reader.await;
            }
            status
        });
        let status: ExitStatus = match ended.await {
            Ok(status) => status.map_err(io(format!("`{}`", self.command)))?,
            Err(_) => return Err(self.failed(format!("no end after {} s", COMMAND_TIMEOUT.as_secs()))),
        };
        Ok(Said {
            code: status.code(),
            out: self.out.so_far(),
            err: self.err.so_far(),
            command: self.command.clone(),
        })
    }
}
