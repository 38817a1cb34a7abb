//! The types of the test vectors in the JSON files. Bytes are hexadecimal.

use farthing_coin::{
    Calendar, Coin, Denomination, EncodedPoint, EncodedScalar, EpochKeys, KeyId, KeyList, PublicKey,
    Signature, Signed, Statement, StatementDigest,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub struct Generators {
    pub suite: u8,
    pub g: String,
    pub h_uniform_bytes: String,
    pub h: String,
}

#[derive(Serialize, Deserialize)]
pub struct DenominationVector {
    pub master: String,
    pub bank: String,
    pub currency: String,
    pub value: u64,
    pub epoch: u32,
    pub issue_from_ms: u64,
    pub issue_until_ms: u64,
    pub spend_until_ms: u64,
    pub redeem_until_ms: u64,
    pub x: String,
    pub public: String,
    pub id: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct CoinVector {
    pub suite: u8,
    pub key_id: String,
    pub public: String,
    pub r: String,
    pub z: String,
    pub y: String,
}

#[derive(Serialize, Deserialize)]
pub struct IssueVector {
    pub denomination: usize,
    pub fresh: String,
    pub boot_id: String,
    pub session_id: String,
    pub client_randomness: String,
    pub bank_a: String,
    pub bank_b: String,
    pub bank_y: String,
    pub commitment_a: String,
    pub commitment_b: String,
    pub seed: String,
    pub request_id: String,
    pub slot: u32,
    pub coin_secret: String,
    pub alpha: String,
    pub r: String,
    pub beta: String,
    pub coin_challenge: String,
    pub challenge: String,
    pub response_z: String,
    pub response_b: String,
    pub response_y: String,
    pub coin: CoinVector,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct SignatureVector {
    pub public: String,
    pub context: String,
    pub key_id: String,
    pub digest: String,
    pub commitment: String,
    pub response: String,
}

#[derive(Serialize, Deserialize)]
pub struct SigningVector {
    pub secret: String,
    pub nonce: String,
    pub e: String,
    pub signature: SignatureVector,
}

#[derive(Serialize, Deserialize)]
pub struct BatchEntry {
    pub denomination: usize,
    pub coin: CoinVector,
    pub authorization: SignatureVector,
}

#[derive(Serialize, Deserialize)]
pub struct CulpritVector {
    pub index: usize,
    pub error: String,
}

#[derive(Serialize, Deserialize)]
pub struct BatchVector {
    pub name: String,
    pub entries: Vec<BatchEntry>,
    pub culprits: Vec<CulpritVector>,
}

#[derive(Serialize, Deserialize)]
pub struct NegativeCoin {
    pub name: String,
    pub denomination: usize,
    pub coin: CoinVector,
    pub error: String,
}

#[derive(Serialize, Deserialize)]
pub struct NegativeSignature {
    pub name: String,
    pub signature: SignatureVector,
    pub error: String,
}

#[derive(Serialize, Deserialize)]
pub struct Negatives {
    pub coins: Vec<NegativeCoin>,
    pub signatures: Vec<NegativeSignature>,
}

#[derive(Serialize, Deserialize)]
pub struct KeyListVector {
    pub secret: String,
    pub bank: String,
    pub currency: String,
    pub epoch_ms: u64,
    pub spend_epochs: u32,
    pub redeem_epochs: u32,
    pub values: Vec<u64>,
    pub first_epoch: u32,
    pub keys: Vec<Vec<String>>,
    pub chain: Vec<String>,
    pub document_digest: String,
    pub commitment: String,
    pub response: String,
}

#[derive(Serialize, Deserialize)]
pub struct SeedVector {
    pub seed: String,
    pub phrase: String,
    pub account_secret: String,
    pub account_public: String,
    pub counter: u64,
    pub withdraw_id: String,
    pub exchange_id: String,
    pub purchase_secret: String,
    pub note_id: String,
    pub note_key: String,
    pub request_id: String,
    pub slot: u32,
    pub coin_secret: String,
    pub client_randomness: String,
    pub other_public: String,
    pub diffie_hellman: String,
}

pub fn unhex<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text)
        .expect("hexadecimal")
        .try_into()
        .expect("the right length")
}

impl DenominationVector {
    pub fn denomination(&self) -> Denomination {
        Denomination {
            bank: self.bank.parse().expect("hexadecimal"),
            currency: self.currency.clone(),
            value: self.value,
            epoch: self.epoch,
            issue_from_ms: self.issue_from_ms,
            issue_until_ms: self.issue_until_ms,
            spend_until_ms: self.spend_until_ms,
            redeem_until_ms: self.redeem_until_ms,
            public: self.public.parse().expect("hexadecimal"),
        }
    }
}

impl CoinVector {
    pub fn new(coin: &Coin) -> Self {
        Self {
            suite: coin.suite,
            key_id: coin.key_id.to_string(),
            public: coin.public.to_string(),
            r: hex::encode(coin.r),
            z: hex::encode(coin.z),
            y: hex::encode(coin.y),
        }
    }

    pub fn coin(&self) -> Coin {
        Coin {
            suite: self.suite,
            key_id: KeyId(unhex(&self.key_id)),
            public: PublicKey(unhex(&self.public)),
            r: EncodedPoint(unhex(&self.r)),
            z: EncodedScalar(unhex(&self.z)),
            y: EncodedScalar(unhex(&self.y)),
        }
    }
}

impl SignatureVector {
    pub fn new(public: &PublicKey, statement: &Statement, signature: &Signature) -> Self {
        Self {
            public: public.to_string(),
            context: statement.context.to_owned(),
            key_id: hex::encode(statement.key_id),
            digest: hex::encode(statement.digest),
            commitment: hex::encode(signature.commitment),
            response: hex::encode(signature.response),
        }
    }

    /// The signer, the statement and the signature. It leaks the context, because a statement's context is static.
    pub fn parts(&self) -> (PublicKey, Statement, Signature) {
        let statement = Statement {
            context: Box::leak(self.context.clone().into_boxed_str()),
            key_id: KeyId(unhex(&self.key_id)),
            digest: StatementDigest(unhex(&self.digest)),
        };
        let signature = Signature {
            commitment: EncodedPoint(unhex(&self.commitment)),
            response: EncodedScalar(unhex(&self.response)),
        };
        (PublicKey(unhex(&self.public)), statement, signature)
    }
}

impl KeyListVector {
    pub fn signed(&self) -> Signed<KeyList> {
        let epoch = |(epoch, keys): (u32, &Vec<String>)| EpochKeys {
            epoch,
            keys: keys.iter().map(|key| key.parse().expect("hexadecimal")).collect(),
        };
        let body = KeyList {
            bank: self.bank.parse().expect("hexadecimal"),
            currency: self.currency.clone(),
            calendar: Calendar {
                epoch_ms: self.epoch_ms,
                spend_epochs: self.spend_epochs,
                redeem_epochs: self.redeem_epochs,
            },
            values: self.values.clone(),
            epochs: (self.first_epoch..).zip(&self.keys).map(epoch).collect(),
        };
        let signature = Signature {
            commitment: EncodedPoint(unhex(&self.commitment)),
            response: EncodedScalar(unhex(&self.response)),
        };
        Signed { body, signature }
    }
}
