//! The resource usage of a process, and the room on its disk.

use rustix::fs::statvfs;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// The resource usage of a process since its start. A number that the system does not report is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The CPU time of all its threads, in the kernel and outside (us).
    pub cpu_us: u64,
    /// Its peak memory (bytes).
    pub memory_peak_bytes: u64,
    /// The bytes that it caused to be written to disks.
    pub written_bytes: u64,
}

impl Usage {
    /// Returns the usage of this process.
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

/// The room on the disk of a directory. Both are 0 if the system does not report them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRoom {
    /// The bytes that this process can still write.
    pub free_bytes: u64,
    /// The size of the disk (bytes).
    pub size_bytes: u64,
}

impl DiskRoom {
    /// The room on the disk of `dir`.
    pub fn of(dir: &Path) -> DiskRoom {
        let Ok(found) = statvfs(dir) else {
            return DiskRoom::default();
        };
        DiskRoom {
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            size_bytes: found.f_blocks.saturating_mul(found.f_frsize),
        }
    }
}

/// Reads the number after `name` in a file of the kernel.
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
    fn usage_grows_while_a_process_works() {
        let before = Usage::of_this_process();
        let mut sum = 0u64;
        while Usage::of_this_process().cpu_us < before.cpu_us + 2_000 {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(before.memory_peak_bytes > 0);
    }
}
