//! The lower bound: the operations that a purchase, a withdrawal or an exchange needs, at their measured cost.

use crate::{
    args::{Kind, Mode},
    floor::Floor,
};
use serde::Serialize;
use std::thread::available_parallelism;

/// The operations that the protocol needs. Every signature is made once. Each server that relies on another party's
/// signature verifies it once. Escrow and bank both verify every coin.
struct Needed {
    coins_verified: u64,
    coins_issued: u64,
    verified: u64,
    signed: u64,
    /// Goods keys sealed to the customer, or sealed to the escrow and opened there. Each takes two multiplications, one
    /// of them of the base point.
    sealed: u64,
    /// Handshakes of the client.
    handshakes: u64,
    /// Round trips of the client.
    round_trips: u64,
    /// Round trips between servers that the customer waits for.
    between: u64,
    /// Syncs of servers that the customer waits for one after another.
    syncs: u64,
    /// Syncs of the customer's own journal.
    own_syncs: u64,
    /// Signatures that the customer makes, and verifies.
    client_signed: u64,
    client_verified: u64,
}

impl Needed {
    fn of(kind: &Kind) -> Needed {
        let direct = Needed::direct(kind.mode, kind.coins);
        let relayed = match kind.is_relayed {
            // The connection to the relay lasts for many purchases.
            true => Needed {
                handshakes: 0,
                ..direct
            },
            false => direct,
        };
        match kind.is_prepared {
            // The begin was signed before, and nothing is stored.
            true => Needed {
                client_signed: kind.coins,
                own_syncs: 0,
                ..relayed
            },
            false => relayed,
        }
    }

    /// The operations without a relay, of a wallet that stores everything.
    fn direct(mode: Mode, coins: u64) -> Needed {
        match mode {
            // Signed: offer, bank hold, hold, receipt, commit, settled. Verified by the escrow: offer, customer's,
            // bank hold, settled; by the bank: commit; by the merchant: customer's, hold and bank hold, receipt,
            // commit, settled. Trips: offer (with the goods, if they are small), hold, deliver; hold and
            // release. Settlements are shared by many purchases. Syncs: bank hold; releasing, commit, receipt; and of
            // the customer the order and the end. The customer signs the order and each
            // coin, and verifies offer, bank hold, hold, receipt.
            Mode::Purchase => Needed {
                coins_verified: coins.saturating_mul(2),
                coins_issued: 0,
                verified: 11,
                signed: 6,
                sealed: 1,
                handshakes: 2,
                round_trips: 3,
                between: 2,
                syncs: 4,
                own_syncs: 2,
                client_signed: coins.saturating_add(1),
                client_verified: 4,
            },
            // As above without hold, deliver and release. One request asks the escrow to pay, and the escrow opens the
            // sealed key for it. The merchant's question about its sales is shared by many purchases. The customer
            // verifies offer and commit.
            Mode::Sealed => Needed {
                coins_verified: coins.saturating_mul(2),
                coins_issued: 0,
                verified: 11,
                signed: 6,
                sealed: 3,
                handshakes: 2,
                round_trips: 2,
                between: 1,
                syncs: 2,
                own_syncs: 2,
                client_signed: coins.saturating_add(1),
                client_verified: 2,
            },
            // The account's owner signs begin and finish, the bank signs the issued coins. Only the finish changes the
            // bank's books. The wallet writes its plan, the bank's reply, and its coins.
            Mode::Withdraw => Needed {
                coins_verified: 0,
                coins_issued: coins,
                verified: 2,
                signed: 1,
                sealed: 0,
                handshakes: 1,
                round_trips: 2,
                between: 0,
                syncs: 1,
                own_syncs: 3,
                client_signed: 2,
                client_verified: 1,
            },
            // The input coins are sent with both messages, and authorize each of them.
            Mode::Exchange => Needed {
                coins_verified: coins.saturating_mul(2),
                coins_issued: coins,
                verified: 0,
                signed: 1,
                sealed: 0,
                handshakes: 1,
                round_trips: 2,
                between: 0,
                syncs: 1,
                own_syncs: 3,
                client_signed: coins.saturating_mul(2),
                client_verified: 1,
            },
        }
    }
}

/// The lower bound of one unit of work.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct LeastCost {
    /// Work of the servers on points, scalars and hashes (us).
    server_curve_cpu_us: f64,
    /// Work of the servers on connections, with one message at a time (us).
    server_network_cpu_us: f64,
    /// The same with 64 messages at once between servers, which share packets (us).
    server_network_of_64_cpu_us: f64,
    /// The customer's work on points, scalars and hashes (us).
    client_curve_cpu_us: f64,
    /// The customer's work on connections (us).
    client_network_cpu_us: f64,
    /// What this machine's processors would do in a second, if they did nothing else than the work above, with messages of
    /// 64 at once between servers.
    per_second: f64,
    /// Time that one customer waits for syncs, one after another (us).
    waiting_for_syncs_us: f64,
    /// Time that one customer waits for handshakes and round trips (us).
    waiting_for_network_us: f64,
}

impl LeastCost {
    /// The lower bound for this kind of work, with the operations' cost from `floor`.
    pub(crate) fn of(floor: &Floor, kind: &Kind) -> LeastCost {
        let needed = Needed::of(kind);
        let times = |count: u64, us: f64| count as f64 * us;
        let points = |count: u64| times(count, floor.decompression_us + floor.multiscalar_point_us);
        let verify = points(2) + floor.transcript_us;
        let coin = points(3) + times(2, floor.transcript_us);
        let sign = floor.base_multiplication_us + times(2, floor.transcript_us);
        let seal = floor.multiplication_us + floor.base_multiplication_us;
        let oblivious = if kind.is_relayed { needed.round_trips } else { 0 };
        // The client does half of the work of a connection. Relay and server do the work of another round trip.
        let halves = times(needed.handshakes, floor.handshake_cpu_us / 2.0)
            + times(needed.round_trips, floor.round_trip_cpu_us / 2.0);
        let network = |between: f64| halves + times(needed.between.saturating_add(oblivious), between);
        let trips = needed
            .round_trips
            .saturating_add(needed.between)
            .saturating_add(oblivious);
        let server_curve_cpu_us = times(needed.coins_verified, coin)
            + times(needed.coins_issued, floor.issue_us)
            + times(needed.verified, verify)
            + times(needed.signed, sign)
            + times(needed.sealed, seal)
            + times(oblivious, floor.oblivious_server_us);
        let client_curve_cpu_us = times(needed.coins_issued, floor.blind_us)
            + times(needed.client_signed, sign)
            + times(needed.client_verified, verify)
            + times(oblivious, floor.oblivious_client_us);
        let server_network_of_64_cpu_us = network(floor.round_trip_of_64_cpu_us);
        let all_us = server_curve_cpu_us + server_network_of_64_cpu_us + client_curve_cpu_us + halves;
        let processors = available_parallelism().map_or(1, std::num::NonZero::get);
        LeastCost {
            server_curve_cpu_us,
            server_network_cpu_us: network(floor.round_trip_cpu_us),
            server_network_of_64_cpu_us,
            client_curve_cpu_us,
            client_network_cpu_us: halves,
            per_second: processors as f64 * 1e6 / all_us,
            waiting_for_syncs_us: times(needed.syncs.saturating_add(needed.own_syncs), floor.sync_us),
            waiting_for_network_us: times(needed.handshakes, floor.handshake_us)
                + times(trips, floor.round_trip_us),
        }
    }

    /// The table for people.
    pub(crate) fn text(&self, noun: &str) -> String {
        format!(
            "the floor of one {noun}, as the protocol is: {:.2} ms of the servers' CPU for signatures and coins,\n\
             {:.2} ms for connections ({:.2} with 64 at once between servers); {:.2} ms and {:.2} ms of the client's;\n\
             one after another, {:.1} ms of waiting for syncs and {:.1} ms for the network;\n\
             the processors of this machine would do {:.0} a second if they did nothing else",
            self.server_curve_cpu_us / 1e3,
            self.server_network_cpu_us / 1e3,
            self.server_network_of_64_cpu_us / 1e3,
            self.client_curve_cpu_us / 1e3,
            self.client_network_cpu_us / 1e3,
            self.waiting_for_syncs_us / 1e3,
            self.waiting_for_network_us / 1e3,
            self.per_second,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(is_relayed: bool, is_prepared: bool) -> Needed {
        Needed::of(&Kind {
            mode: Mode::Exchange,
            coins: 2,
            is_relayed,
            is_prepared,
        })
    }

    #[test]
    fn a_relay_saves_the_handshakes_and_preparing_saves_the_first_signatures_and_the_store() {
        let [direct, relayed, prepared] =
            [(false, false), (true, false), (false, true)].map(|(r, p)| needed(r, p));
        assert_eq!([direct.handshakes, relayed.handshakes], [1, 0]);
        assert_eq!([direct.client_signed, prepared.client_signed], [4, 2]);
        assert_eq!([direct.own_syncs, prepared.own_syncs], [3, 0]);
        assert_eq!(direct.round_trips, relayed.round_trips);
    }
}
