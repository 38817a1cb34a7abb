//! The numbers that a wallet's secrets are derived from, and restores that have to find all of them. The planted defects are
//! looked for with these stories as well.

use farthing_tests::simulation::{local, numbers};

/// A story that fails by itself.
macro_rules! story {
    ($name:ident) => {
        #[test]
        fn $name() {
            local(numbers::$name());
        }
    };
}

story!(a_coin_that_is_held_elsewhere_keeps_its_number);
