//! The merchant's books as sums for its metrics, counted from its rows and from the sums of forgotten sales.

use crate::forgotten::FORGOTTEN_SALES;
use crate::merchant::Merchant;
use crate::rows::{ITEMS, SALES, SaleState};
use farthing_node::books::{Books, Figure, each_row};
use farthing_store::{StoreError, View};

/// The most rows that are in memory at once.
const PAGE_MAX: usize = 256;

/// The sums over the sales.
#[derive(Debug, Default)]
struct Sums {
    sold: u64,
    credited: u64,
    open: u64,
    not_sold: u64,
    unpaid: u64,
    credited_money: u64,
    items: u64,
}

impl Merchant {
    /// The numbers of sales by their states, and the money that was credited for them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn sums(&self) -> Result<Books, String> {
        let (view, currency) = (self.store.view(), self.settings.currency.clone());
        let counting = tokio::task::spawn_blocking(move || count(&view, currency));
        let counted = counting.await.map_err(|error| error.to_string())?;
        counted.map_err(|error| error.to_string())
    }
}

fn count(view: &View, currency: String) -> Result<Books, StoreError> {
    let mut sums = Sums::default();
    let more = |count: &mut u64| *count = count.saturating_add(1);
    each_row(&SALES, view, PAGE_MAX, |_, sale| match &sale.state {
        SaleState::Releasing | SaleState::Streaming | SaleState::Closing(_) => more(&mut sums.open),
        SaleState::Committed(_) | SaleState::Streamed(_) => {
            more(&mut sums.open);
            more(&mut sums.sold);
        }
        SaleState::Credited(..) | SaleState::StreamCredited(..) => {
            more(&mut sums.sold);
            more(&mut sums.credited);
            let terms = &sale.contract.terms;
            // Other currencies are those of earlier settings.
            if terms.currency == currency {
                sums.credited_money = sums
                    .credited_money
                    .saturating_add(sale.paid().unwrap_or_default().0);
            }
        }
        SaleState::Unpaid(..) | SaleState::StreamUnpaid(..) => more(&mut sums.unpaid),
        SaleState::Ended(_) | SaleState::Aborted(_) => more(&mut sums.not_sold),
    })?;
    each_row(&FORGOTTEN_SALES, view, PAGE_MAX, |of, forgotten| {
        let add = |count: &mut u64, more: u64| *count = count.saturating_add(more);
        add(&mut sums.sold, forgotten.credited.sales);
        add(&mut sums.credited, forgotten.credited.sales);
        add(&mut sums.unpaid, forgotten.unpaid.sales);
        add(&mut sums.not_sold, forgotten.ended.sales);
        add(&mut sums.not_sold, forgotten.aborted.sales);
        if of == currency {
            add(&mut sums.credited_money, forgotten.credited.amount.0);
        }
    })?;
    each_row(&ITEMS, view, PAGE_MAX, |_, _| more(&mut sums.items))?;
    let Sums {
        sold,
        credited,
        open,
        not_sold,
        unpaid,
        credited_money,
        items,
    } = sums;
    Ok(Books {
        currency: Some(currency),
        acts: sold,
        figures: vec![
            Figure::money("credited", "credited", credited_money),
            Figure::count("sold", "sold", sold),
            Figure::count("settled", "settled", credited),
            Figure::count("open", "open", open),
            Figure::count("not_sold", "came to nothing", not_sold),
            Figure::count("unpaid", "unpaid", unpaid),
            Figure::count("items", "items for sale", items),
        ],
    })
}
