//! What a database must be so that a node opens its store in it.

use crate::{COUNTERS, OWNER, count, database, is_unreachable, made, open, schema, shared};
use farthing_coin::PublicKey;
use farthing_database::Cluster;
use farthing_store::entropy::SystemEntropy;
use farthing_store::{Database, DatabaseError, StoreError, create_database_store};
use std::time::Duration;

fn refused(database: &Database) -> DatabaseError {
    match open(database).map(drop) {
        Err(StoreError::Database(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_server_that_could_lose_a_commit_is_refused() {
    let Some(cluster) = Cluster::start() else { return };
    let database = made(&cluster.url("bank"));
    for (setting, weak, strong) in [
        ("fsync", "off", "on"),
        ("full_page_writes", "off", "on"),
        ("synchronous_commit", "off", "on"),
        ("synchronous_commit", "local", "on"),
        ("synchronous_commit", "remote_write", "remote_apply"),
    ] {
        cluster.set(setting, weak);
        let error = refused(&database);
        let names = matches!(&error, DatabaseError::NotDurable { setting: named, found, .. }
            if *named == setting && found == weak);
        assert!(names, "{error}");
        let other = crate::database(&cluster.url("other"));
        assert!(create_database_store(&other, &SystemEntropy).is_err());
        cluster.set(setting, strong);
        open(&database).unwrap().close().unwrap();
    }
    // It is checked again for every connection.
    let store = open(&database).unwrap();
    assert_eq!(count(&store), Ok(1));
    cluster.set("fsync", "off");
    cluster.terminate("farthing test");
    let error = count(&store).unwrap_err();
    assert!(
        is_unreachable(&error) && error.to_string().contains("fsync"),
        "{error}"
    );
    cluster.set("fsync", "on");
    assert_eq!(count(&store), Ok(2));
}

#[test]
fn the_store_of_another_node_is_refused() {
    let Some(cluster) = shared() else { return };
    let mine = made(&cluster.url(&schema()));
    let other = Database {
        owner: PublicKey([8; 32]),
        ..mine.clone()
    };
    let found = hex::encode(OWNER.0);
    let error = refused(&other);
    assert!(
        matches!(&error, DatabaseError::OtherNode { found: key, .. } if *key == found),
        "{error}"
    );
    for again in [&mine, &other] {
        let error = create_database_store(again, &SystemEntropy).unwrap_err();
        assert!(
            matches!(error, StoreError::Database(DatabaseError::Exists { .. })),
            "{error}"
        );
    }
}

#[test]
fn a_store_that_is_not_there_or_of_another_format_is_refused() {
    let Some(cluster) = shared() else { return };
    let schema = schema();
    let absent = database(&cluster.url(&schema));
    assert!(matches!(refused(&absent), DatabaseError::Absent { .. }));
    let database = made(&cluster.url(&schema));
    cluster.execute(&format!("UPDATE {schema}.head SET format = 99"));
    assert!(matches!(
        refused(&database),
        DatabaseError::OtherFormat {
            found: 99,
            known: 1,
            ..
        }
    ));
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap().replace('/', "%2F");
    let error = open(&database(&format!("postgres://{dir}/cash")))
        .map(drop)
        .unwrap_err();
    assert!(is_unreachable(&error), "{error}");
    // Whoever accepts and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://{}/cash", silent.local_addr().unwrap());
    let began = std::time::Instant::now();
    let error = open(&database(&url)).map(drop).unwrap_err();
    assert!(is_unreachable(&error), "{error}");
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[test]
fn a_row_that_is_damaged_in_the_database_is_an_error() {
    let Some(cluster) = shared() else { return };
    let schema = schema();
    let store = open(&made(&cluster.url(&schema))).unwrap();
    assert_eq!(count(&store), Ok(1));
    cluster.execute(&format!("UPDATE {schema}.rows SET value = '\\xffffff'"));
    let error = COUNTERS.peek(&store.view(), &0).unwrap_err();
    assert!(matches!(error, StoreError::Row { .. }), "{error}");
    let error = count(&store).unwrap_err();
    assert!(matches!(error, StoreError::Row { .. }), "{error}");
    cluster.execute(&format!("UPDATE {schema}.chain SET hash = '\\x00'"));
    assert!(store.hash_at(0).is_err());
    store.close().unwrap();
    cluster.execute(&format!("UPDATE {schema}.head SET hash = '\\x00'"));
    let error = open(&database(&cluster.url(&schema))).map(drop).unwrap_err();
    assert!(error.to_string().contains("damaged"), "{error}");
}
