//! The goods that the merchant of a testbed sells.

/// A postcard of a few bytes for 7.25.
pub const POSTCARD: &str = "A postcard";

/// The price of the postcard (units).
pub const PRICE: u64 = 725;

/// A film of 20 MiB for 7.25. It is larger than all pieces that can be under way at once.
pub const FILM: &str = "A film";

/// Size of the film (bytes).
pub const FILM_BYTES: usize = 20 * 1024 * 1024;
