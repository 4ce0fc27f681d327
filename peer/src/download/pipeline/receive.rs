//! Bytes of wanted chunks: hashed, judged when they are all there, and handed on to be written where they belong.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use peernet_engine::assembly::ChunkLen;
use peernet_engine::cause::Cause;
use peernet_engine::ids::{ChunkHash, ChunkIndex};

use crate::download::event::{Event, LinkId, OwnerGone, tell};
use crate::download::expected::Blueprint;
use crate::download::pipeline::hash::{Frontier, Taken};
use crate::download::pipeline::write::{Block, Right, Writes};
use crate::download::stage_times::SpentCounters;
use crate::hashing::digest::Digest;
use crate::part::{Claimed, Part, Spill, WriterId};

/// One connection's wanted chunks. Dropping it gives up what is half done.
pub(crate) struct Intake {
    link: LinkId,
    writer: WriterId,
    blueprint: Arc<Blueprint>,
    to: Destination,
    spent: Arc<SpentCounters>,
    expected: BTreeMap<ChunkIndex, Incoming>,
    /// Given up on this connection before all of it came: its other blocks may still be on their way.
    given_up: BTreeSet<ChunkIndex>,
    /// Of these, the ones the source has not been told of.
    untold: Vec<ChunkIndex>,
}

/// Where it all goes.
pub(crate) struct Destination {
    pub(crate) part: Arc<Part>,
    pub(crate) frontier: Arc<Frontier>,
    pub(crate) writes: Writes,
    pub(crate) events: Sender<Event>,
}

struct Incoming {
    since: Instant,
    received: u32,
    digest: Digest,
    /// The whole file's digest, where this chunk is what it needs next.
    whole: Option<Taken>,
    place: Option<Place>,
    /// Blocks of an earlier request may come before those of this one.
    again: bool,
}

impl Incoming {
    fn new(again: bool) -> Self {
        Self { since: Instant::now(), received: 0, digest: Digest::new(), whole: None, place: None, again }
    }

    /// Takes in what came of it.
    fn see(&mut self, bytes: &[u8]) {
        match &mut self.whole {
            Some(whole) => whole.update_both(&mut self.digest, bytes),
            None => self.digest.update(bytes),
        }
    }
}

enum Place {
    /// Ours to write in the file.
    File,
    /// In memory, because someone else is writing it.
    Memory(Spill),
}

/// What a block brought.
enum Outcome {
    More,
    /// Handed on to be written; whoever writes it tells.
    Complete,
    /// Written.
    Right,
    Wrong,
    /// Someone else was first.
    Beaten,
    NoMemory,
    Disk(std::io::Error),
    Gone,
}

impl From<OwnerGone> for Outcome {
    fn from(_: OwnerGone) -> Self {
        Self::Gone
    }
}

impl Intake {
    pub(crate) fn new(link: LinkId, blueprint: Arc<Blueprint>, to: Destination, spent: Arc<SpentCounters>) -> Self {
        let writer = WriterId(link.number);
        let (expected, given_up, untold) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        Self { link, writer, blueprint, to, spent, expected, given_up, untold }
    }

    /// Nothing is expected.
    pub(crate) fn is_idle(&self) -> bool {
        self.expected.is_empty()
    }

    /// From now on these may come.
    pub(crate) fn expect(&mut self, chunks: &[ChunkIndex]) {
        for chunk in chunks {
            let again = self.given_up.remove(chunk);
            let fresh = || Incoming::new(again);
            self.expected.entry(*chunk).or_insert_with(fresh);
        }
    }

    /// What may come, begun anew: for asking again over another connection.
    pub(crate) fn expected(&mut self) -> Vec<ChunkIndex> {
        let chunks: Vec<ChunkIndex> = self.expected.keys().copied().collect();
        for chunk in &chunks {
            self.forget(*chunk);
        }
        self.given_up.clear();
        self.untold.clear();
        self.expect(&chunks);
        chunks
    }

    /// No longer wanted; true when it was.
    pub(crate) fn forget(&mut self, chunk: ChunkIndex) -> bool {
        self.to.part.release(chunk, self.writer);
        self.expected.remove(&chunk).is_some()
    }

    /// What the source still sends and need not, since it was last asked.
    pub(crate) fn take_untold(&mut self) -> Vec<ChunkIndex> {
        std::mem::take(&mut self.untold)
    }

    /// `len` bytes of `chunk` in `data`, from `offset` of it on.
    pub(crate) fn block(
        &mut self,
        chunk: ChunkIndex,
        (offset, last): (u32, bool),
        len: usize,
        data: &mut impl BufRead,
    ) -> Result<(), OwnerGone> {
        // What was dropped may still be on its way.
        let Some(mut incoming) = self.expected.remove(&chunk) else { return Ok(()) };
        if incoming.again && offset > 0 {
            self.expected.insert(chunk, incoming);
            return Ok(());
        }
        incoming.again = false;
        let outcome = match self.total(chunk, offset, last, len) {
            Some(total) if offset == incoming.received => self.take(chunk, &mut incoming, total, len as u32, data),
            _ => Outcome::Wrong,
        };
        let (since, bytes) = (incoming.since, incoming.received);
        match outcome {
            Outcome::More => {
                self.expected.insert(chunk, incoming);
                self.progress(len)
            }
            Outcome::Complete => self.progress(len),
            Outcome::Right => {
                self.progress(len)?;
                tell(&self.to.events, Event::Verified { link: self.link, chunk, bytes, took: since.elapsed() })
            }
            Outcome::Wrong => self.give_up(chunk, Event::Failed(self.link, chunk, Cause::BadHash)),
            Outcome::NoMemory => {
                if !last {
                    self.given_up.insert(chunk);
                    self.untold.push(chunk);
                }
                self.give_up(chunk, Event::Busy(self.link, chunk))
            }
            // The owner has heard from whoever was first.
            Outcome::Beaten => Ok(()),
            Outcome::Disk(error) => {
                let doing = format!("writing {}", self.to.part.path().display());
                self.give_up(chunk, Event::Disk(doing, error))
            }
            Outcome::Gone => Err(OwnerGone),
        }
    }

    fn progress(&self, len: usize) -> Result<(), OwnerGone> {
        tell(&self.to.events, Event::Progress(self.link, len as u32))
    }

    fn give_up(&self, chunk: ChunkIndex, event: Event) -> Result<(), OwnerGone> {
        self.to.part.release(chunk, self.writer);
        tell(&self.to.events, event)
    }

    /// How long the chunk is, if a block like this can be part of it.
    fn total(&self, chunk: ChunkIndex, offset: u32, last: bool, len: usize) -> Option<u32> {
        let len = u32::try_from(len).ok().filter(|len| *len > 0)?;
        let end = offset.checked_add(len)?;
        match self.blueprint.shape.chunk_len(chunk) {
            ChunkLen::Exactly(total) => (end <= total && last == (end == total)).then_some(total),
            // Only version 1 has such files, and sends whole chunks.
            ChunkLen::UpTo(most) => (last && offset == 0 && end <= most).then_some(end),
        }
    }

    fn take(
        &self,
        chunk: ChunkIndex,
        incoming: &mut Incoming,
        total: u32,
        len: u32,
        data: &mut impl BufRead,
    ) -> Outcome {
        let offset = self.blueprint.shape.offset(chunk) + u64::from(incoming.received);
        if incoming.place.is_none() {
            incoming.place = match self.to.part.claim(chunk, self.writer) {
                Claimed::Yes => {
                    incoming.whole = self.to.frontier.take(offset);
                    Some(Place::File)
                }
                Claimed::Taken => self.to.part.spill(total as usize).map(Place::Memory),
                Claimed::Done => return Outcome::Beaten,
            };
        }
        match &mut incoming.place {
            None => Outcome::NoMemory,
            Some(Place::File) => {
                self.hand_on(chunk, incoming, (offset, total, len), data).unwrap_or_else(|gone| gone.into())
            }
            Some(Place::Memory(spill)) => {
                let before = spill.bytes.len();
                if let Err(error) = data.read_to_end(&mut spill.bytes) {
                    return Outcome::Disk(error);
                }
                incoming.digest.update(&spill.bytes[before..]);
                incoming.received += len;
                if incoming.received < total { Outcome::More } else { self.write_gathered(chunk, incoming) }
            }
        }
    }

    /// Hashes a block and leaves it to be written, unless all of the chunk is there and it is wrong.
    fn hand_on(
        &self,
        chunk: ChunkIndex,
        incoming: &mut Incoming,
        (offset, total, len): (u64, u32, u32),
        data: &mut impl BufRead,
    ) -> Result<Outcome, OwnerGone> {
        let begun = Instant::now();
        let mut bytes = self.to.writes.buffer(len as usize)?;
        self.spent.disk(begun.elapsed());
        let begun = Instant::now();
        bytes.bytes.reserve(len as usize);
        loop {
            let piece = match data.fill_buf() {
                Ok([]) => break,
                Ok(piece) => piece,
                Err(error) => return Ok(Outcome::Disk(error)),
            };
            incoming.see(piece);
            bytes.bytes.extend_from_slice(piece);
            let count = piece.len();
            data.consume(count);
        }
        self.spent.hashing(begun.elapsed());
        incoming.received += len;
        let is_whole = incoming.received == total;
        if is_whole && !self.is_right(chunk, incoming) {
            return Ok(Outcome::Wrong);
        }
        if is_whole && let Some(whole) = incoming.whole.take() {
            // Whoever writes these bytes in the end: what is right is the same from everyone.
            whole.keep(total.into());
        }
        let right = is_whole.then(|| Right { bytes: total, took: incoming.since.elapsed() });
        self.to.writes.write(Block { link: self.link, writer: self.writer, chunk, offset, bytes, right })?;
        Ok(if is_whole { Outcome::Complete } else { Outcome::More })
    }

    fn is_right(&self, chunk: ChunkIndex, incoming: &mut Incoming) -> bool {
        self.blueprint.hash(chunk) == Some(ChunkHash(incoming.digest.take()))
    }

    fn write_gathered(&self, chunk: ChunkIndex, incoming: &mut Incoming) -> Outcome {
        if !self.is_right(chunk, incoming) {
            return Outcome::Wrong;
        }
        let Some(Place::Memory(spill)) = &incoming.place else { return Outcome::Beaten };
        match self.to.part.write_whole(chunk, self.blueprint.shape.offset(chunk), &spill.bytes) {
            Ok(true) => Outcome::Right,
            Ok(false) => Outcome::Beaten,
            Err(error) => Outcome::Disk(error),
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        for chunk in self.expected.keys() {
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
    use crate::download::pipeline::hash::Follow;
    use crate::download::pipeline::write;

    const MIB: usize = 1 << 20;
    const CHUNK: ChunkIndex = ChunkIndex(0);
    const HALF: usize = MIB / 2;

    /// With the thread that writes, which ends when the intake is gone.
    fn scene() -> (tempfile::TempDir, Arc<Part>, Intake, Receiver<Event>, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let part = Arc::new(Part::open(&folder.path().join("part")).unwrap().unwrap());
        let bytes: Vec<u8> = (0..MIB).map(|i| (i * 7 + i / 256) as u8).collect();
        let geometry = Geometry::new(ByteCount(MIB as u64), 1 << 20).unwrap();
        let hash = ChunkHash(Sha256::digest(&bytes).into());
        let manifest = Manifest::new(FileHash(Sha256::digest(&bytes).into()), geometry, vec![hash]).unwrap();
        let (events, happening) = unbounded();
        let link = LinkId { source: SourceId(0), number: 1 };
        let blueprint = Arc::new(Blueprint::of_manifest(manifest));
        let frontier = Frontier::new(&Follow::Hash);
        let (writes, waiting) = write::writes(&crate::memory::Memory::default());
        let (of_writer, told) = (Arc::clone(&part), events.clone());
        std::thread::spawn(move || write::run(&of_writer, &waiting, &told));
        let to = Destination { part: Arc::clone(&part), frontier, writes, events };
        let intake = Intake::new(link, blueprint, to, Arc::default());
        (folder, part, intake, happening, bytes)
    }

    #[test]
    fn what_still_comes_of_a_chunk_there_was_no_memory_for_is_not_taken_for_a_lie() {
        let (_folder, part, mut intake, happening, bytes) = scene();
        let other = WriterId(99);
        assert_eq!(part.claim(CHUNK, other), Claimed::Yes);
        // As much as second writers may gather.
        let full: Vec<_> = std::iter::from_fn(|| part.spill(MIB / 4)).collect();
        let send = |intake: &mut Intake, half: usize| {
            let piece = &bytes[half * HALF..(half + 1) * HALF];
            intake.block(CHUNK, ((half * HALF) as u32, half == 1), HALF, &mut &*piece).unwrap();
        };
        intake.expect(&[CHUNK]);
        send(&mut intake, 0);
        assert!(matches!(happening.try_recv(), Ok(Event::Busy(_, CHUNK))));
        assert_eq!(intake.take_untold(), [CHUNK]);
        // Asked again, the rest of the first answer comes before the second one.
        drop(full);
        part.release(CHUNK, other);
        intake.expect(&[CHUNK]);
        send(&mut intake, 1);
        assert!(happening.is_empty());
        send(&mut intake, 0);
        send(&mut intake, 1);
        // The thread that writes tells of the whole chunk, whenever it gets to it.
        let told: Vec<Event> = (0..3).map(|_| happening.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
        assert_eq!(told.iter().filter(|event| matches!(event, Event::Progress(..))).count(), 2, "{told:?}");
        assert!(told.iter().any(|event| matches!(event, Event::Verified { .. })), "{told:?}");
        assert!(std::fs::read(part.path()).unwrap() == bytes);
    }

    #[test]
    fn a_block_in_the_wrong_place_is_a_lie() {
        let (_folder, _part, mut intake, happening, bytes) = scene();
        intake.expect(&[CHUNK]);
        intake.block(CHUNK, (HALF as u32, true), HALF, &mut &bytes[HALF..]).unwrap();
        assert!(matches!(happening.try_recv(), Ok(Event::Failed(_, CHUNK, Cause::BadHash))));
    }
}
