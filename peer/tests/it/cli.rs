//! The real program against a real tracker.

mod access;
mod account;
mod capture;
mod codes;
mod collection;
mod daemon;
mod devices;
mod directory;
mod disk;
mod documents;
mod flow;
mod interrupted;
mod json;
mod killed;
mod layers;
mod limits;
mod moved;
mod publication;
mod security;
mod stdout;
mod version1;
mod watch;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use peernet_testkit::fixture;
use peernet_testkit::process::Process;
use peernet_tracker::Tracker;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_peernet");
/// More than anything here takes; a machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
const SIGCONT: i32 = 18;
const SIGSTOP: i32 = 19;

/// A tracker, and a folder with the home of every account.
struct Stage {
    folder: tempfile::TempDir,
    tracker: Option<Tracker>,
    url: String,
}

/// A command that has ended.
struct Ran {
    code: i32,
    out: Vec<String>,
    err: Vec<String>,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let builder = Tracker::builder().listen("127.0.0.1:0").data_dir(folder.path().join("tracker")).bcrypt_cost(4);
        let tracker = builder.start().unwrap();
        let url = tracker.url();
        Self { folder, tracker: Some(tracker), url }
    }

    /// With accounts for these.
    fn with(accounts: &[&str]) -> Self {
        let stage = Self::new();
        for who in accounts {
            stage.run(who, &["register"]).ok();
        }
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of this many bytes; its hash.
    fn file(&self, name: &str, size: u64) -> String {
        fixture::write_file(&self.path(name), size, size + 1).unwrap()
    }

    /// `peernet` as one of the accounts, without this process's environment.
    fn command(&self, who: &str, arguments: &[&str]) -> Command {
        self.command_of(PROGRAM, who, arguments)
    }

    fn command_of(&self, program: &str, who: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        for name in
            ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "PEERNET_NEW_PASSWORD", "PEERNET_INVITE", "http_proxy", "HTTP_PROXY"]
                .into_iter()
                .chain(["PEERNET_ALLOW_PLAINTEXT", "PEERNET_CA_FINGERPRINT"])
        {
            command.env_remove(name);
        }
        command.env("HOME", self.path("nobody")).env("PEERNET_HOME", self.path(who));
        command.env("PEERNET_TRACKER", &self.url).env("PEERNET_PASSWORD", format!("password of {who}"));
        command.current_dir(self.folder.path()).args(arguments);
        command
    }

    fn run(&self, who: &str, arguments: &[&str]) -> Ran {
        ran(&mut self.command(who, arguments))
    }

    fn start(&self, who: &str, arguments: &[&str]) -> Process {
        Process::start(&mut self.command(who, arguments)).unwrap()
    }

    /// A daemon on a free port, and where it listens.
    fn daemon(&self, who: &str) -> (Process, String) {
        let mut daemon = self.start(who, &["daemon", "--listen", "127.0.0.1:0"]);
        let line = daemon.line_with("peernet daemon listening on ", PATIENCE);
        (daemon, last_word(&line).to_owned())
    }

    /// One that serves this file in the foreground.
    fn sharer(&self, who: &str, file: &str) -> Process {
        let mut sharer = self.start(who, &["share", file, "--no-daemon", "--listen", "127.0.0.1:0"]);
        sharer.line_with("Announced all", PATIENCE);
        sharer
    }

    /// Returns the number of files of an account that the tracker offers to others.
    fn announced(&self, who: &str) -> u64 {
        self.run(who, &["status", "--json"]).ok().json()["files_shared"].as_u64().unwrap()
    }

    fn peer_id(&self, who: &str) -> String {
        self.run(who, &["status", "--json"]).ok().json()["peer_id"].as_str().unwrap().to_owned()
    }

    fn assert_same(&self, one: &str, other: &str) {
        assert!(std::fs::read(self.path(one)).unwrap() == std::fs::read(self.path(other)).unwrap(), "{one}, {other}");
    }
}

fn ran(command: &mut Command) -> Ran {
    let mut process = Process::start(command).unwrap();
    ended(&mut process)
}

/// Waits for the end of a process.
fn ended(process: &mut Process) -> Ran {
    let code = process.exit_within(PATIENCE).code().unwrap_or(-1);
    let transcript = process.transcript();
    let of =
        |prefix: &str| transcript.lines().filter_map(|line| line.strip_prefix(prefix)).map(str::to_owned).collect();
    Ran { code, out: of("Out: "), err: of("Err: ") }
}

impl Ran {
    /// Expects exit code 0.
    #[track_caller]
    fn ok(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{:#?}\n{:#?}", self.out, self.err);
        self
    }

    /// Expects a line of standard output that contains this.
    #[track_caller]
    fn says(self, part: &str) -> Self {
        assert!(self.out.iter().any(|line| line.contains(part)), "{part:?} in {:#?}", self.out);
        self
    }

    /// Expects a line of standard error that contains this.
    #[track_caller]
    fn complains(self, part: &str) -> Self {
        assert!(self.err.iter().any(|line| line.contains(part)), "{part:?} in {:#?}", self.err);
        self
    }

    /// Expects that standard output is exactly one line, and returns its JSON document.
    #[track_caller]
    fn json(&self) -> Value {
        assert_eq!(self.out.len(), 1, "{:#?}\n{:#?}", self.out, self.err);
        serde_json::from_str(&self.out[0]).unwrap()
    }
}

fn last_word(line: &str) -> &str {
    line.split_whitespace().next_back().unwrap_or_default()
}
