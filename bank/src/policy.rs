//! The policy of reports: which movements at the accounts' edge the law wants reported or kept. Its operator writes it.
//!
//! 12 USC 1829b and 31 CFR 1010, for example, ask a bank to report cash above 10 000 dollars, and to keep a copy of
//! instruments above 100. The policy file has these limits, and a period: movements count together that an account makes
//! within it, so a sum that was split up is found too.

use crate::movement::MovementKind;
use farthing_node::home::{HomeError, read_settings};
use farthing_protocol::money::Amount;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use std::path::Path;

/// The file of the policy, in the bank's directory.
pub const POLICY_FILE: &str = "reporting.toml";

/// The longest period (hours): a year.
pub const PERIOD_MAX_HOURS: u32 = 366 * 24;

/// A period has this many slots. Movements of one slot count together until its last moment is out of the period. So a
/// sum covers the period, and at most one slot more.
pub const PERIOD_SLOTS: u64 = 24;

/// The most slots in one row. Only a clock that goes back and forth makes more than [`PERIOD_SLOTS`] and two.
pub const SLOTS_MAX: usize = 32;

const HOUR_MS: u64 = 60 * 60 * 1000;

/// An error of the policy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The file cannot be read, or has a mistake.
    #[error(transparent)]
    File(#[from] HomeError),
    /// A setting is out of bounds.
    #[error("{POLICY_FILE}: {0}; the bank does not start before it is corrected")]
    Setting(String),
}

/// What an account's movement is: to be reported, or only kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// To be reported promptly.
    Report,
    /// A copy is to be kept.
    Keep,
}

/// A report that the policy asks for: about one movement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// Whether it is to be reported, or only kept.
    pub level: Level,
    /// The kind of the movement.
    pub kind: MovementKind,
    /// Its amount.
    pub amount: Amount,
    /// The sum of the account's movements of this kind in the period, this one included.
    pub sum: Amount,
    /// The limit that the sum exceeds.
    pub limit: Amount,
}

/// The limits for one kind of movement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// A sum above this is to be reported.
    #[serde(deserialize_with = "amount")]
    pub report_above: Amount,
    /// A sum above this is to be kept.
    #[serde(default, deserialize_with = "some_amount")]
    pub keep_above: Option<Amount>,
}

impl Limits {
    /// The level of a sum, and the limit that it exceeds.
    pub fn exceeded(&self, sum: Amount) -> Option<(Level, Amount)> {
        if sum > self.report_above {
            return Some((Level::Report, self.report_above));
        }
        let keep = self.keep_above.filter(|limit| sum > *limit)?;
        Some((Level::Keep, keep))
    }
}

/// The policy. The default one asks for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The currency of the limits. It must be the bank's.
    pub currency: String,
    /// The period over which movements count together (hours).
    pub period_hours: u32,
    /// The limits for cash that is paid in.
    #[serde(default)]
    pub cash_in: Option<Limits>,
    /// The limits for cash that is paid out.
    #[serde(default)]
    pub cash_out: Option<Limits>,
    /// The limits for withdrawals of coins.
    #[serde(default)]
    pub withdrawals: Option<Limits>,
    /// The limits for money that sales bring to an account.
    #[serde(default)]
    pub deposits: Option<Limits>,
    /// The limits for coins and reserves that are paid to an account.
    #[serde(default)]
    pub coins: Option<Limits>,
    /// The limits for refunds.
    #[serde(default)]
    pub refunds: Option<Limits>,
}

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Amount, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| D::Error::custom(format!("`{text}` is no amount; write it as \"10000.00\"")))
}

fn some_amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Amount>, D::Error> {
    amount(deserializer).map(Some)
}

impl Policy {
    /// Reads the policy of the bank in `dir`, whose currency is `currency`. Without the file nothing is reported.
    ///
    /// # Errors
    /// [`PolicyError`] says what is wrong in the file.
    pub fn read(dir: &Path, currency: &str) -> Result<Self, PolicyError> {
        let Some(policy) = read_settings::<Policy>(dir, POLICY_FILE)? else {
            return Ok(Self::default());
        };
        policy.check(currency).map_err(PolicyError::Setting)?;
        Ok(policy)
    }

    fn check(&self, currency: &str) -> Result<(), String> {
        if self.currency != currency {
            return Err(format!(
                "its currency is `{}`, and the bank's is `{currency}`",
                self.currency
            ));
        }
        if !(1..=PERIOD_MAX_HOURS).contains(&self.period_hours) {
            return Err(format!(
                "period_hours is {}, and may be 1 to {PERIOD_MAX_HOURS}",
                self.period_hours
            ));
        }
        let named = [
            ("cash_in", self.cash_in),
            ("cash_out", self.cash_out),
            ("withdrawals", self.withdrawals),
            ("deposits", self.deposits),
            ("coins", self.coins),
            ("refunds", self.refunds),
        ];
        if named.iter().all(|(_, limits)| limits.is_none()) {
            return Err("it has no limits; add [cash_in], [cash_out], [withdrawals], [deposits], [coins] or [refunds]".into());
        }
        for (name, limits) in named {
            if let Some(limits) = limits
                && limits.keep_above.is_some_and(|keep| keep >= limits.report_above)
            {
                return Err(format!("keep_above in [{name}] is not less than report_above"));
            }
        }
        Ok(())
    }

    /// The limits for a kind of movement.
    pub fn limits(&self, kind: MovementKind) -> Option<&Limits> {
        match kind {
            MovementKind::Before => None,
            MovementKind::CashIn => self.cash_in.as_ref(),
            MovementKind::CashOut => self.cash_out.as_ref(),
            MovementKind::Withdrawal => self.withdrawals.as_ref(),
            MovementKind::Deposit => self.deposits.as_ref(),
            MovementKind::Coins => self.coins.as_ref(),
            MovementKind::Refund => self.refunds.as_ref(),
        }
    }

    /// The period over which movements count together (ms).
    pub fn period_ms(&self) -> u64 {
        u64::from(self.period_hours).saturating_mul(HOUR_MS)
    }
}

/// An account's movements of one kind in the last period, by slot: where it begins (ms since 1970), and its sum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodSums {
    slots: Vec<(u64, Amount)>,
}

impl PeriodSums {
    /// Adds a movement, forgets what is out of the period, and returns the sum over the period.
    pub fn add(&mut self, at_ms: u64, period_ms: u64, amount: Amount) -> Amount {
        let slot_ms = (period_ms / PERIOD_SLOTS).max(1);
        let begin_ms = at_ms.saturating_sub(at_ms.checked_rem(slot_ms).unwrap_or_default());
        let reach_ms = slot_ms.saturating_add(period_ms);
        self.slots
            .retain(|(begin_ms, _)| begin_ms.saturating_add(reach_ms) > at_ms);
        match self.slots.iter_mut().find(|(begin, _)| *begin == begin_ms) {
            Some((_, sum)) => *sum = added(*sum, amount),
            None => self.slots.push((begin_ms, amount)),
        }
        self.slots.sort_unstable_by_key(|(begin_ms, _)| *begin_ms);
        while self.slots.len() > SLOTS_MAX {
            // The oldest sum stays for longer than it must, so nothing is missed.
            let (_, oldest) = self.slots.remove(0);
            if let Some((_, next)) = self.slots.first_mut() {
                *next = added(*next, oldest);
            }
        }
        self.slots
            .iter()
            .fold(Amount(0), |sum, (_, slot)| added(sum, *slot))
    }
}

fn added(sum: Amount, more: Amount) -> Amount {
    Amount(sum.0.saturating_add(more.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 24 * HOUR_MS;

    #[test]
    fn a_sum_covers_the_period_and_at_most_a_slot_more() {
        for step_ms in [1, HOUR_MS / 3, HOUR_MS, 5 * HOUR_MS, 23 * HOUR_MS, DAY_MS] {
            let mut sums = PeriodSums::default();
            let times: Vec<u64> = (0..400).map(|n| 1_000_000 + n * step_ms).collect();
            for (count, at_ms) in times.iter().enumerate() {
                let sum = sums.add(*at_ms, DAY_MS, Amount(1)).0;
                let within = |reach_ms: u64| {
                    let recent = times[..=count].iter().filter(|past| **past + reach_ms > *at_ms);
                    recent.count() as u64
                };
                assert!(sum >= within(DAY_MS), "{step_ms}: {sum}");
                assert!(sum <= within(DAY_MS + HOUR_MS), "{step_ms}: {sum}");
                assert!(sums.slots.len() <= SLOTS_MAX);
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_and_forth_loses_no_amount() {
        let mut sums = PeriodSums::default();
        let mut sum = Amount(0);
        for n in 0..200u64 {
            sum = sums.add(n % 2 * 400 * DAY_MS + n * HOUR_MS, DAY_MS, Amount(1));
            assert!(sums.slots.len() <= SLOTS_MAX);
        }
        assert!(sum.0 >= 13, "{sum:?}");
    }

    #[test]
    fn a_policy_with_a_mistake_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Policy::read(dir.path(), "FTH").unwrap(), Policy::default());
        let read = |text: &str| {
            std::fs::write(dir.path().join(POLICY_FILE), text).unwrap();
            Policy::read(dir.path(), "FTH").map_err(|error| error.to_string())
        };
        let head = "currency = \"FTH\"\nperiod_hours = 24\n";
        let cash = "[cash_in]\nreport_above = \"10000.00\"\nkeep_above = \"100.00\"\n";
        let policy = read(&format!("{head}{cash}")).unwrap();
        let limits = policy.limits(MovementKind::CashIn).unwrap();
        let level = |sum| limits.exceeded(Amount(sum)).map(|(level, _)| level);
        assert_eq!(
            [10_000, 10_001, 1_000_000, 1_000_001].map(level),
            [None, Some(Level::Keep), Some(Level::Keep), Some(Level::Report)]
        );
        assert!(policy.limits(MovementKind::CashOut).is_none());
        let mistakes = [
            (head.to_owned(), "it has no limits"),
            (format!("{head}{cash}color = 1\n"), "color"),
            (format!("{head}cheques = 1\n{cash}"), "cheques"),
            (format!("{}{cash}", head.replace("FTH", "EUR")), "`EUR`"),
            (format!("{}{cash}", head.replace("24", "0")), "period_hours"),
            (
                format!("{head}{}", cash.replace("100.00", "10000.00")),
                "keep_above",
            ),
            (format!("{head}{}", cash.replace("\"100.00\"", "1.5")), "line 5"),
            (
                format!("{head}{}", cash.replace("\"100.00\"", "\"ten\"")),
                "`ten`",
            ),
        ];
        for (text, said) in mistakes {
            let why = read(&text).unwrap_err();
            assert!(why.contains(said), "{said}: {why}");
        }
    }
}
