//! A bank that is restored from an older copy of its disk, and the parties that may notice it.

use farthing_client::wallet::Wallet;
use farthing_node::card::{Card, RoleName};
use farthing_protocol::{
    api::{BankRequest, EscrowRequest},
    money::Amount,
};
use farthing_simulation::{
    customer::CustomerMachine,
    foundation::{ITEM, Population},
    machine::Death,
    party::Party,
    shopping::picture,
    world::World,
};
use farthing_store::disk::MemoryDisk;
use std::{sync::Arc, time::Duration};

/// What the account has at first.
const FUNDS: Amount = Amount(5000);

/// The amount of one withdrawal.
const WITHDRAWN: Amount = Amount(1000);

/// The escrow of the purchase.
const ESCROW: Party = Party::Escrow(0);

/// Long enough for nodes to ask and to answer each other.
pub(crate) const A_MOMENT: Duration = Duration::from_secs(5);

/// A world with one purchase, the bank's disk from before it, and a copy of the wallet from then.
struct Past {
    world: Arc<World>,
    wallet: Wallet,
    twin: CustomerMachine,
    old: MemoryDisk,
    newest: MemoryDisk,
}

/// A customer withdraws, and buys through the first of several escrows. From before the purchase on, `blocked`
/// requests are lost.
async fn past(seed: u64, escrows: usize, blocked: fn(&World, &Card, &[u8]) -> bool) -> Past {
    let population = Population {
        escrows,
        ..Population::default()
    };
    let world = World::of(seed, population).await;
    let customer = world.customer("alice", FUNDS).await;
    let wallet = customer.wallet();
    let parties = world.parties();
    let withdrawn = wallet.withdraw(&parties.bank, WITHDRAWN).await;
    withdrawn.expect("a withdrawal");
    let twin = customer.copy(&world, "twin");
    let old = world.machine(Party::Bank).disk.copy();
    let blocks = Arc::downgrade(&world);
    world.network.block(move |card, request| {
        let world = blocks.upgrade();
        world.is_some_and(|world| blocked(&world, card, request))
    });
    let bought = wallet.buy(&parties, ITEM, &picture(&world, 1)).await;
    bought.expect("a purchase");
    world.settle().await;
    let newest = world.machine(Party::Bank).disk.copy();
    Past {
        world,
        wallet,
        twin,
        old,
        newest,
    }
}

fn nothing(_: &World, _: &Card, _: &[u8]) -> bool {
    false
}

/// Whether the request is the second escrow's question about the head that the bank remembers.
fn is_a_question_of_the_second(world: &World, card: &Card, request: &[u8]) -> bool {
    let second = world.parties_of(0, 1).escrow.identity;
    card.role == RoleName::Bank
        && matches!(BankRequest::decode(request), Ok(BankRequest::Witness(asked)) if asked.0.body.asker == second)
}

/// Whether a request would let the second escrow hear of the bank's journal, or bank and first escrow compare theirs.
fn keeps_the_first_apart(world: &World, card: &Card, request: &[u8]) -> bool {
    let first = world.parties().escrow.identity;
    match card.role {
        RoleName::Bank => matches!(BankRequest::decode(request), Ok(BankRequest::Witness(_))),
        _ => {
            card.identity == first && matches!(EscrowRequest::decode(request), Ok(EscrowRequest::Witness(_)))
        }
    }
}

impl Past {
    /// The bank is restored from before the purchase.
    async fn comes_back(&self) {
        self.set_up(&self.old).await;
    }

    async fn set_up(&self, disk: &MemoryDisk) {
        self.world.machine(Party::Bank).disk.restore(disk);
        self.world.restart(Party::Bank, Death::Killed).await;
    }

    /// The customer withdraws, which the older bank must not allow. Then all nodes run again with the newest journal,
    /// and the customer has the amount in the books.
    async fn the_older_bank_grants_no_withdrawal(self) {
        tokio::time::sleep(A_MOMENT).await;
        let _in_vain = self.wallet.withdraw(&self.world.parties().bank, WITHDRAWN).await;
        self.set_up(&self.newest).await;
        self.world.network.unblock();
        self.world.start(ESCROW).await;
        tokio::time::sleep(A_MOMENT).await;
        let resumed = self.wallet.resume().await.expect("the wallet resumes");
        assert!(resumed.open.is_empty(), "progress: {:?}", resumed.open);
        self.world.check(&[&self.wallet]).await;
    }
}

/// No peer is there.
pub async fn an_older_bank_that_nobody_can_tell() {
    let past = past(61, 1, nothing).await;
    past.world.stop(ESCROW);
    past.comes_back().await;
    past.the_older_bank_grants_no_withdrawal().await;
}

/// The bank's escrow remembers only what it has stored, and tells the bank that.
pub async fn an_older_bank_whose_escrow_has_just_restarted() {
    let past = past(62, 1, nothing).await;
    past.world.stop(ESCROW);
    past.comes_back().await;
    past.world.start(ESCROW).await;
    past.the_older_bank_grants_no_withdrawal().await;
}

/// One escrow tells the bank. Then that escrow is away, the bank starts again, and another escrow remembers nothing.
pub async fn an_older_bank_that_was_told_once() {
    let past = past(63, 2, is_a_question_of_the_second).await;
    past.comes_back().await;
    tokio::time::sleep(A_MOMENT).await;
    past.world.stop(ESCROW);
    past.world.restart(Party::Bank, Death::Killed).await;
    past.the_older_bank_grants_no_withdrawal().await;
}

/// The bank runs because an escrow remembered nothing. Then the customer shows the spent coins again.
pub async fn an_older_bank_that_another_escrow_has_let_up() {
    let past = past(64, 2, keeps_the_first_apart).await;
    past.comes_back().await;
    tokio::time::sleep(A_MOMENT).await;
    let (twin, parties) = (past.twin.wallet(), past.world.parties());
    // The reply does not matter: nothing may come of it.
    drop(twin.buy(&parties, ITEM, &picture(&past.world, 2)).await);
    for (_, row) in twin.purchases().expect("the purchases") {
        let status = row.purchase.status();
        assert_ne!(status, "committed", "money: a coin has paid for two purchases");
    }
}
