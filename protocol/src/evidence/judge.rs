//! Judges all papers together.

use super::{case, coins, conviction::Conviction, encryption_keys, papers::Papers, reserves};
use farthing_coin::KeyBook;

/// The most papers that are judged together, as every document is compared with every other.
pub const PAPERS_MAX: usize = 16;

/// All convictions that `papers` together prove at `at_ms` (ms since 1970).
///
/// A charge that a document could clear is heard for a year after the deadline of its purchase.
///
/// A document with an invalid signature proves nothing. Papers after the first [`PAPERS_MAX`] are ignored.
pub fn judge(papers: &[Papers], at_ms: u64) -> Vec<Conviction> {
    let papers = papers.get(..PAPERS_MAX).unwrap_or(papers);
    let cases = case::cases(papers);
    let lists = papers.iter().filter_map(|paper| paper.keys.as_ref());
    let books: Vec<KeyBook> = lists
        .filter_map(|list| KeyBook::new(list.clone(), &list.body.bank).ok())
        .collect();
    let mut convictions: Vec<Conviction> = cases.iter().flat_map(|case| case.judge(at_ms)).collect();
    convictions.extend(coins::judge(papers, &cases, &books));
    convictions.extend(reserves::judge(papers, &cases, &books));
    convictions.extend(encryption_keys::judge(papers));
    convictions
}
