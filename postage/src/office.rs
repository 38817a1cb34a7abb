//! The office: the postal authority.
//!
//! | module | holds |
//! |---|---|
//! | [`rows`] | the rows of its store |
//! | [`rules`] | what each request changes; pure |
//! | [`desk`] | the requests, each one transaction |
//! | [`audit`] | the sum of all postage; pure |

pub mod audit;
pub mod desk;
pub mod rows;
pub mod rules;
