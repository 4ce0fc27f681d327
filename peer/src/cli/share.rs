//! `share` and `unshare`: through a running daemon, or from here.

use std::fs;
use std::path::Path;

use peernet_engine::ids::FileHash;
use peernet_engine::link::Target;
use serde_json::{Value, json};

use super::access::audience;
use super::args::{Share, Unshare};
use super::context::{Context, Way};
use super::daemon::serve_until_stopped;
use super::exit::{Exit, Failure};
use super::limits::Typed;
use super::progress::Meter;
use super::signals;
use crate::control::{ControlClient, Last, Line, Problem, Request, SharedMessage};
use crate::discovery::tracker::Audience;
use crate::node::{Node, Shared};

pub(super) fn share(context: &Context, typed: Share) -> Result<Exit, Failure> {
    if typed.files.is_empty() {
        return Err(Failure::usage("share what? Name files or directories"));
    }
    for file in &typed.files {
        readable(file)?;
    }
    let audience = audience(typed.public, typed.private, &typed.with)?;
    let from_here = typed.no_daemon || typed.port.is_some() || typed.listen.is_some();
    if !from_here && context.daemon().is_some() {
        if !Typed::from(&typed).is_empty() {
            return Err(Failure::usage("a daemon serves, with its own limits: `peernet limit` changes them"));
        }
        return through_daemon(context, &typed.files, audience.as_ref());
    }
    if typed.no_serve {
        return note_down(context, &typed, audience.as_ref());
    }
    serve_from_here(context, &typed, audience.as_ref())
}

pub(super) fn unshare(context: &Context, typed: Unshare) -> Result<Exit, Failure> {
    if typed.files.is_empty() {
        return Err(Failure::usage("stop sharing what? Name files, hashes or links"));
    }
    // Read from the folder, which the daemon keeps up to date; only ending the shares is the daemon's.
    let node = context.builder(typed.way())?.build()?;
    let mut removed = Vec::new();
    for file in &typed.files {
        for file_hash in named(&node, file)? {
            match context.daemon() {
                Some(daemon) => {
                    let request = Request::Unshare { file_hash: file_hash.to_string() };
                    daemon.ask(request, &mut |_| {}).map_err(problem)?;
                }
                None => node.unshare(file_hash)?,
            }
            removed.push(file_hash.to_string());
        }
    }
    let people: Vec<String> = removed.iter().map(|file_hash| format!("no longer shared: {file_hash}")).collect();
    context.output.result(&people.join("\n"), &json!({"unshared": removed}));
    Ok(Exit::Ok)
}

pub(super) fn named(node: &Node, text: &str) -> Result<Vec<FileHash>, Failure> {
    let by_path = node.shared_from(Path::new(text));
    if !by_path.is_empty() {
        return Ok(by_path);
    }
    match Target::parse(text) {
        Ok(target) => Ok(vec![target.file_hash()]),
        Err(_) => Err(Failure {
            exit: Exit::NotFound,
            message: format!("{text} is not shared here; `peernet list` shows what is"),
        }),
    }
}

fn readable(file: &str) -> Result<(), Failure> {
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() || metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::usage(format!("{file} is neither a regular file nor a directory"))),
        Err(error) => Err(Failure { exit: Exit::LocalDisk, message: format!("{file}: {error}") }),
    }
}

fn through_daemon(context: &Context, files: &[String], audience: Option<&Audience>) -> Result<Exit, Failure> {
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
        let last = daemon.ask(Request::Share { path, audience: audience.map(Into::into) }, &mut |line| {
            if let Line::Hashing(done, total) = line {
                meter.hashing(crate::hashing::HashProgress { done, total });
            }
            if context.cancel.is_cancelled()
                && let Some(stream) = &hang_up
            {
                let _gone = stream.shutdown(std::net::Shutdown::Both);
            }
        });
        drop(meter);
        match last {
            _ if context.cancel.is_cancelled() => return Err(crate::error::NodeError::Cancelled.into()),
            Ok(Last::Shared(message)) => shared.push((file.clone(), message)),
            Ok(_) => {
                return Err(Failure { exit: Exit::Failure, message: "the daemon answered something else".to_owned() });
            }
            Err(refused) => return Err(problem(refused).about(file)),
        }
    }
    report(context, &shared, "daemon", None);
    Ok(Exit::Ok)
}

fn note_down(context: &Context, typed: &Share, audience: Option<&Audience>) -> Result<Exit, Failure> {
    let node = context.builder(typed.way())?.build()?;
    let _watch = signals::watch(&context.cancel, &context.output)?;
    let shared = share_all(context, &node, &typed.files, audience)?;
    report(context, &shared, "nobody", None);
    context.output.note("noted down; `peernet daemon` serves it");
    Ok(Exit::Ok)
}

fn serve_from_here(context: &Context, typed: &Share, audience: Option<&Audience>) -> Result<Exit, Failure> {
    let limits = Typed::from(typed).limits(&context.config)?;
    let way = Way { plaintext_port: typed.plaintext_port, ..typed.way() };
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
    // It listens before anything is announced.
    let listen = node.serve()?;
    let shared = share_all(context, &node, &typed.files, audience)?;
    report(context, &shared, "here", Some(listen.to_string()));
    context.output.note(&format!("serving on {listen} until stopped with Ctrl-C"));
    serve_until_stopped(context, &node);
    Ok(Exit::Ok)
}

fn share_all(
    context: &Context,
    node: &Node,
    files: &[String],
    audience: Option<&Audience>,
) -> Result<Vec<(String, SharedMessage)>, Failure> {
    let mut all = Vec::new();
    for file in files {
        let mut meter = Meter::new(&context.output, format!("hashing {file}"));
        let shared: Shared = node
            .share_with(file, audience, &mut |progress| meter.hashing(progress), &context.cancel)
            .map_err(|error| Failure::from(error).about(file))?;
        all.push((file.clone(), shared.into()));
    }
    Ok(all)
}

/// Version 1's lines, word for word: people script against them.
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

/// One document for all files; with a single one its fields are also at the top, for scripts that share one at a time.
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

pub(super) fn problem(problem: Problem) -> Failure {
    Failure { exit: Exit::from_code(problem.exit_code), message: problem.message }
}
