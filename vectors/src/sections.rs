//! The sections of the files, the number of their cases, and the crates whose tests check them.

/// A section: the file, its name, the number of its cases, and the crates that check it.
pub(crate) type Section = (&'static str, &'static str, usize, &'static [&'static str]);

/// The sections of `v1`. No crate checks a section that holds only inputs.
const V1: &[Section] = &[
    ("digests", "denominations", 8, &["coin"]),
    ("digests", "key_lists", 5, &["coin", "protocol"]),
    ("digests", "coins", 7, &["protocol"]),
    ("digests", "sessions", 4, &["protocol"]),
    ("digests", "notes", 3, &["protocol"]),
    ("digests", "terms", 6, &["protocol"]),
    ("digests", "offers", 6, &["protocol"]),
    ("digests", "exchanges", 3, &["protocol"]),
    ("documents", "documents", 71, &["protocol"]),
    ("documents", "statements", 28, &["protocol"]),
    ("goods", "goods", 9, &["protocol"]),
    ("keys", "goods_keys", 5, &["protocol"]),
    ("keys", "content_keys", 4, &["protocol"]),
    ("keys", "wrapped_keys", 4, &["protocol"]),
    ("keys", "diffie_hellman", 5, &["coin"]),
    ("keys", "sealed_in_commits", 3, &["protocol"]),
    ("keys", "sealed_in_offers", 3, &["protocol"]),
    ("keys", "notes", 5, &["protocol"]),
    ("keys", "memos", 3, &["protocol"]),
    ("negatives_coin", "points", 49, &["coin"]),
    ("negatives_coin", "scalars", 15, &["coin"]),
    ("negatives_coin", "wide_reductions", 6, &["coin"]),
    ("negatives_coin", "denominations", 3, &["coin"]),
    ("negatives_coin", "coins", 105, &["coin"]),
    ("negatives_coin", "signatures", 63, &["coin"]),
    ("negatives_coin", "batches", 13, &["coin", "protocol"]),
    ("negatives_protocol", "documents", 18, &["protocol"]),
    ("negatives_protocol", "issuing", 23, &["protocol"]),
    ("negatives_protocol", "key_lists", 27, &["protocol"]),
    ("negatives_protocol", "contracts", 39, &["protocol"]),
    ("negatives_protocol", "sealed_keys", 10, &["protocol"]),
    ("negatives_protocol", "goods", 21, &["protocol"]),
    ("negatives_protocol", "notes", 12, &["protocol"]),
    ("negatives_protocol", "frames", 40, &["protocol"]),
    ("negatives_protocol", "phrases", 8, &["coin"]),
    ("negatives_protocol", "cards", 33, &["node"]),
    ("parties", "now", 1, &[]),
    ("parties", "bank", 1, &["coin", "node"]),
    ("parties", "escrow", 1, &["coin", "node"]),
    ("parties", "merchant", 1, &["coin", "node"]),
    ("parties", "wallet", 1, &["coin"]),
    ("parties", "stranger", 1, &["coin"]),
    ("parties", "items", 3, &["protocol"]),
    ("wallet", "wallets", 3, &["coin"]),
    ("wallet", "sessions", 8, &["coin"]),
    ("wire_bank", "frames", 80, &["protocol"]),
    ("wire_escrow", "frames", 30, &["protocol"]),
    ("wire_merchant", "frames", 27, &["protocol"]),
    ("wire_refusals", "frames", 57, &["protocol"]),
];

/// The sections of `v2`.
const V2: &[Section] = &[
    ("documents", "documents", 55, &["protocol"]),
    ("documents", "statements", 11, &["protocol"]),
    ("relay", "padding", 16, &["protocol"]),
    ("relay", "requests", 5, &["protocol"]),
    ("relay", "replies", 5, &["protocol"]),
    ("issue", "nonces", 5, &["protocol"]),
    ("keys", "shared_points", 6, &["protocol"]),
    ("reserves", "credits", 3, &["protocol"]),
    ("reserves", "paid", 2, &["protocol"]),
    ("reserves", "secrets", 3, &["protocol"]),
    ("reserves", "sources", 2, &["protocol"]),
    ("reserves", "texts", 2, &["protocol"]),
    ("streams", "bank", 2, &["protocol"]),
    ("streams", "chains", 3, &["protocol"]),
    ("streams", "documents", 9, &["protocol"]),
    ("streams", "escrow", 11, &["protocol"]),
    ("streams", "merchant", 10, &["protocol"]),
    ("streams", "statements", 1, &["protocol"]),
    ("streams", "ticks", 3, &["protocol"]),
    ("wallet", "accounts", 9, &["coin"]),
    ("wire_bank", "frames", 15, &["protocol"]),
    ("wire_escrow", "frames", 5, &["protocol"]),
    ("wire_merchant", "frames", 2, &["protocol"]),
    ("wire_refusals", "frames", 27, &["protocol"]),
    ("wire_relay", "relay", 4, &["protocol"]),
    ("wire_relay", "target", 4, &["protocol"]),
];

/// The sections of a version.
pub(crate) fn of(version: &str) -> &'static [Section] {
    match version {
        "v1" => V1,
        "v2" => V2,
        other => panic!("there are no vectors of version `{other}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cases, file, files::folder};
    use std::collections::BTreeSet;

    #[test]
    fn every_section_of_every_file_is_listed_with_its_cases() {
        for version in ["v1", "v2"] {
            let mut found = BTreeSet::new();
            for entry in std::fs::read_dir(folder(version)).expect("a folder") {
                let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
                let Some(name) = name.strip_suffix(".json").filter(|name| *name != "changed") else {
                    continue;
                };
                let file = file(version, name);
                for (section, value) in file.as_object().expect("sections") {
                    found.insert((name.to_owned(), section.clone(), cases(value).len()));
                }
            }
            let listed = of(version).iter();
            let listed =
                listed.map(|(name, section, count, _)| ((*name).to_owned(), (*section).to_owned(), *count));
            assert_eq!(found, listed.collect(), "{version}");
        }
    }
}
