//! A setting: one world in virtual time and one customer with coins. Tests of cheats begin with it.

use super::{
    customer::CustomerMachine,
    foundation::{ITEM, Population},
    front::Cheat,
    local,
    party::Party,
    world::World,
};
use crate::money::spendable;
use farthing_bank::evidence::About;
use farthing_client::{
    error::WalletError,
    rows::{CoinRow, CoinStatus},
    wallet::Wallet,
};
use farthing_coin::{Coin, PublicKey, SecretKey, Seed, Signed};
use farthing_merchant::secret::MerchantSecret;
use farthing_node::admin::AdminHandler;
use farthing_protocol::{
    denial::Denial,
    evidence::{Charge, Conviction, Culprit, Papers, judge},
    goods::SealingSecret,
    money::Amount,
};
use serde_json::json;
use std::{path::PathBuf, sync::Arc};

const BANK: Party = Party::Bank;
const ESCROW: Party = Party::Escrow(0);
const MERCHANT: Party = Party::Merchant(0);

/// A world, and a customer with coins in it.
pub struct Setting {
    /// The world.
    pub world: Arc<World>,
    /// The customer's machine.
    pub customer: CustomerMachine,
    /// The customer's wallet.
    pub wallet: Wallet,
    funds: Amount,
}

/// Runs `test` in a world of this seed and population. `funds` are paid in for the customer, who has withdrawn
/// `withdrawn` of them.
pub fn setting(
    seed: u64,
    population: Population,
    (funds, withdrawn): (Amount, Amount),
    test: impl AsyncFnOnce(Setting),
) {
    local(async {
        let world = World::of(seed, population).await;
        let customer = world.customer("alice", funds).await;
        let wallet = customer.wallet();
        let coins = wallet.withdraw(&world.parties().bank, withdrawn).await;
        coins.expect("a withdrawal");
        let setting = Setting {
            world,
            customer,
            wallet,
            funds,
        };
        test(setting).await;
    });
}

/// Checks that `papers` convict `expected` and no other party.
///
/// # Panics
/// When they convict another party, or none.
#[track_caller]
pub fn convicts(papers: &[Papers], expected: &[(Culprit, Charge)]) {
    let said = |conviction: &Conviction| (conviction.culprit, conviction.charge);
    assert_eq!(judge(papers, 0).iter().map(said).collect::<Vec<_>>(), expected);
}

// ---- who is who ---------------------------------------------------------------------------------------------------

impl Setting {
    /// A server's identity key.
    pub fn key(&self, party: Party) -> SecretKey {
        self.world.foundation.key(party)
    }

    /// A server's public identity.
    pub fn identity(&self, party: Party) -> PublicKey {
        self.key(party).public()
    }

    /// The seed of the customer's wallet at the bank.
    pub fn seed(&self) -> Seed {
        let seed = self.world.foundation.seed_of("alice");
        seed.for_bank(&self.identity(BANK))
    }

    /// The customer's account.
    pub fn account(&self) -> PublicKey {
        self.wallet.account(&self.identity(BANK)).expect("an account")
    }

    /// The bank with this charge.
    pub fn bank(&self, charge: Charge) -> (Culprit, Charge) {
        (Culprit::Bank(self.identity(BANK)), charge)
    }

    /// The escrow with this charge.
    pub fn escrow(&self, charge: Charge) -> (Culprit, Charge) {
        (Culprit::Escrow(self.identity(ESCROW)), charge)
    }

    /// The merchant with this charge.
    pub fn merchant(&self, charge: Charge) -> (Culprit, Charge) {
        (Culprit::Merchant(self.identity(MERCHANT)), charge)
    }

    /// Puts a cheat in front of the bank.
    pub fn bank_cheats<C: Cheat>(&self, cheat: C) {
        self.world.cheat(BANK, cheat);
    }
}

// ---- purchases ----------------------------------------------------------------------------------------------------

impl Setting {
    /// The file for the goods.
    pub fn output(&self) -> PathBuf {
        self.world.dir().join("picture.png")
    }

    /// Begins to buy the item, and drives the purchase as far as it goes.
    pub async fn buy(&self) -> (u64, Result<(), WalletError>) {
        let (parties, output) = (self.world.parties(), self.output());
        let begun = self.wallet.begin_purchase(&parties, ITEM, &output);
        let number = begun.await.expect("an offer");
        (number, self.wallet.drive_purchase(number).await)
    }

    /// The status of a purchase.
    pub fn status(&self, number: u64) -> &'static str {
        let row = self.wallet.purchase(number).expect("the purchase");
        row.purchase.status()
    }

    /// Whether the customer has the merchant's goods.
    pub fn has_goods(&self) -> bool {
        std::fs::read(self.output()).is_ok_and(|goods| goods == self.world.foundation.goods(0))
    }
}

// ---- money --------------------------------------------------------------------------------------------------------

impl Setting {
    /// What the customer can spend.
    pub fn balance(&self) -> Amount {
        spendable(&self.wallet)
    }

    /// The balance of the merchant's account.
    pub async fn earned(&self) -> Amount {
        self.world.account(self.world.merchant(0).account()).await
    }

    /// The customer's largest coin.
    pub fn largest(&self) -> CoinRow {
        let coins = self.wallet.present_coins().expect("the coins");
        coins.into_iter().max_by_key(|row| row.value).expect("a coin")
    }

    /// The row of a coin.
    pub fn row(&self, coin: &PublicKey) -> CoinRow {
        let coins = self.wallet.coins().expect("the coins");
        let row = coins.into_iter().find(|row| row.coin.public == *coin);
        row.expect("the coin")
    }

    /// Checks that the bank's audit finds no problem.
    pub async fn books_balance(&self) {
        let report = self.world.bank().audit().await.expect("an audit");
        assert_eq!(report.problems, Vec::<String>::new(), "the books do not balance");
    }

    /// Settles, and checks every invariant. The only broken ones are those that the cheat breaks, given here.
    pub async fn check_but_for(&self, seen: &[&str]) {
        let found = self.world.findings(&[&self.wallet]).await;
        assert_eq!(found.progress, Vec::<String>::new());
        for what in &found.safety {
            let expected = seen.iter().any(|start| what.starts_with(start));
            assert!(expected, "{what}");
        }
        for start in seen {
            let is_seen = found.safety.iter().any(|what| what.starts_with(start));
            assert!(is_seen, "{start} is not seen");
        }
    }

    /// Makes the bank honest again. Checks that everything under way ends, and that every unit that was paid in is
    /// there.
    pub async fn ends_well(&self) {
        self.world.honest(BANK);
        let resumed = self.wallet.resume().await.expect("the wallet resumes");
        assert!(resumed.open.is_empty(), "{:?}", resumed.open);
        // Coins in doubt are shown to the bank.
        let mut coins = self.wallet.present_coins().expect("the coins");
        coins.retain(|row| row.status == CoinStatus::Available);
        for row in coins {
            self.wallet.exchange(vec![row]).await.expect("an exchange");
        }
        self.books_balance().await;
        let account = self.world.account(self.account()).await;
        assert_eq!(account.0 + self.balance().0, self.funds.0, "money is lost");
    }
}

// ---- papers -------------------------------------------------------------------------------------------------------

impl Setting {
    /// The merchant's papers of the only sale, as the merchant's operator exports them.
    pub async fn sale(&self) -> Papers {
        let merchant = self.world.merchant(0);
        let sales = merchant.admin(json!({ "do": "sales", "after": null })).await;
        let sales = sales.expect("the sales");
        let purchase = sales["lines"][0]["purchase"].as_str().expect("a sale");
        let answer = merchant
            .admin(json!({ "do": "evidence", "sale": purchase }))
            .await;
        serde_json::from_value(answer.expect("the papers")["evidence"].clone()).expect("papers")
    }

    /// The merchant's evidence for the offer in these papers.
    pub fn sealing_secret(&self, papers: &Papers) -> Papers {
        let secret = MerchantSecret::load(&self.world.merchant_home(0)).expect("the secret");
        let contract = papers.contract.as_ref().expect("a contract");
        let ephemeral = secret.ephemeral(&contract.offer.body.sale_id);
        Papers {
            sealing_secret: Some(SealingSecret::from_bytes(*ephemeral.to_bytes())),
            ..Papers::default()
        }
    }

    /// The bank's papers.
    pub fn banks_papers(&self, about: &About) -> Vec<Papers> {
        self.world.bank().evidence(about).expect("the papers")
    }

    /// The bank's papers about a coin.
    pub fn coin_papers(&self, coin: &PublicKey) -> Vec<Papers> {
        self.banks_papers(&About::Coin { key: *coin })
    }

    /// The customer's evidence that convicts the bank of denying a coin.
    pub fn accusing(&self, coin: Coin, denials: Vec<Signed<Denial>>) -> Papers {
        Papers {
            keys: Some(self.world.bank().keys().book().signed().clone()),
            coins: vec![coin],
            denials,
            ..Papers::default()
        }
    }
}
