//! `download`.

use std::path::PathBuf;
use std::time::Duration;

use peernet_engine::link::Target;
use serde_json::json;

use super::args::Download;
use super::context::{Context, Way};
use super::exit::{Exit, Failure};
use super::limits::Typed;
use super::output::{shown, size};
use super::progress::Meter;
use super::share::problem;
use super::since::ago;
use super::{signals, stream};
use crate::control::Request;
use crate::error::NodeError;
use crate::node::{DownloadOptions, Downloaded};
use crate::publication::{Publication, Publisher};

/// Where version 1 put files.
const OUTPUT_DEFAULT: &str = "./downloads/";
/// How long a download that is done goes on for those who are in the middle of fetching from it.
const LINGER_MAX: Duration = Duration::from_secs(5);

pub(super) fn download(context: &Context, typed: Download) -> Result<Exit, Failure> {
    let target = Target::parse(&typed.target).map_err(|error| Failure::usage(error.to_string()))?;
    whole_to_share(&typed)?;
    let from = publisher(&typed)?;
    if typed.stdout {
        return stream::download(context, &target, &typed);
    }
    let limits = Typed::from(&typed).limits(&context.config)?;
    let way = Way {
        tracker: typed.tracker.as_deref(),
        tls: typed.tracker_tls.as_deref(),
        allow_plaintext: typed.allow_plaintext,
        plaintext_port: typed.plaintext_port,
        ..Way::default()
    };
    let output = typed.output.or_else(|| context.config.output.clone()).unwrap_or_else(|| OUTPUT_DEFAULT.to_owned());
    let options = DownloadOptions {
        output: Some(PathBuf::from(output)),
        force: typed.force,
        version1_name: typed.v1_names,
        share: false,
        offer: !typed.no_serve,
        include: typed.include,
        exclude: typed.exclude,
        from,
        no_sync: typed.no_sync,
    };
    let node = context.builder(way)?.passing_shares().limits(limits).build()?;
    note_other_tracker(context, &target, node.tracker_url());
    let _watch = signals::watch(&context.cancel, &context.output)?;
    let mut meter = Meter::new(&context.output, format!("downloading {}", short(&target)));
    let done = node.download(&target, &options, &mut |progress| meter.fetching(progress), &context.cancel);
    drop(meter);
    let done = done.map_err(unfinished)?;
    if typed.share {
        share_on(context, &done)?;
    }
    report(context, &done);
    let mut note = || context.output.note("others are still fetching from here, a moment (Ctrl-C ends it)");
    node.linger(LINGER_MAX, &context.cancel, &mut note);
    node.stop();
    Ok(Exit::Ok)
}

/// What is there of a file that is not finished stays, and the user is told so.
fn unfinished(error: NodeError) -> Failure {
    const GOES_ON: &str = "the same command goes on where this one stopped";
    match error {
        NodeError::Cancelled => Failure { exit: Exit::Interrupted, message: format!("interrupted; {GOES_ON}") },
        NodeError::Unreachable(why) => Failure::from(NodeError::Unreachable(format!("{why}; {GOES_ON}"))),
        error => error.into(),
    }
}

/// Whom `--from` names.
pub(super) fn publisher(typed: &Download) -> Result<Option<Publisher>, Failure> {
    let parse = |text: &String| text.parse().map_err(|error| Failure::usage(format!("--from {text}: {error}")));
    typed.from.as_ref().map(parse).transpose()
}

/// Said before anything is downloaded.
fn whole_to_share(typed: &Download) -> Result<(), Failure> {
    match typed.share && !(typed.include.is_empty() && typed.exclude.is_empty()) {
        true => Err(Failure::usage("--share takes a whole directory, without --include and --exclude")),
        false => Ok(()),
    }
}

pub(super) fn report(context: &Context, done: &Downloaded) {
    let seconds = done.took.as_secs_f64();
    let sources: Vec<_> =
        done.sources.iter().map(|(peer, bytes)| json!({"peer_id": peer.to_string(), "bytes": bytes})).collect();
    let path = done.path.display();
    let what = if done.path.as_os_str().is_empty() { "the whole file".to_owned() } else { shown(&path.to_string()) };
    let people = match done.was_there {
        true => format!("{path} was there already, whole and right"),
        false => format!(
            "downloaded {what} ({}{} in {seconds:.1} s from {} {}{}{}), SHA-256 verified",
            files(done),
            size(done.size),
            sources.len(),
            if sources.len() == 1 { "peer" } else { "peers" },
            if done.bytes_resumed > 0 {
                format!(", {} of an earlier run", size(done.bytes_resumed))
            } else {
                String::new()
            },
            if done.bytes_copied > 0 { format!(", {} copied here", size(done.bytes_copied)) } else { String::new() }
        ),
    };
    let people = match &done.publication {
        Some(publication) if !context.output.is_quiet() => {
            format!("{people}\npublished by {}", publisher_of(publication))
        }
        _ => people,
    };
    let programs = json!({
        "path": Some(path.to_string()).filter(|path| !path.is_empty()),
        "file_hash": done.file_hash.to_string(),
        "manifest_id": done.manifest_id.to_string(),
        "size": done.size,
        "bytes_fetched": done.bytes_fetched,
        "files": done.files,
        "bytes_resumed": done.bytes_resumed,
        "bytes_copied": done.bytes_copied,
        "was_there": done.was_there,
        "seconds": seconds,
        "sources": sources,
        "published_by": done.publication.map(|publication| json!({
            "peer_id": publication.account.to_string(),
            "key": publication.key.to_string(),
            "signed_at": publication.signed_at,
        })),
    });
    context.output.result(&people, &programs);
}

fn publisher_of(publication: &Publication) -> String {
    let Publication { account, key, signed_at } = publication;
    format!("{account}, signed {} with {key}", ago(*signed_at))
}

/// How many files, where it is a directory.
fn files(done: &Downloaded) -> String {
    match done.files {
        _ if !done.path.is_dir() => String::new(),
        1 => "1 file, ".to_owned(),
        files => format!("{files} files, "),
    }
}

/// The daemon shares it, or the next one will.
fn share_on(context: &Context, done: &Downloaded) -> Result<(), Failure> {
    match context.daemon() {
        Some(daemon) => {
            let failed = |error: std::io::Error| Failure { exit: Exit::LocalDisk, message: error.to_string() };
            let path = std::fs::canonicalize(&done.path).map_err(failed)?;
            let path = path.to_string_lossy().into_owned();
            daemon.ask(Request::Share { path, audience: None }, &mut |_| {}).map(drop).map_err(problem)
        }
        None => {
            let node = context.builder(Way::default())?.build()?;
            node.share(&done.path, &mut |_| {}, &context.cancel)?;
            context.output.note("noted down for sharing; `peernet daemon` serves it");
            Ok(())
        }
    }
}

pub(super) fn note_other_tracker(context: &Context, target: &Target, ours: &str) {
    if let Target::Link(link) = target
        && !link.trackers.is_empty()
        && !link.trackers.iter().any(|url| {
            crate::discovery::tracker::normal_url(url)
                .is_ok_and(|url| crate::discovery::tracker::same_swarm(&url, ours))
        })
    {
        context.output.note(&format!(
            "the link names another tracker ({}); asking {ours}, --tracker chooses",
            shown(&link.trackers.join(", "))
        ));
    }
}

pub(super) fn short(target: &Target) -> String {
    match target {
        Target::Link(link) if link.name.is_some() => shown(link.name.as_deref().unwrap_or_default()),
        _ => target.file_hash().to_string()[..12].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::download::Why;

    use super::*;
    use crate::download::FetchError;

    #[test]
    fn only_who_can_go_on_is_told_so() {
        let gave_up = || NodeError::from(FetchError::GaveUp(Why::NoSources { waited: Duration::from_secs(60) }));
        assert!(unfinished(gave_up()).message.contains("the same command goes on"));
        assert!(unfinished(NodeError::Cancelled).message.contains("the same command goes on"));
        // A stream, and the library's caller.
        assert!(!gave_up().to_string().contains("same command"));
        assert!(!Failure::from(gave_up()).message.contains("same command"));
    }
}
