//! Functions over the files that are shared here, used by several commands.

use std::path::Path;
use std::thread::available_parallelism;

use peernet_engine::ids::FileHash;
use peernet_engine::link::{Kind, Target};
use peernet_engine::manifest::Manifest;
use serde_json::{Value, json};

use super::context::{Context, TrackerOptions};
use super::exit::{Exit, Failure};
use super::output::{shown, size};
use super::progress::Meter;
use crate::daemon::control::{ControlClient, DaemonStatus, Last, Request};
use crate::files::hashing::hash_file;
use crate::node::{IS_DIRECTORY, Node, NodeError};
use crate::shares::{ShareInfo, ShareState};

/// Returns the files that a path, a hash or a link names. A path may have several: one before and one after a change.
pub(super) fn named(node: &Node, text: &str) -> Result<Vec<FileHash>, Failure> {
    let by_path = node.shared_from(Path::new(text));
    if !by_path.is_empty() {
        return Ok(by_path);
    }
    match Target::parse(text) {
        Ok(target) => Ok(vec![target.file_hash()]),
        Err(_) => {
            let message = format!("{text} is not shared here; `peernet list` shows the shares");
            Err(Failure { exit: Exit::NotFound, message })
        }
    }
}

/// Refuses the link of a directory that is not shared from here: a directory consists of two files, and a link names
/// only one of them.
pub(super) fn refuse_foreign_directory(node: &Node, text: &str) -> Result<(), Failure> {
    let Ok(Target::Link(link)) = Target::parse(text) else { return Ok(()) };
    let is_here = || node.shares().iter().any(|share| share.file_hash == link.file_hash);
    match link.kind == Kind::Collection && !is_here() {
        true => Err(Failure::usage(IS_DIRECTORY)),
        false => Ok(()),
    }
}

/// Hashes a file and shows the progress.
pub(super) fn hash(context: &Context, file: &str) -> Result<Manifest, Failure> {
    let workers = available_parallelism().map_or(1, |n| n.get());
    let mut meter = Meter::new(&context.output, format!("hashing {file}"));
    let manifest = hash_file(Path::new(file), workers, &mut |progress| meter.hashing(progress), &context.cancel);
    Ok(manifest.map_err(NodeError::from)?)
}

/// Asks the daemon of this folder for its status; `None` if no daemon answers.
pub(super) fn daemon_status(context: &Context) -> Option<DaemonStatus> {
    let daemon = ControlClient::connect(&context.home.control_socket())?;
    match daemon.ask(Request::Status, &mut |_| {}) {
        Ok(Last::Status(status)) => Some(status),
        Ok(_) => None,
        Err(problem) => {
            context.output.warn(&problem.message);
            None
        }
    }
}

/// The failure of a command that needs a daemon where none answers.
pub(super) fn no_daemon(context: &Context) -> Failure {
    let folder = context.home.state_folder().display();
    Failure { exit: Exit::NotFound, message: format!("no daemon answers for {folder}; `peernet daemon` starts one") }
}

/// Reads the shares of this folder, without a daemon.
pub(super) fn own_shares(context: &Context, tracker: TrackerOptions<'_>) -> Result<Value, Failure> {
    let node = match context.builder(tracker)?.build() {
        // Links name a tracker. Without one, nothing can have been shared.
        Err(NodeError::NotLoggedIn(_)) => return Ok(json!([])),
        node => node?,
    };
    Ok(shares_json(&node, &node.shares()))
}

/// Describes shares to programs, as `list --json` prints them.
pub(super) fn shares_json(node: &Node, shares: &[ShareInfo]) -> Value {
    let one = |share: &ShareInfo| {
        let (state, chunks_done) = match share.state {
            ShareState::Ready => ("ready", share.chunks),
            ShareState::Missing => ("missing", 0),
            ShareState::Downloading { chunks } => ("downloading", chunks),
        };
        json!({
            "path": share.path.to_string_lossy(),
            "file_hash": share.file_hash.to_string(),
            "manifest_id": share.manifest_id.to_string(),
            "name": share.file_name,
            "size": share.size,
            "chunks": share.chunks,
            "chunks_done": chunks_done,
            "state": state,
            "link": node.link(share),
            "kind": if share.directory.is_some() { "collection" } else { "file" },
            "files": share.directory.as_ref().map_or(1, |directory| directory.files),
            "restricted": share.restricted,
        })
    };
    shares.iter().map(one).collect()
}

/// Describes a share to people, on one line.
pub(super) fn row(share: &Value) -> String {
    let text = |key: &str| share[key].as_str().unwrap_or_default().to_owned();
    let state = match text("state").as_str() {
        "ready" => String::new(),
        state => format!("  [{state}]"),
    };
    let files = match (share["kind"].as_str(), share["files"].as_u64()) {
        (Some("collection"), Some(files)) => format!("  ({files} files)"),
        _ => String::new(),
    };
    let closed = if share["restricted"] == json!(true) { "  [not public]" } else { "" };
    let bytes = size(share["size"].as_u64().unwrap_or(0));
    format!("{}  {bytes:>10}  {}{files}{state}{closed}", text("file_hash"), shown(&text("path")))
}
