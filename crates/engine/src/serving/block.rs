//! The block of a stream that is being made: from the choice of its chunk to the transport.

use std::time::Instant;

use crate::ids::ChunkIndex;
use crate::manifest::Geometry;
use crate::serving::machine::{OpenFile, Requests};
use crate::serving::message::{Block, Output, RefusalReason};
use crate::serving::super_seed::{Choice, Membership, SharedSuperSeed};
use crate::serving::wanted::{self, ChunkRange, Wanted};
use crate::serving::window::Window;

/// The length of a block where memory is short, in bytes.
pub const BLOCK_BYTES_SMALL: u32 = 64 << 10;

/// The start of the next block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    chunk: ChunkIndex,
    offset: u32,
}

/// The state of the next block. The driver answers `Checking`, `AwaitingAllowance`, `Reserving` and `Reading`; the
/// machine polls the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// No block is in preparation.
    Idle,
    /// The machine waits to hear if the source holds the chunk.
    Checking(ChunkIndex),
    /// The upload limit is asked.
    AwaitingAllowance,
    /// Memory for so many bytes is asked for.
    Reserving { len: u32, is_small: bool },
    /// There was no memory for a block as long as it may be: ask for a small one.
    Short { len: u32 },
    /// There is memory.
    Ready(Block),
    /// The block is read.
    Reading(Block),
    /// The block is in memory.
    Read(Block),
}

/// The blocks of one stream. Invariant: `current` lies inside a chunk of the file.
#[derive(Debug)]
pub(super) struct Blocks {
    current: Option<Position>,
    step: Step,
    /// Every wanted chunk was given to others: none is sent before this time.
    held_until: Option<Instant>,
    /// Bytes that the upload limit allows.
    allowance: u32,
    /// There was no memory for another block beside those on their way. The transport taking one ends that.
    is_starved: bool,
    refusal: Option<(ChunkIndex, RefusalReason)>,
    is_file_unused: bool,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            current: None,
            step: Step::Idle,
            held_until: None,
            allowance: 0,
            is_starved: false,
            refusal: None,
            is_file_unused: false,
        }
    }
}

impl Blocks {
    /// Returns true if a chunk has been begun.
    pub(super) fn is_under_way(&self) -> bool {
        self.current.is_some() || matches!(self.step, Step::Checking(_))
    }

    pub(super) fn held_until(&self) -> Option<Instant> {
        self.held_until.filter(|_| self.step == Step::Idle && self.current.is_none())
    }

    pub(super) fn allowance(&self) -> u32 {
        self.allowance
    }

    /// The caller asked for other chunks, which may be free.
    pub(super) fn end_hold(&mut self) {
        self.held_until = None;
    }

    pub(super) fn memory_may_be_free(&mut self) {
        self.is_starved = false;
    }

    /// Stops everything. Returns the allowance that is not used.
    pub(super) fn stop(&mut self) -> u32 {
        let Self { step, allowance, .. } = std::mem::take(self);
        if let Step::Read(block) = step { allowance + block.len } else { allowance }
    }

    /// Forgets the chunk that is being sent where the caller does not want it any more. A block that is being read is
    /// still sent.
    pub(super) fn drop_ranges(&mut self, dropped: &[ChunkRange]) {
        if self.current.is_some_and(|position| wanted::covers(dropped, position.chunk)) {
            self.current = None;
        }
        if matches!(self.step, Step::Checking(chunk) if wanted::covers(dropped, chunk)) {
            self.step = Step::Idle;
        }
    }

    pub(super) fn held(&mut self, is_held: bool) {
        let Step::Checking(chunk) = self.step else { return };
        self.step = Step::Idle;
        if is_held {
            self.current = Some(Position { chunk, offset: 0 });
        } else {
            self.refusal = Some((chunk, RefusalReason::NotHeld));
        }
    }

    /// Takes an allowance. Returns the bytes if no block waits for them.
    pub(super) fn allowed(&mut self, bytes: u32) -> u32 {
        if self.step != Step::AwaitingAllowance {
            return bytes;
        }
        self.step = Step::Idle;
        self.allowance = bytes;
        0
    }

    pub(super) fn reserved(&mut self, is_there: bool, nothing_ahead: bool, geometry: Geometry) {
        let Step::Reserving { len, is_small } = self.step else { return };
        self.step = Step::Idle;
        // A small block at a time is every stream's right: a source has no more streams than it has room for.
        if is_there || is_small {
            if let Some(Position { chunk, offset }) = self.current {
                let is_last = offset + len == geometry.chunk_len(chunk);
                self.step = Step::Ready(Block { chunk, offset, len, is_last });
            }
            return;
        }
        self.is_starved = true;
        if nothing_ahead {
            self.step = Step::Short { len: len.min(BLOCK_BYTES_SMALL) };
        }
    }

    /// A block was read. Returns the allowance that is left over.
    pub(super) fn read_done(&mut self, geometry: Geometry, nothing_wanted: bool) -> u32 {
        let Step::Reading(block) = self.step else { return 0 };
        self.step = Step::Read(block);
        // Unless the caller dropped the chunk meanwhile.
        if self.current == Some(Position { chunk: block.chunk, offset: block.offset }) {
            let offset = block.offset + block.len;
            let is_rest = offset < geometry.chunk_len(block.chunk);
            self.current = is_rest.then_some(Position { chunk: block.chunk, offset });
        }
        self.is_file_unused = self.current.is_none() && nothing_wanted;
        std::mem::take(&mut self.allowance).saturating_sub(block.len)
    }

    /// A block cannot be read. Returns the allowance.
    pub(super) fn read_failed(&mut self) -> u32 {
        let Step::Reading(block) = self.step else { return 0 };
        self.step = Step::Idle;
        self.current = None;
        self.refusal = Some((block.chunk, RefusalReason::ReadFailed));
        std::mem::take(&mut self.allowance)
    }

    /// Returns true if [`Blocks::poll_made`] has an output.
    pub(super) fn has_output(&self) -> bool {
        let is_step = matches!(self.step, Step::Short { .. } | Step::Ready(_) | Step::Read(_));
        is_step || self.is_file_unused || self.refusal.is_some()
    }

    /// Returns the next output of the block that was begun.
    pub(super) fn poll_made<R>(&mut self, now: Instant, window: &mut Window) -> Option<Output<R>> {
        if std::mem::take(&mut self.is_file_unused) {
            return Some(Output::CloseFile);
        }
        if let Some((chunk, reason)) = self.refusal.take() {
            window.push(now, 0);
            return Some(Output::Refuse { chunk, reason });
        }
        match self.step {
            Step::Short { len } => {
                self.step = Step::Reserving { len, is_small: true };
                Some(Output::Reserve { bytes: len, is_small: true })
            }
            Step::Ready(block) => {
                self.step = Step::Reading(block);
                Some(Output::Read(block))
            }
            Step::Read(block) => {
                self.step = Step::Idle;
                window.push(now, block.len);
                Some(Output::Send(block))
            }
            _ => None,
        }
    }

    /// Returns true if a block, a refusal or the end of the stream may be made now.
    pub(super) fn may_begin(&self, now: Instant, requests: &Requests, window: &Window) -> bool {
        let is_held = self.held_until.is_some_and(|until| now < until);
        let has_chunk = self.current.is_some() || (!requests.wanted.is_empty() && !is_held);
        let is_asked = has_chunk || (requests.ended && requests.wanted.is_empty());
        let has_room = || window.is_empty() || (!self.is_starved && window.has_room(now));
        is_asked && self.step == Step::Idle && has_room()
    }

    /// Begins the next block. Call it only where [`Blocks::may_begin`] says so.
    pub(super) fn poll_next<S: SharedSuperSeed, R>(
        &mut self,
        now: Instant,
        file: &OpenFile<S>,
        wanted: &mut Wanted,
        window: &mut Window,
    ) -> Option<Output<R>> {
        if self.current.is_none() {
            let chunk = self.next_chunk(now, file.super_seed.as_ref(), wanted)?;
            if chunk.0 >= file.geometry.chunk_count().0 {
                window.push(now, 0);
                return Some(Output::Refuse { chunk, reason: RefusalReason::NotHeld });
            }
            if !file.is_complete {
                self.step = Step::Checking(chunk);
                return Some(Output::CheckHeld { chunk });
            }
            self.current = Some(Position { chunk, offset: 0 });
        }
        let Position { chunk, offset } = self.current?;
        let left = file.geometry.chunk_len(chunk) - offset;
        let len = left.min(window.block_bytes(now));
        if self.allowance == 0 {
            self.step = Step::AwaitingAllowance;
            return Some(Output::Allow { bytes: len });
        }
        let bytes = len.min(self.allowance);
        self.step = Step::Reserving { len: bytes, is_small: false };
        Some(Output::Reserve { bytes, is_small: false })
    }

    /// Takes the next chunk to send out of the wanted ones; `None` when there is none for now.
    fn next_chunk<S: SharedSuperSeed>(
        &mut self,
        now: Instant,
        super_seed: Option<&Membership<S>>,
        wanted: &mut Wanted,
    ) -> Option<ChunkIndex> {
        let Some(member) = super_seed else { return wanted.pop() };
        match member.with(|seed, id| seed.choose(now, id, wanted.iter())) {
            Choice::Send(chunk) => {
                wanted.remove(chunk);
                Some(chunk)
            }
            Choice::Hold(until) => {
                self.held_until = Some(until);
                None
            }
            Choice::Nothing => None,
        }
    }
}
