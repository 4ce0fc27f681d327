//! The commands and their options, with the help that is printed for them.

use argh::{ArgsInfo, FromArgs};

use super::access::{Access, Groups, GroupsAction, Withdraw};
use crate::cli::context::Way;

/// The long options that take a value, for `--option=value`.
pub(in crate::cli) const OPTIONS_WITH_VALUES: &[&str] = &[
    "--tracker",
    "--tracker-tls",
    "--ca-fingerprint",
    "--plaintext-port",
    "--address",
    "--password",
    "--password-file",
    "--new-password-file",
    "--peer-id",
    "--device-label",
    "--scope",
    "--with",
    "--from",
    "--port",
    "--listen",
    "--output",
    "--limit",
    "--after",
    "--interval",
    "--max-upload",
    "--max-download",
    "--max-connections",
    "--max-memory",
];

/// Share large files and download them from other peers.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    example = "peernet register --tracker https://tracker.example:8080\npeernet share model.bin\npeernet download 'peernet:?xt=urn:sha256:...'",
    note = "Files and folders:\n  config    $XDG_CONFIG_HOME/peernet/config.toml\n  state     $XDG_STATE_HOME/peernet\n  PEERNET_HOME puts both under one folder. PEERNET_TRACKER and PEERNET_PASSWORD stand for the options of the same name.",
    error_code(0, "done"),
    error_code(1, "something else went wrong"),
    error_code(2, "the command, a hash, an address or a setting makes no sense"),
    error_code(3, "not logged in, or the tracker refuses"),
    error_code(4, "nobody shares it, or it is not shared here"),
    error_code(5, "the bytes do not have the hash they should have"),
    error_code(6, "the tracker or the sources cannot be reached or do not deliver"),
    error_code(7, "the local disk or file system refused"),
    error_code(8, "a file exists already, or another process uses the folder or port"),
    error_code(141, "the reader of --stdout went away"),
    error_code(130, "stopped by Ctrl-C or SIGTERM; a download goes on with the same command")
)]
pub(in crate::cli) struct Peernet {
    #[argh(subcommand)]
    pub(in crate::cli) command: Command,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub(in crate::cli) enum Command {
    Register(Register),
    Login(Login),
    Password(Password),
    Logout(Logout),
    Devices(Devices),
    Share(Share),
    Unshare(Unshare),
    Access(Access),
    Withdraw(Withdraw),
    Groups(Groups),
    Download(Download),
    List(List),
    Search(Search),
    Status(Status),
    Verify(Verify),
    Link(Link),
    Daemon(Daemon),
    Limit(Limit),
    Completions(Completions),
}

/// Make an account at a tracker and log in.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "register",
    example = "peernet register --tracker https://tracker.example:8080\npeernet register --tracker https://tracker.example:8080 --address 192.0.2.7:50051 --password-file secret.txt\npeernet register --tracker https://tracker.example:8080 --invite-file code.txt --ca-fingerprint 0f343b09...2d4c5f60"
)]
pub(in crate::cli) struct Register {
    /// the tracker's URL, several of one swarm with commas between them, or a share link that names them and whom to trust
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// the SHA-256 of the swarm's authority, as its operator tells it; without it the first one that is met is trusted
    #[argh(option, arg_name = "hex")]
    pub(in crate::cli) ca_fingerprint: Option<String>,
    /// where others will reach this peer, host:port; also a name to log in with
    #[argh(option, arg_name = "host:port")]
    pub(in crate::cli) address: Option<String>,
    /// the password, 1 to 72 bytes; shows in the process list, so rather let it be asked for
    #[argh(option, arg_name = "text")]
    pub(in crate::cli) password: Option<String>,
    /// a file whose first line is the password
    #[argh(option, arg_name = "file")]
    pub(in crate::cli) password_file: Option<String>,
    /// the invite code, where the tracker wants one; shows in the process list
    #[argh(option, arg_name = "code")]
    pub(in crate::cli) invite: Option<String>,
    /// a file whose first line is the invite code; /dev/stdin reads it from a pipe
    #[argh(option, arg_name = "file")]
    pub(in crate::cli) invite_file: Option<String>,
    /// what this machine is called among the account's devices; by default its host name
    #[argh(option, arg_name = "text")]
    pub(in crate::cli) device_label: Option<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Log in to an account made elsewhere, or again.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "login",
    example = "peernet login\npeernet login --tracker https://tracker.example:8080 --address 192.0.2.7:50051\npeernet login --peer-id 123e4567-e89b-42d3-a456-426614174000\npeernet login --device-label 'the lab' --scope read,share"
)]
pub(in crate::cli) struct Login {
    /// the tracker's URL, several of one swarm with commas between them, or a share link that names them and whom to trust
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// the SHA-256 of the swarm's authority, as its operator tells it; without it the first one that is met is trusted
    #[argh(option, arg_name = "hex")]
    pub(in crate::cli) ca_fingerprint: Option<String>,
    /// the account's registered address
    #[argh(option, arg_name = "host:port")]
    pub(in crate::cli) address: Option<String>,
    /// the account's id; by default the one last used here
    #[argh(option, arg_name = "uuid")]
    pub(in crate::cli) peer_id: Option<String>,
    /// the password; shows in the process list, so rather let it be asked for
    #[argh(option, arg_name = "text")]
    pub(in crate::cli) password: Option<String>,
    /// a file whose first line is the password
    #[argh(option, arg_name = "file")]
    pub(in crate::cli) password_file: Option<String>,
    /// what this machine is called among the account's devices; by default its host name
    #[argh(option, arg_name = "text")]
    pub(in crate::cli) device_label: Option<String>,
    /// what the login is to be good for: some of read (search, download), share and admin, with commas between them; by default all
    #[argh(option, arg_name = "words")]
    pub(in crate::cli) scope: Option<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Change the account's password. Other devices of this account are logged out.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "password",
    example = "peernet password\npeernet password --password-file old.txt --new-password-file new.txt"
)]
pub(in crate::cli) struct Password {
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// a file whose first line is the password as it is
    #[argh(option, arg_name = "file")]
    pub(in crate::cli) password_file: Option<String>,
    /// a file whose first line is the new password
    #[argh(option, arg_name = "file")]
    pub(in crate::cli) new_password_file: Option<String>,
    /// what this machine is called among the account's devices; by default as before
    #[argh(option, arg_name = "text")]
    pub(in crate::cli) device_label: Option<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Log out: end this login at the tracker, and remove its tokens, certificate and key from this machine.
/// What is shared stays noted down for the next login.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "logout", example = "peernet logout\npeernet logout --local")]
pub(in crate::cli) struct Logout {
    /// only remove what is here, and tell the tracker nothing
    #[argh(switch)]
    pub(in crate::cli) local: bool,
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// List the devices that are logged in to the account, or log one out.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "devices",
    example = "peernet devices\npeernet devices --json\npeernet devices revoke 123e4567-e89b-42d3-a456-426614174000"
)]
pub(in crate::cli) struct Devices {
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
    #[argh(subcommand)]
    pub(in crate::cli) action: Option<DevicesAction>,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
pub(in crate::cli) enum DevicesAction {
    Revoke(Revoke),
}

/// Log a device of the account out, as when it was lost: its tokens and certificates are refused from then on.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "revoke",
    example = "peernet devices\npeernet devices revoke 123e4567-e89b-42d3-a456-426614174000"
)]
pub(in crate::cli) struct Revoke {
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// the device's id, as `peernet devices` shows it
    #[argh(positional)]
    pub(in crate::cli) id: String,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Share files and directories where they lie: through the daemon when one runs, else from here until stopped with Ctrl-C.
/// A directory is shared as it is now; shared again, as it is then.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "share",
    example = "peernet share model.bin data.tar\npeernet share dataset/\npeernet share model.bin --port 50051\npeernet share --no-serve model.bin\npeernet share model.bin --max-upload 10M\npeernet share model.bin --private\npeernet share model.bin --with @lab"
)]
pub(in crate::cli) struct Share {
    /// serve from here, on this port of all interfaces
    #[argh(option, arg_name = "port")]
    pub(in crate::cli) port: Option<u16>,
    /// serve from here, on this address, host:port
    #[argh(option, arg_name = "host:port")]
    pub(in crate::cli) listen: Option<String>,
    /// the address others reach this peer at, host:port, where it is another
    #[argh(option, arg_name = "host:port")]
    pub(in crate::cli) address: Option<String>,
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// where to listen in plaintext as well, with --allow-plaintext; by default any port
    #[argh(option, arg_name = "port")]
    pub(in crate::cli) plaintext_port: Option<u16>,
    /// send at most this many bytes a second, like 500K or 10M; none or 0 for no limit
    #[argh(option, arg_name = "rate")]
    pub(in crate::cli) max_upload: Option<String>,
    /// receive at most this many bytes a second, likewise
    #[argh(option, arg_name = "rate")]
    pub(in crate::cli) max_download: Option<String>,
    /// serve and use at most this many connections at once; none or 0 for no limit
    #[argh(option, arg_name = "number")]
    pub(in crate::cli) max_connections: Option<String>,
    /// hold at most this many bytes of files in memory at once, 16M or more; by default 64M
    #[argh(option, arg_name = "bytes")]
    pub(in crate::cli) max_memory: Option<String>,
    /// nobody else may have them
    #[argh(switch)]
    pub(in crate::cli) private: bool,
    /// nobody else may have them but this account, or the members of this group of yours; may be repeated
    #[argh(option, arg_name = "peer-id|@group")]
    pub(in crate::cli) with: Vec<String>,
    /// every member of the swarm may have them, which is so anyway unless `peernet access` said otherwise
    #[argh(switch)]
    pub(in crate::cli) public: bool,
    /// serve from here even if a daemon runs
    #[argh(switch)]
    pub(in crate::cli) no_daemon: bool,
    /// only note the files down for the next daemon
    #[argh(switch)]
    pub(in crate::cli) no_serve: bool,
    /// what to share: files and directories
    #[argh(positional)]
    pub(in crate::cli) files: Vec<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Stop sharing files and directories through the daemon. They stay where they are.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "unshare",
    example = "peernet unshare model.bin\npeernet unshare 0f343b0931126a20f133d67c2b018a3b1a4b9c1e0d6d6c1c9a1b9b7e2d4c5f60"
)]
pub(in crate::cli) struct Unshare {
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// a shared file or directory, its hash or its link
    #[argh(positional)]
    pub(in crate::cli) files: Vec<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Download a file or a directory. The same command goes on where an earlier one stopped.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "download",
    example = "peernet download 'peernet:?xt=urn:sha256:...'\npeernet download 0f343b09...2d4c5f60 --output data/\npeernet download 0f343b09...2d4c5f60 --output copy.bin --force\npeernet download 'peernet:?xt=urn:sha256:...' --stdout | tar x\npeernet download 0f343b09...2d4c5f60 --max-download 10M\npeernet download 'peernet:?...&kind=collection' --include 'train/**' --exclude '**/*.log'\npeernet download 0f343b09...2d4c5f60 --from 123e4567-e89b-42d3-a456-426614174000",
    note = "With --stdout the bytes come in order as they are verified. With a link every one of them is right; with a bare hash\nonly the end proves them: exit code 5 says that they were not the file. Meanwhile they gather in a file without a\nname in the --output folder, by default the state folder, that is gone however the command ends."
)]
pub(in crate::cli) struct Download {
    /// a folder (by default ./downloads) or a file; what does not exist is a folder if it ends with / or has no extension
    #[argh(option, short = 'o', arg_name = "path")]
    pub(in crate::cli) output: Option<String>,
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// where to listen in plaintext as well, with --allow-plaintext; by default any port
    #[argh(option, arg_name = "port")]
    pub(in crate::cli) plaintext_port: Option<u16>,
    /// of a directory, only what this pattern names: * and ? within a name, ** over folders; may be repeated
    #[argh(option, arg_name = "glob")]
    pub(in crate::cli) include: Vec<String>,
    /// of a directory, not what this pattern names; may be repeated
    #[argh(option, arg_name = "glob")]
    pub(in crate::cli) exclude: Vec<String>,
    /// only what this account, or who has this key, has signed as its publisher
    #[argh(option, arg_name = "peer-id|ed25519:key")]
    pub(in crate::cli) from: Option<String>,
    /// send at most this many bytes a second, like 500K or 10M; none or 0 for no limit
    #[argh(option, arg_name = "rate")]
    pub(in crate::cli) max_upload: Option<String>,
    /// receive at most this many bytes a second, likewise
    #[argh(option, arg_name = "rate")]
    pub(in crate::cli) max_download: Option<String>,
    /// serve and use at most this many connections at once; none or 0 for no limit
    #[argh(option, arg_name = "number")]
    pub(in crate::cli) max_connections: Option<String>,
    /// hold at most this many bytes of files in memory at once, 16M or more; by default 64M
    #[argh(option, arg_name = "bytes")]
    pub(in crate::cli) max_memory: Option<String>,
    /// write the file's bytes to standard output instead of a file; the result with --json goes to standard error
    #[argh(switch)]
    pub(in crate::cli) stdout: bool,
    /// replace what is there
    #[argh(switch)]
    pub(in crate::cli) force: bool,
    /// do not wait for the disk: faster, but a power cut may cost what was fetched
    #[argh(switch)]
    pub(in crate::cli) no_sync: bool,
    /// name the file <hash>.download, as version 1 did
    #[argh(switch)]
    pub(in crate::cli) v1_names: bool,
    /// do not pass on to others what is there while the rest is fetched
    #[argh(switch)]
    pub(in crate::cli) no_serve: bool,
    /// share it from then on: through the daemon, or noted down for the next one
    #[argh(switch)]
    pub(in crate::cli) share: bool,
    /// its hash or a link
    #[argh(positional)]
    pub(in crate::cli) target: String,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// List what is shared here.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "list", example = "peernet list\npeernet list --json")]
pub(in crate::cli) struct List {
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Search the tracker for files whose name contains every word.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "search", example = "peernet search llama gguf\npeernet search --limit 100 dataset")]
pub(in crate::cli) struct Search {
    /// how many results at most, up to 100; by default 20
    #[argh(option, arg_name = "number", default = "20")]
    pub(in crate::cli) limit: usize,
    /// go on after an earlier page, with what it gave as next
    #[argh(option, arg_name = "text")]
    pub(in crate::cli) after: Option<String>,
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// words of the name
    #[argh(positional)]
    pub(in crate::cli) words: Vec<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Show the account, its balance and reputation, what is shared, and the daemon.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "status",
    example = "peernet status\npeernet status --json\npeernet status --watch --interval 5\npeernet status --daemon --quiet"
)]
pub(in crate::cli) struct Status {
    /// show the daemon's transfers, again and again until Ctrl-C; with --json a line of JSON each time
    #[argh(switch)]
    pub(in crate::cli) watch: bool,
    /// seconds between two looks, by default 1
    #[argh(option, arg_name = "seconds")]
    pub(in crate::cli) interval: Option<String>,
    /// only ask whether the daemon answers: ends with 0 if it does, else with 4
    #[argh(switch)]
    pub(in crate::cli) daemon: bool,
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Compute a file's hash, and compare it with a hash or link if one is given.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "verify",
    example = "peernet verify model.bin\npeernet verify model.bin 'peernet:?xt=urn:sha256:...'"
)]
pub(in crate::cli) struct Verify {
    /// the file
    #[argh(positional)]
    pub(in crate::cli) file: String,
    /// the hash or link it should have
    #[argh(positional)]
    pub(in crate::cli) target: Option<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Print the link of a file or directory: of one shared here, of one the tracker knows by its hash, or of any.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "link", example = "peernet link model.bin\npeernet link 0f343b09...2d4c5f60")]
pub(in crate::cli) struct Link {
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// a file, a directory or a hash
    #[argh(positional)]
    pub(in crate::cli) file: String,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Serve everything shared, in the foreground, until stopped. Started again, it serves the same.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "daemon", example = "peernet daemon\npeernet daemon --listen 0.0.0.0:50051 --max-upload 10M")]
pub(in crate::cli) struct Daemon {
    /// where to listen, host:port; by default any port of all interfaces
    #[argh(option, arg_name = "host:port")]
    pub(in crate::cli) listen: Option<String>,
    /// the address others reach this peer at, host:port, where it is another
    #[argh(option, arg_name = "host:port")]
    pub(in crate::cli) address: Option<String>,
    /// send at most this many bytes a second, like 500K or 10M; none or 0 for no limit
    #[argh(option, arg_name = "rate")]
    pub(in crate::cli) max_upload: Option<String>,
    /// receive at most this many bytes a second, likewise
    #[argh(option, arg_name = "rate")]
    pub(in crate::cli) max_download: Option<String>,
    /// serve and use at most this many connections at once; none or 0 for no limit
    #[argh(option, arg_name = "number")]
    pub(in crate::cli) max_connections: Option<String>,
    /// hold at most this many bytes of files in memory at once, 16M or more; by default 64M
    #[argh(option, arg_name = "bytes")]
    pub(in crate::cli) max_memory: Option<String>,
    /// serve metrics in Prometheus' format on this loopback address, like 127.0.0.1:9101
    #[argh(option, arg_name = "addr:port")]
    pub(in crate::cli) metrics: Option<String>,
    /// the tracker's URL, or several of one swarm with commas between them
    #[argh(option, arg_name = "url")]
    pub(in crate::cli) tracker: Option<String>,
    /// by what an https:// tracker is known: swarm (the default) or public, for one behind a proxy of the public web
    #[argh(option, arg_name = "swarm|public")]
    pub(in crate::cli) tracker_tls: Option<String>,
    /// speak plaintext where nothing better can be had; everybody in between reads it along
    #[argh(switch)]
    pub(in crate::cli) allow_plaintext: bool,
    /// where to listen in plaintext as well, with --allow-plaintext; by default any port
    #[argh(option, arg_name = "port")]
    pub(in crate::cli) plaintext_port: Option<u16>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Show or change the limits of the running daemon, at once and until it stops.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "limit",
    example = "peernet limit\npeernet limit --max-upload 10M\npeernet limit --max-upload none --max-download 1.5M --max-connections 50"
)]
pub(in crate::cli) struct Limit {
    /// send at most this many bytes a second, like 500K or 10M; none or 0 for no limit
    #[argh(option, arg_name = "rate")]
    pub(in crate::cli) max_upload: Option<String>,
    /// receive at most this many bytes a second, likewise
    #[argh(option, arg_name = "rate")]
    pub(in crate::cli) max_download: Option<String>,
    /// serve and use at most this many connections at once; none or 0 for no limit
    #[argh(option, arg_name = "number")]
    pub(in crate::cli) max_connections: Option<String>,
    /// hold at most this many bytes of files in memory at once, 16M or more; by default 64M
    #[argh(option, arg_name = "bytes")]
    pub(in crate::cli) max_memory: Option<String>,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

/// Print the completions for a shell: bash, zsh, fish or nushell.
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "completions",
    example = "peernet completions bash > ~/.local/share/bash-completion/completions/peernet"
)]
pub(in crate::cli) struct Completions {
    /// bash, zsh, fish or nushell
    #[argh(positional)]
    pub(in crate::cli) shell: String,
    /// print the result as one JSON document, and progress as JSON lines on standard error
    #[argh(switch)]
    pub(in crate::cli) json: bool,
    /// print nothing but the result and errors
    #[argh(switch, short = 'q')]
    pub(in crate::cli) quiet: bool,
}

macro_rules! way_of {
    ($($command:ident),*) => {$(
        impl $command {
            /// How it speaks to the tracker, as far as that was typed.
            pub(in crate::cli) fn way(&self) -> Way<'_> {
                let (tracker, tls) = (self.tracker.as_deref(), self.tracker_tls.as_deref());
                Way { tracker, tls, allow_plaintext: self.allow_plaintext, ..Way::default() }
            }
        }
    )*};
}

pub(super) use way_of;

way_of!(
    Register, Login, Password, Logout, Devices, Revoke, Share, Unshare, Download, List, Search, Status, Link, Daemon
);

/// What every command has, without knowing which it is.
macro_rules! of_any {
    ($self:ident, $field:ident) => {
        match $self {
            Command::Register(command) => command.$field,
            Command::Login(command) => command.$field,
            Command::Password(command) => command.$field,
            Command::Logout(command) => command.$field,
            Command::Devices(Devices { action: Some(DevicesAction::Revoke(command)), $field, .. }) => {
                *$field || command.$field
            }
            Command::Devices(command) => command.$field,
            Command::Share(command) => command.$field,
            Command::Unshare(command) => command.$field,
            Command::Access(command) => command.$field,
            Command::Withdraw(command) => command.$field,
            Command::Groups(Groups { action, $field, .. }) => {
                *$field || action.as_ref().is_some_and(GroupsAction::$field)
            }
            Command::Download(command) => command.$field,
            Command::List(command) => command.$field,
            Command::Search(command) => command.$field,
            Command::Status(command) => command.$field,
            Command::Verify(command) => command.$field,
            Command::Link(command) => command.$field,
            Command::Daemon(command) => command.$field,
            Command::Limit(command) => command.$field,
            Command::Completions(command) => command.$field,
        }
    };
}

impl Command {
    /// Whether standard output is for the file's bytes alone.
    pub(in crate::cli) fn streams(&self) -> bool {
        matches!(self, Command::Download(Download { stdout: true, .. }))
    }

    pub(in crate::cli) fn json(&self) -> bool {
        of_any!(self, json)
    }

    pub(in crate::cli) fn quiet(&self) -> bool {
        of_any!(self, quiet)
    }
}
