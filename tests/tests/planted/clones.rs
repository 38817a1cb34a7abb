//! Two copies of one running bank: the secrets that they reveal together, and how the copy is detected.

use crate::copies::A_MOMENT;
use curve25519_dalek::{
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
};
use farthing_coin::{
    BootId, Challenge, ClientRandomness, DenominationSecret, KeyId, MasterSecret, RequestId, SecretKey,
};
use farthing_node::history::witness::COMPARE_MS;
use farthing_protocol::{
    issue::{Admission, Owner, PreparedSession, SessionRequest, Sessions, session_digest},
    money::Amount,
    refusal::Later,
};
use farthing_simulation::{party::Party, world::World};
use farthing_store::entropy::{Entropy, SeededEntropy};
use std::time::Duration;

/// The reply of one copy to one challenge for one account: z of its response.
fn z_of_a_clone(secret: &DenominationSecret, account: u64, c: Scalar) -> Scalar {
    let entropy: &dyn Entropy = &SeededEntropy::new(account);
    let account = SecretKey::generate(&mut entropy.rng()).public();
    let outputs = [KeyId([4; 32])];
    // What both copies share: the id of the run, the turn, and the state of the generator.
    let mut sessions = Sessions::new(BootId([1; 32]));
    let generator: &dyn Entropy = &SeededEntropy::new(7);
    let key = (Owner::Account(account), RequestId([5; 32]));
    let request = SessionRequest {
        key,
        outputs: outputs.to_vec(),
        inputs: Vec::new(),
        randomness: ClientRandomness([6; 32]),
    };
    let Ok(Admission::Fresh(ticket)) = sessions.admit(&request, 0) else {
        panic!("the account may have nonces")
    };
    let begun = sessions.open(PreparedSession::new(request, &ticket, &mut generator.rng()), 0);
    let session = session_digest(&begun.commitments);
    let taken = sessions.take(&key, &session, &outputs, &[], 0);
    let challenge = Challenge(c.to_bytes());
    let responses = taken.expect("a session").respond(&[challenge], |_| Some(secret));
    let z = responses.expect("a response")[0].z;
    Option::from(Scalar::from_canonical_bytes(z.0)).expect("a scalar")
}

/// A customer with two accounts sends the same begin for each to another copy of the bank, and different challenges.
pub async fn two_clones_and_two_accounts() {
    let secret = DenominationSecret::derive(&MasterSecret::from_bytes([3; 32]), 8, 1);
    let (c1, c2) = (Scalar::from(1_u64), Scalar::from(2_u64));
    let (z1, z2) = (z_of_a_clone(&secret, 11, c1), z_of_a_clone(&secret, 12, c2));
    let x = (z1 - z2) * (c1 - c2).invert();
    assert!(
        RistrettoPoint::mul_base(&x).compress() != CompressedRistretto(secret.public().0),
        "money: two copies of a bank give away an issuing key"
    );
}

/// A machine is copied while its bank runs. The original goes on; then the copy answers in its place.
pub async fn a_clone_of_a_running_bank() {
    let world = World::new(65).await;
    let disk = world.machine(Party::Bank).disk.copy();
    world.customer("alice", Amount(5000)).await;
    tokio::time::sleep(Duration::from_millis(2 * COMPARE_MS)).await;
    let clone = world.clone_bank(disk).await;
    tokio::time::sleep(Duration::from_millis(COMPARE_MS) + A_MOMENT).await;
    assert_eq!(
        clone.history().standing(),
        Err(Later::Behind),
        "money: a copy of a running bank goes on unseen"
    );
}
