//! Lines that are bad.

use farthing_kit::{
    faults::Faults,
    relay::{Relay, Way},
};

/// The longest that a datagram on a bad line takes (ms), those that are overtaken apart.
const BAD_LINE_MS: u64 = 5;

/// A line that loses, repeats and reorders `percent` of its datagrams each, and takes different times for all of them.
pub fn bad(percent: u8, seed: u64) -> Faults {
    Faults {
        seed,
        lose_percent: percent,
        repeat_percent: percent,
        reorder_percent: percent,
        delay_ms: 0,
        jitter_ms: BAD_LINE_MS,
    }
}

/// Makes a line bad in both directions, each by its own draws.
pub fn spoil(line: &Relay, percent: u8, seed: u64) {
    line.set_faults(Way::ToServer, bad(percent, seed));
    line.set_faults(Way::ToClient, bad(percent, !seed));
}
