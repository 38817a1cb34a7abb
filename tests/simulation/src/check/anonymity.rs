//! Anonymity, as far as messages show it: no connection, id, coin or nonce links what must not be linked.
//! (`tests/blindness.rs` shows that the bytes themselves link nothing.)

use super::{
    super::{
        network::{Sent, role_of},
        party::Party,
        world::World,
    },
    decisions::replies,
};
use farthing_client::wallet::Wallet;
use farthing_coin::{Challenge, Commitment, PublicKey, Signed};
use farthing_node::{card::RoleName, network::Lane};
use farthing_protocol::{
    api::{BankRequest, Call, Caller, EscrowRequest, MerchantRequest},
    deposit::{Deposit, DepositFrom},
    deposited::Payee,
    documents::PurchaseId,
    exchange::{Authorized, ExchangeBegin, ExchangeFinish},
    ids::DepositId,
    reserve::FromReserve,
    sealed::PayRequest,
    settle::SettleRequest,
    stream::OpenRequest,
    withdraw::{WithdrawBegin, WithdrawFinish},
};
use std::collections::{BTreeMap, BTreeSet};

/// The task of a request, if it tells one task of a customer from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Matter {
    Account(PublicKey),
    Exchange([u8; 32]),
    Purchase(PurchaseId),
    Reserve(PublicKey),
    Deposit(DepositId),
}

/// Everything seen that must be used only once.
#[derive(Default)]
struct Seen {
    /// Owner, lane and tasks, by connection.
    connections: BTreeMap<u64, (Party, Lane, BTreeSet<Matter>)>,
    /// The purchases and the exchanges for which a coin was shown.
    coins: BTreeMap<PublicKey, BTreeSet<Matter>>,
    /// The request and slot of a nonce.
    nonces: BTreeMap<Commitment, ([u8; 32], usize)>,
    /// The challenge that a session's nonce answered.
    challenges: BTreeMap<([u8; 32], usize), Challenge>,
}

pub(super) fn check(
    world: &World,
    sent: &[Sent],
    opened: &[Sent],
    wallets: &[&Wallet],
    safety: &mut Vec<String>,
) {
    let bank = world.parties().bank.identity;
    let account = |wallet: &&Wallet| wallet.account(&bank).expect("an account");
    let accounts: BTreeSet<PublicKey> = wallets.iter().map(account).collect();
    let mut seen = Seen::default();
    let no_twin = !world
        .everyone()
        .iter()
        .any(|party| world.machine(*party).is_twin());
    for message in opened {
        if names(message, &accounts) {
            safety.push("anonymity: an account is named in what a relay brings".into());
        }
        seen.contents(message, no_twin, safety);
    }
    for message in sent
        .iter()
        .filter(|message| matches!(message.from, Party::Customer(_)))
    {
        if message.lane == Lane::Identified && !takes_an_account(message) {
            safety.push("anonymity: an identified connection carries what could be asked anonymously".into());
        }
        if message.lane != Lane::Identified {
            if names(message, &accounts) {
                safety.push("anonymity: an account is named on an anonymous connection".into());
            }
            if world.foundation.population.relayed {
                safety.push(format!(
                    "anonymity: a wallet goes around its relay, to {}",
                    message.to
                ));
            }
        }
        // Two copies of a wallet show the same coins. A wallet that was restored from its phrase does not know what
        // it was doing last.
        let alone = !world.machine(message.from).is_twin();
        seen.message(message, alone, safety);
    }
    for (connection, (party, lane, matters)) in seen.connections {
        if matters.len() > 1 {
            let what = format!("{matters:?} of {party} share {lane:?} connection {connection}");
            safety.push(format!("anonymity: {what}"));
        }
    }
    for (coin, matters) in seen.coins {
        let shown = |is: fn(&Matter) -> bool| matters.iter().filter(|matter| is(matter)).count();
        let purchases = shown(|matter| matches!(matter, Matter::Purchase(_)));
        let exchanges = shown(|matter| matches!(matter, Matter::Exchange(_)));
        let deposits = shown(|matter| matches!(matter, Matter::Deposit(_)));
        if purchases + deposits > 1 || exchanges > 1 {
            safety.push(format!(
                "anonymity: one key is shown for two matters: {coin} in {matters:?}"
            ));
        }
    }
}

/// Whether a request has the key of one of these accounts in it. The payee of a deposit does not count: a payment to an
/// account names it.
fn names(message: &Sent, accounts: &BTreeSet<PublicKey>) -> bool {
    let request = match BankRequest::decode(&message.request) {
        Ok(BankRequest::Deposit(mut deposit)) => {
            deposit
                .body
                .outputs
                .retain(|output| !matches!(output.to, Payee::Account(_)));
            deposit.encode().expect("a shorter request")
        }
        _ => message.request.clone(),
    };
    let mut windows = request.windows(32);
    windows.any(|bytes| accounts.iter().any(|account| bytes == account.0))
}

/// Whether only the owner of an account can send this request.
fn takes_an_account(message: &Sent) -> bool {
    let asked = BankRequest::decode(&message.request);
    message.to == Party::Bank && asked.is_ok_and(|request| request.caller() == Caller::Identified)
}

impl Seen {
    fn message(&mut self, message: &Sent, alone: bool, safety: &mut Vec<String>) {
        let about = self.contents(message, alone, safety);
        let (party, lane, matters) = self.connections.entry(message.connection).or_insert((
            message.from,
            message.lane,
            BTreeSet::new(),
        ));
        if (*party, *lane) != (message.from, message.lane) {
            safety.push(format!(
                "anonymity: connection {} has several users",
                message.connection
            ));
        }
        matters.extend(&about);
    }

    /// What a request shows to its server, on whatever way it came. Returns its tasks.
    fn contents(&mut self, message: &Sent, alone: bool, safety: &mut Vec<String>) -> Vec<Matter> {
        let Some(role) = role_of(message.to) else {
            return Vec::new();
        };
        let (about, coins) = matters(role, message);
        for coin in coins.into_iter().filter(|_| alone) {
            self.coins.entry(coin).or_default().extend(&about);
        }
        self.nonces(role, message, safety);
        about
    }

    fn nonces(&mut self, role: RoleName, message: &Sent, safety: &mut Vec<String>) {
        if role != RoleName::Bank {
            return;
        }
        let (request_id, begun) = match BankRequest::decode(&message.request) {
            Ok(BankRequest::WithdrawBegin(begin)) => {
                (begin.body.request_id, replies::<Signed<WithdrawBegin>>(message))
            }
            Ok(BankRequest::ExchangeBegin(begin)) => (
                begin.body.request_id,
                replies::<Authorized<ExchangeBegin>>(message),
            ),
            Ok(BankRequest::ReserveBegin(begin)) => (
                begin.body.0.request_id,
                replies::<Signed<FromReserve<WithdrawBegin>>>(message),
            ),
            Ok(BankRequest::ReserveFinish(finish)) => {
                let answered = !replies::<Signed<FromReserve<WithdrawFinish>>>(message).is_empty();
                let finish = finish.body.0;
                return self.challenges(answered, finish.session.0, &finish.challenges, safety);
            }
            Ok(BankRequest::WithdrawFinish(finish)) => {
                let answered = !replies::<Signed<WithdrawFinish>>(message).is_empty();
                return self.challenges(answered, finish.body.session.0, &finish.body.challenges, safety);
            }
            Ok(BankRequest::ExchangeFinish(finish)) => {
                let answered = !replies::<Authorized<ExchangeFinish>>(message).is_empty();
                return self.challenges(answered, finish.body.session.0, &finish.body.challenges, safety);
            }
            _ => return,
        };
        for begun in begun {
            for (place, commitment) in begun.commitments.into_iter().enumerate() {
                let first = self.nonces.entry(commitment).or_insert((request_id.0, place));
                if *first != (request_id.0, place) {
                    safety.push("anonymity: the bank has used a nonce twice".into());
                }
            }
        }
    }

    fn challenges(
        &mut self,
        answered: bool,
        session: [u8; 32],
        challenges: &[Challenge],
        safety: &mut Vec<String>,
    ) {
        for (place, challenge) in challenges.iter().enumerate().filter(|_| answered) {
            let first = self.challenges.entry((session, place)).or_insert(*challenge);
            if first != challenge {
                safety.push("money: two challenges were answered with one nonce, which reveals a key".into());
            }
        }
    }
}

/// All tasks of a customer's request, and the coins that it shows.
fn matters(role: RoleName, message: &Sent) -> (Vec<Matter>, Vec<PublicKey>) {
    let request = &message.request;
    match role {
        RoleName::Bank => {
            BankRequest::decode(request).map_or((vec![], vec![]), |request| bank_matters(&request))
        }
        RoleName::Escrow => match EscrowRequest::decode(request) {
            Ok(
                EscrowRequest::Hold(hold)
                | EscrowRequest::Pay(PayRequest(hold))
                | EscrowRequest::Open(OpenRequest(hold)),
            ) => {
                let coins = hold.payment.coins.iter().map(|coin| coin.public);
                let keys = coins.chain([hold.contract.terms.purchase_key]).collect();
                (vec![Matter::Purchase(hold.contract.terms.purchase_id())], keys)
            }
            Ok(EscrowRequest::Cancel(cancel)) => (vec![Matter::Purchase(cancel.terms.purchase_id())], vec![]),
            Ok(EscrowRequest::Outcome(outcome)) => (vec![Matter::Purchase(outcome.purchase)], vec![]),
            Ok(EscrowRequest::Raise(raise)) => (vec![Matter::Purchase(raise.voucher.body.purchase)], vec![]),
            _ => (vec![], vec![]),
        },
        RoleName::Merchant => match MerchantRequest::decode(request) {
            Ok(MerchantRequest::Deliver(deliver)) => (
                vec![Matter::Purchase(deliver.contract.terms.purchase_id())],
                vec![],
            ),
            Ok(MerchantRequest::Watch(watch)) => {
                (vec![Matter::Purchase(watch.contract.terms.purchase_id())], vec![])
            }
            Ok(MerchantRequest::Ticks(ticks)) => (vec![Matter::Purchase(ticks.purchase)], vec![]),
            Ok(MerchantRequest::Stop(stop)) => (vec![Matter::Purchase(stop.purchase)], vec![]),
            Ok(MerchantRequest::Take(take)) => (
                vec![Matter::Purchase(take.0.terms.purchase_id())],
                vec![take.0.terms.purchase_key],
            ),
            _ => (vec![], vec![]),
        },
        // What goes through a relay is recorded as its server opens it.
        RoleName::Relay => (vec![], vec![]),
    }
}

fn bank_matters(request: &BankRequest) -> (Vec<Matter>, Vec<PublicKey>) {
    let account = |account| (vec![Matter::Account(account)], vec![]);
    let exchange = |id, inputs: &[farthing_coin::Coin]| {
        let coins = inputs.iter().map(|coin| coin.public).collect();
        (vec![Matter::Exchange(id)], coins)
    };
    let reserve = |key| (vec![Matter::Reserve(key)], vec![]);
    let deposit = |deposit: &Deposit| {
        let shown = match &deposit.from {
            DepositFrom::Coins(coins) => coins.iter().map(|coin| coin.public).collect(),
            DepositFrom::Reserve(reserve) => vec![*reserve],
        };
        (vec![Matter::Deposit(deposit.id())], shown)
    };
    let settled = |request: &SettleRequest| {
        let decisions = request.decisions.iter();
        decisions
            .map(|decision| Matter::Purchase(decision.purchase()))
            .collect()
    };
    match request {
        BankRequest::Account(request) => account(request.body.account),
        BankRequest::WithdrawBegin(request) => account(request.body.account),
        BankRequest::WithdrawFinish(request) => account(request.body.account),
        BankRequest::Withdrawals(request) => account(request.body.account),
        BankRequest::Memo(request) => account(request.body.account),
        BankRequest::ExchangeBegin(request) => exchange(request.body.request_id.0, &request.body.inputs),
        BankRequest::ExchangeFinish(request) => exchange(request.body.request_id.0, &request.body.inputs),
        BankRequest::Reserve(request) => reserve(request.body.reserve),
        BankRequest::ReserveBegin(request) => reserve(request.body.0.account),
        BankRequest::ReserveFinish(request) => reserve(request.body.0.account),
        BankRequest::Deposit(request) => deposit(&request.body),
        BankRequest::Settle(request) => (settled(request), vec![]),
        BankRequest::Collect(request) => (vec![Matter::Purchase(request.purchase)], vec![]),
        BankRequest::Push(push) => (settled(&push.body), vec![]),
        BankRequest::Keys(_)
        | BankRequest::Bucket(_)
        | BankRequest::Hold(_)
        | BankRequest::Witness(_)
        | BankRequest::Refund(_) => (vec![], vec![]),
    }
}
