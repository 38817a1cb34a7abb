//! Digital goods, encrypted once and opened by whoever paid.
