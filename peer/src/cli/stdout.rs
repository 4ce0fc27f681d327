//! The thread that writes a download to standard output.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

use crossbeam_channel::{Receiver, Sender, bounded};
use peernet_threads::Group;

use super::exit::{Exit, Failure};
use crate::cancel::Cancel;
use crate::download::{PIECE_BYTES, Sink};

/// The most pieces that wait for the reader of standard output.
const PIECES_MAX: usize = 4;

/// The memory that a [`Writer`] uses, in bytes: for the pieces that wait, the one being copied and the one being
/// written.
pub(super) const BYTES: usize = (PIECES_MAX + 2) * PIECE_BYTES;

/// The thread that writes to standard output.
///
/// A reader that stops reading blocks the writer, and Ctrl-C must end the command even then. So the download does not
/// wait for this thread after Ctrl-C; the thread ends with the program.
pub(super) struct Writer {
    pieces: Option<Sender<Vec<u8>>>,
    /// Buffers for reuse. Allocating new ones would cost as much as writing them.
    spare: Receiver<Vec<u8>>,
    ended: Receiver<io::Result<()>>,
    cancel: Cancel,
    _group: Group,
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(cancel: &Cancel) -> Result<Self, Failure> {
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
                // If the channel is full, there are enough spare buffers.
                let _spare = give_back.try_send(piece);
                written
            });
            // The channel has room for this one message.
            let _nobody_listens = tell.try_send(result);
        };
        group.spawn("stdout", write).map_err(failed)?;
        Ok(Self { pieces: Some(pieces), spare, ended, cancel: cancel.clone(), _group: group })
    }

    /// Returns the function that takes the verified bytes. It can be taken once.
    pub(super) fn sink(&mut self) -> Sink {
        let pieces = self.pieces.take();
        let spare = self.spare.clone();
        let ended = self.ended.clone();
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

    /// Waits until everything is written, or until the command is cancelled.
    pub(super) fn finish(mut self) -> io::Result<()> {
        drop(self.pieces.take());
        crossbeam_channel::select! {
            recv(self.ended) -> result => result.unwrap_or(Ok(())),
            recv(self.cancel.channel()) -> _ => Err(io::ErrorKind::Interrupted.into()),
        }
    }
}
