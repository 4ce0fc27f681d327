//! `share`: shares files through a running daemon, or serves them from here.

use std::fs;

use serde_json::{Value, json};

use super::daemon::serve_until_stopped;
use crate::access::AccessPolicy;
use crate::cli::command::{Run, command};
use crate::cli::context::{Context, TrackerOptions};
use crate::cli::exit::{Exit, Failure};
use crate::cli::progress::Meter;
use crate::cli::signals;
use crate::daemon::control::{ControlClient, Last, Line, Request, SharedMessage};
use crate::files::hashing::HashProgress;
use crate::node::{Node, NodeError, Shared};

command! {
    /// Share files and directories without moving them: through the daemon when one is running, else from here until
    /// Ctrl-C. A directory is shared as it is now; share it again after a change.
    #[argh(
        subcommand,
        name = "share",
        example = "peernet share model.bin data.tar\npeernet share dataset/\npeernet share model.bin --port 50051\npeernet share --no-serve model.bin\npeernet share model.bin --max-upload 10M\npeernet share model.bin --private\npeernet share model.bin --with @lab"
    )]
    pub(crate) struct Share [tracker, plaintext_port, visibility, limits] {
        /// serve from here, on this port of all interfaces
        #[argh(option, arg_name = "port")]
        port: Option<u16>,
        /// serve from here, on this address, host:port
        #[argh(option, arg_name = "host:port")]
        listen: Option<String>,
        /// address at which other peers reach this one, host:port, if it differs from the one it listens on
        #[argh(option, arg_name = "host:port")]
        address: Option<String>,
        /// serve from here even if a daemon is running
        #[argh(switch)]
        no_daemon: bool,
        /// serve nothing, and only add the files to the list for the next daemon
        #[argh(switch)]
        no_serve: bool,
        /// files and directories to share
        #[argh(positional)]
        files: Vec<String>,
    }
}

impl Run for Share {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        if self.files.is_empty() {
            return Err(Failure::usage("no file given; name files or directories to share"));
        }
        for file in &self.files {
            check_shareable(file)?;
        }
        let policy = self.policy()?;
        let from_here = self.no_daemon || self.port.is_some() || self.listen.is_some();
        if !from_here && context.daemon().is_some() {
            if !self.limit_options().is_empty() {
                return Err(Failure::usage("the running daemon has its own limits: `peernet limit` changes them"));
            }
            return through_daemon(context, &self.files, policy.as_ref());
        }
        if self.no_serve {
            return note_down(context, &self, policy.as_ref());
        }
        serve_from_here(context, &self, policy.as_ref())
    }
}

fn check_shareable(file: &str) -> Result<(), Failure> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() || metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::usage(format!("{file} is neither a regular file nor a directory"))),
        Err(error) => Err(Failure { exit: Exit::LocalDisk, message: format!("{file}: {error}") }),
    }
}

fn through_daemon(context: &Context, files: &[String], policy: Option<&AccessPolicy>) -> Result<Exit, Failure> {
    let _watch = signals::watch(&context.cancel, &context.output)?;
    let mut shared = Vec::new();
    for file in files {
        let gone = || Failure { exit: Exit::Failure, message: "the daemon has stopped; try again".to_owned() };
        let daemon = ControlClient::connect(&context.home.control_socket()).ok_or_else(gone)?;
        let real =
            fs::canonicalize(file).map_err(|e| Failure { exit: Exit::LocalDisk, message: format!("{file}: {e}") })?;
        let path = real.into_os_string().into_string();
        let path =
            path.map_err(|_| Failure::usage(format!("{file}: the path is not UTF-8; share it with --no-daemon")))?;
        let hang_up = daemon.hang_up_handle().ok();
        let mut meter = Meter::new(&context.output, format!("hashing {file}"));
        let last = daemon.ask(Request::Share { path, audience: policy.map(Into::into) }, &mut |line| {
            if let Line::Hashing(done, total) = line {
                meter.hashing(HashProgress { done, total });
            }
            if context.cancel.is_cancelled()
                && let Some(stream) = &hang_up
            {
                let _gone = stream.shutdown(std::net::Shutdown::Both);
            }
        });
        drop(meter);
        match last {
            _ if context.cancel.is_cancelled() => return Err(NodeError::Cancelled.into()),
            Ok(Last::Shared(message)) => shared.push((file.clone(), message)),
            Ok(_) => {
                return Err(Failure::unexpected_reply());
            }
            Err(refused) => return Err(Failure::from(refused).about(file)),
        }
    }
    report(context, &shared, "daemon", None);
    Ok(Exit::Ok)
}

/// Adds the files to the list that the next daemon serves.
fn note_down(context: &Context, typed: &Share, policy: Option<&AccessPolicy>) -> Result<Exit, Failure> {
    let node = context.builder(typed.tracker_options())?.build()?;
    let _watch = signals::watch(&context.cancel, &context.output)?;
    let shared = share_all(context, &node, &typed.files, policy)?;
    report(context, &shared, "nobody", None);
    context.output.note("added to the list of shares; `peernet daemon` serves it");
    Ok(Exit::Ok)
}

fn serve_from_here(context: &Context, typed: &Share, policy: Option<&AccessPolicy>) -> Result<Exit, Failure> {
    let limits = typed.limit_options().with_configured(&context.config)?;
    let way = TrackerOptions { plaintext_port: typed.plaintext_port, ..typed.tracker_options() };
    let mut builder = context.builder(way)?.passing_shares().limits(limits);
    match (typed.port, &typed.listen) {
        (Some(_), Some(_)) => return Err(Failure::usage("give either --port or --listen")),
        (Some(port), None) => builder = builder.listen(format!("0.0.0.0:{port}")),
        (None, Some(listen)) => builder = builder.listen(listen),
        (None, None) => {}
    }
    if let Some(address) = &typed.address {
        builder = builder.address(address);
    }
    let node = builder.build()?;
    let _watch = signals::watch(&context.cancel, &context.output)?;
    // Listen before announcing: other peers may call as soon as they learn of the file.
    let listen = node.serve()?;
    let shared = share_all(context, &node, &typed.files, policy)?;
    report(context, &shared, "here", Some(listen.to_string()));
    context.output.note(&format!("serving on {listen} until stopped with Ctrl-C"));
    serve_until_stopped(context, &node);
    Ok(Exit::Ok)
}

fn share_all(
    context: &Context,
    node: &Node,
    files: &[String],
    policy: Option<&AccessPolicy>,
) -> Result<Vec<(String, SharedMessage)>, Failure> {
    let mut all = Vec::new();
    for file in files {
        let mut meter = Meter::new(&context.output, format!("hashing {file}"));
        let shared: Shared = node
            .share_with(file, policy, &mut |progress| meter.hashing(progress), &context.cancel)
            .map_err(|error| Failure::from(error).about(file))?;
        all.push((file.clone(), shared.into()));
    }
    Ok(all)
}

/// Prints the result. The lines for people are version 1's, word for word, because scripts read them.
fn report(context: &Context, shared: &[(String, SharedMessage)], served_by: &str, listen: Option<String>) {
    let mut people = String::new();
    for (typed, share) in shared {
        if share.left_out > 0 {
            let left_out = share.left_out;
            context.output.note(&format!("{typed}: {left_out} symbolic links and special files in it are not shared"));
        }
        people.push_str(&format!("File '{typed}' chunked successfully. File Hash: {}\n", share.file_hash));
        if served_by != "nobody" {
            people.push_str(&format!("Announced all {} chunks to tracker.\n", share.chunks));
        }
        people.push_str(&format!("Link: {}\n", share.link));
    }
    context.output.result(&people, &programs(shared, served_by, listen));
}

/// Makes one document for all files. The fields of a single file are repeated at the top, for scripts that share one at
/// a time.
fn programs(shared: &[(String, SharedMessage)], served_by: &str, listen: Option<String>) -> Value {
    let one = |share: &SharedMessage| {
        json!({
            "path": share.path,
            "file_hash": share.file_hash,
            "manifest_id": share.manifest_id,
            "name": share.file_name,
            "size": share.size,
            "chunks": share.chunks,
            "link": share.link,
            "kind": if share.files.is_some() { "collection" } else { "file" },
            "files": share.files.unwrap_or(1),
            "left_out": share.left_out,
            "signed_with": share.signed_with,
        })
    };
    let mut top = match shared {
        [(_, only)] => one(only),
        _ => json!({}),
    };
    top["served_by"] = json!(served_by);
    top["listen"] = json!(listen);
    top["shares"] = shared.iter().map(|(_, share)| one(share)).collect();
    top
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(files: Option<usize>) -> SharedMessage {
        SharedMessage {
            path: "/d/a.bin".to_owned(),
            file_hash: "ab".repeat(32),
            manifest_id: "cd".repeat(32),
            file_name: "a.bin".to_owned(),
            size: 9,
            chunks: 1,
            link: "peernet:?xt=urn:sha256:ab".to_owned(),
            files,
            left_out: 0,
            signed_with: Some("ed25519:00".to_owned()),
        }
    }

    #[test]
    fn one_shared_file_is_described_at_the_top_and_in_the_list() {
        let one = json!({
            "path": "/d/a.bin",
            "file_hash": "ab".repeat(32),
            "manifest_id": "cd".repeat(32),
            "name": "a.bin",
            "size": 9,
            "chunks": 1,
            "link": "peernet:?xt=urn:sha256:ab",
            "kind": "file",
            "files": 1,
            "left_out": 0,
            "signed_with": "ed25519:00",
        });
        let mut expected = one.clone();
        expected["served_by"] = json!("here");
        expected["listen"] = json!("0.0.0.0:1");
        expected["shares"] = json!([one]);
        let shared = [("a.bin".to_owned(), message(None))];
        assert_eq!(programs(&shared, "here", Some("0.0.0.0:1".to_owned())), expected);
    }

    #[test]
    fn several_shared_files_are_described_only_in_the_list() {
        let shared = [("a.bin".to_owned(), message(None)), ("d".to_owned(), message(Some(12)))];
        let found = programs(&shared, "daemon", None);
        let keys: Vec<&String> = found.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["listen", "served_by", "shares"]);
        assert_eq!((&found["listen"], &found["served_by"]), (&Value::Null, &json!("daemon")));
        let kinds: Vec<_> = found["shares"].as_array().unwrap().iter().map(|it| (&it["kind"], &it["files"])).collect();
        assert_eq!(kinds, [(&json!("file"), &json!(1)), (&json!("collection"), &json!(12))]);
        assert_eq!(programs(&[], "nobody", None)["shares"], json!([]));
    }

    #[test]
    fn only_files_and_directories_that_exist_can_be_shared() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("file", path("to-a-file")).unwrap();
        std::os::unix::fs::symlink("absent", path("to-nothing")).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        for name in ["file", "to-a-file", "."] {
            assert_eq!(check_shareable(&path(name)), Ok(()), "{name}");
        }
        let special = Failure::usage(format!("{} is neither a regular file nor a directory", path("socket")));
        assert_eq!(check_shareable(&path("socket")), Err(special));
        for name in ["absent", "to-nothing"] {
            let message = format!("{}: No such file or directory (os error 2)", path(name));
            assert_eq!(check_shareable(&path(name)), Err(Failure { exit: Exit::LocalDisk, message }));
        }
    }
}
