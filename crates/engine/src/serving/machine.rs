//! The machine that serves one stream.

use std::time::{Duration, Instant};

use crate::ids::{ChunkCount, ChunkIndex};
use crate::manifest::Geometry;
use crate::serving::block::Blocks;
use crate::serving::message::{End, FileKey, Input, OpenedFile, Output, Request, RequestError};
use crate::serving::super_seed::{Membership, SharedSuperSeed};
use crate::serving::updates::Updates;
use crate::serving::wanted::{self, ChunkRange, Wanted, WantedError};
use crate::serving::window::Window;

/// Complaints of one message that are looked at.
pub const COMPLAINTS_PER_REQUEST_MAX: usize = 16;
/// Complaints that wait for the driver. More are only counted.
const COMPLAINTS_PENDING_MAX: usize = 4 * COMPLAINTS_PER_REQUEST_MAX;

/// Bounds of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Chunk ranges that a caller may have asked for and not yet received.
    pub ranges_wanted_max: usize,
    /// The stream ends when the caller wants nothing for this long.
    pub idle_max: Duration,
    /// The longest grant, in bytes.
    pub grant_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { ranges_wanted_max: 1_024, idle_max: Duration::from_secs(600), grant_bytes_max: 4_096 }
    }
}

/// The progress of the stream.
#[derive(Debug)]
enum Phase<S: SharedSuperSeed> {
    /// The first message has not come.
    AwaitingRequest,
    /// The first message has come; the driver is to look for the file, or is looking.
    Opening { file: FileKey, is_asked: bool },
    /// The file is there.
    Open(OpenFile<S>),
    /// The last output was made or waits to be polled.
    Ended,
}

#[derive(Debug)]
pub(super) struct OpenFile<S: SharedSuperSeed> {
    pub(super) geometry: Geometry,
    pub(super) is_complete: bool,
    /// The place among the callers of a complete file.
    pub(super) super_seed: Option<Membership<S>>,
}

/// The messages of the caller.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) wanted: Wanted,
    pub(super) ended: bool,
    /// When the caller last sent or took something.
    active: Instant,
}

/// Grants that came in messages after the first.
#[derive(Debug, Default)]
struct Grants {
    /// The newest, to be checked.
    shown: Option<String>,
    is_checking: bool,
}

/// Outputs that wait to be polled, beside those that follow from the state.
#[derive(Debug)]
struct Pending<R> {
    complaints: Vec<ChunkIndex>,
    complaints_received: u64,
    allowance: u32,
    end: Option<End<R>>,
}

/// Serves one stream: decides which message its caller gets next. See [`crate::serving`] for the driver's loop.
///
/// Invariants: at most one block is being made; nothing is sent after [`Output::End`]; with the same inputs and times
/// the outputs are the same.
#[derive(Debug)]
pub struct Serving<S: SharedSuperSeed, R> {
    limits: Limits,
    /// The latest time that came in.
    now: Instant,
    phase: Phase<S>,
    requests: Requests,
    grants: Grants,
    blocks: Blocks,
    window: Window,
    updates: Updates,
    pending: Pending<R>,
}

impl<S: SharedSuperSeed, R> Serving<S, R> {
    /// A stream that has just begun, one of `streams` of its source.
    pub fn new(now: Instant, limits: Limits, streams: u32) -> Self {
        let pending = Pending { complaints: Vec::new(), complaints_received: 0, allowance: 0, end: None };
        Self {
            requests: Requests { wanted: Wanted::new(limits.ranges_wanted_max), ended: false, active: now },
            limits,
            now,
            phase: Phase::AwaitingRequest,
            grants: Grants::default(),
            blocks: Blocks::default(),
            window: Window::new(now),
            updates: Updates::new(now, streams),
            pending,
        }
    }

    /// Takes one input. Never fails and never blocks.
    pub fn handle(&mut self, now: Instant, input: Input<S, R>) {
        self.now = self.now.max(now);
        if self.is_ended() {
            return self.handle_after_the_end(input);
        }
        match input {
            Input::Request(request) => self.request(request),
            Input::RequestsEnded => self.requests.ended = true,
            Input::CallerGone => self.end(None),
            Input::Opened(file) => self.opened(file),
            Input::GrantAccepted => self.grants.is_checking = false,
            Input::AccessEnded(refusal) => self.access_ended(refusal),
            Input::Stop(refusal) => self.end(Some(End::Refused(refusal))),
            Input::Held(is_held) => self.blocks.held(is_held),
            Input::Allowed { bytes } => self.pending.allowance += self.blocks.allowed(bytes),
            Input::Reserved(is_there) => self.reserved(is_there),
            Input::ReadDone => self.read_done(),
            Input::ReadFailed => self.pending.allowance += self.blocks.read_failed(),
            Input::Taken => self.taken(),
            Input::Changed { is_complete } => self.changed(is_complete),
            Input::Withdrawn => self.end(Some(End::Withdrawn)),
            Input::Tick { streams } => self.tick(streams),
        }
    }

    /// Returns the next output; `None` when there is nothing to do at the time of the last input. A driver may stop
    /// between two outputs and go on later.
    pub fn poll(&mut self) -> Option<Output<R>> {
        if self.pending.complaints_received > 0 {
            let chunks = std::mem::take(&mut self.pending.complaints);
            let received = std::mem::take(&mut self.pending.complaints_received);
            return Some(Output::Complain { chunks, received });
        }
        if self.pending.allowance > 0 {
            return Some(Output::ReturnAllowance { bytes: std::mem::take(&mut self.pending.allowance) });
        }
        match self.phase {
            Phase::AwaitingRequest if self.requests.ended => self.end(Some(End::Complete)),
            Phase::Opening { file, is_asked: false } => {
                self.phase = Phase::Opening { file, is_asked: true };
                return Some(Output::Open { file, grant: self.grants.shown.take() });
            }
            Phase::Open(_) => {
                if let Some(output) = self.poll_open() {
                    return Some(output);
                }
            }
            _ => {}
        }
        self.pending.end.take().map(Output::End)
    }

    /// Returns true if [`Serving::poll`] may return something. This costs less than a poll, and changes nothing.
    pub fn has_output(&self) -> bool {
        let Pending { complaints_received, allowance, end, .. } = &self.pending;
        let is_pending = *complaints_received > 0 || *allowance > 0 || end.is_some();
        is_pending
            || match &self.phase {
                Phase::AwaitingRequest => self.requests.ended,
                Phase::Opening { is_asked, .. } => !is_asked,
                Phase::Open(file) => self.has_open_output(file),
                Phase::Ended => false,
            }
    }

    /// The latest time at which to call [`Serving::handle`] with a tick; `None` while the stream waits for nothing but
    /// inputs. A chunk that another caller of the same file got may bring it forward.
    pub fn deadline(&self) -> Option<Instant> {
        if self.is_ended() {
            return None;
        }
        let idle = self.wants_nothing().then(|| self.requests.active + self.limits.idle_max);
        let hold = self.blocks.held_until().filter(|_| !self.requests.wanted.is_empty());
        let update = match &self.phase {
            Phase::Open(file) if self.window.has_room_for_update() => self.updates.due(file),
            _ => None,
        };
        [idle, hold, update].into_iter().flatten().min()
    }

    /// Returns true once the stream has ended. The driver still polls the outputs that are left.
    pub fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// Returns true if the transport has taken everything that the caller asked for.
    pub fn owes_nothing(&self) -> bool {
        self.is_ended() || (self.wants_nothing() && self.window.is_empty())
    }

    /// Bytes that the upload limit has allowed and the stream has not sent. A driver that drops the machine gives them
    /// back.
    pub fn allowance(&self) -> u32 {
        self.blocks.allowance() + self.pending.allowance
    }

    fn wants_nothing(&self) -> bool {
        self.requests.wanted.is_empty() && !self.blocks.is_under_way()
    }

    /// Ends the stream, with a last output unless the caller is gone.
    fn end(&mut self, end: Option<End<R>>) {
        // Leaves the other callers of the file.
        self.phase = Phase::Ended;
        self.pending.end = end;
        self.pending.allowance += self.blocks.stop();
        self.requests.wanted.clear();
        self.grants = Grants::default();
    }

    fn handle_after_the_end(&mut self, input: Input<S, R>) {
        match input {
            Input::Allowed { bytes } => self.pending.allowance += bytes,
            Input::CallerGone => self.pending.end = None,
            _ => {}
        }
    }

    fn request(&mut self, request: Request) {
        self.hear_complaints(&request.complaints);
        if let Phase::AwaitingRequest = self.phase {
            match request.file {
                Ok(file) => self.phase = Phase::Opening { file, is_asked: false },
                Err(error) => return self.end(Some(End::Invalid(error))),
            }
        }
        self.requests.active = self.now;
        if let Some(grant) = request.grant {
            let max = self.limits.grant_bytes_max;
            if grant.len() > max {
                return self.end(Some(End::Invalid(RequestError::GrantTooLong { max })));
            }
            self.grants.shown = Some(grant);
        }
        if let Err(error) = self.change_wanted(&request.dropped, &request.wanted, &request.again) {
            self.end(Some(End::Invalid(RequestError::Ranges(error))));
        }
    }

    fn change_wanted(
        &mut self,
        dropped: &[ChunkRange],
        wanted: &[ChunkRange],
        again: &[ChunkRange],
    ) -> Result<(), WantedError> {
        self.requests.wanted.drop_ranges(dropped)?;
        let count = self.chunk_count();
        if let Some(member) = self.membership() {
            member.with(|seed, id| seed.give_back(id, wanted::chunks(dropped, count)));
        }
        self.blocks.drop_ranges(dropped);
        self.requests.wanted.append(wanted)?;
        self.requests.wanted.append(again)?;
        if let Some(member) = self.membership() {
            member.with(|seed, id| seed.request_anyway(id, wanted::chunks(again, count)));
        }
        self.blocks.end_hold();
        Ok(())
    }

    /// Before a file is open there is nothing to complain of.
    fn hear_complaints(&mut self, chunks: &[u32]) {
        let Phase::Open(file) = &self.phase else { return };
        let count = file.geometry.chunk_count().0;
        self.pending.complaints_received += chunks.len() as u64;
        let room = COMPLAINTS_PENDING_MAX.saturating_sub(self.pending.complaints.len());
        let heard = chunks.iter().take(COMPLAINTS_PER_REQUEST_MAX).filter(|chunk| **chunk < count);
        self.pending.complaints.extend(heard.take(room).map(|chunk| ChunkIndex(*chunk)));
    }

    fn opened(&mut self, file: OpenedFile<S>) {
        if !matches!(self.phase, Phase::Opening { is_asked: true, .. }) {
            return;
        }
        let OpenedFile { geometry, is_complete, super_seed } = file;
        // A partial source sends everyone the same chunks: its callers may have no other source for them.
        let super_seed = is_complete.then(|| Membership::join(super_seed));
        self.phase = Phase::Open(OpenFile { geometry, is_complete, super_seed });
        self.updates.changed();
    }

    fn access_ended(&mut self, refusal: R) {
        let is_renewing = self.grants.shown.is_some() || self.grants.is_checking;
        if matches!(self.phase, Phase::Open(_)) && !is_renewing {
            self.end(Some(End::Refused(refusal)));
        }
    }

    fn reserved(&mut self, is_there: bool) {
        if let Phase::Open(file) = &self.phase {
            self.blocks.reserved(is_there, self.window.is_empty(), file.geometry);
        }
    }

    fn read_done(&mut self) {
        if let Phase::Open(file) = &self.phase {
            self.pending.allowance += self.blocks.read_done(file.geometry, self.requests.wanted.is_empty());
        }
    }

    fn taken(&mut self) {
        self.window.taken(self.now);
        self.blocks.memory_may_be_free();
        self.requests.active = self.now;
    }

    fn changed(&mut self, is_complete: bool) {
        self.updates.changed();
        if let Phase::Open(file) = &mut self.phase {
            file.is_complete = is_complete;
        }
    }

    fn tick(&mut self, streams: u32) {
        self.updates.set_streams(streams);
        let idle = self.now.saturating_duration_since(self.requests.active);
        if self.wants_nothing() && idle >= self.limits.idle_max {
            self.end(Some(End::Idle));
        }
    }

    fn has_open_output(&self, file: &OpenFile<S>) -> bool {
        self.grants.shown.is_some()
            || self.blocks.has_output()
            || (self.window.has_room_for_update() && self.updates.are_due(self.now, file))
            || self.blocks.may_begin(self.now, &self.requests, &self.window)
    }

    fn poll_open(&mut self) -> Option<Output<R>> {
        let now = self.now;
        let Phase::Open(file) = &self.phase else { return None };
        if let Some(output) = self.blocks.poll_made(now, &mut self.window) {
            return Some(output);
        }
        if let Some(grant) = self.grants.shown.take() {
            self.grants.is_checking = true;
            return Some(Output::CheckGrant { grant });
        }
        if self.window.has_room_for_update() && self.updates.are_due(now, file) {
            self.window.push(now, 0);
            return Some(Output::Notify { others: self.updates.take(now, file) });
        }
        if !self.blocks.may_begin(now, &self.requests, &self.window) {
            return None;
        }
        if self.requests.ended && self.wants_nothing() {
            self.end(Some(End::Complete));
            return None;
        }
        self.blocks.poll_next(now, file, &mut self.requests.wanted, &mut self.window)
    }

    fn membership(&self) -> Option<&Membership<S>> {
        if let Phase::Open(file) = &self.phase { file.super_seed.as_ref() } else { None }
    }

    /// Number of chunks of the open file; none before it is open.
    fn chunk_count(&self) -> ChunkCount {
        if let Phase::Open(file) = &self.phase { file.geometry.chunk_count() } else { ChunkCount(0) }
    }
}
