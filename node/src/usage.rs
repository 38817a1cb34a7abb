//! What a process has taken of the machine.

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fs;

/// What a process has taken of the machine since it started. What the system does not tell is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Time on a processor, of all its threads, in the kernel and outside (us).
    pub cpu_us: u64,
    /// The most memory that it ever had (bytes).
    pub memory_peak_bytes: u64,
    /// What it caused to be written to disks (bytes).
    pub written_bytes: u64,
}

impl Usage {
    /// That of this process.
    pub fn of_this_process() -> Usage {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let seconds_us = u64::try_from(cpu.tv_sec).unwrap_or(0).saturating_mul(1_000_000);
        let rest_us = u64::try_from(cpu.tv_nsec).unwrap_or(0) / 1_000;
        Usage {
            cpu_us: seconds_us.saturating_add(rest_us),
            memory_peak_bytes: field("/proc/self/status", "VmHWM:").saturating_mul(1024),
            written_bytes: field("/proc/self/io", "write_bytes:"),
        }
    }
}

/// The number behind `name` in a file of the kernel's.
fn field(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_has_used_more_than_before() {
        let before = Usage::of_this_process();
        let mut sum = 0u64;
        while Usage::of_this_process().cpu_us < before.cpu_us + 2_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(before.memory_peak_bytes > 0);
    }
}
