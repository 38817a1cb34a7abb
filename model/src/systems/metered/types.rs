//! Scenarios, states, messages and steps of Farthing's postage, and its planted defects.

use crate::{
    facts::{Parties, Party},
    frame::Scenario,
};

/// The failures of all systems, with an office that comes back after each crash.
pub const KEEPS_ITS_OFFICE: Scenario = Scenario {
    name: "failures, the office stays",
    may_stop: Parties::NONE.with(Party::Customer),
    cheats: Parties::NONE,
};

/// The customer has opened the device, and copies the meter.
pub const COPIES: Scenario = Scenario::cheating("customer copies the meter", Party::Customer);

/// The office denies the refill, or gives a wrong one.
pub const OFFICE_CHEATS: Scenario = Scenario::cheating("office cheats", Party::Merchant);

/// An address, and the station that delivers to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The address of the first letter.
    Here,
    /// An address of another station.
    There,
}

impl Place {
    /// Both.
    pub const ALL: [Place; 2] = [Place::Here, Place::There];
}

/// One value for each place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ByPlace<T> {
    pub(super) here: T,
    pub(super) there: T,
}

impl<T: Copy> ByPlace<T> {
    pub(super) const fn at(&self, place: Place) -> T {
        match place {
            Place::Here => self.here,
            Place::There => self.there,
        }
    }

    pub(super) const fn at_mut(&mut self, place: Place) -> &mut T {
        match place {
            Place::Here => &mut self.here,
            Place::There => &mut self.there,
        }
    }
}

/// A set of sequence numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Numbers(u8);

impl Numbers {
    pub(super) fn has(self, number: i8) -> bool {
        self.meets(Numbers(0).with(number))
    }

    #[must_use]
    pub(super) fn with(self, number: i8) -> Numbers {
        Numbers(self.0 | 1 << number.clamp(0, 7))
    }

    #[must_use]
    pub(super) const fn and(self, other: Numbers) -> Numbers {
        Numbers(self.0 | other.0)
    }

    /// Whether the two have a number in common.
    pub(super) const fn meets(self, other: Numbers) -> bool {
        self.0 & other.0 != 0
    }
}

/// The durable state of a meter. Each letter costs 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Meter {
    /// All that was refilled.
    pub(super) refilled: i8,
    /// The number of the last print, and all that was printed.
    pub(super) sequence: i8,
    /// The number that each letter was printed with.
    pub(super) jobs: ByPlace<Option<i8>>,
}

impl Meter {
    pub(super) const fn balance(&self) -> i8 {
        self.refilled.saturating_sub(self.sequence)
    }

    /// The number of durable changes.
    pub(super) const fn writes(&self) -> i8 {
        self.refilled.saturating_add(self.sequence)
    }

    /// Takes the balance down, and writes the number of the letter.
    pub(super) fn print(&mut self, to: Place) {
        self.sequence = self.sequence.saturating_add(1);
        *self.jobs.at_mut(to) = Some(self.sequence);
    }
}

/// What the bank has done with the payment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Deposit {
    /// Nothing.
    #[default]
    Unseen,
    /// It has credited the office's account.
    Credited,
    /// It has taken the coin, and credited nobody.
    Kept,
    /// The same, and it signs that it has credited the office.
    Misstated,
}

/// The parties.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The wallet has written the payment down.
    pub(super) begun: bool,
    /// The customer has the bank's signed statement of the deposit.
    pub(super) has_statement: bool,
    /// The number of the last refill that the customer has.
    pub(super) refill: i8,
    pub(super) meter: Meter,
    /// The changes that the meter's device has counted.
    pub(super) counted: i8,
    pub(super) locked: bool,
    /// A print in memory. Only a defect needs it.
    pub(super) in_hand: Option<(Place, i8)>,
    /// An older copy of the meter's state, without its device.
    pub(super) backup: Option<Meter>,
    /// A copy of the meter together with its device.
    pub(super) copy: Option<Meter>,
    pub(super) deposit: Deposit,
    /// The number of refills that the office has signed for the deposit.
    pub(super) sold: i8,
    /// The office has shown the refill to a judge, from whom the customer can have it.
    pub(super) shown: bool,
    /// The office has signed a refill that is not for the deposit.
    pub(super) wrong: bool,
    /// What the stations have reported to the office.
    pub(super) reported: ByPlace<Numbers>,
    pub(super) revoked: bool,
    /// What each station has accepted.
    pub(super) accepted: ByPlace<Numbers>,
    /// Letters that were carried to each address.
    pub(super) carried: ByPlace<i8>,
    /// The stations know that the meter is revoked.
    pub(super) listed: bool,
}

/// Messages, files and letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message {
    /// The payment, bound to the meter by its text.
    Deposit,
    /// The bank's signed statement.
    Statement,
    /// The customer shows the statement to the office.
    Ask,
    /// The refill of this number for the deposit. The honest office signs one.
    Refill(i8),
    /// A refill that is not for the deposit.
    WrongRefill,
    /// A letter to this address, with the indicium of this number for this address.
    Letter(Place, i8),
    /// A letter to the other station, with the indicium of this number for the first address.
    Altered(i8),
    /// The indicia that a station has accepted.
    Report(Place, Numbers),
    /// The list of meters, in which the meter is revoked.
    List,
}

/// Steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The wallet pays, or sends the same again.
    Pay,
    /// The customer shows the statement to the office.
    Ask,
    /// The customer takes the refill that the office has shown to a judge.
    Fetch,
    /// The meter applies the refill.
    Apply,
    /// The meter prints, up to its durable write.
    Print(Place),
    /// The device counts the change, and the indicium leaves. It can be had again.
    Post(Place),
    /// The meter writes a print that has left. A defect.
    WriteDown,
    /// The office answers a judge to whom the statement was shown.
    Answer,
    /// A station reports to the office.
    Report(Place),
    /// The office gives the list to the stations.
    List,
    /// A customer who cheats copies the meter's state, without its device.
    Backup,
    /// A customer who cheats puts the older state back.
    PutBack,
    /// A customer who cheats posts an indicium with another address.
    Alter,
    /// A customer who has opened the device copies it together with the state.
    Copy,
    /// The copied meter prints, and the letter is posted.
    PostByCopy(Place),
    /// An office that cheats signs a refill that is not for the deposit.
    SignWrong,
    /// A bank that cheats takes the coin, and credits nobody.
    Keep,
    /// The same, and it signs that it has credited the office.
    Misstate,
    /// A station that cheats accepts the letter, and does not carry it.
    Drop,
}

/// A mistake. `tests/planted/patches` has the same one in the code, by the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// The office sells another refill for a deposit that it was shown before.
    RefillSoldTwice,
    /// The meter applies a refill again that it has applied before.
    RefillAppliedTwice,
    /// The meter takes an interrupted print for a new one.
    PrintNotRepeated,
    /// The indicium leaves before the balance is written.
    IndiciumBeforeWrite,
    /// The meter goes on with a state that is older than its device.
    RollbackUnlocked,
    /// The station accepts an indicium that it has accepted before.
    DuplicateAccepted,
    /// The station does not compare the address on the letter with the digest in the indicium.
    AddressUnchecked,
    /// The office does not revoke a meter that has signed two indicia with one number.
    TwoDigestsIgnored,
    /// The judge clears an office that shows no refill.
    JudgeWantsNoRefill,
    /// The judge takes any refill of the office for the one that it owes.
    JudgeTakesAnyRefill,
}

impl Defect {
    /// All of them.
    pub const ALL: [Defect; 10] = [
        Defect::RefillSoldTwice,
        Defect::RefillAppliedTwice,
        Defect::PrintNotRepeated,
        Defect::IndiciumBeforeWrite,
        Defect::RollbackUnlocked,
        Defect::DuplicateAccepted,
        Defect::AddressUnchecked,
        Defect::TwoDigestsIgnored,
        Defect::JudgeWantsNoRefill,
        Defect::JudgeTakesAnyRefill,
    ];

    /// A scenario in which the mistake breaks a property that holds there without it.
    #[must_use]
    pub const fn shown_in(self) -> Scenario {
        match self {
            Defect::RollbackUnlocked | Defect::AddressUnchecked => {
                Scenario::cheating("customer cheats", Party::Customer)
            }
            Defect::TwoDigestsIgnored => COPIES,
            Defect::JudgeWantsNoRefill => Scenario::FAILURES,
            Defect::JudgeTakesAnyRefill => OFFICE_CHEATS,
            _ => KEEPS_ITS_OFFICE,
        }
    }
}
