//! Commands that are refused before they call anything, with their whole messages.

use std::ffi::OsString;
use std::fs;

use argh::{ArgsInfo as _, CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};
use peernet_engine::ids::PeerId;

use super::arguments::{Parsed, Peernet, parse};
use super::command::Run as _;
use super::config::{Amount, Config};
use super::context::Context;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::cancel::Cancel;
use crate::home::{Credentials, Home};

/// A file's hash, as a user types it.
const HASH: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";
const NO_TRACKER: &str = "which tracker? Give its URL once with `peernet register --tracker URL`";

/// A state folder without a daemon, and a configuration.
struct Stage {
    folder: tempfile::TempDir,
    config: Config,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.bin"), "some bytes").unwrap();
        Self { folder, config: Config::default() }
    }

    /// Stores an account at a tracker that nobody runs.
    fn with_account(self) -> Self {
        let credentials = Credentials {
            tracker: "https://127.0.0.1:1".to_owned(),
            peer_id: PeerId::from_random([7; 16]),
            address: None,
            token: "t".to_owned(),
            obtained_at: 0,
            expires_at: 0,
            device: None,
        };
        Home::at(self.folder.path()).credentials().save(&credentials).unwrap();
        self
    }

    fn run(&self, words: &[&str]) -> Result<Exit, Failure> {
        let home = self.folder.path().to_str().unwrap();
        let typed: Vec<OsString> = words.iter().map(|word| word.replace("HOME", home).into()).collect();
        let Parsed::Command(command) = parse(&typed) else { panic!("{words:?} is no command") };
        let context = Context {
            output: Output::new(false, true),
            home: Home::at(self.folder.path()),
            config: self.config.clone(),
            cancel: Cancel::new(),
        };
        command.run(&context)
    }

    /// Runs a command that fails, and compares its exit code and its whole message. `HOME` stands for the folder.
    #[track_caller]
    fn check(&self, words: &[&str], exit: Exit, message: &str) {
        let home = self.folder.path().to_str().unwrap();
        let failure = self.run(words).expect_err("the command fails");
        let found = (failure.exit, failure.message.replace(home, "HOME"));
        assert_eq!(found, (exit, message.to_owned()), "{words:?}");
    }

    #[track_caller]
    fn usage(&self, line: &str, message: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.check(&words, Exit::Usage, message);
    }
}

#[test]
fn downloads_that_make_no_sense_are_refused_at_once() {
    let stage = Stage::new();
    let download = |options: &str, message: &str| stage.usage(&format!("download {HASH} {options}"), message);
    stage.usage("download abc", "neither a file hash (64 hexadecimal digits) nor a link (peernet:?xt=...)");
    stage.usage("download 0f0f0f0f0f0f0f0f0f", "expected a file hash of 64 hexadecimal digits, found 18 digits");
    let whole = "--share needs the whole directory: leave out --include and --exclude";
    download("--share --include a", whole);
    download("--share --exclude a", whole);
    download("--from alice", "--from alice: expected a peer id, or ed25519: and 64 hexadecimal digits");
    for option in ["--force", "--v1-names", "--share"] {
        let message = "--stdout makes no file: leave out --force, --v1-names and --share";
        download(&format!("--stdout {option}"), message);
    }
    let collection =
        "a collection has many files: download it into a folder without --stdout, and read or pack the folder";
    stage.usage(&format!("download peernet:?xt=urn:sha256:{HASH}&kind=collection --stdout"), collection);
    let no_rate = "max-download: \"fast\" is no rate: give bytes a second like 500K, 10M or 1.5G, or none for no limit";
    download("--max-download fast", no_rate);
    download("--stdout --max-download fast", no_rate);
    stage.check(&["download", HASH], Exit::Refused, NO_TRACKER);
    stage.check(&["download", HASH, "--stdout"], Exit::Refused, NO_TRACKER);
}

#[test]
fn trackers_and_ways_that_make_no_sense_are_refused() {
    let stage = Stage::new();
    for (options, message) in [
        ("--tracker ftp://x", "\"ftp://x\" is not a tracker URL; expected one like https://tracker.example:8080"),
        (
            "--tracker peernet:?dn=x",
            "--tracker: the link names no file: xt=urn:sha256:<hash> is missing; was it quoted?",
        ),
        (&format!("--tracker peernet:?xt=urn:sha256:{HASH}"), "the link names no tracker: give its URL with --tracker"),
        ("--tracker https://t:1 --tracker-tls web", "--tracker-tls: expected swarm or public"),
    ] {
        stage.usage(&format!("search x {options}"), message);
        stage.usage(&format!("devices {options}"), message);
        stage.usage(&format!("groups {options}"), message);
    }
    let open = "--plaintext-port needs --allow-plaintext";
    stage.usage(&format!("download {HASH} --plaintext-port 1"), open);
    stage.usage("daemon --plaintext-port 1", open);
    stage.usage("share HOME/a.bin --no-daemon --plaintext-port 1", open);
}

#[test]
fn logins_that_make_no_sense_are_refused_before_a_prompt() {
    let stage = Stage::new();
    let tracker = "which tracker? Give --tracker URL, set PEERNET_TRACKER, or put `tracker = \"URL\"` into config.toml";
    stage.usage("register", tracker);
    for (line, message) in [
        ("register --invite a --invite-file b", "give either --invite or --invite-file"),
        ("register --address x", "--address x: not an address: expected host:port"),
        ("register --password p --password-file f", "give either --password or --password-file"),
        (
            "register --ca-fingerprint 00",
            "--ca-fingerprint: a fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits",
        ),
        (
            "register --invite code@00",
            "--ca-fingerprint: a fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits",
        ),
        ("login", "which account? Give --peer-id or --address"),
        ("login --peer-id x --address y:1", "give either --peer-id or --address"),
        ("login --peer-id x", "--peer-id: not a peer id: expected a UUID such as 123e4567-e89b-42d3-a456-426614174000"),
        (
            "login --scope read,write",
            "--scope write: expected one or more of read, share and admin, with commas between them",
        ),
        ("login --scope read,", "--scope : expected one or more of read, share and admin, with commas between them"),
    ] {
        stage.usage(&format!("{line} --tracker https://127.0.0.1:1"), message);
    }
    let label = ["register", "--tracker", "https://t:1", "--device-label", ""];
    stage.check(&label, Exit::Usage, "a device's label is 1 to 64 bytes without control characters");
    let absent = ["register", "--tracker", "https://t:1", "--password-file", "HOME/absent"];
    let message = "reading the password from HOME/absent: No such file or directory (os error 2)";
    stage.check(&absent, Exit::LocalDisk, message);
    let absent = ["register", "--tracker", "https://t:1", "--invite-file", "HOME/absent"];
    let message = "reading the invite code from HOME/absent: No such file or directory (os error 2)";
    stage.check(&absent, Exit::LocalDisk, message);
}

#[test]
fn commands_without_their_objects_say_what_to_name() {
    let stage = Stage::new();
    for (line, message) in [
        ("share", "no file given; name files or directories to share"),
        ("unshare", "no share given; name files, hashes or links"),
        ("withdraw", "no file given; name files, hashes or links"),
        ("status --interval 5", "--interval needs --watch"),
        ("status --watch --interval 0.01", "--interval: expected a number of seconds from 0.1 to 3600, found \"0.01\""),
        ("limit --max-memory 1M", "max-memory: give a number of bytes, 16M or more, like 64M"),
        ("daemon --max-connections many", "max-connections: give a number of connections, or none for no limit"),
        ("completions tcsh", "there are no completions for \"tcsh\"; expected bash, zsh, fish or nushell"),
        ("verify HOME/a.bin zz", "neither a file hash (64 hexadecimal digits) nor a link (peernet:?xt=...)"),
        (
            "access HOME/a.bin --public --private",
            "give one of --public, --private and --with; --with alone may be repeated",
        ),
        (
            "share HOME/a.bin --with lab",
            "lab: not a peer id: expected a UUID such as 123e4567-e89b-42d3-a456-426614174000; expected a peer id, or \
             @ and a group's name",
        ),
        ("devices revoke x", "x: not a device id: expected a UUID such as 123e4567-e89b-42d3-a456-426614174000"),
        (
            "groups --tracker https://t:1 set lab x",
            "x: not a peer id: expected a UUID such as 123e4567-e89b-42d3-a456-426614174000",
        ),
        ("share HOME/a.bin --port 1 --listen h:1", "give either --port or --listen"),
        ("share /dev/null", "/dev/null is neither a regular file nor a directory"),
    ] {
        stage.usage(line, message);
    }
    let absent = "HOME/absent: No such file or directory (os error 2)";
    stage.check(&["share", "HOME/a.bin", "HOME/absent"], Exit::LocalDisk, absent);
}

#[test]
fn commands_that_need_an_account_or_a_daemon_say_so() {
    let stage = Stage::new();
    for words in [
        &["password"][..],
        &["devices"],
        &["groups"],
        &["search", "x"],
        &["access", "HOME/a.bin"],
        &["unshare", "HOME/a.bin"],
        &["daemon"],
        &["status"],
        &["share", "HOME/a.bin"],
    ] {
        stage.check(words, Exit::Refused, NO_TRACKER);
    }
    let login = "not logged in at this tracker; run `peernet login`, or `peernet register` for a new account";
    for command in ["password", "status"] {
        stage.check(&[command, "--tracker", "https://t:1"], Exit::Refused, login);
    }
    let daemon = "no daemon answers for HOME; `peernet daemon` starts one";
    stage.check(&["status", "--daemon"], Exit::NotFound, daemon);
    stage.check(&["status", "--watch"], Exit::NotFound, daemon);
    stage.check(&["limit"], Exit::NotFound, daemon);
    stage.check(&["limit", "--max-upload", "none"], Exit::NotFound, daemon);
}

#[test]
fn files_that_are_not_shared_here_are_named_in_the_refusal() {
    let stage = Stage::new().with_account();
    let absent = "HOME/a.bin is not shared here; `peernet list` shows the shares";
    for command in ["unshare", "withdraw", "access"] {
        stage.check(&[command, "HOME/a.bin"], Exit::NotFound, absent);
    }
    stage.check(&["unshare", HASH], Exit::NotFound, &format!("{HASH} is not shared here"));
    let link = format!("peernet:?xt=urn:sha256:{HASH}&kind=collection");
    let foreign = "this is a directory: set its access on the machine that shares it, or share it here first";
    stage.check(&["withdraw", &link], Exit::Usage, foreign);
    stage.check(&["access", &link, "--private"], Exit::Usage, foreign);
    let other = ["login", "--peer-id", "x", "--address", "h:1"];
    stage.check(&other, Exit::Usage, "give either --peer-id or --address");
}

#[test]
fn settings_of_the_configuration_are_refused_like_options() {
    let mut stage = Stage::new();
    let text = |text: &str| Some(Amount::Text(text.to_owned()));
    let mut check = |config: Config, line: &str, message: &str| {
        stage.config = Config { tracker: Some("https://t:1".to_owned()), ..config };
        stage.usage(line, message);
    };
    let connections = "max-connections: give a number of connections, or none for no limit";
    check(Config { max_connections: text("-1"), ..Config::default() }, "daemon", connections);
    let memory = "max-memory: give a number of bytes, 16M or more, like 64M";
    check(Config { max_memory: Some(Amount::Number(1)), ..Config::default() }, "daemon", memory);
    check(Config { max_memory: text("8M"), ..Config::default() }, &format!("download {HASH}"), memory);
    let tls = "--tracker-tls: expected swarm or public";
    check(Config { tracker_tls: Some("both".to_owned()), ..Config::default() }, "status", tls);
    let bad = "\"gopher://t\" is not a tracker URL; expected one like https://tracker.example:8080";
    stage.config = Config { tracker: Some("gopher://t".to_owned()), ..Config::default() };
    stage.usage("status", bad);
    // What is typed takes precedence, so that a bad setting can be worked around.
    stage.config.tracker_tls = Some("both".to_owned());
    let words = ["status", "--tracker", "https://t:1", "--tracker-tls", "swarm"];
    assert_eq!(stage.run(&words).unwrap_err().exit, Exit::Refused);
}

/// The common options, by the names of their groups in the declarations of the commands.
const GROUPS: [(&str, &[&str]); 5] = [
    ("json", &["--json", "--quiet"]),
    ("tracker", &["--allow-plaintext", "--tracker=<url>?", "--tracker-tls=<swarm|public>?"]),
    (
        "limits",
        &["--max-connections=<number>?", "--max-download=<rate>?", "--max-memory=<bytes>?", "--max-upload=<rate>?"],
    ),
    ("visibility", &["--private", "--public", "--with=<peer-id|@group>*"]),
    ("password", &["--password=<text>?", "--password-file=<file>?"]),
];

/// Writes one command's arguments: `--name=<value>`, `?` where it may be absent and `*` where it may be repeated.
fn usage_line(path: &str, command: &CommandInfoWithArgs) -> String {
    let count = |optionality: &Optionality| match optionality {
        Optionality::Required => "",
        Optionality::Optional => "?",
        Optionality::Repeating | Optionality::Greedy => "*",
    };
    let flag = |flag: &FlagInfo<'_>| match flag.kind {
        FlagInfoKind::Switch => flag.long.to_owned(),
        FlagInfoKind::Option { arg_name } => format!("{}=<{arg_name}>{}", flag.long, count(&flag.optionality)),
    };
    let mut flags: Vec<String> = command.flags.iter().filter(|flag| flag.long != "--help").map(flag).collect();
    flags.sort();
    for (name, group) in GROUPS {
        if group.iter().all(|option| flags.iter().any(|flag| flag == option)) {
            flags.retain(|flag| !group.contains(&flag.as_str()));
            flags.push(format!("[{name}]"));
        }
    }
    let positionals = command.positionals.iter().map(|it| format!("{}{}", it.name, count(&it.optionality)));
    format!("{path}: {}\n", flags.into_iter().chain(positionals).collect::<Vec<_>>().join(" "))
}

#[test]
fn every_command_has_exactly_these_arguments() {
    let program = Peernet::get_args_info();
    let mut found = String::new();
    for (path, command) in peernet_arguments::commands(&program) {
        found.push_str(&usage_line(&path.join(" "), command));
    }
    let expected = "\
: \n\
register: --address=<host:port>? --ca-fingerprint=<hex>? --device-label=<text>? --invite-file=<file>? --invite=<code>? \
[json] [tracker] [password]
login: --address=<host:port>? --ca-fingerprint=<hex>? --device-label=<text>? --peer-id=<uuid>? --scope=<words>? \
[json] [tracker] [password]
password: --device-label=<text>? --new-password-file=<file>? --password-file=<file>? [json] [tracker]
logout: --local [json] [tracker]
devices: [json] [tracker]
share: --address=<host:port>? --listen=<host:port>? --no-daemon --no-serve --plaintext-port=<port>? --port=<port>? \
[json] [tracker] [limits] [visibility] files*
unshare: [json] [tracker] files*
access: [json] [tracker] [visibility] file
withdraw: [json] [tracker] files*
groups: [json] [tracker]
download: --exclude=<glob>* --force --from=<peer-id|ed25519:key>? --include=<glob>* --no-serve --no-sync \
--output=<path>? --plaintext-port=<port>? --share --stdout --v1-names [json] [tracker] [limits] target
list: [json] [tracker]
search: --after=<text>? --limit=<number>? [json] [tracker] words*
status: --daemon --interval=<seconds>? --watch [json] [tracker]
verify: [json] file target?
link: [json] [tracker] file
daemon: --address=<host:port>? --listen=<host:port>? --metrics=<addr:port>? --plaintext-port=<port>? \
[json] [tracker] [limits]
limit: [json] [limits]
completions: [json] shell
devices revoke: [json] [tracker] id
groups show: [json] name
groups set: [json] name members*
groups delete: [json] name
";
    assert_eq!(found, expected);
}

#[test]
fn only_two_options_have_a_short_form() {
    let program = Peernet::get_args_info();
    let mut found = std::collections::BTreeSet::new();
    for (_, command) in peernet_arguments::commands(&program) {
        found.extend(command.flags.iter().filter_map(|flag| Some((flag.short?, flag.long))));
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [('o', "--output"), ('q', "--quiet")]);
}
