//! What the port leaves out, so that nobody who reads it and watches the network links a connection to a purchase.
//!
//! - A count is rounded down to whole tens ([`STEP`]). So one request or one transaction cannot be seen.
//! - Bytes of requests and replies are left out: they tell the size of goods. Sizes of files are in whole MiB: the exact size
//!   of the journal tells the number of coins in a purchase.
//! - The books are published only when they have at least [`ACTS_MIN`] acts of customers more than the published ones, or
//!   after a day. So a difference is a sum over several customers.

use crate::books::Books;
use crate::counted::ReplyCounts;
use crate::operator::status::Status;
use crate::transport::ServerCounts;

/// The step of every count.
pub(crate) const STEP: u64 = 10;

/// The fewest acts of customers between two published books.
pub(crate) const ACTS_MIN: u64 = 10;

/// How long books with fewer new acts are held back (ms): a day.
pub(crate) const BOOKS_HELD_BACK_MAX_MS: u64 = 24 * 60 * 60 * 1000;

const MIB: u64 = 1024 * 1024;

/// `count` in whole steps.
pub(crate) fn steps(count: u64) -> u64 {
    whole(count, STEP)
}

fn whole(number: u64, unit: u64) -> u64 {
    number - number % unit
}

/// What the port says of `status`.
pub(crate) fn coarse(mut status: Status) -> Status {
    let Status {
        up_ms,
        store,
        network,
        process,
        state,
        ..
    } = &mut status;
    *up_ms = whole(*up_ms, 1000);
    if let Some(store) = store {
        store.records = steps(store.records);
        store.archived = steps(store.archived);
        store.snapshot = steps(store.snapshot);
        store.transactions = steps(store.transactions);
        store.journal_bytes = whole(store.journal_bytes, MIB);
        store.sync_us = whole(store.sync_us, 100_000);
    }
    *network = ServerCounts {
        connections: steps(network.connections),
        requests: steps(network.requests),
        busy: steps(network.busy),
        request_bytes: 0,
        reply_bytes: 0,
    };
    process.cpu_us = whole(process.cpu_us, 1_000_000);
    process.memory_peak_bytes = whole(process.memory_peak_bytes, MIB);
    process.written_bytes = 0;
    state.replies = ReplyCounts {
        answered: steps(state.replies.answered),
        refused: steps(state.replies.refused),
        later: steps(state.replies.later),
        faulty: steps(state.replies.faulty),
    };
    state.disk.free_bytes = whole(state.disk.free_bytes, MIB);
    state.disk.size_bytes = whole(state.disk.size_bytes, MIB);
    status
}

/// Whether `new` may be published after `published`, which was published `age_ms` ago.
pub(crate) fn may_publish(new: &Books, published: &Books, age_ms: u64) -> bool {
    new.acts.saturating_sub(published.acts) >= ACTS_MIN || age_ms >= BOOKS_HELD_BACK_MAX_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_store::StoreCounts;

    #[test]
    fn one_request_more_cannot_be_seen() {
        let mut status = Status {
            store: Some(StoreCounts {
                records: 31,
                journal_bytes: 5 * MIB + 17,
                transactions: 44,
                ..StoreCounts::default()
            }),
            ..Status::default()
        };
        status.network.requests = 128;
        status.network.reply_bytes = 3_000_000;
        status.state.replies.answered = 127;
        let before = coarse(status);
        status.network.requests += 1;
        status.network.reply_bytes += 700;
        status.state.replies.answered += 1;
        let store = status.store.as_mut().unwrap();
        store.records += 1;
        store.transactions += 1;
        store.journal_bytes += 900;
        assert_eq!(coarse(status), before);
        assert_eq!((before.network.requests, before.network.reply_bytes), (120, 0));
        assert_eq!(before.store.unwrap().journal_bytes, 5 * MIB);
    }

    #[test]
    fn books_wait_for_enough_customers_or_a_day() {
        let books = |acts| Books {
            acts,
            ..Books::default()
        };
        assert!(!may_publish(&books(109), &books(100), 60_000));
        assert!(may_publish(&books(110), &books(100), 0));
        assert!(may_publish(&books(101), &books(100), BOOKS_HELD_BACK_MAX_MS));
    }
}
