//! All documents laid beside each other.

use super::{case, coins, conviction::Conviction, papers::Papers};

/// The most papers that are judged together: every document is laid beside every other.
pub const PAPERS_MAX: usize = 16;

/// Everything that `papers` prove, laid side by side. Documents whose signatures do not hold prove nothing; nor do more
/// than [`PAPERS_MAX`] of the papers.
pub fn judge(papers: &[Papers]) -> Vec<Conviction> {
    let papers = papers.get(..PAPERS_MAX).unwrap_or(papers);
    let cases = case::cases(papers);
    let mut convictions: Vec<Conviction> = cases.iter().flat_map(case::Case::judge).collect();
    convictions.extend(coins::judge(papers, &cases));
    convictions
}
