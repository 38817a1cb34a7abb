//! A node's directory.
