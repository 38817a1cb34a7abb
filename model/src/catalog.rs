//! Every row of the table: a system in a scenario.

use crate::{
    check::{Checked, check, explore},
    facts::Party,
    frame::{Explored, Protocol, Scenario},
    systems::{
        cashu::{Cache, Cashu},
        chaum::Chaum,
        digicash::DigiCash,
        farthing::{Defect, Farthing, Offer},
        first_virtual::FirstVirtual,
        metered::{self, Metered},
        netbill::NetBill,
        payment::{self, Payment},
        postage::Postage,
        set::Set,
        ssl::Ssl,
        stream::{self, Stream},
        taler::Taler,
        withdrawal::{self, Withdrawal},
    },
};
use std::net::SocketAddr;

/// A row that can be checked.
pub struct Entry {
    /// The system's name in the table.
    pub system: &'static str,
    /// Its name on the command line.
    pub id: &'static str,
    /// One sentence about it.
    pub about: &'static str,
    /// The scenario.
    pub scenario: Scenario,
    row: Box<dyn Row>,
}

/// What can be explored.
pub trait Row: Send + Sync {
    /// Explores it, and ends after about `states_max` generated states, if there are more.
    fn check(&self, system: &'static str, states_max: usize) -> Checked;
    /// Serves the checker's explorer of it. It does not return.
    fn explore(&self, address: SocketAddr);
}

impl<P: Protocol> Row for P {
    fn check(&self, system: &'static str, states_max: usize) -> Checked {
        check(system, &Explored::new(self.clone()), states_max)
    }

    fn explore(&self, address: SocketAddr) {
        explore(&Explored::new(self.clone()), address);
    }
}

/// A system's name in the table, its name on the command line, and one sentence about it.
pub type Title = (&'static str, &'static str, &'static str);

impl Entry {
    /// A row of the table.
    #[must_use]
    pub fn new((system, id, about): Title, scenario: Scenario, row: impl Row + 'static) -> Entry {
        Entry {
            system,
            id,
            about,
            scenario,
            row: Box::new(row),
        }
    }

    /// Explores it.
    #[must_use]
    pub fn check(&self, states_max: usize) -> Checked {
        self.row.check(self.system, states_max)
    }

    /// Serves the checker's explorer of it. It does not return.
    pub fn explore(&self, address: SocketAddr) {
        self.row.explore(address);
    }
}

/// The scenarios of a system without a third party.
const SCENARIOS: [Scenario; 4] = [
    Scenario::FAILURES,
    Scenario::cheating("customer cheats", Party::Customer),
    Scenario::cheating("merchant cheats", Party::Merchant),
    Scenario::cheating("bank cheats", Party::Bank),
];

/// The scenarios of Farthing: each party's honesty dropped, and the pairs that `docs/THREATS.md` names.
pub const FARTHING_SCENARIOS: [Scenario; 8] = [
    Scenario::FAILURES,
    Scenario::cheating("customer cheats", Party::Customer),
    Scenario::cheating("merchant cheats", Party::Merchant),
    Scenario::cheating("escrow cheats", Party::Third),
    Scenario::cheating("bank cheats", Party::Bank),
    Scenario::together("escrow and merchant cheat", Party::Third, Party::Merchant),
    Scenario::together("escrow and customer cheat", Party::Third, Party::Customer),
    Scenario::together("bank and escrow cheat", Party::Bank, Party::Third),
];

struct Rows(Vec<Entry>);

impl Rows {
    fn add<P: Protocol>(&mut self, title: Title, scenarios: &[Scenario], make: impl Fn(Scenario) -> P) {
        let row = |scenario: &Scenario| Entry::new(title, *scenario, make(*scenario));
        self.0.extend(scenarios.iter().map(row));
    }
}

/// All rows, in the order of the table.
#[must_use]
pub fn catalog() -> Vec<Entry> {
    let mut rows = Rows(Vec::new());
    before(&mut rows);
    today(&mut rows);
    ours(&mut rows);
    rows.0
}

/// The systems of the paper.
fn before(rows: &mut Rows) {
    let [failures, customer, merchant, _] = SCENARIOS;
    let three = [failures, customer, merchant];
    let chaum = (
        "Chaum, offline",
        "chaum",
        "Tokens are spent offline; one that is spent twice names its owner.",
    );
    rows.add(chaum, &three, Chaum);
    let digicash = (
        "DigiCash",
        "digicash",
        "Coins are checked online, as the merchant deposits them.",
    );
    rows.add(digicash, &three, DigiCash);
    let virtual_ = (
        "First Virtual",
        "first-virtual",
        "Goods first; then an e-mail asks whether to charge for them.",
    );
    rows.add(virtual_, &three, FirstVirtual);
    let ssl = (
        "Card over SSL",
        "ssl",
        "The merchant gets the card number over a secure channel.",
    );
    rows.add(ssl, &three, Ssl);
    let set = (
        "SET",
        "set",
        "The customer signs, and the bank compares the prices.",
    );
    rows.add(set, &three, Set);
    let netbill = (
        "NetBill",
        "netbill",
        "The server moves the money and publishes the key in one step.",
    );
    rows.add(netbill, &SCENARIOS, NetBill);
    let postage = (
        "Postage indicia",
        "postage",
        "A secure device prints postage; one station knows all letters to an address.",
    );
    rows.add(postage, &[failures, customer], Postage);
}

/// Systems of today.
fn today(rows: &mut Rows) {
    let [failures, customer, merchant, bank] = SCENARIOS;
    let two = [failures, bank];
    let cashu = (
        "Cashu swap, no cache",
        "cashu",
        "The mint forgets its reply at once.",
    );
    rows.add(cashu, &two, |scenario| Cashu(scenario, Cache::None));
    let cashu = (
        "Cashu swap, cache with a ttl",
        "cashu-ttl",
        "The mint repeats its reply for some time (NUT-19).",
    );
    rows.add(cashu, &two, |scenario| Cashu(scenario, Cache::Expires));
    let cashu = (
        "Cashu swap, cache kept",
        "cashu-cache",
        "The mint repeats its reply at any time.",
    );
    rows.add(cashu, &two, |scenario| Cashu(scenario, Cache::Kept));
    let taler = (
        "GNU Taler payment",
        "taler",
        "A coin that was not deposited is refreshed.",
    );
    rows.add(taler, &[failures, customer, merchant], Taler);
}

fn ours(rows: &mut Rows) {
    let [failures, customer, _, bank] = SCENARIOS;
    let withdrawal = (
        "Farthing, withdrawal",
        "farthing-withdrawal",
        "An account is debited, and coins are issued for it.",
    );
    rows.add(withdrawal, &[failures, bank], |scenario| Withdrawal {
        scenario,
        defect: None,
    });
    let payment = (
        "Farthing, payment",
        "farthing-payment",
        "A coin is deposited for another person, who need not be there. The wallet has two coins.",
    );
    rows.add(payment, &[failures, customer, bank], |scenario| Payment {
        scenario,
        defect: None,
    });
    let metered = (
        "Farthing, postage",
        "farthing-postage",
        "A coin buys a refill, a meter prints, and stations accept each letter once.",
    );
    rows.add(metered, &metered::SCENARIOS, |scenario| Metered {
        scenario,
        defect: None,
    });
    let released = (
        "Farthing, released",
        "farthing",
        "The merchant releases the key of each sale to the escrow.",
    );
    rows.add(released, &FARTHING_SCENARIOS, |scenario| Farthing {
        scenario,
        offer: Offer::Released,
        defect: None,
    });
    let sealed = (
        "Farthing, sealed",
        "farthing-sealed",
        "The key is in the offer, sealed to the escrow.",
    );
    rows.add(sealed, &FARTHING_SCENARIOS, |scenario| Farthing {
        scenario,
        offer: Offer::Sealed,
        defect: None,
    });
    streams(rows);
}

fn streams(rows: &mut Rows) {
    let by_side = &SCENARIOS[..3];
    let stream = (
        "Farthing, a stream",
        "farthing-stream",
        "Ticks are paid one by one from one hold. The merchant raises each voucher at the escrow before it gives the key.",
    );
    rows.add(stream, &FARTHING_SCENARIOS, Stream::raised_first);
    let stream = (
        "Farthing, a stream, raised later",
        "farthing-stream-later",
        "The merchant gives the key of one tick before it raises the voucher.",
    );
    rows.add(stream, by_side, Stream::raised_later);
    let stream = (
        "Farthing, a stream, raised later, but for one tick",
        "farthing-stream-but-one",
        "The same, and the merchant may lose one tick: it counts as paid.",
    );
    rows.add(stream, by_side, |scenario| Stream {
        forgiven: 1,
        ..Stream::raised_later(scenario)
    });
}

/// A planted defect, as a system of its own.
pub struct Planted {
    /// The name of its patch in `tests/planted`.
    pub name: String,
    /// The system with the mistake.
    pub entry: Entry,
}

/// Every planted defect that is a protocol's, each in a scenario in which the system without it keeps the property that the
/// defect breaks.
#[must_use]
pub fn planted() -> Vec<Planted> {
    let mut rows = Rows(Vec::new());
    let mut names = Vec::new();
    for defect in Defect::ALL {
        let (offer, scenario) = defect.shown_in();
        names.push(defect.name());
        let planted = ("planted defect", "planted", "Farthing with a mistake.");
        rows.add(planted, &[scenario], |scenario| Farthing {
            scenario,
            offer,
            defect: Some(defect),
        });
    }
    for defect in withdrawal::Defect::ALL {
        names.push(format!("{defect:?}"));
        let planted = (
            "planted defect",
            "planted",
            "Farthing’s withdrawal with a mistake.",
        );
        rows.add(planted, &[Scenario::FAILURES], |scenario| Withdrawal {
            scenario,
            defect: Some(defect),
        });
    }
    for defect in payment::Defect::ALL {
        names.push(format!("{defect:?}"));
        let planted = ("planted defect", "planted", "Farthing’s payment with a mistake.");
        rows.add(planted, &[Scenario::FAILURES], |scenario| Payment {
            scenario,
            defect: Some(defect),
        });
    }
    for defect in metered::Defect::ALL {
        names.push(format!("{defect:?}"));
        let planted = ("planted defect", "planted", "Farthing’s postage with a mistake.");
        rows.add(planted, &[defect.shown_in()], |scenario| Metered {
            scenario,
            defect: Some(defect),
        });
    }
    for defect in stream::Defect::ALL {
        names.push(format!("{defect:?}"));
        let planted = ("planted defect", "planted", "Farthing’s stream with a mistake.");
        rows.add(planted, &[defect.shown_in()], |scenario| Stream {
            defect: Some(defect),
            ..Stream::raised_first(scenario)
        });
    }
    let pair = |(name, entry)| Planted { name, entry };
    names.into_iter().zip(rows.0).map(pair).collect()
}
