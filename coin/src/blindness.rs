//! The proof that nobody can link a coin to the session that issued it, with any computing power.

use crate::blind::{Blinders, Opened, blind};
use crate::coin::{Coin, CoinKey};
use crate::denomination::Denomination;
use crate::encoding::{fifth_power, scalar};
use crate::issue::{Challenge, Commitment, Response};

/// Computes the only blinders with which this session could have issued this coin.
///
/// They exist for every answered session and every valid coin of the same denomination:
///
/// - alpha = y' / y
/// - r = z' - alpha^5 z - alpha b
/// - beta = c - c' alpha^-5
///
/// So each session explains each coin. Blinders are uniform, so it explains each coin equally well. The messages that the
/// bank saw do not tell which coin a session has issued. This function is the proof of perfect blindness (as in Snowblind).
///
/// Returns `None` when the session or the coin is not valid under this denomination.
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
