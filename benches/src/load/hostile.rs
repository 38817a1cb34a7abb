//! The hostile process beside the customers: starts it, and ends it with what it has done.

use crate::{
    args::Attack,
    attacker::{ATTACK_COMMAND, READY},
    crowd::Attacked,
};
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// The priority of the hostile process: the lowest. It stands for machines elsewhere, but shares this one with the nodes.
const NICENESS: &str = "19";

/// The longest that a hostile process takes to start or to end.
const ATTACKER_TIMEOUT: Duration = Duration::from_secs(60);

/// The most that it may print (bytes).
const PRINTED_MAX_BYTES: u64 = 4096;

/// A plan for an attack.
pub(crate) struct Hostile {
    kind: Attack,
    program: PathBuf,
    /// The directory of the network file with all cards.
    cards: PathBuf,
}

/// A hostile process that runs. Dropping it ends it.
pub(crate) struct Attacking {
    child: Child,
    stdout: BufReader<tokio::io::Take<ChildStdout>>,
}

impl Hostile {
    /// A plan. `cards` is a directory with the network file of a customer.
    pub(crate) fn new(kind: Attack, cards: &Path) -> Result<Hostile> {
        Ok(Hostile {
            kind,
            program: std::env::current_exe().context("this program cannot be found")?,
            cards: cards.to_owned(),
        })
    }

    /// Where it attacks.
    pub(crate) fn kind(&self) -> Attack {
        self.kind
    }

    /// Starts the process, and waits until it attacks.
    pub(crate) async fn start(&self) -> Result<Attacking> {
        let mut child = Command::new("nice")
            .args(["-n", NICENESS])
            .arg(&self.program)
            .args([ATTACK_COMMAND, self.kind.name()])
            .arg(&self.cards)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the hostile process cannot be started; is the command `nice` there?")?;
        let stdout = child.stdout.take().context("its output is not there")?;
        let mut stdout = BufReader::new(stdout.take(PRINTED_MAX_BYTES));
        let mut line = String::new();
        timeout(ATTACKER_TIMEOUT, stdout.read_line(&mut line))
            .await
            .context("the hostile process does not start")??;
        if line.trim() != READY {
            bail!("the hostile process has failed; see its message above");
        }
        Ok(Attacking { child, stdout })
    }
}

impl Attacking {
    /// Ends the process, and returns what it has done.
    pub(crate) async fn stop(mut self) -> Result<Attacked> {
        drop(self.child.stdin.take());
        let mut line = String::new();
        timeout(ATTACKER_TIMEOUT, self.stdout.read_line(&mut line))
            .await
            .context("the hostile process does not end")??;
        let attacked: Attacked =
            serde_json::from_str(&line).context("the hostile process has not said what it did")?;
        timeout(ATTACKER_TIMEOUT, self.child.wait())
            .await
            .context("the hostile process does not end")??;
        Ok(attacked)
    }
}
