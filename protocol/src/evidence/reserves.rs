//! Reserves that a bank keeps for itself. The bank denies a request, and its owner shows what was credited. Then the bank
//! has to show that it knows of the credits, and that the owner has signed the debits.

use super::{
    case::Case,
    conviction::{Charge, Conviction, Culprit},
    papers::{Papers, ShownDebit},
};
use crate::{
    denial::DenialCause,
    deposited::Payee,
    documents::coins_digest,
    ids::{DepositId, PurchaseId},
    money::Amount,
    reserve_sums::{ReserveFault, ReserveSums},
    withdraw::reserve_finish,
};
use farthing_coin::{Document, KeyBook, KeyId, PublicKey, Signed};
use std::collections::{BTreeMap, BTreeSet};

/// A conviction for each reserve that a bank has denied without a good reason.
pub(super) fn judge(papers: &[Papers], cases: &[Case<'_>], books: &[KeyBook]) -> Vec<Conviction> {
    let mut denied: BTreeMap<(PublicKey, PublicKey), Vec<ReserveFault>> = BTreeMap::new();
    for denial in papers.iter().flat_map(|paper| &paper.denials) {
        let body = &denial.body;
        if let DenialCause::Reserve(fault) = &body.cause
            && denial.verify(&body.bank).is_ok()
        {
            denied.entry((body.bank, fault.reserve)).or_default().push(*fault);
        }
    }
    let is_wrong = |(bank, reserve): &(PublicKey, PublicKey), faults: &[ReserveFault]| {
        let account = Account {
            bank,
            reserve,
            papers,
            cases,
            books,
        };
        account.is_wrongly_denied(faults)
    };
    let wrong = denied.iter().filter(|(key, faults)| is_wrong(key, faults));
    let convict = |((bank, reserve), _): (&(PublicKey, PublicKey), _)| Conviction {
        culprit: Culprit::Bank(*bank),
        charge: Charge::ReserveDenied(*reserve),
        purchase: None,
    };
    wrong.map(convict).collect()
}

/// What the papers together show of one reserve at one bank.
struct Account<'a> {
    bank: &'a PublicKey,
    reserve: &'a PublicKey,
    papers: &'a [Papers],
    cases: &'a [Case<'a>],
    books: &'a [KeyBook],
}

impl Account<'_> {
    fn is_wrongly_denied(&self, faults: &[ReserveFault]) -> bool {
        let claims = faults.iter().map(|fault| fault.sums);
        let claims = claims.chain(self.balances());
        let claimed = claims.fold(ReserveSums::default(), |claimed, sums| ReserveSums {
            credited: claimed.credited.max(sums.credited),
            debited: claimed.debited.max(sums.debited),
        });
        let could_pay = |fault: &ReserveFault| fault.sums.balance() >= fault.asked;
        claimed.credited < self.credited() || claimed.debited > self.debited() || faults.iter().any(could_pay)
    }

    /// The sums in the bank's statements.
    fn balances(&self) -> impl Iterator<Item = ReserveSums> {
        let all = self.papers.iter().flat_map(|paper| &paper.balances);
        let of_it = all.filter(|balance| {
            (balance.body.bank, balance.body.reserve) == (*self.bank, *self.reserve)
                && balance.verify(self.bank).is_ok()
        });
        of_it.map(|balance| balance.body.sums)
    }

    /// The credits that the papers prove, each source once.
    fn credited(&self) -> Amount {
        let mut deposits: BTreeMap<DepositId, Amount> = BTreeMap::new();
        for deposited in self.papers.iter().flat_map(|paper| &paper.deposits) {
            let amount = deposited.body.credited(&Payee::Reserve(*self.reserve));
            if deposited.body.bank == *self.bank && deposited.verify(self.bank).is_ok() {
                deposits.insert(deposited.body.deposit_id(), amount);
            }
        }
        let mut refunds: BTreeMap<PurchaseId, Amount> = BTreeMap::new();
        for refunded in self.papers.iter().flat_map(|paper| &paper.refunds) {
            let body = &refunded.body;
            if (body.bank, body.reserve) == (*self.bank, *self.reserve) && refunded.verify(self.bank).is_ok()
            {
                let total = refunds.entry(body.purchase).or_default();
                *total = (*total).max(body.total);
            }
        }
        let credits = deposits.into_values().chain(refunds.into_values());
        sum(credits.chain(self.change()))
    }

    /// The change of the purchases with this purchase key, if the papers have their coins.
    fn change(&self) -> Vec<Amount> {
        let paid = self
            .cases
            .iter()
            .filter_map(|case| case.terms().zip(case.paid(self.bank)));
        let paid = paid.filter(|(terms, _)| terms.purchase_key == *self.reserve);
        let change = paid.filter_map(|(terms, amount)| {
            let mut coins = self.papers.iter().map(|paper| &paper.coins);
            let coins = coins.find(|coins| coins_digest(coins) == terms.coins_digest)?;
            let worth = coins.iter().map(|coin| self.value(&coin.key_id));
            terms.change(Amount::sum(worth.collect::<Option<Vec<u64>>>()?)?, amount)
        });
        change.collect()
    }

    /// The debits that the owner has signed, each request once.
    fn debited(&self) -> Amount {
        let shown = self.papers.iter().flat_map(|paper| &paper.debits);
        let of_it = shown.filter(|debit| debit.reserve == *self.reserve);
        let mut requests = BTreeSet::new();
        let amounts = of_it.filter_map(|debit| {
            let (request, amount) = self.debit(debit)?;
            requests.insert(request).then_some(amount)
        });
        let amounts: Vec<Amount> = amounts.collect();
        sum(amounts.into_iter())
    }

    /// The digest and the amount of a shown debit, if the owner has signed its request and the bank has carried it out.
    fn debit(&self, debit: &ShownDebit) -> Option<([u8; 32], Amount)> {
        if let Some(deposited) = &debit.deposited {
            let is_right = deposited.body.bank == *self.bank
                && deposited.verify(self.bank).is_ok()
                && deposited.body.is_paid_by(self.reserve, &debit.signature);
            let outputs = deposited.body.outputs.iter().map(|output| output.amount.0);
            return is_right.then_some((deposited.body.deposit_id().0, Amount::sum(outputs)?));
        }
        let issued = debit.issued.as_ref()?;
        issued.verify(self.bank).ok()?;
        let book = self.books.iter().find(|book| {
            let has = |id| book.get(id).is_some();
            book.list().bank == *self.bank && issued.body.outputs.iter().all(has)
        })?;
        let finish = reserve_finish(self.bank, self.reserve, &issued.body, |id| book.get(id)).ok()?;
        let digest = finish.digest();
        Signed {
            body: finish,
            signature: debit.signature,
        }
        .verify(self.reserve)
        .ok()?;
        let worth = issued.body.outputs.iter().map(|id| self.value(id));
        let worth = Amount::sum(worth.collect::<Option<Vec<u64>>>()?)?;
        Some((digest.0, worth))
    }

    fn value(&self, key_id: &KeyId) -> Option<u64> {
        let of_bank = self.books.iter().filter(|book| book.list().bank == *self.bank);
        of_bank
            .filter_map(|book| book.get(key_id))
            .map(|key| key.value)
            .next()
    }
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    Amount(amounts.fold(0, |sum, amount| sum.saturating_add(amount.0)))
}
