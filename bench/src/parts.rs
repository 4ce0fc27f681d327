//! PeerNet's own processes for a scenario: a tracker with the embedded store, accounts in homes of their own, and
//! sharers.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use peernet_testkit::process::Process;
use serde_json::Value;

use crate::host::Host;

/// All clients of a scenario are at one address, unless it says otherwise.
const PER_ADDRESS: &str = "--connections-per-address-max";
const START: Duration = Duration::from_secs(30);
/// The time limit for hashing the shared data.
const HASHING: Duration = Duration::from_secs(600);

/// Returns the path of a program, which is beside this one.
pub(crate) fn program(name: &str) -> io::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if path.exists() {
        Ok(path)
    } else {
        Err(io::Error::other(format!("{name} is not built: cargo build --release -p {name}")))
    }
}

/// A running tracker.
pub(crate) struct Tracker {
    pub(crate) url: String,
    pub(crate) process: Process,
}

impl Tracker {
    /// On loopback, with the embedded store in `folder`, or on the database of `DATABASE_URL` where that is set.
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        Self::start_on(&Host::here(), folder)
    }

    /// On loopback, on a database.
    pub(crate) fn start_on_database(folder: &Path, url: &str, flags: &[&str]) -> io::Result<Self> {
        Self::start_with(&Host::here(), folder, Some(url), flags)
    }

    /// On loopback with the embedded store, and some flags.
    pub(crate) fn start_with_flags(folder: &Path, flags: &[&str]) -> io::Result<Self> {
        Self::start_with(&Host::here(), folder, None, flags)
    }

    /// As [`Tracker::start`], on some host.
    pub(crate) fn start_on(host: &Host, folder: &Path) -> io::Result<Self> {
        Self::start_with(host, folder, None, &[])
    }

    fn start_with(host: &Host, folder: &Path, database: Option<&str>, flags: &[&str]) -> io::Result<Self> {
        let mut command = host.command(program("peernet-tracker")?);
        command
            .args(["serve", "--listen", &format!("{}:0", host.address())])
            .args(["--dialback", "false"])
            // All load comes from one address, and much of it from one account.
            .args(["--rate-per-address", "0", "--rate-per-account", "0"])
            .args(["--registrations-per-address", "0", "--logins-per-address", "0"])
            .args(if flags.contains(&PER_ADDRESS) { &[][..] } else { &[PER_ADDRESS, "8192"] })
            .args(flags)
            .env("PEERNET_TRACKER_DATA_DIR", folder.join("tracker"));
        if let Some(url) = database {
            command.env("DATABASE_URL", url);
        }
        let mut process = Process::start(&mut command)?;
        let line = process.line_with("listening on http", START);
        let url = line.split_whitespace().find(|word| word.starts_with("http")).unwrap_or_default().to_owned();
        Ok(Self { url, process })
    }
}

/// One person at one machine: an account, with its home.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    host: Host,
    home: PathBuf,
    tracker: String,
}

impl Peer {
    /// Makes the account; its home becomes `folder/name`.
    pub(crate) fn register(host: &Host, folder: &Path, name: &str, tracker: &str) -> io::Result<Self> {
        let peer = Self { host: host.clone(), home: folder.join(name), tracker: tracker.to_owned() };
        let output = peer.peernet()?.args(["register", "--tracker", tracker]).output()?;
        if output.status.success() {
            Ok(peer)
        } else {
            Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
        }
    }

    /// The `peernet` command of this account, on its host.
    pub(crate) fn peernet(&self) -> io::Result<Command> {
        let mut command = self.host.command(program("peernet")?);
        command.env("PEERNET_HOME", &self.home).env("PEERNET_TRACKER", &self.tracker);
        command.env("PEERNET_PASSWORD", "bench-password").stdin(Stdio::null());
        Ok(command)
    }

    /// `download` of a hash or link to a path. What it prints is of no interest unless it fails.
    pub(crate) fn download(&self, target: &str, output: &Path) -> io::Result<Command> {
        let mut command = self.peernet()?;
        command.args(["download", target, "--quiet", "--output"]).arg(output).stdout(Stdio::null());
        Ok(command)
    }

    /// Serves files from here on until it is dropped; comes back when they are announced.
    pub(crate) fn share(&self, paths: &[&Path], flags: &[&str]) -> io::Result<Sharer> {
        let mut command = self.peernet()?;
        command.args(["share", "--json", "--no-daemon", "--listen", &format!("{}:0", self.host.address())]);
        let mut process = Process::start(command.args(flags).args(paths))?;
        let line = process.line_with("\"served_by\"", HASHING);
        let said: Value = serde_json::from_str(&line).map_err(io::Error::other)?;
        let listen = said["listen"].as_str().and_then(|address| address.parse().ok());
        let listen = listen.ok_or_else(|| io::Error::other(format!("no address in {line:?}")))?;
        // Of several files none is the one.
        let link = said["link"].as_str().unwrap_or_default().to_owned();
        Ok(Sharer { process, listen, link })
    }
}

/// A running `share`.
pub(crate) struct Sharer {
    pub(crate) process: Process,
    /// The address of its listener.
    pub(crate) listen: SocketAddr,
    /// Returns the link of its share, if that is one file or one folder.
    pub(crate) link: String,
}
