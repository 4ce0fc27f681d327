//! Receiving: hashes the bytes of requested chunks, judges each whole chunk, and queues its blocks to be written.
//!
//! A chunk has one writer: the connection that claims it first in the part. Near the end several connections may
//! receive the same chunk (endgame). The others gather it in memory, as far as the memory bound allows, and the first
//! that is complete and right wins.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use peernet_engine::assembly::ChunkLen;
use peernet_engine::cause::Cause;
use peernet_engine::ids::{ChunkHash, ChunkIndex};

use crate::download::event::{ConnectionId, Event, EventLoopGone, send};
use crate::download::expected::Expected;
use crate::download::pipeline::hash::{Frontier, LentDigest};
use crate::download::pipeline::write::{self, Right, WriteQueue};
use crate::download::source::Block;
use crate::download::stage_times::StageTimes;
use crate::files::hashing::digest::Digest;
use crate::files::part::{Claimed, Part, Spill, WriterId};

/// The requested chunks of one connection. Dropping it releases the chunks that are not complete.
pub(crate) struct ChunkReceiver {
    id: ConnectionId,
    writer: WriterId,
    expected: Arc<Expected>,
    to: Destination,
    times: Arc<StageTimes>,
    requested: BTreeMap<ChunkIndex, Incoming>,
    /// Chunks given up before all of their blocks came: the others may still be on their way.
    given_up: BTreeSet<ChunkIndex>,
    /// The requested chunks that the source has not been told of.
    untold: Vec<ChunkIndex>,
}

/// The stages that received bytes go to.
pub(crate) struct Destination {
    pub(crate) part: Arc<Part>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) writes: WriteQueue,
    pub(crate) events: Sender<Event>,
}

/// A requested chunk.
struct Incoming {
    since: Instant,
    received: u32,
    digest: Digest,
    /// The digest of the whole file, where this chunk is the next one that it needs.
    whole: Option<LentDigest>,
    place: Option<Buffer>,
    /// The chunk was given up and requested again: blocks of the earlier request may come before its own.
    again: bool,
}

impl Incoming {
    fn new(again: bool) -> Self {
        Self { since: Instant::now(), received: 0, digest: Digest::new(), whole: None, place: None, again }
    }

    fn hash(&mut self, bytes: &[u8]) {
        match &mut self.whole {
            Some(whole) => whole.update_both(&mut self.digest, bytes),
            None => self.digest.update(bytes),
        }
    }
}

/// The destination of a chunk's bytes while they arrive.
enum Buffer {
    /// In the part: this connection has claimed the chunk.
    File,
    /// In memory, because another connection has claimed the chunk.
    Memory(Spill),
}

/// A block that fits its chunk.
struct Fitting {
    chunk: ChunkIndex,
    /// Absolute position of the block in the file.
    offset: u64,
    len: u32,
    /// Bytes of the whole chunk.
    chunk_len: u32,
}

/// The result of a block.
enum Outcome {
    /// The chunk is not complete yet.
    More,
    /// The chunk is right and queued to be written. The writing thread sends the event.
    Queued,
    /// The chunk is right and written.
    Written,
    /// The chunk is wrong, or the block does not fit.
    Wrong,
    /// Another connection has completed the chunk.
    AlreadyDone,
    /// There is no memory to gather the chunk in.
    NoMemory,
    /// The local disk failed.
    Disk(io::Error),
    /// The event loop has ended.
    Gone,
}

impl From<EventLoopGone> for Outcome {
    fn from(_: EventLoopGone) -> Self {
        Self::Gone
    }
}

impl ChunkReceiver {
    pub(crate) fn new(id: ConnectionId, expected: Arc<Expected>, to: Destination, times: Arc<StageTimes>) -> Self {
        Self {
            id,
            writer: WriterId(id.number),
            expected,
            to,
            times,
            requested: BTreeMap::new(),
            given_up: BTreeSet::new(),
            untold: Vec::new(),
        }
    }

    /// Returns true if no chunk is requested.
    pub(crate) fn is_idle(&self) -> bool {
        self.requested.is_empty()
    }

    /// Accepts these chunks from now on.
    pub(crate) fn expect(&mut self, chunks: &[ChunkIndex]) {
        for chunk in chunks {
            let again = self.given_up.remove(chunk);
            self.requested.entry(*chunk).or_insert_with(|| Incoming::new(again));
        }
    }

    /// Begins every requested chunk anew, and returns them: for requesting them in another conversation.
    pub(crate) fn restart(&mut self) -> Vec<ChunkIndex> {
        let chunks: Vec<ChunkIndex> = self.requested.keys().copied().collect();
        for chunk in &chunks {
            self.forget(*chunk);
        }
        self.given_up.clear();
        self.untold.clear();
        self.expect(&chunks);
        chunks
    }

    /// Accepts a chunk no longer. Returns whether it was requested.
    pub(crate) fn forget(&mut self, chunk: ChunkIndex) -> bool {
        self.to.part.release(chunk, self.writer);
        self.requested.remove(&chunk).is_some()
    }

    /// Returns the chunks given up since the last call, of which the source need not send the rest.
    pub(crate) fn take_untold(&mut self) -> Vec<ChunkIndex> {
        std::mem::take(&mut self.untold)
    }

    /// Takes one block. Blocks of chunks that are not requested are ignored: they were on their way when the request
    /// was taken back.
    pub(crate) fn block<D: BufRead>(&mut self, block: &mut Block<D>) -> Result<(), EventLoopGone> {
        let chunk = block.chunk;
        let len = block.len;
        let Some(mut incoming) = self.requested.remove(&chunk) else { return Ok(()) };
        if incoming.again && block.offset > 0 {
            self.requested.insert(chunk, incoming);
            return Ok(());
        }
        incoming.again = false;
        let outcome = match self.fitting(block) {
            Some(fitting) if block.offset == incoming.received => self.take(&fitting, &mut incoming, &mut block.data),
            _ => Outcome::Wrong,
        };
        match outcome {
            Outcome::More => {
                self.requested.insert(chunk, incoming);
                self.progress(len)
            }
            Outcome::Queued => self.progress(len),
            Outcome::Written => {
                self.progress(len)?;
                let bytes = incoming.received;
                let took = incoming.since.elapsed();
                send(&self.to.events, Event::Verified { id: self.id, chunk, bytes, took })
            }
            Outcome::Wrong => self.give_up(chunk, Event::Failed(self.id, chunk, Cause::BadHash)),
            Outcome::NoMemory => {
                if !block.last {
                    self.given_up.insert(chunk);
                    self.untold.push(chunk);
                }
                self.give_up(chunk, Event::Busy(self.id, chunk))
            }
            // The event loop has heard of the chunk from the connection that was first.
            Outcome::AlreadyDone => Ok(()),
            Outcome::Disk(error) => {
                let doing = format!("writing {}", self.to.part.path().display());
                self.give_up(chunk, Event::Disk(doing, error))
            }
            Outcome::Gone => Err(EventLoopGone),
        }
    }

    fn progress(&self, len: usize) -> Result<(), EventLoopGone> {
        send(&self.to.events, Event::Progress(self.id, len as u32))
    }

    fn give_up(&self, chunk: ChunkIndex, event: Event) -> Result<(), EventLoopGone> {
        self.to.part.release(chunk, self.writer);
        send(&self.to.events, event)
    }

    /// Checks that a block like this can be part of its chunk.
    fn fitting<D>(&self, block: &Block<D>) -> Option<Fitting> {
        let chunk = block.chunk;
        let len = u32::try_from(block.len).ok().filter(|len| *len > 0)?;
        let end = block.offset.checked_add(len)?;
        let chunk_len = match self.expected.shape.chunk_len(chunk) {
            ChunkLen::Exactly(total) => (end <= total && block.last == (end == total)).then_some(total),
            // Only version 1 has files of unknown size, and it sends whole chunks.
            ChunkLen::UpTo(most) => (block.last && block.offset == 0 && end <= most).then_some(end),
        }?;
        let offset = self.expected.shape.offset(chunk) + u64::from(block.offset);
        Some(Fitting { chunk, offset, len, chunk_len })
    }

    fn take(&self, block: &Fitting, incoming: &mut Incoming, data: &mut impl BufRead) -> Outcome {
        if incoming.place.is_none() {
            incoming.place = match self.to.part.claim(block.chunk, self.writer) {
                Claimed::Yes => {
                    incoming.whole = self.to.frontier.lend(block.offset);
                    Some(Buffer::File)
                }
                Claimed::Taken => self.to.part.spill(block.chunk_len as usize).map(Buffer::Memory),
                Claimed::Done => return Outcome::AlreadyDone,
            };
        }
        match &mut incoming.place {
            None => Outcome::NoMemory,
            Some(Buffer::File) => self.queue(block, incoming, data).unwrap_or_else(Outcome::from),
            Some(Buffer::Memory(spill)) => {
                let before = spill.bytes.len();
                if let Err(error) = data.read_to_end(&mut spill.bytes) {
                    return Outcome::Disk(error);
                }
                incoming.digest.update(&spill.bytes[before..]);
                incoming.received += block.len;
                if incoming.received < block.chunk_len { Outcome::More } else { self.write_gathered(block, incoming) }
            }
        }
    }

    /// Hashes a block and queues it to be written, unless it completes a chunk that is wrong.
    fn queue(
        &self,
        block: &Fitting,
        incoming: &mut Incoming,
        data: &mut impl BufRead,
    ) -> Result<Outcome, EventLoopGone> {
        let begun = Instant::now();
        let mut bytes = self.to.writes.buffer(block.len as usize)?;
        self.times.disk(begun.elapsed());
        let begun = Instant::now();
        bytes.bytes.reserve(block.len as usize);
        loop {
            let piece = match data.fill_buf() {
                Ok([]) => break,
                Ok(piece) => piece,
                Err(error) => return Ok(Outcome::Disk(error)),
            };
            incoming.hash(piece);
            bytes.bytes.extend_from_slice(piece);
            let count = piece.len();
            data.consume(count);
        }
        self.times.hashing(begun.elapsed());
        incoming.received += block.len;
        let is_complete = incoming.received == block.chunk_len;
        if is_complete && !self.is_right(block.chunk, incoming) {
            return Ok(Outcome::Wrong);
        }
        if is_complete && let Some(whole) = incoming.whole.take() {
            // Even if another connection's bytes are written in the end: right bytes are the same from every source.
            whole.keep(block.chunk_len.into());
        }
        let right = is_complete.then(|| Right { bytes: block.chunk_len, took: incoming.since.elapsed() });
        let id = self.id;
        let writer = self.writer;
        self.to.writes.write(write::Block { id, writer, chunk: block.chunk, offset: block.offset, bytes, right })?;
        Ok(if is_complete { Outcome::Queued } else { Outcome::More })
    }

    fn is_right(&self, chunk: ChunkIndex, incoming: &mut Incoming) -> bool {
        self.expected.hash(chunk) == Some(ChunkHash(incoming.digest.take()))
    }

    fn write_gathered(&self, block: &Fitting, incoming: &mut Incoming) -> Outcome {
        if !self.is_right(block.chunk, incoming) {
            return Outcome::Wrong;
        }
        let Some(Buffer::Memory(spill)) = &incoming.place else { return Outcome::AlreadyDone };
        let offset = self.expected.shape.offset(block.chunk);
        match self.to.part.write_whole(block.chunk, offset, &spill.bytes) {
            Ok(true) => Outcome::Written,
            Ok(false) => Outcome::AlreadyDone,
            Err(error) => Outcome::Disk(error),
        }
    }
}

impl Drop for ChunkReceiver {
    fn drop(&mut self) {
        for chunk in self.requested.keys() {
            self.to.part.release(*chunk, self.writer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::{Receiver, unbounded};
    use peernet_engine::download::SourceId;
    use peernet_engine::ids::{ByteCount, FileHash};
    use peernet_engine::manifest::{Geometry, Manifest};
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::download::pipeline::hash::WholeHash;
    use crate::download::pipeline::write;

    const MIB: usize = 1 << 20;
    const CHUNK: ChunkIndex = ChunkIndex(0);
    const HALF: usize = MIB / 2;

    /// A receiver of a file of one chunk, with a writing thread, which ends with the receiver.
    struct Scene {
        _folder: tempfile::TempDir,
        part: Arc<Part>,
        receiver: ChunkReceiver,
        events: Receiver<Event>,
        bytes: Vec<u8>,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let part = Arc::new(Part::open(&folder.path().join("part")).unwrap().unwrap());
            let bytes: Vec<u8> = (0..MIB).map(|i| (i * 7 + i / 256) as u8).collect();
            let geometry = Geometry::new(ByteCount(MIB as u64), 1 << 20).unwrap();
            let hash = ChunkHash(Sha256::digest(&bytes).into());
            let manifest = Manifest::new(FileHash(Sha256::digest(&bytes).into()), geometry, vec![hash]).unwrap();
            let (sender, events) = unbounded();
            let id = ConnectionId { source: SourceId(0), number: 1 };
            let frontier = Frontier::new(&WholeHash::Compute);
            let (writes, queued) = write::writes(&crate::memory::Memory::default());
            let of_writer = Arc::clone(&part);
            let to_writer = sender.clone();
            std::thread::spawn(move || write::run(&of_writer, &queued, &to_writer));
            let to = Destination { part: Arc::clone(&part), frontier, writes, events: sender };
            let expected = Arc::new(Expected::of_manifest(manifest));
            let receiver = ChunkReceiver::new(id, expected, to, Arc::default());
            Self { _folder: folder, part, receiver, events, bytes }
        }

        /// Takes a block of these bytes.
        fn block(&mut self, offset: usize, last: bool, bytes: &[u8]) {
            let mut block = Block { chunk: CHUNK, offset: offset as u32, last, len: bytes.len(), data: bytes };
            self.receiver.block(&mut block).unwrap();
        }

        /// Takes the first or the second half of the chunk.
        fn half(&mut self, half: usize) {
            let bytes = self.bytes[half * HALF..(half + 1) * HALF].to_vec();
            self.block(half * HALF, half == 1, &bytes);
        }

        fn event(&self) -> Event {
            self.events.recv_timeout(Duration::from_secs(10)).unwrap()
        }
    }

    #[test]
    fn a_whole_right_chunk_is_written_and_verified() {
        let mut scene = Scene::new();
        scene.receiver.expect(&[CHUNK]);
        scene.half(0);
        scene.half(1);
        let events: Vec<Event> = (0..3).map(|_| scene.event()).collect();
        assert_eq!(events.iter().filter(|event| matches!(event, Event::Progress(..))).count(), 2, "{events:?}");
        let is_verified =
            |event: &Event| matches!(event, Event::Verified { chunk: CHUNK, bytes, .. } if *bytes == MIB as u32);
        assert!(events.iter().any(is_verified), "{events:?}");
        assert!(scene.receiver.is_idle());
        assert!(std::fs::read(scene.part.path()).unwrap() == scene.bytes);
    }

    #[test]
    fn late_blocks_of_a_chunk_given_up_for_memory_are_no_lie() {
        let mut scene = Scene::new();
        let other = WriterId(99);
        assert_eq!(scene.part.claim(CHUNK, other), Claimed::Yes);
        // As much as second writers may gather.
        let part = Arc::clone(&scene.part);
        let full: Vec<_> = std::iter::from_fn(|| part.spill(MIB / 4)).collect();
        scene.receiver.expect(&[CHUNK]);
        scene.half(0);
        assert!(matches!(scene.events.try_recv(), Ok(Event::Busy(_, CHUNK))));
        assert_eq!(scene.receiver.take_untold(), [CHUNK]);
        // The chunk is requested again. The rest of the first reply comes before the second one.
        drop(full);
        scene.part.release(CHUNK, other);
        scene.receiver.expect(&[CHUNK]);
        scene.half(1);
        assert!(scene.events.is_empty());
        scene.half(0);
        scene.half(1);
        let events: Vec<Event> = (0..3).map(|_| scene.event()).collect();
        assert!(events.iter().any(|event| matches!(event, Event::Verified { .. })), "{events:?}");
        assert!(std::fs::read(scene.part.path()).unwrap() == scene.bytes);
    }

    #[test]
    fn a_block_that_does_not_fit_is_a_lie() {
        let bytes = vec![0; MIB];
        for (offset, last, len) in [
            (HALF, true, HALF),
            (0, true, HALF),
            (0, false, MIB),
            (0, false, 0),
            (HALF, true, MIB),
            (u32::MAX as usize, true, HALF),
        ] {
            let mut scene = Scene::new();
            scene.receiver.expect(&[CHUNK]);
            scene.block(offset, last, &bytes[..len]);
            let event = scene.events.try_recv();
            assert!(matches!(event, Ok(Event::Failed(_, CHUNK, Cause::BadHash))), "{offset} {last} {len}: {event:?}");
        }
    }

    #[test]
    fn a_whole_wrong_chunk_is_a_lie_and_is_released() {
        let mut scene = Scene::new();
        scene.receiver.expect(&[CHUNK]);
        scene.block(0, true, &vec![0; MIB]);
        assert!(matches!(scene.event(), Event::Failed(_, CHUNK, Cause::BadHash)));
        assert_eq!(scene.part.claim(CHUNK, WriterId(2)), Claimed::Yes);
    }

    #[test]
    fn a_second_connection_gathers_in_memory_and_may_win() {
        let mut scene = Scene::new();
        assert_eq!(scene.part.claim(CHUNK, WriterId(99)), Claimed::Yes);
        scene.receiver.expect(&[CHUNK]);
        scene.half(0);
        scene.half(1);
        let events: Vec<Event> = (0..3).map(|_| scene.event()).collect();
        assert!(matches!(events[2], Event::Verified { chunk: CHUNK, .. }), "{events:?}");
        assert!(std::fs::read(scene.part.path()).unwrap() == scene.bytes);
    }

    #[test]
    fn blocks_of_chunks_that_are_not_requested_are_ignored() {
        let mut scene = Scene::new();
        scene.half(0);
        scene.receiver.expect(&[CHUNK]);
        assert!(scene.receiver.forget(CHUNK) && !scene.receiver.forget(CHUNK));
        scene.half(0);
        assert!(scene.events.is_empty() && scene.receiver.is_idle());
    }

    #[test]
    fn a_restart_begins_requested_chunks_anew() {
        let mut scene = Scene::new();
        scene.receiver.expect(&[CHUNK]);
        scene.half(0);
        assert_eq!(scene.receiver.restart(), [CHUNK]);
        scene.half(0);
        scene.half(1);
        let events: Vec<Event> = (0..4).map(|_| scene.event()).collect();
        assert!(events.iter().any(|event| matches!(event, Event::Verified { .. })), "{events:?}");
    }
}
