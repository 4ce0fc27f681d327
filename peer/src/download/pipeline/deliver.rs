//! Hands the bytes of the file to a sink, in order, each as soon as all bytes before it are verified.
//!
//! A sink may be slow. It has a thread of its own, so that it does not hold up the hash of the whole file.

use std::io;

use crossbeam_channel::Sender;

use crate::download::event::{Event, send};
use crate::download::pipeline::hash::{Frontier, PIECE_BYTES, ReadAt};

/// Takes verified bytes in the order of the file. An error ends the download.
pub type Sink = Box<dyn FnMut(&[u8]) -> io::Result<()> + Send>;

/// Runs the delivering thread until the sink has got the whole file, or the frontier is stopped.
pub(crate) fn run(read_at: ReadAt<'_>, frontier: &Frontier, sink: Sink, events: &Sender<Event>) {
    let last = match hand_on(read_at, frontier, sink) {
        // The end of the pass cut it short, so the sink has not got everything.
        Ok(()) if frontier.is_stopped() => return,
        Ok(()) => Event::Delivered,
        Err(event) => event,
    };
    // The event loop may have ended.
    let _ = send(events, last);
}

fn hand_on(read_at: ReadAt<'_>, frontier: &Frontier, mut sink: Sink) -> Result<(), Event> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut at = 0;
    while let Some(ready) = frontier.wait_past(at) {
        let len = PIECE_BYTES.min(usize::try_from(ready - at).unwrap_or(PIECE_BYTES));
        let piece = &mut buffer[..len];
        read_at(piece, at).map_err(|error| Event::Disk("reading the part file".to_owned(), error))?;
        sink(piece).map_err(Event::Sink)?;
        at += len as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::pipeline::hash::WholeHash;

    const LEN: usize = 3 * PIECE_BYTES + 100;

    fn content() -> Vec<u8> {
        (0..LEN).map(|i| (i / 3 + i / 1_000) as u8).collect()
    }

    /// Returns the event that is sent when the whole file is verified, and then `after` happens.
    fn check(read_at: ReadAt<'_>, sink: Sink, after: impl FnOnce(&Frontier)) -> Option<Event> {
        let frontier = Frontier::new(&WholeHash::Compute);
        frontier.advance(LEN as u64, true);
        after(&frontier);
        let (events, receiver) = crossbeam_channel::bounded(1);
        run(read_at, &frontier, sink, &events);
        receiver.try_recv().ok()
    }

    #[test]
    fn a_sink_gets_every_byte_in_order() {
        let bytes = content();
        let read_at = |buffer: &mut [u8], at: u64| {
            buffer.copy_from_slice(&bytes[at as usize..][..buffer.len()]);
            Ok(())
        };
        let (out, got) = crossbeam_channel::unbounded();
        let sink: Sink = Box::new(move |piece| out.send(piece.to_vec()).map_err(io::Error::other));
        assert!(matches!(check(&read_at, sink, |_| {}), Some(Event::Delivered)));
        assert!(got.try_iter().flatten().eq(bytes.iter().copied()));
    }

    #[test]
    fn a_failing_sink_ends_the_delivery() {
        let broken: Sink = Box::new(|_| Err(io::ErrorKind::BrokenPipe.into()));
        assert!(matches!(check(&|_, _| Ok(()), broken, |_| {}), Some(Event::Sink(_))));
    }

    #[test]
    fn a_failed_read_is_a_failure_of_the_local_disk() {
        let unused: Sink = Box::new(|_| Ok(()));
        let failing = |_: &mut [u8], _: u64| Err(io::ErrorKind::Other.into());
        assert!(matches!(check(&failing, unused, |_| {}), Some(Event::Disk(..))));
    }

    #[test]
    fn a_stopped_delivery_sends_nothing() {
        let unused: Sink = Box::new(|_| Ok(()));
        assert!(check(&|_, _| Ok(()), unused, Frontier::stop).is_none());
    }
}
