//! `list`, `search`, `verify`, `link`: commands that change nothing.

use std::fs;
use std::path::Path;

use peernet_engine::link::Target;
use serde_json::{Value, json};

use super::args::{Link, List, Search, Verify};
use super::context::{Context, Way};
use super::exit::{Exit, Failure};
use super::output::{shown, size};
use super::progress::Meter;
use super::signals;
use crate::control::{ControlClient, DaemonStatus, Last, Request};
use crate::discovery::tracker::Hit;
use crate::hashing::hash_file;
use crate::node::Node;
use crate::shares::{ShareInfo, ShareState};

pub(super) fn list(context: &Context, typed: List) -> Result<Exit, Failure> {
    let daemon = daemon_status(context);
    let shares = match &daemon {
        Some(daemon) => daemon.shares.clone(),
        None => own_shares(context, typed.way())?,
    };
    let rows: Vec<String> = shares.as_array().into_iter().flatten().map(row).collect();
    let people = match (rows.is_empty(), &daemon) {
        (true, _) => "nothing is shared; `peernet share FILE` changes that".to_owned(),
        (false, Some(_)) => rows.join("\n"),
        (false, None) => format!("{}\nno daemon runs: `peernet daemon` serves these", rows.join("\n")),
    };
    context.output.result(&people, &json!({"shares": shares, "daemon": daemon.is_some()}));
    Ok(Exit::Ok)
}

pub(super) fn search(context: &Context, typed: Search) -> Result<Exit, Failure> {
    let node = context.asking_node(typed.way())?;
    let hits = node.search(&typed.words.join(" "), typed.limit, typed.after.as_deref())?;
    let mut people: Vec<String> = hits.files.iter().map(hit_row).collect();
    if people.is_empty() {
        people.push("nothing found".to_owned());
    }
    if let Some(next) = &hits.next {
        people.push(format!("more with --after {next}"));
    }
    let files: Vec<_> = hits.files.iter().map(|hit| hit_json(hit, &node)).collect();
    context.output.result(&people.join("\n"), &json!({"files": files, "next": hits.next}));
    Ok(Exit::Ok)
}

pub(super) fn verify(context: &Context, typed: Verify) -> Result<Exit, Failure> {
    let target = typed.target.as_deref().map(Target::parse).transpose().map_err(|e| Failure::usage(e.to_string()))?;
    let _watch = signals::watch(&context.cancel, &context.output)?;
    let manifest = hash(context, &typed.file)?;
    let file_hash = manifest.file_hash();
    let matches = target.as_ref().map(|target| match target {
        Target::Hash(hash) => *hash == file_hash,
        Target::Link(link) => link.file_hash == file_hash && link.manifest.is_none_or(|id| id == manifest.id()),
    });
    let programs = json!({
        "path": typed.file,
        "file_hash": file_hash.to_string(),
        "manifest_id": manifest.id().to_string(),
        "size": manifest.geometry().size().0,
        "matches": matches,
    });
    let verdict = match matches {
        None => String::new(),
        Some(true) => "  right".to_owned(),
        Some(false) => "  WRONG".to_owned(),
    };
    context.output.result(&format!("{file_hash}  {}{verdict}", typed.file), &programs);
    Ok(if matches == Some(false) { Exit::Verification } else { Exit::Ok })
}

pub(super) fn link(context: &Context, typed: Link) -> Result<Exit, Failure> {
    let node = context.builder(typed.way())?.build()?;
    let path = Path::new(&typed.file);
    let known = match Target::parse(&typed.file) {
        Ok(target) => node.shares().into_iter().find(|share| share.file_hash == target.file_hash()),
        Err(_) => {
            let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            node.shares().into_iter().find(|share| share.path == real && share.state == ShareState::Ready)
        }
    };
    let link = match (known, Target::parse(&typed.file)) {
        (Some(share), _) => node.link(&share),
        (None, Ok(target)) if !path.exists() => node.link_of(target.file_hash())?,
        (None, _) if path.is_dir() => {
            let _watch = signals::watch(&context.cancel, &context.output)?;
            let mut meter = Meter::new(&context.output, format!("hashing {}", typed.file));
            node.link_for_directory(path, &mut |progress| meter.hashing(progress), &context.cancel)?
        }
        (None, _) => {
            let _watch = signals::watch(&context.cancel, &context.output)?;
            node.link_for(&hash(context, &typed.file)?, path)
        }
    };
    context.output.result(&link, &json!({"link": link}));
    Ok(Exit::Ok)
}

fn hash(context: &Context, file: &str) -> Result<peernet_engine::manifest::Manifest, Failure> {
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut meter = Meter::new(&context.output, format!("hashing {file}"));
    let manifest = hash_file(Path::new(file), workers, &mut |progress| meter.hashing(progress), &context.cancel);
    Ok(manifest.map_err(crate::error::NodeError::from)?)
}

/// The daemon of this folder, if one answers.
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

/// There is none.
pub(super) fn no_daemon(context: &Context) -> Failure {
    let folder = context.home.state_folder().display();
    Failure { exit: Exit::NotFound, message: format!("no daemon answers for {folder}; `peernet daemon` starts one") }
}

/// What this folder shares, read without a daemon.
pub(super) fn own_shares(context: &Context, way: Way<'_>) -> Result<Value, Failure> {
    let node = match context.builder(way)?.build() {
        // Links name a tracker; without one there has been nothing to share.
        Err(crate::error::NodeError::NotLoggedIn(_)) => return Ok(json!([])),
        node => node?,
    };
    Ok(shares_json(&node, &node.shares()))
}

/// What `list --json` prints for each share.
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

fn row(share: &Value) -> String {
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

fn hit_row(hit: &Hit) -> String {
    let bytes = hit.size.map_or_else(|| "?".to_owned(), size);
    let peers = if hit.sources == 1 { "peer" } else { "peers" };
    format!("{}  {bytes:>10}  {:>3} {peers:<5}  {}", hit.file_hash, hit.sources, shown(&hit.file_name))
}

fn hit_json(hit: &Hit, node: &Node) -> Value {
    json!({
        "file_hash": hit.file_hash.to_string(),
        "name": hit.file_name,
        "size": hit.size,
        "manifest_id": hit.manifest_id.map(|id| id.to_string()),
        "sources": hit.sources,
        "created_at": hit.created_at,
        "link": node.link_to_hit(hit),
    })
}
