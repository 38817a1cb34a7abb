//! The local administration socket of a running node.
