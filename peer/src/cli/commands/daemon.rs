//! `daemon`: serves everything shared, and carries out requests of other commands over the control socket.

use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

use peernet_engine::ids::FileHash;
use serde_json::json;

use crate::access::AccessPolicy;
use crate::cancel::Cancel;
use crate::cli::command::{Run, command};
use crate::cli::context::{Context, TrackerOptions};
use crate::cli::exit::{Exit, Failure};
use crate::cli::limits::LimitOptions;
use crate::cli::shares::shares_json;
use crate::cli::signals;
use crate::daemon::control::{ControlServer, DaemonStatus, Last, Line, Problem, Request, TransfersMessage};
use crate::daemon::metrics::MetricsServer;
use crate::files::hashing::HashProgress;
use crate::node::{Node, NodeError};
use peernet_engine::candidate::Transport;

command! {
    /// Serve everything that is shared here, in the foreground, until stopped. A restarted daemon serves the same files.
    #[argh(
        subcommand,
        name = "daemon",
        example = "peernet daemon\npeernet daemon --listen 0.0.0.0:50051 --max-upload 10M"
    )]
    pub(crate) struct Daemon [tracker, plaintext_port, limits] {
        /// address to listen on, host:port; by default any free port of all interfaces
        #[argh(option, arg_name = "host:port")]
        listen: Option<String>,
        /// address at which other peers reach this one, host:port, if it differs from the one it listens on
        #[argh(option, arg_name = "host:port")]
        address: Option<String>,
        /// serve metrics in Prometheus' format on this loopback address, for example 127.0.0.1:9101
        #[argh(option, arg_name = "addr:port")]
        metrics: Option<String>,
    }
}

impl Run for Daemon {
    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let tracker = TrackerOptions { plaintext_port: self.plaintext_port, ..self.tracker_options() };
        let limits = self.limit_options().with_configured(&context.config)?;
        let mut builder = context.builder(tracker)?.limits(limits);
        if let Some(listen) = &self.listen {
            builder = builder.listen(listen);
        }
        if let Some(address) = &self.address {
            builder = builder.address(address);
        }
        let node = Arc::new(builder.build()?);
        let _watch = signals::watch(&context.cancel, &context.output)?;
        // This takes the folder's lock, so a second daemon fails here.
        let listen = node.serve()?;
        let control = start_control(context, &node)?;
        let metrics = self.metrics.as_ref().or(context.config.metrics.as_ref());
        let metrics = metrics.map(|address| MetricsServer::start(address, &node)).transpose()?;
        if let Some(metrics) = &metrics {
            context.output.note(&format!("metrics on http://{}/metrics", metrics.address()));
        }
        let shares = node.shares();
        context.output.note(&format!("{} files shared", shares.len()));
        let people = format!("peernet daemon listening on {listen}");
        let programs =
            json!({"pid": process::id(), "listen": listen.to_string(), "shares": shares_json(&node, &shares)});
        context.output.result(&people, &programs);
        serve_until_stopped(context, &node);
        control.stop();
        drop(metrics);
        context.output.note("stopped");
        Ok(Exit::Ok)
    }
}

/// Waits for Ctrl-C or SIGTERM, then leaves the swarm and stops.
pub(super) fn serve_until_stopped(context: &Context, node: &Node) {
    let _disconnected_when_cancelled = context.cancel.channel().recv();
    node.stop();
}

fn start_control(context: &Context, node: &Arc<Node>) -> Result<ControlServer, Failure> {
    let started = Instant::now();
    let weak = Arc::downgrade(node);
    let stopping = context.cancel.clone();
    let answer = move |request: Request, progress: &mut dyn FnMut(u64, u64), gone: &Cancel| {
        let Some(node) = weak.upgrade().filter(|_| !stopping.is_cancelled()) else {
            let message = "the daemon is stopping".to_owned();
            return Line::Problem(Problem { exit_code: Exit::Failure.code(), message });
        };
        match answer(&node, started, request, progress, gone) {
            Ok(last) => Line::Done(last),
            Err(error) => {
                let Failure { exit, message } = error.into();
                Line::Problem(Problem { exit_code: exit.code(), message })
            }
        }
    };
    Ok(ControlServer::start(&context.home.control_socket(), Arc::new(answer))?)
}

/// Carries out a request of the control socket. `gone` is cancelled when the caller has hung up.
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
            let audience = audience.map(AccessPolicy::try_from).transpose().map_err(NodeError::Invalid)?;
            let mut hashing = |hashing: HashProgress| progress(hashing.done, hashing.total);
            let shared = node.share_with(&path, audience.as_ref(), &mut hashing, gone)?;
            Ok(Last::Shared(shared.into()))
        }
        Request::Unshare { file_hash } => {
            node.unshare(file_hash_of(&file_hash)?)?;
            Ok(Last::Unshared)
        }
        Request::SetAccess { file_hash, audience } => {
            node.set_access(file_hash_of(&file_hash)?, &audience.try_into().map_err(NodeError::Invalid)?)?;
            Ok(Last::AccessSet)
        }
        Request::Transfers => Ok(Last::Transfers(TransfersMessage::new(&node.transfers(), node.bytes_sent()))),
        Request::Limit {
            max_upload: upload,
            max_download: download,
            max_connections: connections,
            max_memory: memory,
        } => {
            let typed = LimitOptions { upload, download, connections, memory };
            node.set_limits(typed.applied_to(node.limits())?);
            Ok(Last::Limits(node.limits().into()))
        }
    }
}

fn file_hash_of(file_hash: &str) -> Result<FileHash, NodeError> {
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
