//! Streams: a customer who watches a part of one, and the check of what was seen.

use super::{
    foundation::{ITEM, TICKS},
    world::World,
};
use farthing_client::{
    error::WalletError,
    purchase::{Begun, HELD_TICKS, Place, STREAM_OUTPUT, Seen, TickSink, WatchLimits},
    rows::PurchaseRow,
    wallet::{GOODS_DIR, Wallet},
};
use farthing_protocol::{money::Amount, purchase::Purchase};
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
    /// The number of the purchase, once a stream has begun.
    number: Option<u64>,
}

impl<'w> Viewer<'w> {
    /// A viewer of the first merchant's stream, with this wallet.
    pub fn new(world: &'w World, wallet: &Wallet) -> Self {
        Self {
            world,
            dir: wallet.dir().to_owned(),
            number: None,
        }
    }

    fn number(&self) -> u64 {
        self.number.expect("records come after their stream has begun")
    }
}

impl TickSink for Viewer<'_> {
    fn begin(&mut self, begun: Begun) -> io::Result<()> {
        let Begun {
            number,
            is_live,
            place,
            repeats,
        } = begun;
        assert!(!is_live, "the merchant sells a file");
        self.number = Some(number);
        let Some(Place { bytes, .. }) = place else {
            return Ok(());
        };
        let seen = u64::from(last_seen(&self.dir, number));
        let fits = bytes == seen || (repeats && bytes < seen);
        assert!(fits, "goods: {seen} ticks were seen, and the wallet says {bytes}");
        // What came behind the place comes again.
        std::fs::write(place_of(&self.dir, number), bytes.to_string())
    }

    fn record(&mut self, tick: u32, _: Amount, record: &[u8]) -> io::Result<()> {
        assert_eq!(
            record,
            self.world.foundation.tick(0, tick),
            "goods: tick {tick} is not the merchant's"
        );
        let seen = last_seen(&self.dir, self.number());
        // A restored wallet begins in the middle.
        assert!(
            seen == 0 || tick == seen + 1,
            "goods: tick {tick} follows tick {seen}"
        );
        std::fs::write(place_of(&self.dir, self.number()), tick.to_string())
    }

    fn place(&mut self) -> io::Result<Option<Place>> {
        Ok(Some(Place {
            device: 0,
            inode: self.number(),
            bytes: last_seen(&self.dir, self.number()).into(),
            before: [0; 32],
        }))
    }
}

fn place_of(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("seen-{number}"))
}

/// The last tick that was seen of a purchase, or 0.
fn last_seen(dir: &Path, number: u64) -> u32 {
    let text = std::fs::read_to_string(place_of(dir, number)).unwrap_or_default();
    text.parse().unwrap_or_default()
}

/// Watches a part of the stream.
///
/// # Errors
/// As [`Wallet::watch`].
pub async fn watch_once(world: &World, wallet: &Wallet) -> Result<Seen, WalletError> {
    let mut viewer = Viewer::new(world, wallet);
    wallet.watch(&world.parties(), ITEM, limits(), &mut viewer).await
}

/// The wallet's files of held ticks.
pub fn held_ticks(wallet: &Wallet) -> Vec<PathBuf> {
    let files = std::fs::read_dir(wallet.dir().join(GOODS_DIR)).expect("the wallet's goods");
    let paths = files.map(|file| file.expect("a file").path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == HELD_TICKS))
        .collect()
}

/// What is wrong with what a customer has seen of a stream that has ended.
pub(super) fn seen_problem(wallet: &Wallet, number: u64, row: &PurchaseRow) -> Option<String> {
    let seen = last_seen(wallet.dir(), number);
    let paid = match &row.purchase {
        Purchase::Aborted(..) | Purchase::Dropped(_) | Purchase::Recovered(_) => 0,
        purchase => purchase.committed_ticks()?,
    };
    if seen > paid {
        return Some(format!("goods: {seen} ticks were seen, and {paid} are paid for"));
    }
    // A restored wallet does not have what was seen on the machine that is lost.
    let is_restored = row.output != Path::new(STREAM_OUTPUT);
    let unseen = wallet.unseen_ticks(row).expect("the held ticks");
    if seen + unseen != paid && !is_restored {
        return Some(format!(
            "goods: {paid} ticks are paid for, {seen} were seen, and {unseen} are held"
        ));
    }
    // A customer wants fewer, and a voucher is for at most a window.
    (paid > WANTED.min(TICKS)).then(|| format!("goods: {paid} ticks are paid for, {WANTED} were wanted"))
}
