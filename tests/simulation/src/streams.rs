//! Streams: a customer who watches a part of one, and the check of what was seen.

use super::{
    foundation::{ITEM, TICKS},
    world::World,
};
use farthing_client::{
    error::WalletError,
    purchase::{Seen, TickSink, WatchLimits},
    rows::PurchaseRow,
    wallet::Wallet,
};
use farthing_protocol::{
    money::Amount,
    purchase::{Proof, Purchase},
};
use std::{
    io,
    path::{Path, PathBuf},
};

/// How many ticks a customer wants.
pub const WANTED: u32 = 3;

/// How many of them one voucher pays for at most.
pub const WINDOW: u16 = 2;

/// The customer's wish: a part of the stream.
pub fn limits() -> WatchLimits {
    WatchLimits {
        at_most: None,
        ticks: Some(WANTED),
        window: WINDOW,
    }
}

/// Compares each tick with the merchant's, and stores how far the customer has seen.
pub struct Viewer<'w> {
    world: &'w World,
    dir: PathBuf,
    /// The number of the purchase.
    number: u64,
}

impl<'w> Viewer<'w> {
    /// A viewer of the first merchant's stream, with this wallet.
    pub fn new(world: &'w World, wallet: &Wallet) -> Self {
        Self {
            world,
            dir: wallet.dir().to_owned(),
            number: 0,
        }
    }
}

impl TickSink for Viewer<'_> {
    fn begin(&mut self, number: u64, is_live: bool) {
        assert!(!is_live, "the merchant sells a file");
        self.number = number;
    }

    fn record(&mut self, tick: u32, _: Amount, record: &[u8]) -> io::Result<()> {
        assert_eq!(
            record,
            self.world.foundation.tick(0, tick),
            "goods: tick {tick} is not the merchant's"
        );
        let seen = last_seen(&self.dir, self.number).max(tick);
        std::fs::write(place(&self.dir, self.number), seen.to_string())
    }
}

fn place(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("seen-{number}"))
}

/// The last tick that was seen of a purchase, or 0.
fn last_seen(dir: &Path, number: u64) -> u32 {
    let text = std::fs::read_to_string(place(dir, number)).unwrap_or_default();
    text.parse().unwrap_or_default()
}

/// The ticks for which a purchase was committed. `None` if it is not a committed stream.
pub fn committed_ticks(purchase: &Purchase) -> Option<u32> {
    match purchase {
        Purchase::Committed(_, Proof::Stream(stream, _)) => Some(stream.voucher.body.ticks),
        _ => None,
    }
}

/// Watches a part of the stream.
///
/// # Errors
/// As [`Wallet::watch`].
pub async fn watch_once(world: &World, wallet: &Wallet) -> Result<Seen, WalletError> {
    let mut viewer = Viewer::new(world, wallet);
    wallet.watch(&world.parties(), ITEM, limits(), &mut viewer).await
}

/// The ticks that a merchant gives without an escrow's word: twice its setting of 1.00. It loses them if it dies and its
/// customer dies, too, or is dishonest.
const UNRAISED: u32 = 2;

/// What is wrong with what a customer has seen of a stream that has ended. `both_died` says whether merchant and customer
/// have died.
pub(super) fn seen_problem(
    wallet: &Wallet,
    number: u64,
    row: &PurchaseRow,
    both_died: bool,
) -> Option<String> {
    let lost = if both_died { UNRAISED } else { 0 };
    let seen = last_seen(wallet.dir(), number).saturating_sub(lost);
    let paid = match &row.purchase {
        Purchase::Aborted(..) | Purchase::Dropped(_) | Purchase::Recovered(_) => 0,
        purchase => committed_ticks(purchase)?,
    };
    if seen > paid {
        return Some(format!("goods: {seen} ticks were seen, and {paid} are paid for"));
    }
    // A customer wants fewer, and a voucher is for at most a window.
    (paid > WANTED.min(TICKS)).then(|| format!("goods: {paid} ticks are paid for, {WANTED} were wanted"))
}
