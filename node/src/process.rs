//! Stopping a process gracefully.
