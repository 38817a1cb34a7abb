//! How nodes and wallets reach each other, as traits.
