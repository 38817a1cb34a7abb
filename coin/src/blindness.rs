//! Why nobody, with any computing power, can link a coin to the session that issued it.

use crate::blind::{Blinders, Opened, blind};
use crate::coin::{Coin, CoinKey};
use crate::denomination::Denomination;
use crate::encoding::{fifth_power, scalar};
use crate::issue::{Challenge, Commitment, Response};

/// Computes the one set of blinders with which this session would have issued this coin.
///
/// For every answered session and every valid coin of the same denomination there is exactly one:
///
/// - alpha = y' / y
/// - r = z' - alpha^5 z - alpha b
/// - beta = c - c' alpha^-5
///
/// So each session explains each coin, and, as blinders are uniform, equally well: what the bank saw says
/// nothing about which coin came of it. That is the proof that blindness is perfect (as in Snowblind), as a
/// function. `None` means that the session or the coin is not valid under this denomination.
pub fn joining_blinders(
    denomination: &Denomination,
    commitment: &Commitment,
    challenge: &Challenge,
    response: &Response,
    coin: &Coin,
) -> Option<Blinders> {
    coin.verify(denomination).ok()?;
    let opened = Opened::new(response).ok()?;
    let c = scalar(&challenge.0, "challenge").ok()?;
    let z_prime = coin.z.decode("z").ok()?;
    let y_prime = coin.y.decode("y").ok()?;
    let c_prime = CoinKey::open(denomination).ok()?.challenge(&coin.public, &coin.r);

    let alpha = y_prime * opened.y.invert();
    let alpha5 = fifth_power(&alpha);
    let r = z_prime - alpha5 * opened.z - alpha * opened.b;
    let beta = c - c_prime * alpha5.invert();

    let blinders = Blinders::from_scalars(alpha, r, beta);
    let joined = blind(denomination, &coin.public, commitment, &blinders).ok()?;
    (joined == *challenge).then_some(blinders)
}
