//! A throwaway PostgreSQL server for tests: no network port (but for one that speaks TLS), no fixed name, and gone with
//! the test process however that ends.
//!
//! Tests of one process share one server ([`fresh_database`] makes each its own database), because starting one takes a
//! second. A test that stops or kills its server starts a private one with [`Postgres::start`].
//!
//! The server programs are looked for in `PEERNET_PG_BIN`, then `/usr/lib/postgresql/*/bin` (the newest), then `PATH`.
//! `PEERNET_TEST_DATABASE_URL` names a running server to use instead of the shared one; its user must be allowed to
//! create databases.

mod network;
mod programs;
mod supervisor;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub use self::network::{Authority, Identity, Network};
use self::programs::Programs;
use self::supervisor::Supervisor;

/// Names a running server to use for [`fresh_database`].
const URL_VARIABLE: &str = "PEERNET_TEST_DATABASE_URL";
/// Settings of every server: small.
const SETTINGS: &[&str] =
    &["shared_buffers=32MB", "max_connections=100", "wal_level=minimal", "max_wal_senders=0", "log_min_messages=fatal"];

/// The part of a socket's name that servers without a network port use.
const SOCKET_PORT: u16 = 5432;

/// A private server. Dropping it stops it and deletes its data.
#[derive(Debug)]
pub struct Postgres {
    programs: Programs,
    supervisor: Supervisor,
    port: u16,
}

/// A new, empty database on the server that all tests of this process share.
///
/// # Panics
/// When there are no server programs, or the server does not start: a test cannot go on without.
pub fn fresh_database() -> String {
    static SHARED: OnceLock<Result<Postgres, String>> = OnceLock::new();
    if let Ok(url) = std::env::var(URL_VARIABLE) {
        return create_on(&url);
    }
    // The process's exit ends the server: a static is never dropped, but its pipe is closed.
    let shared = SHARED.get_or_init(|| Postgres::launch(false));
    shared.as_ref().unwrap_or_else(|error| panic!("{error}")).fresh_database()
}

impl Postgres {
    /// A server of one's own that syncs its log like a real one, so that it may be killed.
    ///
    /// # Panics
    /// As [`fresh_database`].
    pub fn start() -> Self {
        Self::launch(true).unwrap_or_else(|error| panic!("{error}"))
    }

    fn launch(sync: bool) -> Result<Self, String> {
        let programs = Programs::find()?;
        let mut settings = SETTINGS.to_vec();
        settings.push("listen_addresses=");
        let mut supervisor = Supervisor::new(&programs, &settings, sync, SOCKET_PORT)?;
        supervisor.command("start")?;
        Ok(Self { programs, supervisor, port: SOCKET_PORT })
    }

    /// A server of one's own on a port of 127.0.0.1.
    ///
    /// # Panics
    /// As [`fresh_database`].
    pub fn start_on_network(network: &Network<'_>) -> Self {
        let settings: Vec<&str> = SETTINGS.iter().copied().chain(network.settings()).collect();
        let attempt = || {
            let port = network::free_port()?;
            let programs = Programs::find()?;
            let mut supervisor = Supervisor::new(&programs, &settings, false, port)?;
            network.write(&supervisor.folder().join("data"), programs.run_as)?;
            supervisor.command("start")?;
            Ok(Self { programs, supervisor, port })
        };
        // Another process may have taken the port that was free.
        let server: Result<Self, String> = attempt().or_else(|_| attempt());
        server.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The port, of 127.0.0.1 where the server is on the network, and of the socket's name.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A new, empty database on this server: `postgres://` and the percent-encoded folder of its socket.
    ///
    /// # Panics
    /// When the server does not make it.
    pub fn fresh_database(&self) -> String {
        let name = self.create_database();
        format!("postgres://postgres@{}:{}/{name}", percent_encoded(self.supervisor.folder()), self.port)
    }

    /// The name of a new, empty database on this server.
    ///
    /// # Panics
    /// When the server does not make it.
    pub fn create_database(&self) -> String {
        let name = database_name();
        self.execute(&format!("CREATE DATABASE {name}"));
        name
    }

    /// Has the server's owner run a statement, over the socket.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn execute(&self, sql: &str) {
        let mut psql = Command::new(self.programs.program("psql"));
        psql.args(["-X", "-q", "-w", "-U", "postgres", "-d", "postgres", "-c", sql, "-h"])
            .arg(self.supervisor.folder());
        psql.env("PGPORT", self.port.to_string());
        run(psql);
    }

    /// Stops the server as an operator would (its clients are disconnected) and waits until it is down.
    ///
    /// # Panics
    /// When it does not stop, as do the two below when theirs fails.
    pub fn stop(&mut self) {
        self.expect("stop");
    }

    /// Starts a stopped or killed server on its data and waits until it answers.
    pub fn restart(&mut self) {
        self.expect("start");
    }

    /// Ends the server and all its processes with SIGKILL: nothing is written any more, clients see their connections
    /// end.
    pub fn kill9(&mut self) {
        self.expect("kill9");
    }

    /// Stops all its processes where they are (SIGSTOP): connections stay open and nothing is answered, as when a disk
    /// hangs.
    pub fn freeze(&mut self) {
        self.expect("freeze");
    }

    /// Lets a frozen server go on.
    pub fn thaw(&mut self) {
        self.expect("thaw");
    }

    fn expect(&mut self, command: &str) {
        self.supervisor.command(command).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// Unique among all processes that use one server.
fn database_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("peernet_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

fn create_on(url: &str) -> String {
    let name = database_name();
    let psql = Programs::find().map_or_else(|_| "psql".into(), |programs| programs.program("psql"));
    let mut psql = Command::new(psql);
    // Every user can read a process's arguments, so the password goes by the environment.
    let (url_alone, password) = without_password(url);
    psql.args(["-X", "-q", "-w", "-d", &url_alone, "-c", &format!("CREATE DATABASE {name}")])
        .env("PGPASSWORD", password);
    run(psql);
    with_database(url, &name)
}

/// `scheme://user:password@rest` as `scheme://user@rest` and the password.
fn without_password(url: &str) -> (String, String) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    let Some((user, host)) = url[start..end].rsplit_once('@') else { return (url.to_owned(), String::new()) };
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    (format!("{}{user}@{host}{}", &url[..start], &url[end..]), percent_decoded(password))
}

fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match (part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()), part.get(2..)) {
            (Some(byte), Some(rest)) => {
                out.push(byte);
                out.extend(rest.as_bytes());
            }
            _ => out.extend(part.as_bytes()),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The address with another database: `postgres://…/name` keeps its options.
fn with_database(url: &str, name: &str) -> String {
    let (base, options) = url.split_once('?').map_or((url, String::new()), |(base, rest)| (base, format!("?{rest}")));
    let authority_at = base.find("://").map_or(0, |at| at + 3);
    let end = base[authority_at..].find('/').map_or(base.len(), |at| authority_at + at);
    format!("{}/{name}{options}", &base[..end])
}

fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {:?}: {error}", command.get_program()));
    assert!(output.status.success(), "{:?}: {}", command.get_program(), String::from_utf8_lossy(&output.stderr));
}

fn percent_encoded(folder: &Path) -> String {
    use std::fmt::Write as _;
    use std::os::unix::ffi::OsStrExt;
    folder.as_os_str().as_bytes().iter().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(*byte));
        } else {
            let _never_fails = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_everything_but_its_database() {
        for (url, wanted) in [
            ("postgres://u:p@h:5/old?a=b", "postgres://u:p@h:5/new?a=b"),
            ("postgres://u@h", "postgres://u@h/new"),
            ("postgres://u@%2Ftmp%2Fx/old", "postgres://u@%2Ftmp%2Fx/new"),
        ] {
            assert_eq!(with_database(url, "new"), wanted);
        }
    }

    #[test]
    fn a_password_is_taken_out_of_an_address() {
        for (url, wanted, password) in [
            ("postgres://u:p%40x@h:5/d", "postgres://u@h:5/d", "p@x"),
            ("postgres://u@h/d", "postgres://u@h/d", ""),
            ("postgres://h", "postgres://h", ""),
        ] {
            assert_eq!(without_password(url), (wanted.to_owned(), password.to_owned()));
        }
    }

    #[test]
    fn a_folder_becomes_a_host_name() {
        assert_eq!(percent_encoded(Path::new("/tmp/.a-b")), "%2Ftmp%2F%2Ea%2Db");
    }

    #[test]
    fn a_private_server_survives_a_kill_and_ends_with_its_owner() {
        let mut server = Postgres::start();
        let folder = server.supervisor.folder().to_owned();
        let _before = server.fresh_database();
        server.kill9();
        server.restart();
        let _after = server.fresh_database();
        server.stop();
        drop(server);
        assert!(!folder.exists());
    }
}
