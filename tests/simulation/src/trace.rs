//! The trace of a world, line by line. It is printed when a test fails.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::time::Instant;

/// A line of a [`Trace`], to be completed later.
#[derive(Debug, Clone, Copy)]
pub struct LineNumber(usize);

/// A trace. Clones share it.
#[derive(Debug, Clone)]
pub struct Trace {
    start: Instant,
    lines: Arc<Mutex<Vec<Line>>>,
}

#[derive(Debug)]
struct Line {
    at_ms: u64,
    what: String,
    became: Vec<(u64, String)>,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            lines: Arc::default(),
        }
    }
}

impl Trace {
    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Adds a line with the current time.
    pub fn note(&self, what: impl Into<String>) -> LineNumber {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(Line {
            at_ms: self.now_ms(),
            what: what.into(),
            became: Vec::new(),
        });
        LineNumber(lines.len() - 1)
    }

    /// Completes a line with its result.
    pub fn became(&self, line: LineNumber, what: impl Into<String>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(line.0) {
            line.became.push((self.now_ms(), what.into()));
        }
    }

    /// Prints the trace if the thread panics before the returned value is dropped.
    #[must_use]
    pub fn told_on_panic(&self) -> impl Drop + use<> {
        ToldOnPanic(self.clone())
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        for line in lines.iter() {
            write!(f, "{:>11.3} s  {}", seconds(line.at_ms), line.what)?;
            for (at_ms, became) in &line.became {
                match at_ms - line.at_ms {
                    0 => write!(f, "; {became}")?,
                    later_ms => write!(f, "; {became} after {:.3} s", seconds(later_ms))?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

struct ToldOnPanic(Trace);

impl Drop for ToldOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what happened:\n{}", self.0);
        }
    }
}
