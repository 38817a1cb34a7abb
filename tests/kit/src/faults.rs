//! The fate of a datagram. It depends only on a seed and the datagram's number, so that a failed run can be repeated.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// Extra delay of a datagram that is to be overtaken (ms).
pub const REORDER_MS: u64 = 15;

/// The longest queue before a line of limited rate (ms of the line's time). The excess is lost, as in a router.
pub const QUEUE_MS: u64 = 1_000;

/// The longest queue before the slowest lines, where [`QUEUE_MS`] is less than a few datagrams (bytes).
pub const QUEUE_BYTES: u64 = 16 * 1024;

/// The most datagrams in one line's queue. The excess is lost, as in a router.
pub const WAITING_MAX: usize = 4096;

/// The faults of one direction. The default is a perfect line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The seed of all decisions.
    pub seed: u64,
    /// The share of datagrams that are lost (percent).
    pub lose_percent: u8,
    /// The share of datagrams that arrive twice (percent).
    pub repeat_percent: u8,
    /// The share of datagrams that later ones overtake (percent).
    pub reorder_percent: u8,
    /// The delay of every datagram (ms).
    pub delay_ms: u64,
    /// The most additional random delay (ms).
    pub jitter_ms: u64,
    /// The rate of the line (bytes a second); 0 for a line without a limit.
    pub rate: u64,
}

/// The fate of one datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The number of copies that arrive: none, one or two.
    pub copies: u8,
    /// The delay of each copy (ms).
    pub delay_ms: u64,
}

impl Fate {
    /// One copy, without delay.
    pub const PASSED: Fate = Fate {
        copies: 1,
        delay_ms: 0,
    };
}

impl Faults {
    /// The fate of the datagram with this number.
    #[must_use]
    pub fn fate(&self, number: u64) -> Fate {
        if *self == Faults::default() {
            return Fate::PASSED;
        }
        let mut draws = Draws(self.seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03));
        // Always four draws, so that one kind of fault does not change the others.
        let (lost, repeated) = (draws.hits(self.lose_percent), draws.hits(self.repeat_percent));
        let overtaken = draws.hits(self.reorder_percent);
        let jitter_ms = draws.below(self.jitter_ms.saturating_add(1));
        let held_back_ms = if overtaken { REORDER_MS } else { 0 };
        Fate {
            copies: if lost { 0 } else { 1 + u8::from(repeated) },
            delay_ms: self
                .delay_ms
                .saturating_add(jitter_ms)
                .saturating_add(held_back_ms),
        }
    }
}

/// Draws by splitmix64: small, and the same on all platforms. Nothing secret depends on it.
#[derive(Debug, Clone)]
pub struct Draws(pub u64);

impl Draws {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number, below `end`, which must not be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end.max(1)
    }

    /// Whether an event of this probability (percent) happens.
    pub fn hits(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }
}

/// The queue before a line of limited rate.
#[derive(Debug, Default)]
pub struct Queue {
    free_at: Option<Instant>,
}

impl Queue {
    /// When a datagram of `bytes` that comes now has passed a line of `rate` bytes a second; `None` if the queue is full.
    pub fn pass(&mut self, now: Instant, bytes: usize, rate: u64) -> Option<Instant> {
        if rate == 0 {
            return Some(now);
        }
        let begins = self.free_at.filter(|free_at| *free_at > now).unwrap_or(now);
        let of_bytes = Duration::from_millis(QUEUE_BYTES * 1_000 / rate);
        if begins - now > of_bytes.max(Duration::from_millis(QUEUE_MS)) {
            return None;
        }
        let ends = begins + Duration::from_secs_f64(bytes as f64 / rate as f64);
        self.free_at = Some(ends);
        self.free_at
    }
}

/// An item that is due at a time.
struct Waiting<T> {
    at: Instant,
    /// Keeps items of the same time in the order of their arrival.
    number: u64,
    what: T,
}

impl<T> Waiting<T> {
    fn order(&self) -> (Instant, u64) {
        (self.at, self.number)
    }
}

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl<T> Eq for Waiting<T> {}

impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Waiting<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// The input end of a delay line.
pub struct DelayLine<T>(mpsc::Sender<(Instant, T)>);

impl<T> Clone for DelayLine<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> std::fmt::Debug for DelayLine<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DelayLine").finish_non_exhaustive()
    }
}

/// The output end of a delay line.
pub struct DelayLineEnd<T>(mpsc::Receiver<(Instant, T)>);

impl<T> std::fmt::Debug for DelayLineEnd<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DelayLineEnd").finish_non_exhaustive()
    }
}

/// A delay line: its input and its output end.
#[must_use]
pub fn delay_line<T>() -> (DelayLine<T>, DelayLineEnd<T>) {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    (DelayLine(sender), DelayLineEnd(receiver))
}

impl<T> DelayLine<T> {
    /// Puts `what` in until `at`. `false` if the line is full and the item is lost.
    pub fn put(&self, at: Instant, what: T) -> bool {
        self.0.try_send((at, what)).is_ok()
    }
}

impl<T> DelayLineEnd<T> {
    /// Passes each item to `out` when it is due, until all input ends are dropped.
    pub async fn run(mut self, mut out: impl FnMut(T)) {
        let mut waiting: BinaryHeap<Reverse<Waiting<T>>> = BinaryHeap::new();
        let mut number = 0;
        loop {
            let next = waiting.peek().map(|Reverse(first)| first.at);
            let due = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                put = self.0.recv(), if waiting.len() < WAITING_MAX => match put {
                    Some((at, what)) => {
                        number += 1;
                        waiting.push(Reverse(Waiting { at, number, what }));
                    }
                    None => return,
                },
                () = due => {
                    if let Some(Reverse(first)) = waiting.pop() {
                        out(first.what);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(hits: impl Fn(u64) -> bool) -> u64 {
        (0..10_000).filter(|number| hits(*number)).count() as u64 / 100
    }

    #[test]
    fn a_perfect_line_passes_everything() {
        assert!((0..1000).all(|number| Faults::default().fate(number) == Fate::PASSED));
    }

    #[test]
    fn the_same_seed_decides_the_same_and_another_otherwise() {
        let faults = |seed| Faults {
            seed,
            lose_percent: 50,
            jitter_ms: 9,
            ..Faults::default()
        };
        let run = |seed: u64| (0..200).map(|n| faults(seed).fate(n)).collect::<Vec<_>>();
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn faults_come_about_as_often_as_asked() {
        let faults = Faults {
            seed: 7,
            lose_percent: 20,
            repeat_percent: 30,
            reorder_percent: 10,
            delay_ms: 5,
            jitter_ms: 4,
            rate: 0,
        };
        let lost = share(|n| faults.fate(n).copies == 0);
        let repeated = share(|n| faults.fate(n).copies == 2);
        let overtaken = share(|n| faults.fate(n).delay_ms >= REORDER_MS);
        assert!((18..=22).contains(&lost), "{lost}");
        // The share of the datagrams that are not lost.
        assert!((22..=26).contains(&repeated), "{repeated}");
        assert!((8..=12).contains(&overtaken), "{overtaken}");
        assert!((0..1000).all(|n| (5..=9 + REORDER_MS).contains(&faults.fate(n).delay_ms)));
    }

    #[test]
    fn one_fault_does_not_move_another() {
        let only = Faults {
            seed: 3,
            lose_percent: 25,
            ..Faults::default()
        };
        let both = Faults {
            repeat_percent: 50,
            reorder_percent: 50,
            ..only
        };
        assert!((0..500).all(|n| (only.fate(n).copies == 0) == (both.fate(n).copies == 0)));
    }

    #[tokio::test]
    async fn a_delay_line_keeps_to_times_and_then_to_order() {
        let (line, end) = delay_line();
        for (delay_ms, name) in [(90, "late"), (30, "first"), (30, "second"), (0, "now")] {
            assert!(line.put(Instant::now() + Duration::from_millis(delay_ms), name));
        }
        let began = Instant::now();
        let mut out = Vec::new();
        let running = end.run(|name| out.push((name, began.elapsed())));
        let ended = tokio::time::timeout(Duration::from_millis(300), running).await;
        assert!(ended.is_err(), "the line is still open");
        assert_eq!(
            out.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["now", "first", "second", "late"]
        );
        assert!(
            out[1].1 >= Duration::from_millis(29) && out[3].1 >= Duration::from_millis(89),
            "{out:?}"
        );
        drop(line);
    }

    #[tokio::test]
    async fn a_queue_delivers_in_order_until_it_is_full() {
        const RATE: u64 = 12_500_000;
        let (mut queue, now) = (Queue::default(), Instant::now());
        let mut last = now;
        let mut passed = 0;
        while let Some(at) = queue.pass(now, 1200, RATE) {
            assert!(at > last);
            (last, passed) = (at, passed + 1200);
        }
        let room = RATE * QUEUE_MS / 1000;
        assert!((room..room + 3600).contains(&passed), "{passed}");
        assert_eq!(queue.pass(now, 1200, 0), Some(now));
    }
}
