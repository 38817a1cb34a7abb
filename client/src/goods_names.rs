//! Names of the files of encrypted goods. Without the seed, a name does not tell what was bought.

use crate::error::WalletError;
use farthing_coin::Seed;
use farthing_protocol::ids::EncryptedDigest;
use std::{io, path::Path};

/// Extension of a complete file of encrypted goods.
pub(crate) const SEALED: &str = "sealed";

/// Extension of a file that is still being fetched.
pub(crate) const PART: &str = "part";

/// The name of a file of encrypted goods. It is always the same for this wallet, and looks random to everyone else.
pub(crate) fn goods_name(seed: &Seed, encrypted_digest: &EncryptedDigest) -> String {
    hex::encode(seed.goods_name(&encrypted_digest.0))
}

/// Renames encrypted goods that an earlier version named by their digest. The digest is public, so that name tells
/// what was bought.
///
/// # Errors
/// When the directory cannot be read, or a file cannot be renamed.
pub(crate) fn rename_goods(goods: &Path, seed: &Seed) -> Result<(), WalletError> {
    let entries = match std::fs::read_dir(goods) {
        Err(absent) if absent.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(WalletError::io(goods))?,
    };
    for entry in entries {
        let path = entry.map_err(WalletError::io(goods))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let mut digest = [0; 32];
        let is_digest = |stem: &str| hex::decode_to_slice(stem, &mut digest).is_ok();
        let (Some(ending @ (SEALED | PART)), true) = (
            ending,
            path.file_stem()
                .and_then(|stem| stem.to_str())
                .is_some_and(is_digest),
        ) else {
            continue;
        };
        let renamed = goods.join(format!("{}.{ending}", goods_name(seed, &EncryptedDigest(digest))));
        std::fs::rename(&path, renamed).map_err(WalletError::io(&path))?;
    }
    Ok(())
}
