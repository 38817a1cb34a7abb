//! A server that is reached over TLS, with a password.

use crate::{count, database, is_unreachable};
use farthing_database::Cluster;
use farthing_store::entropy::SystemEntropy;
use farthing_store::{Database, Store, StoreOptions, WhileInUse, create_database_store};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::{fs, path::PathBuf, sync::Arc};
use tempfile::TempDir;
use zeroize::Zeroizing;

/// A certificate authority of its own.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name`, and its key (PEM).
fn server(authority: &CertifiedIssuer<'_, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn roots(dir: &TempDir, name: &str, authority: &CertifiedIssuer<'_, KeyPair>) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, authority.pem()).unwrap();
    path
}

#[test]
fn a_server_needs_the_right_certificate_and_the_user_the_right_password() {
    let (right, other) = (authority(), authority());
    let (certificate, key) = server(&right, "localhost");
    let Some(cluster) = Cluster::start_with_tls(&certificate, &key) else {
        return;
    };
    cluster.execute("ALTER ROLE farthing PASSWORD 'correct'");
    let dir = tempfile::tempdir().unwrap();
    let (right, other) = (roots(&dir, "right.pem", &right), roots(&dir, "other.pem", &other));
    let with = |roots: &PathBuf, password: &str| Database {
        password: Some(Arc::new(Zeroizing::new(password.as_bytes().to_vec()))),
        ..database(&cluster.tls_url("bank", roots))
    };
    let good = with(&right, "correct");
    create_database_store(&good, &SystemEntropy).unwrap();
    let open =
        |database: &Database| Store::open_database(database, &StoreOptions::default(), WhileInUse::Refuse);
    let store = open(&good).unwrap();
    assert_eq!(count(&store), Ok(1));
    store.close().unwrap();
    let url = cluster.tls_url("bank", &right).replace("localhost", "db.example");
    let another_name = Database {
        url: url.parse().unwrap(),
        ..good.clone()
    };
    for (wrong, says) in [
        (with(&other, "correct"), "certificate"),
        (another_name, "certificate"),
        (with(&right, "wrong"), "password"),
    ] {
        let error = open(&wrong).map(drop).unwrap_err();
        assert!(
            is_unreachable(&error) && error.to_string().contains(says),
            "{error}"
        );
        assert!(!error.to_string().contains("correct"), "{error}");
    }
    let store = open(&good).unwrap();
    assert_eq!(count(&store), Ok(2), "nothing was lost");
}
