//! Purchases: an offer, its goods, a contract, and one outcome.
//!
//! One purchase, in call order:
//!
//! | what | file |
//! |---|---|
//! | an offer is fetched and checked | `offer` |
//! | the coins that pay are selected | `selection` |
//! | they are put to a signed contract | `order` |
//! | what is written and asked next: pure | `driver` |
//! | whom it asks instead where a party gives no good answer: pure | `fallback` |
//! | the goods are opened, or the coins exchanged for fresh ones: pure | `finish` |
//! | the writes of a step, one transaction | `record` |
//! | the thin runtime: write, ask, step again | `run` |
//! | goods, fetched and opened | [`goods`] |

mod driver;
mod exhibits;
mod fallback;
mod finish;
pub mod goods;
mod offer;
mod order;
mod record;
mod run;
mod selection;
mod state;
mod step;

pub use self::offer::{Parties, Wanted};
use self::{
    offer::accept,
    record::{Write, apply, reads},
    run::Run,
    state::State,
    step::save,
};
use crate::{
    error::WalletError,
    observer::WalletEvent,
    rows::{PURCHASES, PurchaseRow, all},
    wallet::Wallet,
};
use farthing_node::network::Lane;
use farthing_protocol::purchase::Purchase;
use std::path::Path;

pub(crate) use self::order::build as build_order;

impl Wallet {
    /// Buys what is wanted and writes the goods to `output`. Returns the purchase's number.
    ///
    /// # Errors
    /// When a party refuses or does not answer; then the purchase is where `purchases` shows it, and
    /// `resume` or `cancel` ends it. One that fails before anything is at stake is dropped: a later `resume` must not
    /// buy what the customer was told that they did not get.
    pub async fn buy<'a>(
        &self,
        parties: &Parties,
        wanted: impl Into<Wanted<'a>>,
        output: &Path,
    ) -> Result<u64, WalletError> {
        let mut merchant = self.peer_client(&parties.merchant, Lane::Anonymous);
        let mut state = accept(self, &mut merchant, parties, wanted.into(), output).await?;
        // With the goods here, the first thing that is worth writing down is which coins pay.
        if state.goods.is_none() {
            self.write_begun(&mut state).await?;
        }
        let mut run = Run::new(self, state, Some(merchant))?;
        let outcome = run.drive().await;
        let State { number, stored, .. } = run.into_state();
        let Err(error) = outcome else {
            return Ok(number);
        };
        let is_fetching = |row: PurchaseRow| matches!(row.purchase, Purchase::Fetching(_));
        if stored.is_some_and(is_fetching) && !error.is_silence() {
            self.cancel(number).await?;
        }
        Err(error)
    }

    /// Gets an offer and writes the purchase down. Nothing is at stake yet; [`drive_purchase`] does the rest.
    ///
    /// [`drive_purchase`]: Wallet::drive_purchase
    ///
    /// # Errors
    /// When the merchant does not answer, has no such item, or its offer is not acceptable.
    pub async fn begin_purchase<'a>(
        &self,
        parties: &Parties,
        wanted: impl Into<Wanted<'a>>,
        output: &Path,
    ) -> Result<u64, WalletError> {
        let mut merchant = self.peer_client(&parties.merchant, Lane::Anonymous);
        let mut state = accept(self, &mut merchant, parties, wanted.into(), output).await?;
        self.write_begun(&mut state).await?;
        Ok(state.number)
    }

    /// Writes a purchase down for the first time.
    async fn write_begun(&self, state: &mut State) -> Result<(), WalletError> {
        let writes = save(state);
        let written = self
            .transact(reads(&writes), move |tx| apply(tx, &writes))
            .await?;
        state.on_written(&written);
        Ok(())
    }

    /// Every purchase, by number.
    ///
    /// # Errors
    /// When the store fails.
    pub fn purchases(&self) -> Result<Vec<(u64, PurchaseRow)>, WalletError> {
        Ok(all(&self.rows(), &PURCHASES)?)
    }

    /// A purchase by its number.
    ///
    /// # Errors
    /// When there is none.
    pub fn purchase(&self, number: u64) -> Result<PurchaseRow, WalletError> {
        PURCHASES
            .peek(&self.rows(), &number)?
            .ok_or_else(|| WalletError::NoPurchase(number.to_string()))
    }

    /// Carries a purchase on until it has ended: with the goods, or with fresh coins.
    ///
    /// # Errors
    /// When a party does not answer within the wallet's patience; the purchase then stands where it stood.
    pub async fn drive_purchase(&self, number: u64) -> Result<(), WalletError> {
        let state = State::stored(number, self.purchase(number)?);
        Run::new(self, state, None)?.drive().await
    }

    /// Asks for a purchase's coins back, and carries that on until it has ended. It may turn out to be
    /// committed; then the goods are there.
    ///
    /// # Errors
    /// When the purchase has ended as committed, or a party does not answer.
    pub async fn cancel(&self, number: u64) -> Result<(), WalletError> {
        loop {
            let row = self.purchase(number)?;
            let before = row.purchase.clone();
            let purchase = row.purchase.clone().on_cancel()?;
            let status = purchase.status();
            let write = Write::Save {
                number,
                before,
                row: PurchaseRow { purchase, ..row },
            };
            let writes = [write];
            let written = self.transact(reads(&writes), move |tx| apply(tx, &writes));
            if written.await?.is_done() {
                self.observer()
                    .on_event(&WalletEvent::Purchase { number, status });
                return self.drive_purchase(number).await;
            }
        }
    }
}
