//! Makes written chunks durable, a window at a time, and only then names them in the journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use peernet_engine::ids::ChunkIndex;

use crate::download::FetchLimits;
use crate::download::event::{Event, send};
use crate::files::part::{Journal, Storage};

/// A chunk that is verified and written.
pub(crate) struct Written {
    pub(crate) chunk: ChunkIndex,
    pub(crate) bytes: u32,
    /// The length of the last chunk of a file whose size was not known.
    pub(crate) last_len: Option<u32>,
}

/// Chunks that are written and not in the journal yet.
#[derive(Default)]
struct Window {
    chunks: Vec<ChunkIndex>,
    last_len: Option<u32>,
    bytes: u64,
    since: Option<Instant>,
}

/// The ends and settings of the syncing thread.
pub(crate) struct Syncer<'a> {
    pub(crate) part: &'a Storage,
    pub(crate) written: Receiver<Written>,
    /// Whether the last sync is skipped, because the whole file is about to be synced anyway.
    pub(crate) skip_last: &'a AtomicBool,
    pub(crate) events: Sender<Event>,
    pub(crate) limits: &'a FetchLimits,
}

/// Runs the syncing thread until the sender is dropped, and returns the journal.
pub(crate) fn run(syncer: &Syncer<'_>, mut journal: Journal) -> Journal {
    let Syncer { part, written, skip_last, events, limits } = syncer;
    let mut window = Window::default();
    loop {
        let due = window.since.map(|since| since + limits.sync_interval);
        let next = match due {
            Some(due) => written.recv_deadline(due),
            None => written.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let is_over = match next {
            Ok(chunk) => {
                window.add(&chunk);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if is_over && skip_last.load(Ordering::Acquire) {
            return journal;
        }
        if (is_over || window.is_due(limits))
            && let Err(error) = window.flush(part, limits.survive_power_cut, &mut journal)
        {
            // The event loop may have ended. Then a later run fetches the chunks that are not in the journal again.
            let _ = send(events, Event::Disk("syncing the part file".to_owned(), error));
            return journal;
        }
        if is_over {
            return journal;
        }
    }
}

impl Window {
    fn add(&mut self, written: &Written) {
        self.chunks.push(written.chunk);
        self.last_len = self.last_len.or(written.last_len);
        self.bytes += u64::from(written.bytes);
        self.since.get_or_insert_with(Instant::now);
    }

    fn is_due(&self, limits: &FetchLimits) -> bool {
        self.bytes >= limits.sync_bytes || self.since.is_some_and(|since| since.elapsed() >= limits.sync_interval)
    }

    /// Waits until the part is written, and synced where the bytes must survive a power cut. Then names the chunks in
    /// the journal.
    fn flush(&mut self, part: &Storage, survives_power_cut: bool, journal: &mut Journal) -> std::io::Result<()> {
        if self.chunks.is_empty() {
            return Ok(());
        }
        if survives_power_cut {
            part.sync()?
        } else {
            part.finish_writing()?
        }
        let window = std::mem::take(self);
        journal.held(window.chunks, window.last_len)
    }
}

#[cfg(test)]
mod tests {
    use peernet_engine::assembly::Shape;
    use peernet_engine::ids::{ByteCount, FileHash};
    use peernet_engine::journal::Identity;
    use peernet_engine::manifest::Geometry;

    use super::*;
    use crate::files::part::{Part, Selected, WriterId, many_files, open_without_writers};

    #[test]
    fn the_journal_names_only_written_chunks() {
        for survives_power_cut in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("part");
            let journal = folder.path().join("journal");
            let (collection, pack) = many_files();
            let shape = Shape::Sized(Geometry::new(collection.pack.size, collection.pack.chunk_size).unwrap());
            let identity = Identity { file_hash: FileHash([0; 32]), manifest: [0; 32], shape };
            let (mut journal, _) = Journal::open(&journal, &identity, survives_power_cut).unwrap();
            let part = Part::open_tree(&path, Selected::of(collection, |_| true)).unwrap().unwrap();
            // The threads that write files would do it later.
            let _writers = open_without_writers(part.storage().tree().unwrap());
            let chunk = ChunkIndex(0);
            let writer = WriterId(1);
            part.claim(chunk, writer);
            assert!(part.write(chunk, writer, 0, &pack).unwrap() && part.done(chunk, writer));
            assert!(!path.join("f").exists());
            let mut window = Window::default();
            window.add(&Written { chunk, bytes: pack.len() as u32, last_len: None });
            window.flush(part.storage(), survives_power_cut, &mut journal).unwrap();
            assert!(path.join("f/39").exists());
        }
    }

    /// Sends written chunks to the thread and returns the chunks of the journal after its end.
    fn check(chunks: &[Written], skip_last: bool, limits: &FetchLimits) -> (Vec<u32>, Vec<Event>) {
        let folder = tempfile::tempdir().unwrap();
        let journal_path = folder.path().join("journal");
        let shape = Shape::Sized(Geometry::new(ByteCount(3 << 20), 1 << 20).unwrap());
        let identity = Identity { file_hash: FileHash([0; 32]), manifest: [0; 32], shape };
        let (journal, _) = Journal::open(&journal_path, &identity, false).unwrap();
        let part = Part::open(&folder.path().join("part")).unwrap().unwrap();
        let (sender, written) = crossbeam_channel::unbounded();
        for Written { chunk, bytes, last_len } in chunks {
            sender.send(Written { chunk: *chunk, bytes: *bytes, last_len: *last_len }).unwrap();
        }
        drop(sender);
        let (events, receiver) = crossbeam_channel::unbounded();
        let syncer = Syncer { part: part.storage(), written, skip_last: &AtomicBool::new(skip_last), events, limits };
        drop(run(&syncer, journal));
        drop(syncer);
        let (_, resumed) = Journal::open(&journal_path, &identity, false).unwrap();
        (resumed.held.iter().map(|chunk| chunk.0).collect(), receiver.try_iter().collect())
    }

    fn written(chunk: u32) -> Written {
        Written { chunk: ChunkIndex(chunk), bytes: 1 << 20, last_len: None }
    }

    #[test]
    fn the_last_window_is_journalled_unless_it_is_skipped() {
        let never = FetchLimits { survive_power_cut: false, sync_bytes: u64::MAX, ..FetchLimits::default() };
        assert_eq!(check(&[], false, &never).0, [0; 0]);
        assert_eq!(check(&[written(2), written(0)], false, &never).0, [0, 2]);
        assert_eq!(check(&[written(2), written(0)], true, &never).0, [0; 0]);
    }

    #[test]
    fn a_full_window_is_journalled_before_the_end() {
        let each = FetchLimits { survive_power_cut: false, sync_bytes: 2 << 20, ..FetchLimits::default() };
        let (journalled, events) = check(&[written(0), written(1), written(2)], true, &each);
        assert_eq!(journalled, [0, 1]);
        assert!(events.is_empty(), "{events:?}");
    }
}
