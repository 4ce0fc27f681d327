//! `download --stdout`: the bytes to standard output, and nothing else.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_engine::link::{Kind, Target};
use peernet_engine::memory::Use;
use peernet_threads::Group;

use super::args::Download;
use super::context::Context;
use super::download::{note_other_tracker, publisher, report, short};
use super::exit::{Exit, Failure};
use super::limits::Typed;
use super::progress::Meter;
use super::signals;
use crate::cancel::Cancel;
use crate::download::{PIECE_BYTES, Sink};
use crate::error::NodeError;
use crate::node::DownloadOptions;

/// Pieces that the reader may be behind.
const PIECES_MAX: usize = 4;

pub(super) fn download(context: &Context, target: &Target, typed: &Download) -> Result<Exit, Failure> {
    if typed.force || typed.v1_names || typed.share {
        return Err(Failure::usage("--stdout leaves no file: --force, --v1-names and --share have no meaning with it"));
    }
    if matches!(target, Target::Link(link) if link.kind == Kind::Collection) {
        let text = "a collection is many files: download it into a folder without --stdout, and read or pack that";
        return Err(Failure::usage(text));
    }
    let limits = Typed::from(typed).limits(&context.config)?;
    let node = context.builder(typed.way())?.passing_shares().limits(limits).build()?;
    note_other_tracker(context, target, node.tracker_url());
    if !matches!(target, Target::Link(link) if link.manifest.is_some()) {
        context.output.note("without a link only the end proves the bytes: wait for exit code 0 before trusting them");
    }
    let _watch = signals::watch(&context.cancel, &context.output)?;
    let (output, from) = (typed.output.as_ref().map(PathBuf::from), publisher(typed)?);
    let options = DownloadOptions { output, from, ..DownloadOptions::default() };
    // The pieces here: those that wait, the one being copied and the one being written.
    let pieces = (PIECES_MAX + 2) * PIECE_BYTES;
    let _permit =
        node.memory().take(Use::Delivery, pieces, || context.cancel.is_cancelled()).ok_or_else(interrupted)?;
    let mut writer = Writer::start(&context.cancel)?;
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

/// A reader that has enough is no failure worth a word: `| head` ends it as it ends other programs.
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

/// A thread that writes, because a reader that does not read blocks whoever writes, and Ctrl-C must end the command even
/// then. It is left behind only when the program ends with it.
struct Writer {
    pieces: Option<Sender<Vec<u8>>>,
    /// Buffers whose bytes are written: making new ones would cost as much as writing them.
    spare: Receiver<Vec<u8>>,
    ended: Receiver<io::Result<()>>,
    cancel: Cancel,
    _group: Group,
}

impl Writer {
    fn start(cancel: &Cancel) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure { exit: Exit::Failure, message: format!("standard output: {error}") };
        // Unbuffered: the pieces are large.
        let mut out = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
        let (pieces, to_write) = bounded::<Vec<u8>>(PIECES_MAX);
        let (give_back, spare) = bounded(PIECES_MAX);
        let (tell, ended) = bounded(1);
        let mut group = Group::default();
        let write = move || {
            let result = to_write.iter().try_for_each(|piece| {
                let written = out.write_all(&piece);
                // Where there is no room for it, it is one too many.
                let _spare = give_back.try_send(piece);
                written
            });
            // There is room for the one word.
            let _nobody_listens = tell.try_send(result);
        };
        group.spawn("stdout", write).map_err(failed)?;
        Ok(Self { pieces: Some(pieces), spare, ended, cancel: cancel.clone(), _group: group })
    }

    fn sink(&mut self) -> Sink {
        let (pieces, spare, ended) = (self.pieces.take(), self.spare.clone(), self.ended.clone());
        let cancelled = self.cancel.channel().clone();
        Box::new(move |piece| {
            let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
            let Some(pieces) = &pieces else { return Err(gone()) };
            let mut copy = spare.try_recv().unwrap_or_default();
            copy.clear();
            copy.extend_from_slice(piece);
            crossbeam_channel::select! {
                send(pieces, copy) -> sent => sent.map_err(|_| ended.try_recv().ok().and_then(Result::err).unwrap_or_else(gone)),
                recv(cancelled) -> _ => Err(io::ErrorKind::Interrupted.into()),
            }
        })
    }

    /// Waits until all that the sink got is written, unless that is cancelled.
    fn finish(mut self) -> io::Result<()> {
        drop(self.pieces.take());
        crossbeam_channel::select! {
            recv(self.ended) -> result => result.unwrap_or(Ok(())),
            recv(self.cancel.channel()) -> _ => Err(io::ErrorKind::Interrupted.into()),
        }
    }
}
