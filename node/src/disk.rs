//! The disk as a trait: the few operations that the journal needs.
