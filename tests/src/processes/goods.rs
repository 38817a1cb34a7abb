//! What the merchant of a testbed sells.

/// A postcard of a few bytes for 7.25.
pub const POSTCARD: &str = "A postcard";

/// What the postcard costs.
pub const PRICE: u64 = 725;

/// A film of some megabytes for 7.25: larger than what is on its way at once.
pub const FILM: &str = "A film";

/// How large the film is (bytes).
pub const FILM_BYTES: usize = 20 * 1024 * 1024;
