//! A server for one test, or for all tests of one program.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The user of the database.
const USER: &str = "farthing";

/// The users that may run the server, if the test's own is root.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// How long a server may take to start or to end.
const TIME_MAX: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

/// Runs the server until standard input ends, which the end of the test's process does too. Then it stops the server and
/// removes the directory, if it is asked to.
const GUARD: &str = r#"
    "$@" &
    server=$!
    read -r order
    kill -s QUIT $server 2>/dev/null
    wait $server
    [ "$order" = keep ] || rm -rf "$FARTHING_CLUSTER"
"#;

/// A server.
pub struct Cluster {
    dir: TempDir,
    bin: PathBuf,
    user: Option<String>,
    /// The port on the loopback device, if it listens there: over TLS only.
    port: Option<u16>,
    running: Mutex<Option<Running>>,
}

struct Running {
    guard: Child,
    stdin: ChildStdin,
}

/// The programs of PostgreSQL 15 or newer, if they are installed.
fn bin() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let packaged = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let packaged = packaged.map(|version| version.path().join("bin"));
    let mut found = packaged.chain(std::env::split_paths(&on_path));
    found.find(|dir| {
        ["initdb", "postgres", "psql"]
            .iter()
            .all(|program| dir.join(program).is_file())
    })
}

impl Cluster {
    /// Starts a server. `None` where no PostgreSQL is installed: then it says so.
    pub fn start() -> Option<Self> {
        let cluster = Self::made()?;
        cluster.run();
        Some(cluster)
    }

    /// Starts a server that also listens on the loopback device, over TLS only, with this certificate and its key (PEM). There
    /// its user needs a password.
    pub fn start_with_tls(certificate: &str, key: &str) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut cluster = Self::made()?;
        cluster.port = Some(free.local_addr().unwrap().port());
        let data = cluster.data();
        let owner = fs::metadata(&data).unwrap();
        for (name, content) in [
            ("server.crt", certificate),
            ("server.key", key),
            (
                "pg_hba.conf",
                "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
            ),
        ] {
            let path = data.join(name);
            fs::write(&path, content).unwrap();
            chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        drop(free);
        cluster.run();
        Some(cluster)
    }

    /// Makes the files of a server.
    fn made() -> Option<Self> {
        let Some(bin) = bin() else {
            eprintln!("SKIPPED: no PostgreSQL");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("farthing-pg-").tempdir().unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let entry = |name: &str| {
            let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut ids = line.split(':').skip(2).filter_map(|id| id.parse::<u32>().ok());
            Some((name.to_owned(), ids.next()?, ids.next()?))
        };
        let user = is_root
            .then(|| UNPRIVILEGED.iter().find_map(|name| entry(name)))
            .flatten();
        if let Some((_, uid, gid)) = &user {
            chown(dir.path(), Some(*uid), Some(*gid)).unwrap();
        }
        let cluster = Self {
            dir,
            bin,
            user: user.map(|(name, ..)| name),
            port: None,
            running: Mutex::default(),
        };
        let data = cluster.data();
        let made = cluster
            .command("initdb")
            .args([
                "--no-sync",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                "--username",
                USER,
                "-D",
            ])
            .arg(data)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(cluster)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The folder of its Unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    /// A program of PostgreSQL as the server's user.
    fn command(&self, program: &str) -> Command {
        let program = self.bin.join(program);
        let mut command = match &self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                let group = format!("--regid={user}");
                let group = if user == "nobody" {
                    "--regid=nogroup".to_owned()
                } else {
                    group
                };
                command.args([format!("--reuid={user}"), group, "--clear-groups".to_owned()]);
                command.arg(program);
                command
            }
        };
        command.current_dir("/").env("LC_ALL", "C");
        command
    }

    /// Starts the server, after [`Cluster::crash`].
    pub fn run(&self) {
        let server = self.command("postgres");
        let mut guard = Command::new("sh");
        guard
            .args(["-c", GUARD, "guard"])
            .arg(server.get_program())
            .args(server.get_args());
        guard.arg("-D").arg(self.data()).arg("-k").arg(self.dir.path());
        let tcp = match self.port {
            None => vec!["listen_addresses=".to_owned()],
            Some(port) => vec![
                "listen_addresses=127.0.0.1".to_owned(),
                format!("port={port}"),
                "ssl=on".to_owned(),
            ],
        };
        for setting in &tcp {
            guard.args(["-c", setting]);
        }
        for setting in [
            "max_connections=400",
            "shared_buffers=16MB",
            "log_min_messages=fatal",
        ] {
            guard.args(["-c", setting]);
        }
        let log = fs::File::create(self.dir.path().join("log")).unwrap();
        guard
            .current_dir("/")
            // So that a signal to the test's group, such as ctrl-c, leaves it to clean up.
            .process_group(0)
            .env("FARTHING_CLUSTER", self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        let mut guard = guard.spawn().unwrap();
        let stdin = guard.stdin.take().unwrap();
        *self.running.lock().unwrap() = Some(Running { guard, stdin });
        let began = Instant::now();
        while !self.psql("postgres", "SELECT 1").status.success() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            assert!(began.elapsed() < TIME_MAX, "the server does not start: {log}");
            sleep(PAUSE);
        }
    }

    /// Ends the server at once, as a crash of its machine would, and keeps its files.
    pub fn crash(&self) {
        self.end("keep\n");
    }

    fn end(&self, order: &str) {
        let running = self
            .running
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
            .take();
        if let Some(Running { mut guard, mut stdin }) = running {
            drop(stdin.write_all(order.as_bytes()));
            drop(stdin);
            drop(guard.wait());
        }
    }

    fn psql(&self, database: &str, sql: &str) -> std::process::Output {
        Command::new(self.bin.join("psql"))
            .args([
                "-XAtq",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                USER,
                "-d",
                database,
                "-c",
                sql,
                "-h",
            ])
            .arg(self.dir.path())
            .args(self.port.map(|port| format!("--port={port}")))
            .output()
            .unwrap()
    }

    /// Executes a statement in the database `postgres`, and returns its rows as text.
    pub fn execute(&self, sql: &str) -> String {
        let done = self.psql("postgres", sql);
        assert!(
            done.status.success(),
            "{sql}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// Changes a setting of the server, which takes effect for new sessions. Text has single quotes.
    pub fn set(&self, setting: &str, value: &str) {
        self.execute(&format!("ALTER SYSTEM SET {setting} = {value}"));
        self.execute("SELECT pg_reload_conf()");
        // The server's first process reads it, and sessions after that have it.
        let began = Instant::now();
        while self.execute(&format!("SHOW {setting}")) != value.trim_matches('\'')
            && began.elapsed() < TIME_MAX
        {
            sleep(PAUSE);
        }
    }

    /// Ends the sessions of the user, all or those whose application's name contains this.
    pub fn terminate(&self, name: &str) -> usize {
        let ended = self.execute(&format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE pid <> pg_backend_pid() AND application_name LIKE '%{name}%'"
        ));
        ended.parse().unwrap()
    }

    /// The URL of the database `postgres`, without a schema.
    pub fn database(&self) -> String {
        database(self.dir.path())
    }

    /// The URL of a store in this schema, over the loopback device, if it listens there. `roots` is a file with certificates
    /// (PEM).
    pub fn tls_url(&self, schema: &str, roots: &Path) -> String {
        let port = self.port.unwrap();
        let roots = roots.display();
        format!(
            "postgres://{USER}@localhost:{port}/postgres?hostaddr=127.0.0.1&schema={schema}&sslrootcert={roots}"
        )
    }

    /// The URL of a store in this schema.
    pub fn url(&self, schema: &str) -> String {
        url(self.dir.path(), schema)
    }
}

/// The URL of a store in this schema, of the server with its Unix socket in `dir`.
pub(crate) fn url(dir: &Path, schema: &str) -> String {
    format!("{}?schema={schema}", database(dir))
}

fn database(dir: &Path) -> String {
    let dir = dir.to_str().unwrap().replace('/', "%2F");
    format!("postgres://{USER}@{dir}/postgres")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end("remove\n");
    }
}
