//! The bank's books as sums for its metrics. They are the sums that each write updates, as in the audit.

use crate::bank::Bank;
use farthing_node::books::{Books, Figure};

impl Bank {
    /// The sums of the books: money, and numbers of exchanges and recovery records.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn sums(&self) -> Result<Books, String> {
        let keys = self.keys();
        let kept = self.kept_books(&keys).await.map_err(|error| error.to_string())?;
        let [mut issued, mut held, mut spent, mut exchanged] = [0u64; 4];
        for (id, coins) in &kept.keys {
            let Some(denomination) = keys.book().get(id) else {
                continue;
            };
            let worth = |coins: u64| denomination.value.saturating_mul(coins);
            issued = issued.saturating_add(worth(coins.issued));
            held = held.saturating_add(worth(coins.held));
            spent = spent.saturating_add(worth(coins.spent));
            exchanged = exchanged.saturating_add(worth(coins.exchanged));
        }
        let totals = kept.totals;
        let outstanding = issued.saturating_sub(spent).saturating_sub(exchanged);
        Ok(Books {
            currency: Some(keys.book().list().currency.clone()),
            // A withdrawal is not counted. So there are at least as many acts.
            acts: totals.exchanges.saturating_add(totals.recovery_records),
            figures: vec![
                Figure::money("paid_in", "paid in", totals.paid_in.0),
                Figure::money("paid_out", "paid out", totals.paid_out.0),
                Figure::money("accounts", "in accounts", totals.accounts.0),
                Figure::money("outstanding", "in coins", outstanding),
                Figure::money("held", "held", held),
                Figure::money("issued", "coins issued", issued),
                Figure::money("spent", "coins spent", spent),
                Figure::money("exchanged", "coins exchanged", exchanged),
                Figure::count("exchanges", "exchanges", totals.exchanges),
            ],
        })
    }
}
