//! PeerNet's own processes for a scenario: a tracker with the embedded store, and accounts in homes of their own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use peernet_testkit::process::Process;

const START: Duration = Duration::from_secs(30);

/// Where the programs are: beside this one.
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
    /// With the embedded store in `folder`, or on the database of `DATABASE_URL` where that is set.
    pub(crate) fn start(folder: &Path) -> io::Result<Self> {
        let mut command = Command::new(program("peernet-tracker")?);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--connections-per-address-max", "4096", "--dialback", "false"])
            .env("PEERNET_TRACKER_DATA_DIR", folder.join("tracker"));
        let mut process = Process::start(&mut command)?;
        let line = process.line_with("listening on http://", START);
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap_or_default().to_owned();
        Ok(Self { url, process })
    }
}

/// The `peernet` command of one account.
pub(crate) fn peernet(home: &Path, tracker: &str) -> io::Result<Command> {
    let mut command = Command::new(program("peernet")?);
    command.env("PEERNET_HOME", home).env("PEERNET_TRACKER", tracker).env("PEERNET_PASSWORD", "bench-password");
    command.stdin(Stdio::null());
    Ok(command)
}

/// Makes an account.
pub(crate) fn register(home: &Path, tracker: &str) -> io::Result<()> {
    let output = peernet(home, tracker)?.args(["register", "--tracker", tracker]).output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}
