//! The durable store: an append-only journal is the truth, sled is its index.
