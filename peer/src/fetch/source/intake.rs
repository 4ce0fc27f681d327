//! Bytes of wanted chunks: written where they belong, hashed on the way, judged when they are all there.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;
use peernet_engine::assembly::ChunkLen;
use peernet_engine::cause::Cause;
use peernet_engine::ids::{ChunkHash, ChunkIndex};
use sha2::{Digest, Sha256};

use super::super::blueprint::Blueprint;
use super::super::event::{Event, LinkId, OwnerGone, tell};
use crate::part::{Claimed, Part, Spill, WriterId};

/// One connection's wanted chunks. Dropping it gives up what is half done.
pub(super) struct Intake {
    link: LinkId,
    writer: WriterId,
    blueprint: Arc<Blueprint>,
    part: Arc<Part>,
    events: Sender<Event>,
    expected: BTreeMap<ChunkIndex, Incoming>,
}

struct Incoming {
    since: Instant,
    received: u32,
    hasher: Sha256,
    place: Option<Place>,
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
    Right,
    Wrong,
    /// Someone else was first.
    Beaten,
    NoMemory,
    Disk(std::io::Error),
}

impl Intake {
    pub(super) fn new(link: LinkId, blueprint: Arc<Blueprint>, part: Arc<Part>, events: Sender<Event>) -> Self {
        Self { link, writer: WriterId(link.number), blueprint, part, events, expected: BTreeMap::new() }
    }

    /// From now on these may come.
    pub(super) fn expect(&mut self, chunks: &[ChunkIndex]) {
        for chunk in chunks {
            let fresh = || Incoming { since: Instant::now(), received: 0, hasher: Sha256::new(), place: None };
            self.expected.entry(*chunk).or_insert_with(fresh);
        }
    }

    /// What may come, begun anew: for asking again over another connection.
    pub(super) fn expected(&mut self) -> Vec<ChunkIndex> {
        let chunks: Vec<ChunkIndex> = self.expected.keys().copied().collect();
        for chunk in &chunks {
            self.forget(*chunk);
        }
        self.expect(&chunks);
        chunks
    }

    /// No longer wanted; true when it was.
    pub(super) fn forget(&mut self, chunk: ChunkIndex) -> bool {
        self.part.release(chunk, self.writer);
        self.expected.remove(&chunk).is_some()
    }

    /// `len` bytes of `chunk` in `data`, from `offset` of it on.
    pub(super) fn block(
        &mut self,
        chunk: ChunkIndex,
        (offset, last): (u32, bool),
        len: usize,
        data: &mut impl BufRead,
    ) -> Result<(), OwnerGone> {
        // What was dropped may still be on its way.
        let Some(mut incoming) = self.expected.remove(&chunk) else { return Ok(()) };
        let outcome = match self.total(chunk, offset, last, len) {
            Some(total) if offset == incoming.received => self.take(chunk, &mut incoming, total, len as u32, data),
            _ => Outcome::Wrong,
        };
        let (since, bytes) = (incoming.since, incoming.received);
        match outcome {
            Outcome::More => {
                self.expected.insert(chunk, incoming);
                tell(&self.events, Event::Progress(self.link, len as u32))
            }
            Outcome::Right => {
                tell(&self.events, Event::Progress(self.link, len as u32))?;
                tell(&self.events, Event::Verified { link: self.link, chunk, bytes, took: since.elapsed() })
            }
            Outcome::Wrong => self.give_up(chunk, Event::Failed(self.link, chunk, Cause::BadHash)),
            Outcome::NoMemory => self.give_up(chunk, Event::Busy(self.link, chunk)),
            // The owner has heard from whoever was first.
            Outcome::Beaten => Ok(()),
            Outcome::Disk(error) => {
                let doing = format!("writing {}", self.part.path().display());
                self.give_up(chunk, Event::Disk(doing, error))
            }
        }
    }

    fn give_up(&self, chunk: ChunkIndex, event: Event) -> Result<(), OwnerGone> {
        self.part.release(chunk, self.writer);
        tell(&self.events, event)
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
            incoming.place = match self.part.claim(chunk, self.writer) {
                Claimed::Yes => Some(Place::File),
                Claimed::Taken => self.part.spill(total as usize).map(Place::Memory),
                Claimed::Done => return Outcome::Beaten,
            };
        }
        let Incoming { hasher, place, received, .. } = incoming;
        match place {
            None => return Outcome::NoMemory,
            Some(Place::File) => {
                match self.part.write(chunk, self.writer, offset, data, &mut |piece| hasher.update(piece)) {
                    Ok(true) => {}
                    Ok(false) => return Outcome::Beaten,
                    Err(error) => return Outcome::Disk(error),
                }
            }
            Some(Place::Memory(spill)) => {
                let before = spill.bytes.len();
                if let Err(error) = data.read_to_end(&mut spill.bytes) {
                    return Outcome::Disk(error);
                }
                hasher.update(&spill.bytes[before..]);
            }
        }
        *received += len;
        if *received < total { Outcome::More } else { self.judge(chunk, incoming) }
    }

    fn judge(&self, chunk: ChunkIndex, incoming: &mut Incoming) -> Outcome {
        let hash = ChunkHash(std::mem::take(&mut incoming.hasher).finalize().into());
        if self.blueprint.hash(chunk) != Some(hash) {
            return Outcome::Wrong;
        }
        match &incoming.place {
            Some(Place::Memory(spill)) => {
                let offset = self.blueprint.shape.offset(chunk);
                match self.part.write_whole(chunk, offset, &spill.bytes) {
                    Ok(true) => Outcome::Right,
                    Ok(false) => Outcome::Beaten,
                    Err(error) => Outcome::Disk(error),
                }
            }
            _ if self.part.done(chunk, self.writer) => Outcome::Right,
            _ => Outcome::Beaten,
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        for chunk in self.expected.keys() {
            self.part.release(*chunk, self.writer);
        }
    }
}
