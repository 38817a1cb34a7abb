//! The output file of a purchase. It is proven before coins are put to the purchase, and it never replaces a file that
//! the customer did not agree to lose.

use crate::{
    error::{PlaceFault, WalletError},
    rows::{Delivery, FileId, PURCHASES, PurchaseRow, REPLACEABLE},
    wallet::{GOODS_DIR, Wallet},
};
use farthing_node::home::files::{self, Existing, NewFile};
use farthing_protocol::{documents::Offer, limits::GOODS_WITH_OFFER_MAX_BYTES, purchase::Purchase};
use farthing_store::disk::{Disk, FileDisk};
use rustix::fs::OFlags;
use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Room that stays free beside goods, for what other programs write in the meantime (bytes).
const GOODS_SPARE_BYTES: u64 = 1024 * 1024;

/// How many file names are tried if the output's name is taken.
const PLACES_MAX: u32 = 100;

/// The file for the goods of a purchase. A path alone agrees to lose no file.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a> {
    /// The file.
    pub path: &'a Path,
    /// Whether the file that is there now may be replaced. A file that appears there later is always kept: the goods
    /// then go beside it.
    pub existing: Existing,
}

impl<'a> From<&'a Path> for Output<'a> {
    fn from(path: &'a Path) -> Self {
        let existing = Existing::Kept;
        Output { path, existing }
    }
}

impl<'a> From<&'a PathBuf> for Output<'a> {
    fn from(path: &'a PathBuf) -> Self {
        path.as_path().into()
    }
}

impl Output<'_> {
    /// Its absolute path.
    pub(crate) fn absolute(&self) -> Result<PathBuf, WalletError> {
        std::path::absolute(self.path).map_err(WalletError::io(self.path))
    }

    /// The file that may be replaced, if there is one.
    pub(crate) fn replaceable(&self) -> Option<FileId> {
        match self.existing {
            Existing::Kept => None,
            Existing::Replaced => FileId::at(self.path).ok(),
        }
    }
}

impl FileId {
    /// The identity of the file or link at `path`.
    fn at(path: &Path) -> io::Result<FileId> {
        let there = std::fs::symlink_metadata(path)?;
        Ok(FileId {
            device: there.dev(),
            inode: there.ino(),
            changed_s: there.ctime(),
            changed_ns: there.ctime_nsec(),
            size_bytes: there.len(),
        })
    }
}

impl Wallet {
    /// Delivers the goods of a purchase to another file, once they are paid for. Goods that were delivered before are
    /// written again by [`drive_purchase`](Wallet::drive_purchase). Without effect for a purchase that ended without
    /// goods.
    ///
    /// # Errors
    /// When there is no such purchase, or the file cannot be written. Nothing has changed then.
    pub async fn deliver_to<'a>(
        &self,
        number: u64,
        output: impl Into<Output<'a>>,
    ) -> Result<(), WalletError> {
        let output = output.into();
        let (path, replaceable) = (output.absolute()?, output.replaceable());
        let row = self.purchase(number)?;
        if matches!(
            row.purchase,
            Purchase::Aborted(..) | Purchase::Recovered(_) | Purchase::Dropped(_)
        ) {
            return Ok(());
        }
        files::prove_output(&path).map_err(|why| fault(number, &row, why.into()))?;
        let reads = [PURCHASES.key(&number)];
        self.transact(reads, move |tx| {
            let Some(mut row) = PURCHASES.get(tx, &number)? else {
                return Ok(());
            };
            row.output.clone_from(&path);
            if row.delivery == Delivery::Delivered {
                row.delivery = Delivery::OnDemand;
            }
            match &replaceable {
                Some(file) => REPLACEABLE.put(tx, &number, file)?,
                None => REPLACEABLE.delete(tx, &number)?,
            }
            PURCHASES.put(tx, &number, &row)
        })
        .await
    }

    /// Whether the goods of a purchase were delivered, and their file is gone since: it is missing, has another length, or
    /// has nothing but zeros. The file of small goods can be lost in a power failure, and the wallet can write it again.
    ///
    /// # Errors
    /// [`WalletError::NoPurchase`] when there is none. When the store fails.
    pub fn is_delivery_gone(&self, number: u64) -> Result<bool, WalletError> {
        let row = self.purchase(number)?;
        let offer = &row.purchase.offer().body;
        if offer.ticks().is_some() {
            return Ok(false);
        }
        let there = std::fs::symlink_metadata(&row.output);
        let is_there = there.is_ok_and(|there| there.is_file() && there.len() == offer.size_bytes);
        let is_lost = || are_small(offer) && is_zeros(&row.output).unwrap_or(true);
        Ok(row.delivery == Delivery::Delivered && (!is_there || is_lost()))
    }
}

/// Whether the encrypted goods of `offer` come with it and are kept in the store. For so few bytes, files and their
/// syncs would cost more than the rest of a purchase.
pub(crate) fn are_small(offer: &Offer) -> bool {
    offer.encrypted_bytes <= GOODS_WITH_OFFER_MAX_BYTES
}

/// Whether the file at `path`, which is small, has bytes and all of them are zeros. A power failure can leave such a file.
fn is_zeros(path: &Path) -> io::Result<bool> {
    let bytes = std::fs::read(path)?;
    Ok(!bytes.is_empty() && bytes.iter().all(|byte| *byte == 0))
}

// ---- proof --------------------------------------------------------------------------------------------------------

/// Proves that the goods can be delivered: a file can be put at the output's path, and the disks have room for the
/// `sealed_bytes` of encrypted goods that are still to be fetched, and for the plain goods.
///
/// # Errors
/// [`WalletError::NoPlace`], or [`WalletError::NotDelivered`] for goods that are paid for.
pub(crate) fn prove(
    wallet: &Wallet,
    number: u64,
    row: &PurchaseRow,
    sealed_bytes: u64,
) -> Result<(), WalletError> {
    files::prove_output(&row.output).map_err(|why| fault(number, row, why.into()))?;
    check_room(wallet, row, sealed_bytes).map_err(|why| fault(number, row, why))
}

/// The error of goods that cannot go to their output file.
pub(crate) fn fault(number: u64, row: &PurchaseRow, why: PlaceFault) -> WalletError {
    match row.purchase {
        Purchase::Committed(..) => WalletError::NotDelivered { number, why },
        _ => WalletError::NoPlace(why),
    }
}

fn check_room(wallet: &Wallet, row: &PurchaseRow, sealed_bytes: u64) -> Result<(), PlaceFault> {
    let offer = &row.purchase.offer().body;
    let sealed = Need {
        dir: &wallet.dir().join(GOODS_DIR),
        bytes: match sealed_bytes {
            0 => 0,
            // The wallet's rows need their room too.
            some => some.saturating_add(wallet.env.store.reserve_bytes),
        },
    };
    let plain = Need {
        dir: row.output.parent().unwrap_or(Path::new("/")),
        bytes: offer.size_bytes.saturating_add(GOODS_SPARE_BYTES),
    };
    let device = |need: &Need<'_>| std::fs::metadata(need.dir).map(|dir| dir.dev()).ok();
    if device(&sealed).is_some() && device(&sealed) == device(&plain) {
        let bytes = sealed.bytes.saturating_add(plain.bytes);
        return Need { bytes, ..plain }.check();
    }
    sealed.check()?;
    plain.check()
}

/// What goods need on one disk.
struct Need<'a> {
    dir: &'a Path,
    bytes: u64,
}

impl Need<'_> {
    fn check(&self) -> Result<(), PlaceFault> {
        // A file system that does not tell shows it when the file is written.
        let free_bytes = FileDisk.free_bytes(self.dir).unwrap_or(u64::MAX);
        match free_bytes < self.bytes {
            true => Err(PlaceFault::NoRoom {
                dir: self.dir.to_path_buf(),
                needed_bytes: self.bytes,
                free_bytes,
            }),
            false => Ok(()),
        }
    }
}

// ---- delivery -----------------------------------------------------------------------------------------------------

/// Puts goods at the output's path and returns the path. They replace only `replaceable`, the file that the customer
/// has agreed to lose. If another file is there, they go beside it. A file with the same bytes was put there before a
/// crash.
///
/// # Errors
/// The errors of the operating system, and when too many names are taken.
pub(crate) fn put_goods(
    output: &Path,
    mut goods: NewFile,
    replaceable: Option<FileId>,
) -> io::Result<PathBuf> {
    for number in 1..=PLACES_MAX {
        let mut name = output.file_name().unwrap_or_default().to_os_string();
        if number > 1 {
            name.push(format!(".{number}"));
        }
        let place = output.with_file_name(name);
        match goods.put(&place) {
            Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => {}
            put => return put.map(|()| place),
        }
        let there = std::fs::symlink_metadata(&place)?;
        if number == 1 && replaceable.is_some() && replaceable == FileId::at(&place).ok() && !there.is_dir() {
            return goods.put_over(&place).map(|()| place);
        }
        if there.is_file() && same_bytes(&place, goods.file())? {
            files::sync_parent(&place)?;
            return Ok(place);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AlreadyExists,
        "there are files of this name already",
    ))
}

/// Whether the file at `path` has the bytes of `goods`. A link is not followed, and a FIFO is not waited for.
fn same_bytes(path: &Path, goods: &mut File) -> io::Result<bool> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    // A file that cannot be read is another program's.
    let Ok(other) = OpenOptions::new().read(true).custom_flags(flags).open(path) else {
        return Ok(false);
    };
    if !other.metadata()?.is_file() {
        return Ok(false);
    }
    goods.seek(SeekFrom::Start(0))?;
    let (mut other, mut ours) = (BufReader::new(other), BufReader::new(goods));
    loop {
        let (theirs, own) = (other.fill_buf()?, ours.fill_buf()?);
        let length = theirs.len().min(own.len());
        if length == 0 || theirs.get(..length) != own.get(..length) {
            return Ok(theirs.is_empty() && own.is_empty());
        }
        other.consume(length);
        ours.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing_node::home::files::Mode;
    use rustix::fs::{CWD, FileType, Mode as Bits, mknodat};
    use std::{
        fs,
        io::Write,
        os::unix::fs::{PermissionsExt, symlink},
        time::{Duration, SystemTime},
    };

    const GOODS: &[u8] = b"Greetings from the seaside.\n";

    /// Delivers the goods to `output`, and returns the name of their file.
    fn deliver(output: &Path, replaceable: Option<FileId>) -> String {
        let mut goods = NewFile::beside(output, Mode::Public).unwrap();
        goods.file().write_all(GOODS).unwrap();
        let place = put_goods(output, goods, replaceable).unwrap();
        assert_eq!(fs::read(&place).unwrap(), GOODS);
        assert!(fs::symlink_metadata(&place).unwrap().is_file());
        place.file_name().unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn goods_go_beside_whatever_is_in_their_place() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str| dir.path().join(name);
        fs::write(place("file"), "somebody's").unwrap();
        fs::create_dir(place("directory")).unwrap();
        mknodat(CWD, place("fifo"), FileType::Fifo, Bits::RUSR, 0).unwrap();
        symlink(place("victim"), place("dangling")).unwrap();
        symlink(place("file"), place("link")).unwrap();
        symlink("/dev/full", place("device")).unwrap();
        for name in ["file", "directory", "fifo", "dangling", "link", "device"] {
            let before = FileId::at(&place(name)).unwrap();
            assert_eq!(deliver(&place(name), None), format!("{name}.2"));
            // Put there before a crash.
            assert_eq!(deliver(&place(name), None), format!("{name}.2"));
            assert_eq!(FileId::at(&place(name)).unwrap(), before, "{name}");
        }
        assert!(!place("victim").exists());
        assert_eq!(fs::read(place("file")).unwrap(), b"somebody's");
    }

    #[test]
    fn only_the_very_file_that_the_customer_agreed_to_lose_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.md");
        let agreed = || {
            let output = Output {
                path: &path,
                existing: Existing::Replaced,
            };
            output.replaceable()
        };
        assert_eq!(agreed(), None);
        fs::write(&path, "old").unwrap();
        assert_eq!(Output::from(&path).replaceable(), None);
        let old = agreed();
        assert_eq!(deliver(&path, old), "out.md");

        // Another file, whose time stamp is older than the purchase.
        fs::write(&path, "old").unwrap();
        let old = agreed();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a letter").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
            .unwrap();
        assert_eq!(deliver(&path, old), "out.md.2");
        assert_eq!(fs::read(&path).unwrap(), b"a letter");

        // The same file, written again since.
        let old = agreed();
        fs::write(&path, "another letter").unwrap();
        assert_eq!(deliver(&path, old), "out.md.2");
        assert_eq!(fs::read(&path).unwrap(), b"another letter");

        // A link is replaced itself. Its target stays.
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        let existing = Existing::Replaced;
        let old = Output {
            path: &link,
            existing,
        }
        .replaceable();
        assert_eq!(deliver(&link, old), "link");
        assert_eq!(fs::read(&path).unwrap(), b"another letter");
    }

    #[test]
    fn a_file_of_zeros_is_lost_and_any_other_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("goods");
        for (bytes, lost) in [(&[0, 0, 0][..], true), (&[0, 0, 1], false), (&[], false)] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(is_zeros(&path).unwrap(), lost);
        }
    }

    #[test]
    fn a_link_at_a_temporary_name_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, dir.path().join("b.out.farthing-part")).unwrap();
        let path = dir.path().join("b.out");
        assert_eq!(deliver(&path, None), "b.out");
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        let mut goods = NewFile::beside(&path, Mode::Public).unwrap();
        let mode = goods.file().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_disk_needs_room_for_the_goods() {
        let dir = tempfile::tempdir().unwrap();
        let need = |bytes| {
            Need {
                dir: dir.path(),
                bytes,
            }
            .check()
        };
        need(GOODS_SPARE_BYTES).unwrap();
        let full = need(u64::MAX).unwrap_err().to_string();
        assert!(full.contains("the disk is full"), "{full}");
        assert!(full.contains(dir.path().to_str().unwrap()), "{full}");
    }
}
