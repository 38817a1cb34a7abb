//! Named points at which a test may pause, kill or fault.
