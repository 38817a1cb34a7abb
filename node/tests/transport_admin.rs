//! The administration socket of a running node.

// A panic is how a test fails, in its helpers too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use farthing_node::admin::{
    ADMIN_REQUEST_MAX_BYTES, ADMIN_SOCKET, AdminError, AdminHandler, AdminServer, admin_call,
};
use farthing_node::process::{Stopper, stop_pair};
use serde_json::{Value, json};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

struct Operator;

#[async_trait]
impl AdminHandler for Operator {
    async fn admin(&self, request: Value) -> Result<Value, String> {
        match request["do"].as_str() {
            Some("echo") => Ok(request["what"].clone()),
            Some("slowly") => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Ok(json!("done"))
            }
            other => Err(format!(
                "`{}` is not a command; known is echo",
                other.unwrap_or_default()
            )),
        }
    }
}

async fn serve(dir: &Path) -> (Stopper, tokio::task::JoinHandle<()>) {
    let server = AdminServer::bind(dir).await.unwrap();
    let (stopper, token) = stop_pair();
    (stopper, tokio::spawn(server.run(Arc::new(Operator), token)))
}

#[tokio::test]
async fn a_command_reaches_the_running_node_or_learns_that_no_node_runs() {
    let dir = tempfile::tempdir().unwrap();
    let echo = json!({"do": "echo", "what": "line\nbreak"});
    assert_eq!(admin_call(dir.path(), &echo).await.unwrap(), None);
    assert_eq!(
        admin_call(&dir.path().join("nowhere"), &echo).await.unwrap(),
        None
    );
    let (stopper, task) = serve(dir.path()).await;
    assert_eq!(mode(&dir.path().join(ADMIN_SOCKET)), 0o600);
    assert_eq!(mode(dir.path()), 0o700);
    assert_eq!(
        admin_call(dir.path(), &echo).await.unwrap(),
        Some(json!("line\nbreak"))
    );
    // The answer `null` differs from no running node.
    assert_eq!(
        admin_call(dir.path(), &json!({"do": "echo"})).await.unwrap(),
        Some(Value::Null)
    );
    let error = admin_call(dir.path(), &json!({"do": "rob"})).await.unwrap_err();
    assert!(
        matches!(&error, AdminError::Refused(message) if message.contains("`rob`")),
        "{error}"
    );
    let second = AdminServer::bind(dir.path()).await.unwrap_err();
    assert!(matches!(second, AdminError::AlreadyRunning { .. }), "{second}");

    // More commands at once than the limit, and a stop during one of them.
    let dir_path = dir.path().to_owned();
    let calls: Vec<_> = (0..40)
        .map(|i| {
            let dir = dir_path.clone();
            tokio::spawn(async move { admin_call(&dir, &json!({"do": "echo", "what": i})).await })
        })
        .collect();
    for (i, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), Some(json!(i)));
    }
    let slow = tokio::spawn(async move { admin_call(&dir_path, &json!({"do": "slowly"})).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    stopper.stop();
    assert_eq!(slow.await.unwrap().unwrap(), Some(json!("done")));
    task.await.unwrap();
    assert!(!dir.path().join(ADMIN_SOCKET).exists());
    assert_eq!(admin_call(dir.path(), &echo).await.unwrap(), None);
}

#[tokio::test]
async fn the_socket_of_a_killed_node_is_replaced_and_another_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(ADMIN_SOCKET);
    // A dropped listener leaves its file, as a killed process does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    assert_eq!(admin_call(dir.path(), &json!({})).await.unwrap(), None);
    let (stopper, task) = serve(dir.path()).await;
    let echo = json!({"do": "echo", "what": 1});
    assert_eq!(admin_call(dir.path(), &echo).await.unwrap(), Some(json!(1)));
    stopper.stop();
    task.await.unwrap();

    fs::write(&path, "notes").unwrap();
    let error = AdminServer::bind(dir.path()).await.unwrap_err();
    assert!(matches!(error, AdminError::NotASocket { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
}

#[tokio::test]
async fn a_path_that_is_too_long_for_a_socket_works_through_an_open_directory() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("d".repeat(120));
    fs::create_dir(&dir).unwrap();
    assert_eq!(admin_call(&dir, &json!({})).await.unwrap(), None);
    let (stopper, task) = serve(&dir).await;
    let echo = json!({"do": "echo", "what": 1});
    assert_eq!(admin_call(&dir, &echo).await.unwrap(), Some(json!(1)));
    assert_eq!(mode(&dir.join(ADMIN_SOCKET)), 0o600);
    stopper.stop();
    task.await.unwrap();
    assert!(!dir.join(ADMIN_SOCKET).exists());
}

#[tokio::test]
async fn a_bad_line_is_answered_or_dropped_and_the_node_still_answers() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let dir = tempfile::tempdir().unwrap();
    let (_stopper, _task) = serve(dir.path()).await;
    let path = dir.path().join(ADMIN_SOCKET);
    let too_long = vec![b' '; usize::try_from(ADMIN_REQUEST_MAX_BYTES).unwrap() + 10];
    for (line, expected) in [
        (b"{oops}\n".to_vec(), "not a line of JSON"),
        (b"{}".to_vec(), ""),
        (too_long, ""),
    ] {
        let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        let started = Instant::now();
        // The server may close the connection before everything is sent.
        let _cut_off = stream.write_all(&line).await;
        let _cut_off = stream.shutdown().await;
        let mut reply = String::new();
        let _cut_off = stream.read_to_string(&mut reply).await;
        assert!(
            reply.contains(expected) && (expected.is_empty() == reply.is_empty()),
            "{reply}"
        );
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    let echo = json!({"do": "echo", "what": 1});
    assert_eq!(admin_call(dir.path(), &echo).await.unwrap(), Some(json!(1)));
}
