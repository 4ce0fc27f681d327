//! `daemon`: serves everything shared, and does what other commands ask over the control socket.

use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peernet_engine::ids::FileHash;
use serde_json::json;

use super::args::Daemon;
use super::context::{Context, Way};
use super::exit::{Exit, Failure};
use super::limits::{LimitsRequest, Typed};
use super::metrics::MetricsServer;
use super::query::shares_json;
use super::signals;
use crate::cancel::Cancel;
use crate::control::{ControlServer, DaemonStatus, Last, Line, Problem, Request, TransfersMessage};
use crate::discovery::tracker::Audience;
use crate::error::NodeError;
use crate::hashing::HashProgress;
use crate::node::Node;
use crate::transfers::Transport;

pub(super) fn daemon(context: &Context, typed: Daemon) -> Result<Exit, Failure> {
    let way = Way { plaintext_port: typed.plaintext_port, ..typed.way() };
    let mut builder = context.builder(way)?.limits(Typed::from(&typed).limits(&context.config)?);
    if let Some(listen) = &typed.listen {
        builder = builder.listen(listen);
    }
    if let Some(address) = &typed.address {
        builder = builder.address(address);
    }
    let node = Arc::new(builder.build()?);
    let _watch = signals::watch(&context.cancel, &context.output)?;
    // Takes the folder's lock: a second daemon ends here.
    let listen = node.serve()?;
    let control = start_control(context, &node)?;
    let metrics = typed.metrics.as_ref().or(context.config.metrics.as_ref());
    let metrics = metrics.map(|address| MetricsServer::start(address, &node)).transpose()?;
    if let Some(metrics) = &metrics {
        context.output.note(&format!("metrics on http://{}/metrics", metrics.address()));
    }
    let shares = node.shares();
    context.output.note(&format!("{} files shared", shares.len()));
    let people = format!("peernet daemon listening on {listen}");
    let programs = json!({"pid": process::id(), "listen": listen.to_string(), "shares": shares_json(&node, &shares)});
    context.output.result(&people, &programs);
    serve_until_stopped(context, &node);
    control.stop();
    drop(metrics);
    context.output.note("stopped");
    Ok(Exit::Ok)
}

/// Waits for Ctrl-C or SIGTERM, then leaves.
pub(super) fn serve_until_stopped(context: &Context, node: &Node) {
    let _disconnected_when_cancelled = context.cancel.channel().recv();
    node.stop();
}

fn start_control(context: &Context, node: &Arc<Node>) -> Result<ControlServer, Failure> {
    let started = Instant::now();
    let (weak, stopping) = (Arc::downgrade(node), context.cancel.clone());
    let answer = move |request: Request, progress: &mut dyn FnMut(u64, u64), gone: &Cancel| match weak
        .upgrade()
        .filter(|_| !stopping.is_cancelled())
    {
        Some(node) => match answer(&node, started, request, progress, gone) {
            Ok(last) => Line::Done(last),
            Err(error) => {
                let Failure { exit, message } = error.into();
                Line::Problem(Problem { exit_code: exit.code(), message })
            }
        },
        None => {
            Line::Problem(Problem { exit_code: Exit::Failure.code(), message: "the daemon is stopping".to_owned() })
        }
    };
    Ok(ControlServer::start(&context.home.control_socket(), Arc::new(answer))?)
}

fn answer(
    node: &Node,
    started: Instant,
    request: Request,
    progress: &mut dyn FnMut(u64, u64),
    gone: &Cancel,
) -> Result<Last, NodeError> {
    match request {
        Request::Status => Ok(Last::Status(status(node, started.elapsed()))),
        Request::Share { path, audience } => {
            let audience = audience.map(Audience::try_from).transpose().map_err(NodeError::Invalid)?;
            let mut hashing = |hashing: HashProgress| progress(hashing.done, hashing.total);
            let shared = node.share_with(&path, audience.as_ref(), &mut hashing, gone)?;
            Ok(Last::Shared(shared.into()))
        }
        Request::Unshare { file_hash } => {
            node.unshare(named(&file_hash)?)?;
            Ok(Last::Unshared)
        }
        Request::SetAccess { file_hash, audience } => {
            node.set_access(named(&file_hash)?, &audience.try_into().map_err(NodeError::Invalid)?)?;
            Ok(Last::AccessSet)
        }
        Request::Transfers => Ok(Last::Transfers(TransfersMessage::new(&node.transfers(), node.bytes_sent()))),
        Request::Limit {
            max_upload: upload,
            max_download: download,
            max_connections: connections,
            max_memory: memory,
        } => {
            let asked = LimitsRequest { upload, download, connections, memory };
            node.set_limits(asked.applied_to(node.limits())?);
            Ok(Last::Limits(node.limits().into()))
        }
    }
}

fn named(file_hash: &str) -> Result<FileHash, NodeError> {
    file_hash.parse().map_err(|error| NodeError::Invalid(format!("{file_hash}: {error}")))
}

fn status(node: &Node, uptime: Duration) -> DaemonStatus {
    let transfers = node.transfers();
    DaemonStatus {
        pid: process::id(),
        listen: node.listen_address().map_or_else(String::new, |address| address.to_string()),
        plaintext_listen: node.plaintext_address().map(|address| address.to_string()),
        uptime_s: uptime.as_secs(),
        bytes_sent: node.bytes_sent(),
        uploads: transfers.uploads.len(),
        plaintext_uploads: transfers.uploads.iter().filter(|up| up.transport == Transport::Plaintext).count(),
        upload_rate: transfers.upload_rate() as u64,
        downloads: transfers.downloads.len(),
        download_rate: transfers.download_rate() as u64,
        shares: shares_json(node, &node.shares()),
    }
}
