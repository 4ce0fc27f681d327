//! `download`: downloads a file or a directory, or streams a file to standard output.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use peernet_engine::link::{Kind, Target};
use peernet_engine::memory::Use;
use serde_json::json;

use crate::cli::command::{Run, command};
use crate::cli::context::{Context, TrackerOptions};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{shown, size};
use crate::cli::progress::Meter;
use crate::cli::since::ago;
use crate::cli::{signals, stdout};
use crate::daemon::control::Request;
use crate::node::{DownloadOptions, Downloaded, NodeError};
use crate::publication::{Publication, Publisher};

/// The folder for downloads if nothing else is configured, as in version 1.
const OUTPUT_DEFAULT: &str = "./downloads/";
/// The time for which a finished download keeps serving peers that are in the middle of fetching from it.
const LINGER_MAX: Duration = Duration::from_secs(5);

command! {
    /// Download a file or a directory. The same command resumes an interrupted download.
    #[argh(
        subcommand,
        name = "download",
        example = "peernet download 'peernet:?xt=urn:sha256:...'\npeernet download 0f343b09...2d4c5f60 --output data/\npeernet download 0f343b09...2d4c5f60 --output copy.bin --force\npeernet download 'peernet:?xt=urn:sha256:...' --stdout | tar x\npeernet download 0f343b09...2d4c5f60 --max-download 10M\npeernet download 'peernet:?...&kind=collection' --include 'train/**' --exclude '**/*.log'\npeernet download 0f343b09...2d4c5f60 --from 123e4567-e89b-42d3-a456-426614174000",
        note = "With --stdout the bytes come in order as they are verified. With a link every byte is right. With a bare hash only\nthe end proves them: exit code 5 says that they were not the file. Meanwhile they are kept in a file without a name\nin the --output folder, by default the state folder. It is gone when the command ends, however it ends."
    )]
    pub(crate) struct Download [tracker, plaintext_port, limits] {
        /// a folder (by default ./downloads) or a file; a path that does not exist is a folder if it ends with / or has no
        /// extension
        #[argh(option, short = 'o', arg_name = "path")]
        output: Option<String>,
        /// of a directory, only the files that match this pattern: * and ? within a name, ** across folders; may be repeated
        #[argh(option, arg_name = "glob")]
        include: Vec<String>,
        /// of a directory, no files that match this pattern; may be repeated
        #[argh(option, arg_name = "glob")]
        exclude: Vec<String>,
        /// only a file that this account, or the owner of this key, has signed as its publisher
        #[argh(option, arg_name = "peer-id|ed25519:key")]
        from: Option<String>,
        /// write the file's bytes to standard output instead of a file; the result with --json goes to standard error
        #[argh(switch)]
        stdout: bool,
        /// replace a file that exists
        #[argh(switch)]
        force: bool,
        /// do not wait for the disk: faster, but a power cut may lose downloaded data
        #[argh(switch)]
        no_sync: bool,
        /// name the file <hash>.download, as version 1 did
        #[argh(switch)]
        v1_names: bool,
        /// do not serve the file to other peers during the download
        #[argh(switch)]
        no_serve: bool,
        /// share the file afterwards, through the daemon or the next one that is started
        #[argh(switch)]
        share: bool,
        /// the hash or link of the file or directory
        #[argh(positional)]
        target: String,
    }
}

impl Run for Download {
    fn streams(&self) -> bool {
        self.stdout
    }

    fn run(self, context: &Context) -> Result<Exit, Failure> {
        let target = Target::parse(&self.target).map_err(|error| Failure::usage(error.to_string()))?;
        if self.share && !(self.include.is_empty() && self.exclude.is_empty()) {
            return Err(Failure::usage("--share needs the whole directory: leave out --include and --exclude"));
        }
        let from = publisher(self.from.as_deref())?;
        if self.stdout {
            return stream(context, &target, &self, from);
        }
        let limits = self.limit_options().with_configured(&context.config)?;
        let tracker = TrackerOptions { plaintext_port: self.plaintext_port, ..self.tracker_options() };
        let node = context.builder(tracker)?.passing_shares().limits(limits).build()?;
        let output = self.output.or_else(|| context.config.output.clone()).unwrap_or_else(|| OUTPUT_DEFAULT.to_owned());
        let options = DownloadOptions {
            output: Some(PathBuf::from(output)),
            force: self.force,
            version1_name: self.v1_names,
            share: false,
            offer: !self.no_serve,
            include: self.include,
            exclude: self.exclude,
            from,
            no_sync: self.no_sync,
        };
        note_other_tracker(context, &target, node.tracker_url());
        let _watch = signals::watch(&context.cancel, &context.output)?;
        let mut meter = Meter::new(&context.output, format!("downloading {}", short(&target)));
        let done = node.download(&target, &options, &mut |progress| meter.fetching(progress), &context.cancel);
        drop(meter);
        let done = done.map_err(unfinished)?;
        if self.share {
            share_from_now_on(context, &done)?;
        }
        report(context, &done);
        let mut note = || context.output.note("still serving peers that are fetching from here (Ctrl-C ends it)");
        node.linger(LINGER_MAX, &context.cancel, &mut note);
        node.stop();
        Ok(Exit::Ok)
    }
}

/// Downloads the target to standard output. `from` is the required publisher.
fn stream(context: &Context, target: &Target, typed: &Download, from: Option<Publisher>) -> Result<Exit, Failure> {
    if typed.force || typed.v1_names || typed.share {
        return Err(Failure::usage("--stdout makes no file: leave out --force, --v1-names and --share"));
    }
    if matches!(target, Target::Link(link) if link.kind == Kind::Collection) {
        let text =
            "a collection has many files: download it into a folder without --stdout, and read or pack the folder";
        return Err(Failure::usage(text));
    }
    let limits = typed.limit_options().with_configured(&context.config)?;
    let node = context.builder(typed.tracker_options())?.passing_shares().limits(limits).build()?;
    note_other_tracker(context, target, node.tracker_url());
    if !matches!(target, Target::Link(link) if link.manifest.is_some()) {
        context.output.note("a bare hash proves the bytes only at the end: wait for exit code 0 before trusting them");
    }
    let _watch = signals::watch(&context.cancel, &context.output)?;
    let output = typed.output.as_ref().map(PathBuf::from);
    let options = DownloadOptions { output, from, ..DownloadOptions::default() };
    let memory = node.memory().take(Use::Delivery, stdout::BYTES, || context.cancel.is_cancelled());
    let _permit = memory.ok_or_else(interrupted)?;
    let mut writer = stdout::Writer::start(&context.cancel)?;
    let mut meter = Meter::new(&context.output, format!("streaming {}", short(target)));
    let sink = writer.sink();
    let streamed = node.stream(target, &options, sink, &mut |progress| meter.fetching(progress), &context.cancel);
    drop(meter);
    let written = writer.finish();
    node.stop();
    match (streamed, written) {
        (Err(NodeError::Local { doing, error }), _) => cut_short(doing, error),
        (Err(NodeError::Cancelled), _) => Err(interrupted()),
        (Err(error), _) => Err(error.into()),
        (Ok(_), Err(error)) => cut_short("writing the output".to_owned(), error),
        (Ok(done), Ok(())) => {
            report(context, &done);
            Ok(Exit::Ok)
        }
    }
}

/// Ends the command early. A reader that has gone away is no error: `| head` ends other programs in the same way.
fn cut_short(doing: String, error: io::Error) -> Result<Exit, Failure> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(Exit::PipeClosed),
        io::ErrorKind::Interrupted => Err(interrupted()),
        _ => Err(NodeError::Local { doing, error }.into()),
    }
}

fn interrupted() -> Failure {
    Failure { exit: Exit::Interrupted, message: "interrupted; the output is cut short".to_owned() }
}

/// Tells the user that an unfinished download stays on the disk and can be resumed.
fn unfinished(error: NodeError) -> Failure {
    const GOES_ON: &str = "the same command goes on where this one stopped";
    match error {
        NodeError::Cancelled => Failure { exit: Exit::Interrupted, message: format!("interrupted; {GOES_ON}") },
        NodeError::Unreachable(why) => Failure::from(NodeError::Unreachable(format!("{why}; {GOES_ON}"))),
        error => error.into(),
    }
}

/// Reads `--from`.
fn publisher(from: Option<&str>) -> Result<Option<Publisher>, Failure> {
    let parse = |text: &str| text.parse().map_err(|error| Failure::usage(format!("--from {text}: {error}")));
    from.map(parse).transpose()
}

fn report(context: &Context, done: &Downloaded) {
    let seconds = done.took.as_secs_f64();
    let sources: Vec<_> =
        done.sources.iter().map(|(peer, bytes)| json!({"peer_id": peer.to_string(), "bytes": bytes})).collect();
    let path = done.path.display();
    let what = match done.path.as_os_str().is_empty() {
        true => "the whole file".to_owned(),
        false => shown(&path.to_string()),
    };
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

/// Returns the number of files with a comma behind it; empty for a single file.
fn files(done: &Downloaded) -> String {
    match done.files {
        _ if !done.path.is_dir() => String::new(),
        1 => "1 file, ".to_owned(),
        files => format!("{files} files, "),
    }
}

/// Shares the file through the daemon, or adds it to the list for the next daemon.
fn share_from_now_on(context: &Context, done: &Downloaded) -> Result<(), Failure> {
    match context.daemon() {
        Some(daemon) => {
            let failed = |error: io::Error| Failure { exit: Exit::LocalDisk, message: error.to_string() };
            let path = std::fs::canonicalize(&done.path).map_err(failed)?;
            let path = path.to_string_lossy().into_owned();
            daemon.ask(Request::Share { path, audience: None }, &mut |_| {})?;
            Ok(())
        }
        None => {
            let node = context.builder(TrackerOptions::default())?.build()?;
            node.share(&done.path, &mut |_| {}, &context.cancel)?;
            context.output.note("added to the list of shares; `peernet daemon` serves it");
            Ok(())
        }
    }
}

/// Says so where the link names none of the trackers that are asked.
fn note_other_tracker(context: &Context, target: &Target, ours: &str) {
    if let Target::Link(link) = target
        && !link.trackers.is_empty()
        && !link
            .trackers
            .iter()
            .any(|url| crate::discovery::tracker::normal_url(url).is_ok_and(|url| crate::home::same_swarm(&url, ours)))
    {
        context.output.note(&format!(
            "the link names another tracker ({}); asking {ours}, because --tracker was not given",
            shown(&link.trackers.join(", "))
        ));
    }
}

/// Returns a short name of the target for the progress display.
fn short(target: &Target) -> String {
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
    fn only_a_resumable_download_is_said_to_go_on() {
        let gave_up = || NodeError::from(FetchError::GaveUp(Why::NoSources { waited: Duration::from_secs(60) }));
        assert!(unfinished(gave_up()).message.contains("the same command goes on"));
        assert!(unfinished(NodeError::Cancelled).message.contains("the same command goes on"));
        // Neither a stream nor a caller of the library can repeat a command.
        assert!(!gave_up().to_string().contains("same command"));
        assert!(!Failure::from(gave_up()).message.contains("same command"));
    }

    fn target(text: &str) -> Target {
        Target::parse(text).unwrap()
    }

    fn done(path: &std::path::Path, files: usize) -> Downloaded {
        Downloaded {
            path: path.to_owned(),
            file_hash: target(&"ab".repeat(32)).file_hash(),
            manifest_id: peernet_engine::ids::ManifestId([1; 32]),
            size: 3,
            files,
            bytes_fetched: 3,
            bytes_resumed: 0,
            bytes_copied: 0,
            was_there: false,
            took: Duration::from_secs(1),
            sources: Vec::new(),
            publication: None,
        }
    }

    #[test]
    fn the_number_of_files_is_said_of_directories_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.bin");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(files(&done(&file, 1)), "");
        assert_eq!(files(&done(std::path::Path::new(""), 1)), "");
        for (count, expected) in [(0, "0 files, "), (1, "1 file, "), (2, "2 files, ")] {
            assert_eq!(files(&done(folder.path(), count)), expected);
        }
    }

    #[test]
    fn a_target_is_shown_by_its_name_or_the_start_of_its_hash() {
        let hash = "ab".repeat(32);
        for (text, expected) in [
            (hash.clone(), "abababababab"),
            (format!("peernet:?xt=urn:sha256:{hash}"), "abababababab"),
            (format!("peernet:?xt=urn:sha256:{hash}&dn=a%20b.bin"), "a b.bin"),
            (format!("peernet:?xt=urn:sha256:{hash}&dn=%1B%5B2J"), "\u{fffd}[2J"),
        ] {
            assert_eq!(short(&target(&text)), expected, "{text}");
        }
    }

    #[test]
    fn a_stream_that_is_cut_short_says_by_whom() {
        let cut = |kind: io::ErrorKind| cut_short("writing the output".to_owned(), kind.into());
        assert_eq!(cut(io::ErrorKind::BrokenPipe), Ok(Exit::PipeClosed));
        let interrupted =
            Failure { exit: Exit::Interrupted, message: "interrupted; the output is cut short".to_owned() };
        assert_eq!(cut(io::ErrorKind::Interrupted), Err(interrupted));
        let full = Failure { exit: Exit::LocalDisk, message: "writing the output: no storage space".to_owned() };
        assert_eq!(cut(io::ErrorKind::StorageFull), Err(full));
    }

    #[test]
    fn errors_that_a_repetition_cannot_mend_are_passed_on_unchanged() {
        for error in [
            NodeError::NotFound("nobody has it".to_owned()),
            NodeError::Verification("wrong bytes".to_owned()),
            NodeError::Refused { code: None, message: "not yours".to_owned() },
            NodeError::InUse("busy".to_owned()),
        ] {
            let text = error.to_string();
            assert_eq!(unfinished(error).message, text);
        }
        let gone = unfinished(NodeError::Unreachable("all are gone".to_owned()));
        let message = "all are gone; the same command goes on where this one stopped".to_owned();
        assert_eq!(gone, Failure { exit: Exit::Network, message });
    }

    #[test]
    fn the_required_publisher_is_an_account_or_a_key() {
        let peer = peernet_engine::ids::PeerId::from_random([1; 16]);
        let key = format!("ed25519:{}", "0f".repeat(32));
        assert_eq!(publisher(None), Ok(None));
        assert_eq!(publisher(Some(&peer.to_string())), Ok(Some(Publisher::Account(peer))));
        assert_eq!(publisher(Some(&key)).unwrap().map(|it| it.to_string()), Some(key.clone()));
        for text in ["", "alice", &key[..70], "ED25519:00"] {
            let message = format!("--from {text}: expected a peer id, or ed25519: and 64 hexadecimal digits");
            assert_eq!(publisher(Some(text)), Err(Failure { exit: Exit::Usage, message }));
        }
    }

    #[test]
    fn a_publication_names_its_account_its_age_and_its_key() {
        let account = peernet_engine::ids::PeerId::from_random([1; 16]);
        let key = crate::publication::PublicationKey::new([0x0f; 32]);
        let publication = Publication { account, key, signed_at: u64::MAX };
        assert_eq!(publisher_of(&publication), format!("{account}, signed just now with ed25519:{}", "0f".repeat(32)));
    }
}
