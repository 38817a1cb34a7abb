//! Encryption keys. A server signs one for each day. With a second one it could tell wallets apart.

use super::{
    conviction::{Charge, Conviction, Culprit},
    papers::Papers,
};
use crate::ids::ObliviousKey;
use farthing_coin::PublicKey;
use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

/// A conviction for each server and day of which the papers have two keys. It does not matter who was told which.
pub(super) fn judge(papers: &[Papers]) -> Vec<Conviction> {
    let mut told: BTreeMap<(PublicKey, u32), ObliviousKey> = BTreeMap::new();
    let mut twice: BTreeSet<(PublicKey, u32)> = BTreeSet::new();
    for signed in papers.iter().flat_map(|paper| &paper.encryption_keys) {
        let key = &signed.body;
        let of_day = (key.target, key.day);
        if signed.verify(&key.target).is_err() {
            continue;
        }
        match told.entry(of_day) {
            Entry::Vacant(first) => drop(first.insert(key.key)),
            Entry::Occupied(first) if *first.get() != key.key => drop(twice.insert(of_day)),
            Entry::Occupied(_) => {}
        }
    }
    let convict = |(server, day)| Conviction {
        culprit: Culprit::Server(server),
        charge: Charge::TwoEncryptionKeys { day },
        purchase: None,
    };
    twice.into_iter().map(convict).collect()
}
