use super::*;
use crate::ids::{JournalRun, RecordHash, WitnessNonce};
use farthing_coin::SecretKey;

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

fn head(of: &SecretKey, records: u64, hash: u8) -> Signed<JournalHead> {
    let head = JournalHead {
        node: of.public(),
        run: JournalRun([7; 32]),
        records,
        hash: RecordHash([hash; 32]),
    };
    Signed::sign(head, of)
}

fn question(remembered: Option<Signed<JournalHead>>) -> WitnessRequest {
    WitnessRequest {
        asker: key(1).public(),
        witness: key(2).public(),
        nonce: WitnessNonce([3; 32]),
        remembered,
    }
}

fn verified(question: &WitnessRequest) -> VerifiedWitnessRequest {
    verify_witness_request(Signed::sign(question.clone(), &key(1)), &key(2).public()).unwrap()
}

fn own(hash_there: Option<u8>) -> Option<OwnJournal> {
    Some(OwnJournal {
        head: head(&key(2), 20, 20),
        hash_there: hash_there.map(|hash| RecordHash([hash; 32])),
    })
}

#[test]
fn a_head_lies_in_a_history_with_its_hash_at_its_place() {
    let told = head(&key(1), 5, 50).body;
    assert!(told.lies_in(Some(RecordHash([50; 32]))));
    assert!(!told.lies_in(Some(RecordHash([51; 32]))), "another history");
    assert!(!told.lies_in(None), "a shorter history");
}

#[test]
fn an_asker_learns_its_remembered_head_and_the_head_of_its_witness() {
    let (mine, yours) = (head(&key(1), 9, 9), head(&key(2), 5, 50));
    let remembers = question(Some(yours.clone()));
    let asked = verified(&remembers);
    assert_eq!(asked.asker(), key(1).public());
    assert_eq!(asked.claim(), Some(&yours));
    let learn = |remembered, own| {
        let answer = Signed::sign(asked.respond(remembered, own), &key(2));
        verify_testimony(answer, &remembers).unwrap()
    };
    let proven = learn(Some(mine.clone()), own(Some(50)));
    assert_eq!(proven.claim, Some(mine));
    assert_eq!(proven.witness, WitnessHistory::Proven(head(&key(2), 20, 20)));
    for (shown, found) in [
        (None, WitnessHistory::Hidden),
        (own(Some(51)), WitnessHistory::Contradicted),
        (own(None), WitnessHistory::Contradicted),
    ] {
        assert_eq!(
            learn(None, shown),
            VerifiedTestimony {
                claim: None,
                witness: found
            }
        );
    }
}

#[test]
fn an_asker_that_remembers_no_head_accepts_any_history() {
    let nothing = question(None);
    let answer = Signed::sign(verified(&nothing).respond(None, own(None)), &key(2));
    let learned = verify_testimony(answer, &nothing).unwrap();
    assert_eq!(learned.witness, WitnessHistory::Proven(head(&key(2), 20, 20)));
}

#[test]
fn a_question_is_refused_if_it_is_for_another_node_or_forged_or_has_an_unsigned_head() {
    let ask = |question: WitnessRequest, by: &SecretKey| {
        verify_witness_request(Signed::sign(question, by), &key(2).public()).map(|_| ())
    };
    let refused = |question, by: &SecretKey| ask(question, by).unwrap_err();
    assert_eq!(ask(question(None), &key(1)), Ok(()));
    let elsewhere = WitnessRequest {
        witness: key(4).public(),
        ..question(None)
    };
    let is_signature = |refusal| matches!(refusal, Refusal::Request(RequestFault::Signature { .. }));
    assert!(matches!(
        refused(elsewhere, &key(1)),
        Refusal::Request(RequestFault::NotForMe { .. })
    ));
    assert!(is_signature(refused(question(None), &key(4))));
    let of_another = question(Some(head(&key(4), 5, 50)));
    assert!(is_signature(refused(of_another, &key(1))));
    let mut made_up = head(&key(2), 5, 50);
    made_up.body.records = 6;
    assert!(is_signature(refused(question(Some(made_up)), &key(1))));
}

#[test]
fn an_answer_is_refused_if_it_is_old_or_forged_or_has_an_unsigned_head() {
    let asked = question(None);
    let fresh = verified(&asked).respond(Some(head(&key(1), 9, 9)), own(None));
    let judge = |testimony: Testimony, by: &SecretKey| verify_testimony(Signed::sign(testimony, by), &asked);
    assert!(judge(fresh.clone(), &key(2)).is_ok());
    assert!(judge(fresh.clone(), &key(4)).is_err(), "signed by another node");
    let changes: [fn(&mut Testimony); 6] = [
        |t| t.nonce = WitnessNonce([4; 32]),
        |t| t.asker = key(4).public(),
        |t| t.witness = key(4).public(),
        |t| t.remembered = Some(head(&key(4), 9, 9)),
        |t| t.remembered.as_mut().unwrap().body.records = 10,
        |t| t.own.as_mut().unwrap().head = head(&key(4), 20, 20),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = fresh.clone();
        change(&mut changed);
        assert!(judge(changed, &key(2)).is_err(), "change {number}");
    }
}

#[test]
fn the_signatures_cover_every_field_of_a_question_and_an_answer() {
    let signed = Signed::sign(question(Some(head(&key(2), 5, 50))), &key(1));
    let changes: [fn(&mut WitnessRequest); 3] = [
        |q| q.nonce = WitnessNonce([4; 32]),
        |q| q.remembered = None,
        |q| q.remembered = Some(head(&key(2), 6, 50)),
    ];
    for change in changes {
        let mut changed = signed.clone();
        change(&mut changed.body);
        assert!(changed.verify(&key(1).public()).is_err());
    }
    let answer = verified(&question(None)).respond(Some(head(&key(1), 9, 9)), own(Some(50)));
    let signed = Signed::sign(answer, &key(2));
    let changes: [fn(&mut Testimony); 4] = [
        |t| t.remembered = None,
        |t| t.own = None,
        |t| t.own.as_mut().unwrap().hash_there = None,
        |t| t.own.as_mut().unwrap().head = head(&key(2), 21, 20),
    ];
    for change in changes {
        let mut changed = signed.clone();
        change(&mut changed.body);
        assert!(changed.verify(&key(2).public()).is_err());
    }
}
