//! Makes what is written durable, a window at a time, and only then says so in the journal.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use peernet_engine::ids::ChunkIndex;

use crate::download::FetchLimits;
use crate::download::event::{Event, tell};
use crate::part::{Journal, Storage};

/// A chunk that was written.
pub(crate) struct Written {
    pub(crate) chunk: ChunkIndex,
    pub(crate) bytes: u32,
    /// Where it is the last chunk of a file whose size was not known: its length.
    pub(crate) last_len: Option<u32>,
}

#[derive(Default)]
struct Window {
    chunks: Vec<ChunkIndex>,
    last_len: Option<u32>,
    bytes: u64,
    since: Option<Instant>,
}

/// The thread: until the sender is dropped. Then one last time, unless `skip_last` says that the whole file is about to
/// be synced anyway. Returns the journal.
pub(crate) fn keep(
    part: &Storage,
    mut journal: Journal,
    written: &Receiver<Written>,
    skip_last: &AtomicBool,
    events: &Sender<Event>,
    limits: &FetchLimits,
) -> Journal {
    let mut window = Window::default();
    loop {
        let due = window.since.map(|since| since + limits.sync_interval);
        let next = match due {
            Some(due) => written.recv_deadline(due),
            None => written.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let over = match next {
            Ok(chunk) => {
                window.add(&chunk);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if over && skip_last.load(Ordering::Acquire) {
            return journal;
        }
        if (over || window.is_due(limits))
            && let Err(error) = window.flush(part, limits.survive_power_cut, &mut journal)
        {
            // After the end nobody listens: then what is not in the journal is fetched again, no more.
            let _ = tell(events, Event::Disk("syncing the part file".to_owned(), error));
            return journal;
        }
        if over {
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

    /// Has the part written, and synced where the bytes must survive a power cut, and then says in the journal what is
    /// there.
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
    use peernet_engine::ids::FileHash;
    use peernet_engine::journal::Identity;
    use peernet_engine::manifest::Geometry;

    use super::*;
    use crate::part::{Part, Selected, WriterId, many_files, open_without_writers};

    #[test]
    fn the_journal_names_only_what_is_written_whether_that_is_synced_or_not() {
        for survives_power_cut in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let (path, journal) = (folder.path().join("part"), folder.path().join("journal"));
            let (collection, pack) = many_files();
            let shape = Shape::Sized(Geometry::new(collection.pack.size, collection.pack.chunk_size).unwrap());
            let identity = Identity { file_hash: FileHash([0; 32]), manifest: [0; 32], shape };
            let (mut journal, _) = Journal::open(&journal, &identity, survives_power_cut).unwrap();
            let part = Part::open_tree(&path, Selected::of(collection, |_| true)).unwrap().unwrap();
            // They would come to it later.
            let _writers = open_without_writers(part.storage().tree().unwrap());
            let (chunk, writer) = (ChunkIndex(0), WriterId(1));
            part.claim(chunk, writer);
            assert!(part.write(chunk, writer, 0, &pack).unwrap() && part.done(chunk, writer));
            assert!(!path.join("f").exists());
            let mut window = Window::default();
            window.add(&Written { chunk, bytes: pack.len() as u32, last_len: None });
            window.flush(part.storage(), survives_power_cut, &mut journal).unwrap();
            assert!(path.join("f/39").exists());
        }
    }
}
