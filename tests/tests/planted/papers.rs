//! False documents and goods that a wallet and a judge are shown.

use farthing_client::{
    error::WalletError, pay_uri::PayUri, payment_proof::PaymentProof, proof_register::register,
    purchase::goods::judge, wallet::Wallet,
};
use farthing_coin::{Seed, Signed};
use farthing_protocol::{
    deposited::Payee,
    documents::{Abort, AbortReason, Receipt},
    evidence::{Charge, NoVerdict, Papers, judge as lay_side_by_side},
    goods::GoodsKey,
    ids::DepositId,
    money::Amount,
    purchase::{Purchase, PurchaseError},
};
use farthing_simulation::{
    cheats::RefusesWithLongText,
    foundation::ITEM,
    party::Party,
    shopping::{is_delivery, picture},
    world::World,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the account has. The customer withdraws all of it.
const FUNDS: Amount = Amount(2000);

/// What the customer gives to a charity.
const GIVEN: Amount = Amount(250);

async fn withdrawn(seed: u64) -> (Arc<World>, Wallet) {
    let world = World::new(seed).await;
    let wallet = world.customer("alice", FUNDS).await.wallet();
    let withdrawn = wallet.withdraw(&world.parties().bank, FUNDS).await;
    withdrawn.expect("a withdrawal");
    (world, wallet)
}

/// An escrow signs a receipt with a goods key that is not the offer's.
pub async fn a_receipt_with_another_key() {
    let (world, wallet) = withdrawn(41).await;
    let begun = wallet
        .begin_purchase(&world.parties(), ITEM, &picture(&world, 1))
        .await;
    let number = begun.expect("an offer");
    world.network.block(is_delivery);
    let stuck = wallet.drive_purchase(number).await;
    assert!(stuck.as_ref().is_err_and(WalletError::is_silence), "{stuck:?}");
    let row = wallet.purchase(number).expect("the purchase");
    let Purchase::Held(mut order, hold) = row.purchase else {
        panic!("the coins are held");
    };
    // The very same contract, with an escrow whose key is at hand.
    let escrow = Seed::from_bytes(&[9; 32]).account_key();
    order.contract.terms.escrow = escrow.public();
    let terms = &order.contract.terms;
    let receipt = Receipt {
        purchase: terms.purchase_id(),
        bank: terms.bank,
        coins_digest: terms.coins_digest,
        account: terms.account,
        amount: terms.price,
        goods_key: GoodsKey::from_bytes([7; 32]),
    };
    let receipt = Signed::sign(receipt, &escrow);
    let taken = Purchase::Held(order, hold).on_receipt(receipt);
    let refused = matches!(taken, Err(PurchaseError::WrongGoodsKey));
    assert!(
        refused,
        "goods: the wallet takes a key that opens nothing for its goods"
    );
}

/// An escrow holds, and then aborts without a cause.
pub async fn papers_of_an_abort_without_a_cause() {
    let (world, wallet) = withdrawn(45).await;
    let begun = wallet
        .begin_purchase(&world.parties(), ITEM, &picture(&world, 1))
        .await;
    let number = begun.expect("an offer");
    world.network.block(is_delivery);
    drop(wallet.drive_purchase(number).await);
    let row = wallet.purchase(number).expect("the purchase");
    let Purchase::Held(order, hold) = row.purchase else {
        panic!("the coins are held");
    };
    let abort = Abort {
        purchase: order.purchase(),
        bank: order.contract.terms.bank,
        reason: AbortReason::DeadlinePassed,
    };
    let papers = Papers {
        contract: Some(order.contract),
        hold: Some(hold),
        abort: Some(Signed::sign(abort, &world.foundation.key(Party::Escrow(0)))),
        ..Papers::default()
    };
    let convicted = lay_side_by_side(&[papers], 0)
        .iter()
        .any(|it| it.charge == Charge::AbortedWithoutCause);
    assert!(
        convicted,
        "evidence: an escrow aborts by its word alone, and is cleared"
    );
}

/// A merchant serves other bytes than its offer describes.
pub async fn goods_that_are_not_the_offers() {
    let (world, wallet) = withdrawn(42).await;
    flip(&largest_file(&world.merchant_home(0)));
    let begun = wallet
        .begin_purchase(&world.parties(), ITEM, &picture(&world, 1))
        .await;
    let number = begun.expect("an offer");
    drop(wallet.drive_purchase(number).await);
    let status = wallet.purchase(number).expect("the purchase").purchase.status();
    assert_eq!(status, "fetching", "goods: paid for what is not as offered");
}

/// A customer shows a judge a changed file.
pub async fn a_file_that_is_not_the_goods() {
    let (world, wallet) = withdrawn(43).await;
    let bought = wallet.buy(&world.parties(), ITEM, &picture(&world, 1)).await;
    let number = bought.expect("a purchase");
    let papers = wallet.papers(number).expect("a receipt");
    let sealed = wallet.goods_file(number).expect("the encrypted goods");
    flip(&sealed);
    let verdict = judge(&papers, &sealed).expect("the file is read");
    let proves_nothing = matches!(verdict, Err(NoVerdict::OtherFile { .. }));
    assert!(proves_nothing, "evidence: an honest merchant is convicted");
}

/// The document of a donation, and its deposit.
async fn donation(seed: u64) -> (PaymentProof, DepositId) {
    let (world, wallet) = withdrawn(seed).await;
    let charity = world.foundation.seed_of("charity").account_key().public();
    world.open_account(charity, "charity").await;
    let bank = world.parties().bank.identity;
    let uri = PayUri::new(bank, Payee::Account(charity), None, "Charity").expect("a short name");
    let paid = wallet
        .donate(&uri, GIVEN, "Erika", false)
        .await
        .expect("a donation");
    let proof = wallet.payment_proof(paid.number).expect("its document");
    let id = proof.verify().expect("a valid document").deposit_id();
    (proof, id)
}

/// Somebody puts another name into the document of a donation.
pub async fn a_donation_in_another_name() {
    let (mut proof, _) = donation(46).await;
    proof.text = "Max".into();
    assert!(
        proof.verify().is_err(),
        "evidence: a donation is proven in another name"
    );
}

/// A donor shows the tax office one donation twice.
pub async fn a_donation_that_is_shown_twice() {
    let (_, id) = donation(47).await;
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("register");
    register(&path, &[id]).expect("it is new");
    assert!(
        register(&path, &[id]).is_err(),
        "evidence: a donation is accepted twice"
    );
}

/// Flips a bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("the file");
}

fn largest_file(dir: &Path) -> PathBuf {
    let mut dirs = vec![dir.to_path_buf()];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("the directory") {
            let path = entry.expect("an entry").path();
            let metadata = std::fs::metadata(&path).expect("the file");
            if metadata.is_dir() {
                dirs.push(path);
            } else {
                files.push((metadata.len(), path));
            }
        }
    }
    files.into_iter().max().expect("a file").1
}

/// A merchant is silent once, so that the purchase is stored. Then it refuses with a text that no row can hold.
pub async fn a_refusal_of_100_kb() {
    let (world, wallet) = withdrawn(44).await;
    world.cheat(Party::Merchant(0), RefusesWithLongText::new(100_000));
    let begun = wallet
        .begin_purchase(&world.parties(), ITEM, &picture(&world, 1))
        .await;
    let number = begun.expect("an offer");
    let ended = wallet.drive_purchase(number).await;
    assert!(
        ended.is_ok(),
        "progress: a long refusal keeps a purchase from its end: {ended:?}"
    );
    world.check(&[&wallet]).await;
}
