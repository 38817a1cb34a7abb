//! Bad and slow lines.

use farthing_kit::{
    faults::Faults,
    line::{Line, Way},
};

/// Longest delay of a datagram on a bad line (ms). Reordered datagrams may take longer.
const BAD_LINE_MS: u64 = 5;

/// A line that loses, repeats and reorders `percent` of its datagrams each. Each datagram has its own delay.
pub fn bad(percent: u8, seed: u64) -> Faults {
    Faults {
        seed,
        lose_percent: percent,
        repeat_percent: percent,
        reorder_percent: percent,
        delay_ms: 0,
        jitter_ms: BAD_LINE_MS,
        rate: 0,
    }
}

/// A line of this rate (bit/s) in each direction. A datagram takes `delay_ms`, and `percent` of them are lost.
pub fn slow(bits_per_s: u64, delay_ms: u64, percent: u8) -> Faults {
    Faults {
        rate: bits_per_s / 8,
        delay_ms,
        lose_percent: percent,
        ..Faults::default()
    }
}

/// Makes a line bad in both directions. Each direction has its own seed.
pub fn spoil(line: &Line, percent: u8, seed: u64) {
    line.set_faults(Way::ToServer, bad(percent, seed));
    line.set_faults(Way::ToClient, bad(percent, !seed));
}
