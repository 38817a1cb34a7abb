//! One purchase, message by message, with the code of all four parties. There is no network, no disk and no clock.
//!
//! `cargo run -p farthing-protocol --example purchase`
//!
//! Where this example says *durable*, a real program writes its rows with `farthing-store`.

use std::error::Error;

use farthing_coin::{
    BootId, Calendar, Coin, DenominationSecret, EpochKeys, KeyBook, KeyList, KeyListDigest, MasterSecret,
    SecretKey, Seed, Signed,
};
use farthing_protocol::{
    claim::SessionClaim,
    coins::CoinState,
    contract::sign_hold,
    decide::{ReleaseRequest, verify_release},
    decision::Outcome,
    documents::{AcceptedBank, BankHold, Contract, Hold, Offer, Receipt, SaleLimit, Settled},
    evidence::{Papers, judge},
    goods::{Decryptor, Encryptor},
    hold::{HoldDecision, verify_bank_hold, verify_hold_contract},
    ids::{EphemeralId, ItemId, NodeSecret, SaleId},
    issuance::{Issuance, IssuanceAsk},
    issue::{Admission, IssueState, PreparedSession, Sessions},
    money::Amount,
    offer::verify_deliver,
    purchase::{Ask, Order, OrderParts, Plan, Purchase, check_offer},
    seal::{
        commit_goods_key, derive_content_key, derive_ephemeral, derive_goods_key, seal_record, unwrap, wrap,
    },
    settle::{BankPurchase, SettleDecision, SettleRequest, verify_settle},
    withdraw::{self, Funds, Withdrawal},
};
use getrandom::SysRng;
use rand_core::UnwrapErr;

type Done<T> = Result<T, Box<dyn Error>>;

const DAY_MS: u64 = 86_400_000;
/// The epoch of the bank's key, and the time: one hour after the start of the epoch. Time is an argument everywhere.
const EPOCH: u32 = 100;
const NOW_MS: u64 = DAY_MS * 100 + 3_600_000;
const PRICE: u64 = 64;
const GOODS: &[u8] = b"Good evening from the seaside!\n";

/// The bank's keys. The bank's rows are variables of the functions below.
struct Bank {
    identity: SecretKey,
    secret: DenominationSecret,
    keys: KeyBook,
}

impl Bank {
    fn new() -> Done<Self> {
        let identity = SecretKey::generate(&mut UnwrapErr(SysRng));
        let secret = DenominationSecret::derive(&MasterSecret::from_bytes([1; 32]), PRICE, EPOCH);
        let list = KeyList {
            bank: identity.public(),
            currency: "FTH".into(),
            calendar: Calendar {
                epoch_ms: DAY_MS,
                spend_epochs: 2,
                redeem_epochs: 2,
            },
            values: vec![PRICE],
            epochs: vec![EpochKeys {
                epoch: EPOCH,
                keys: vec![secret.public()],
            }],
        };
        let keys = KeyBook::new(Signed::sign(list, &identity), &identity.public())?;
        Ok(Self {
            identity,
            secret,
            keys,
        })
    }
}

/// The merchant: its identity, and the secret from which all goods keys derive.
struct Merchant {
    identity: SecretKey,
    secret: NodeSecret,
}

/// 1. Withdraw: the bank debits an account, and the wallet gets coins that the bank cannot recognize.
fn withdraw(bank: &Bank, wallet: &Seed) -> Done<(Vec<Coin>, Vec<SecretKey>)> {
    let account = wallet.bank_account_key(&bank.identity.public());
    let key = bank.keys.issuing(PRICE, NOW_MS).ok_or("the bank issues")?.id();
    let withdrawal = Withdrawal {
        bank: bank.identity.public(),
        account: account.public(),
        request_id: wallet.withdraw_id(0),
        outputs: vec![key],
        state: IssueState::Beginning,
    };
    let funds = Funds::Account(Some(Amount(1000)));
    let mut sessions = Sessions::new(BootId([2; 32]));

    // Wallet -> bank: begin. The row of the withdrawal is durable first.
    let IssuanceAsk::Begin(begin) = withdrawal.ask(&account, wallet) else {
        return Err("a new withdrawal begins".into());
    };
    let begin = withdraw::verify_begin(begin, &bank.identity.public())?;
    begin.check(funds, &bank.keys, NOW_MS)?;
    let Admission::Fresh(ticket) = sessions.admit(&begin.session(), NOW_MS)? else {
        return Err("the session is new".into());
    };
    let prepared = PreparedSession::new(begin.session(), &ticket, &mut UnwrapErr(SysRng));
    let begun = sessions.open(prepared, NOW_MS);

    // Wallet -> bank: finish. The bank's debit and record are durable before it answers.
    let withdrawal = withdrawal.on_begun(&begun, &bank.keys, wallet)?;
    let IssuanceAsk::Finish(finish) = withdrawal.ask(&account, wallet) else {
        return Err("a begun withdrawal finishes".into());
    };
    let finish = withdraw::verify_finish(finish, &bank.identity.public())?;
    let secret = |id: &_| (*id == key).then_some(&bank.secret);
    let mut claim = SessionClaim::default();
    let debit = finish.respond(funds, &mut sessions, &mut claim, &bank.keys, secret, NOW_MS)?;
    let issued = Signed::sign(debit.issued, &bank.identity);

    // Wallet: the coins.
    let (done, coins) = withdrawal.on_issued(&issued, &bank.keys, wallet)?;
    let keys = vec![wallet.coin_key(&done.request_id, 0)];
    println!("withdraw: {} coin of {}", coins.len(), debit.total);
    Ok((coins, keys))
}

/// 2. Offer: the merchant encrypts the goods once, and promises the key of this sale for a price.
fn offer(bank: &Bank, merchant: &Merchant, escrow: &SecretKey) -> Done<(Signed<Offer>, Vec<u8>)> {
    let (item_id, sale_id) = (ItemId([3; 32]), SaleId([4; 32]));
    let content_key = derive_content_key(&merchant.secret, &item_id);
    let mut encrypted = Vec::new();
    let mut encryptor = Encryptor::new(&content_key, [5; 32]);
    encryptor.update(GOODS, &mut encrypted)?;
    let summary = encryptor.finish(&mut encrypted)?;
    let goods_key = derive_goods_key(&merchant.secret, &sale_id);
    let offer = Offer {
        merchant: merchant.identity.public(),
        sale_id,
        item_id,
        title: "Evening postcard".into(),
        description: String::new(),
        media_type: "text/plain".into(),
        size_bytes: summary.size_bytes,
        encrypted_bytes: summary.encrypted_bytes,
        goods_digest: summary.digest,
        encrypted_digest: summary.encrypted_digest,
        wrapped_key: wrap(&goods_key, &sale_id, &content_key)?,
        key_commitment: commit_goods_key(&goods_key),
        price: Amount(PRICE),
        currency: "FTH".into(),
        escrows: vec![escrow.public()],
        banks: vec![AcceptedBank {
            bank: bank.identity.public(),
            account: merchant.identity.public(),
            key_list_digest: KeyListDigest(bank.keys.digest().0),
        }],
        expires_ms: NOW_MS + 3_600_000,
        served_until_ms: NOW_MS + DAY_MS,
        sales: SaleLimit::Once,
        sealed_key: None,
    };
    println!("offer: \"{}\" for {}", offer.title, offer.price);
    Ok((Signed::sign(offer, &merchant.identity), encrypted))
}

/// The wallet accepts the offer: contract, coins and recovery record.
fn order(
    bank: &Bank,
    escrow: &SecretKey,
    wallet: &Seed,
    offer: Signed<Offer>,
    purse: (Vec<Coin>, Vec<SecretKey>),
) -> Done<Order> {
    let (bank_id, escrow_id) = (bank.identity.public(), escrow.public());
    check_offer(&offer, &offer.body.merchant, &bank_id, &escrow_id, &bank.keys)?;
    let plan = Plan {
        bank: bank_id,
        escrow: escrow_id,
        offer,
    };
    let note_id = wallet.recovery_record_id(0);
    Ok(Order::new(OrderParts {
        counter: 0,
        deadline_ms: plan.offer.body.expires_ms,
        plan: &plan,
        coins: purse.0,
        coin_keys: &purse.1,
        purchase_key: &wallet.purchase_key(0),
        note_id,
        note: seal_record(
            &wallet.recovery_record_key(0),
            &note_id,
            b"the order, for a restore",
        )?,
    })?)
}

/// The bank's rows after the hold, and the signed hold.
struct Held {
    purchase: BankPurchase,
    states: Vec<CoinState>,
    hold: Signed<Hold>,
}

/// 3. Hold: escrow and bank verify the coins. The bank holds all coins for the terms, or none.
fn hold(bank: &Bank, escrow: &SecretKey, purchase: &Purchase, wallet: &Seed) -> Done<Held> {
    let Ask::Hold(request) = purchase.ask(wallet) else {
        return Err("the wallet asks for a hold".into());
    };
    // Escrow: the contract and the coins.
    let agreed = verify_hold_contract(*request, &escrow.public())?;
    agreed.check_open(None)?;
    let verified = agreed.verify(&bank.keys, NOW_MS, &mut UnwrapErr(SysRng))?;
    let with_causes = verified.contract().contract().wants_causes();

    // Escrow -> bank: the same request without the offer. The bank's rows are durable before it answers.
    let request = verified.for_bank();
    let bank_id = bank.identity.public();
    let verified = verify_bank_hold(request, &bank_id, &bank.keys, &mut UnwrapErr(SysRng))?;
    let unseen = vec![CoinState::Unseen; verified.coins().coins().len()];
    let HoldDecision::New {
        purchase,
        states,
        hold,
    } = verified.respond(None, &unseen, true, NOW_MS)?
    else {
        return Err("the hold is new".into());
    };
    let bank_hold: Signed<BankHold> = Signed::sign(hold, &bank.identity);
    println!(
        "hold: {} held for {}",
        verified.coins().total(),
        verified.purchase()
    );
    Ok(Held {
        purchase: *purchase,
        states,
        hold: sign_hold(bank_hold, with_causes, escrow),
    })
}

/// 4. Decide: the merchant releases the goods key, and the escrow commits. Its one durable write is the commit point.
fn decide(
    merchant: &Merchant,
    escrow: &SecretKey,
    purchase: &Purchase,
    wallet: &Seed,
) -> Done<(Signed<Receipt>, SettleRequest)> {
    let Ask::Deliver(request) = purchase.ask(wallet) else {
        return Err("the wallet asks for delivery".into());
    };
    // Merchant: contract and hold are valid, so the merchant sends the key to the escrow.
    let contract: Contract = request.contract.clone();
    let verified = verify_deliver(*request, &merchant.identity.public())?;
    let release = ReleaseRequest {
        hold: verified.hold().clone(),
        goods_key: derive_goods_key(&merchant.secret, &verified.offer().sale_id),
        contract,
    };
    // Escrow: decides once.
    let secret = NodeSecret::from_bytes([6; 32]);
    let ephemeral =
        |id: &farthing_protocol::documents::PurchaseId| derive_ephemeral(&secret, &EphemeralId::from(*id));
    let release = verify_release(release, &escrow.public(), ephemeral)?;
    let decided = release.respond(None, None, NOW_MS)?;
    let Outcome::Committed(committed) = decided.decision().outcome(escrow) else {
        return Err("the purchase is committed".into());
    };
    println!("decide: committed");
    let settle = SettleRequest {
        escrow: escrow.public(),
        decisions: vec![decided.decision().for_bank(escrow)],
    };
    Ok((committed.receipt, settle))
}

/// 5. Settle: the bank applies the decision. It spends the coins and credits the merchant's account.
fn settle(bank: &Bank, held: &Held, request: SettleRequest) -> Done<Signed<Settled>> {
    let row = |_: &_| Ok(Some(held.purchase.clone()));
    let bank_id = bank.identity.public();
    let mut verified = verify_settle(request, &bank_id, row, &mut UnwrapErr(SysRng))?;
    let decision = verified.pop().ok_or("the request has one decision")??;
    // The coins are worth the price, so there is no change.
    let worth = held.purchase.terms().ok_or("a held purchase has terms")?.price;
    let SettleDecision::Now(writes, settled) =
        decision.respond(Some(held.purchase.clone()), &held.states, worth, true, NOW_MS)?
    else {
        return Err("the decision is new".into());
    };
    let (_, amount) = writes.credit.ok_or("a commit credits")?;
    println!("settle: {amount} to the merchant");
    Ok(Signed::sign(settled, &bank.identity))
}

/// 6. The wallet opens the goods with the key in the receipt.
fn open(order: &Order, receipt: &Signed<Receipt>, encrypted: &[u8]) -> Done<()> {
    let offer = &order.contract.offer.body;
    let content_key = unwrap(&receipt.body.goods_key, &offer.sale_id, &offer.wrapped_key)?;
    let mut goods = Vec::new();
    let mut decryptor = Decryptor::new(&content_key);
    decryptor.update(encrypted, &mut goods)?;
    let opened = decryptor.finish(&mut goods)?;
    if opened.digest != offer.goods_digest || goods != GOODS {
        return Err("the goods are not those of the offer".into());
    }
    println!("goods: {}", String::from_utf8(goods)?.trim_end());
    Ok(())
}

pub(crate) fn main() -> Done<()> {
    let rng = &mut UnwrapErr(SysRng);
    let bank = Bank::new()?;
    let escrow = SecretKey::generate(rng);
    let merchant = Merchant {
        identity: SecretKey::generate(rng),
        secret: NodeSecret::from_bytes([8; 32]),
    };
    let wallet = Seed::generate(rng);

    let purse = withdraw(&bank, &wallet)?;
    let (offer, encrypted) = offer(&bank, &merchant, &escrow)?;
    let order = order(&bank, &escrow, &wallet, offer, purse)?;
    let purchase = Purchase::Holding(order.clone());
    let held = hold(&bank, &escrow, &purchase, &wallet)?;
    let purchase = purchase.on_hold(held.hold.clone())?;
    let (receipt, request) = decide(&merchant, &escrow, &purchase, &wallet)?;
    let purchase = purchase.on_receipt(receipt.clone())?;
    let settled = settle(&bank, &held, request)?;
    open(&order, &receipt, &encrypted)?;
    println!("the purchase is {}", purchase.status());

    // 7. Judge: everyone kept the protocol. A second statement of the bank, that it released the coins, convicts it.
    let mut papers = Papers {
        contract: Some(order.contract.clone()),
        hold: Some(held.hold),
        receipt: Some(receipt),
        settled: Some(settled),
        ..Papers::default()
    };
    println!("judge: {:?}", judge(&[papers.clone()], 0));
    let lie = Settled::aborted(order.purchase(), escrow.public());
    papers.settled = Some(Signed::sign(lie, &bank.identity));
    println!("judge, after a lie of the bank: {:?}", judge(&[papers], 0));
    Ok(())
}
