//! The driver of one `Fetch` call: carries out the decisions of the serving machine (`peernet_engine::serving`).
//!
//! A stream with something to do is in the queue of the disk threads, at most once. A disk thread polls the machine
//! until it has made one message, and puts the stream at the end of the queue again, so that streams take turns. The
//! machine makes only a few messages before gRPC takes the first. So a slow caller holds little memory and no thread.

mod registry;
mod request;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use peernet_engine::access::Authorization;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::ChunkIndex;
use peernet_engine::serving::{
    Block, End, FileKey, Input, Limits, OpenedFile, Output, RefusalReason, RequestError, Serving,
};
use peernet_protos::grpc::fetch_reply::{Kind, Reason};
use peernet_protos::grpc::{FetchReply, FetchRequest};

use self::registry::StreamSlot;
pub(crate) use self::registry::{OUTGOING_MAX, Streams};
pub(crate) use self::request::assert_bounded;
use super::Upload;
use super::authorize::{self, Presented};
use super::caller::Caller;
use super::calls::unreadable;
use super::render::BlockPlace;
use super::uploads::Flow;
use super::{Core, Permit, Pump, Refusal, RefusalCode, Rendered};
use crate::access::GRANT_BYTES_MAX;
use crate::files::ReadError;
use crate::files::{Callers, Reader, SharedFile, Watcher};

type Machine = Serving<Callers, Refusal>;

/// A message for gRPC to send.
pub(crate) enum Out {
    /// A reply, and the memory it takes.
    Reply(Rendered, Option<Permit>),
    /// The end of the call: an error.
    Fail(Refusal),
    /// The end of the call: everything was sent.
    End,
}

/// The outgoing half of a stream. `crate::grpc` implements it.
pub(crate) trait Outgoing: Send {
    /// Hands a message over; false when the caller is gone. There is room for [`OUTGOING_MAX`] messages. Does not
    /// block.
    fn put(&mut self, out: Out) -> bool;
}

/// The caller of a stream.
pub(crate) struct Remote {
    /// The caller's address and port.
    pub(crate) address: String,
    /// The caller's proven identity, and the grant that came with the call.
    pub(crate) presented: Presented,
}

/// One `Fetch` call.
pub(crate) struct Stream {
    me: Weak<Stream>,
    pump: Pump,
    slot: StreamSlot,
    remote: Remote,
    state: Mutex<State>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let allowance = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).machine.allowance();
        if let Some(core) = self.slot.core() {
            let now = Instant::now();
            core.pace.forget(now, self.slot.number());
            core.pace.give_back(now, allowance);
        }
    }
}

/// Invariant: `is_queued` is true exactly while the stream is in the pump or in a disk thread's hands.
struct State {
    machine: Machine,
    /// The file, from [`Output::Open`] to the end of the stream.
    file: Option<ServedFile>,
    outgoing: Box<dyn Outgoing>,
    is_queued: bool,
    flow: Flow,
}

/// The file that a stream reads.
struct ServedFile {
    shared: Arc<SharedFile>,
    /// Open while chunks are being read.
    opened: Option<Reader>,
    /// The ground on which the call may proceed.
    authorization: Authorization,
}

/// One turn on a disk thread.
struct Turn<'a> {
    core: &'a Core,
    now: Instant,
    /// Memory for the next block.
    memory: Option<Permit>,
    /// The block that was read.
    block: Option<Rendered>,
}

impl State {
    fn new(now: Instant, core: &Core, outgoing: Box<dyn Outgoing>, streams: u32) -> Self {
        let limits = Limits {
            ranges_wanted_max: core.limits.ranges_wanted_max,
            idle_max: core.limits.stream_idle_max,
            grant_bytes_max: GRANT_BYTES_MAX,
        };
        let machine = Serving::new(now, limits, streams);
        Self { machine, file: None, outgoing, is_queued: false, flow: Flow::new(now) }
    }

    /// Hands a message to gRPC. Where that cannot be done, the caller is gone.
    fn put(&mut self, now: Instant, reply: Rendered, memory: Option<Permit>) {
        let is_sent = self.outgoing.put(Out::Reply(reply, memory));
        if !is_sent {
            self.machine.handle(now, Input::CallerGone);
        }
    }

    fn put_update(&mut self, now: Instant, others: Option<Bitmap>) {
        let Some(file) = &self.file else { return };
        let have = file.shared.have();
        let complete = have.is_full();
        let bitmap = if complete { Vec::new() } else { have.as_bytes().to_vec() };
        let given = others.map(|others| others.as_bytes().to_vec()).unwrap_or_default();
        let reply = FetchReply { kind: Kind::AVAILABLE.into(), complete, bitmap, given, ..FetchReply::default() };
        self.put(now, Rendered::plain(&reply), None);
    }

    fn put_refusal(&mut self, now: Instant, chunk: ChunkIndex, reason: RefusalReason) {
        let reason = match reason {
            RefusalReason::NotHeld => Reason::NOT_HELD,
            RefusalReason::ReadFailed => Reason::READ_FAILED,
        };
        let kind = Kind::REFUSED.into();
        let reply = FetchReply { kind, chunk_index: chunk.0, reason: reason.into(), ..FetchReply::default() };
        self.put(now, Rendered::plain(&reply), None);
    }

    fn put_block(&mut self, turn: &mut Turn<'_>, block: Block) {
        turn.core.counters.count_block(block.len);
        self.flow.add(turn.now, block.len);
        if let Some(reply) = turn.block.take() {
            self.put(turn.now, reply, turn.memory.take());
        }
    }

    fn put_end(&mut self, end: End<Refusal>) {
        // The descriptor must not stay open for a caller that is gone.
        self.file = None;
        let last = match end {
            End::Complete => Out::End,
            End::Idle => Out::Fail(Refusal::new(RefusalCode::DeadlineExceeded, "nothing was asked for in a long time")),
            End::Withdrawn => Out::Fail(Refusal::not_shared()),
            End::Invalid(error) => Out::Fail(invalid(error)),
            End::Refused(refusal) => Out::Fail(refusal),
        };
        // The caller may be gone.
        let _is_there = self.outgoing.put(last);
    }

    fn close_file_at_the_end(&mut self) {
        if self.machine.is_ended() && !self.machine.has_output() {
            self.file = None;
        }
    }
}

/// Returns the refusal of a message that is out of bounds.
fn invalid(error: RequestError) -> Refusal {
    use peernet_engine::serving::wanted::WantedError;
    let code = match error {
        RequestError::Ranges(WantedError::NoSuchChunks(_)) => RefusalCode::OutOfRange,
        RequestError::Ranges(error) if error.is_exhausted() => RefusalCode::ResourceExhausted,
        _ => RefusalCode::InvalidArgument,
    };
    Refusal::new(code, error.to_string())
}

impl Stream {
    /// Returns a snapshot of the stream's upload; `None` before its file is open, and once it ended.
    pub(crate) fn upload(&self, now: Instant) -> Option<Upload> {
        let state = self.lock();
        let shared_file = &state.file.as_ref()?.shared;
        Some(Upload {
            file_hash: shared_file.manifest().file_hash(),
            file_name: shared_file.file_name().to_owned(),
            address: self.remote.address.clone(),
            transport: self.caller().transport(),
            peer: self.caller().peer(),
            rate: state.flow.rate(now),
            bytes: state.flow.bytes(),
            age: state.flow.age(now),
        })
    }

    /// Takes a message of the caller.
    pub(crate) fn request(&self, request: FetchRequest) {
        self.input(Instant::now(), Input::Request(request::of_wire(request)));
    }

    /// The caller closed its half: wanted chunks are still sent, then the call ends.
    pub(crate) fn requests_ended(&self) {
        self.input(Instant::now(), Input::RequestsEnded);
    }

    /// gRPC took a message, and there may be another.
    pub(crate) fn sent(&self) {
        self.input(Instant::now(), Input::Taken);
    }

    /// The caller is gone.
    pub(crate) fn abandon(&self) {
        self.input(Instant::now(), Input::CallerGone);
    }

    /// Ends the call with a refusal.
    pub(crate) fn stop(&self, refusal: Refusal) {
        self.input(Instant::now(), Input::Stop(refusal));
    }

    /// The stream's turn under the upload limit came: it may send this many bytes.
    pub(crate) fn turn(&self, now: Instant, bytes: u32) {
        self.input(now, Input::Allowed { bytes });
    }

    /// Returns true if everything that the caller asked for was handed to gRPC.
    pub(crate) fn owes_nothing(&self) -> bool {
        self.lock().machine.owes_nothing()
    }

    /// The identity of the caller, as far as it is proven.
    pub(crate) fn caller(&self) -> Caller {
        self.remote.presented.caller
    }

    /// Lets time pass: updates that were held back are sent, and a call that wants nothing or lost its access ends.
    pub(crate) fn tick(&self, core: &Core, now: Instant) {
        self.input(now, Input::Tick { streams: core.streams.count() });
        let (file_hash, authorization) = match &self.lock().file {
            Some(file) => (file.shared.manifest().file_hash(), file.authorization),
            None => return,
        };
        let Err(refusal) = authorize::recheck(core, file_hash, authorization) else { return };
        let mut state = self.lock();
        let was_ended = state.machine.is_ended();
        state.machine.handle(now, Input::AccessEnded(refusal));
        if state.machine.is_ended() && !was_ended {
            core.count_refused();
        }
        self.queue(&mut state);
    }

    fn input(&self, now: Instant, input: Input<Callers, Refusal>) {
        let mut state = self.lock();
        state.machine.handle(now, input);
        state.close_file_at_the_end();
        self.queue(&mut state);
    }

    /// Takes a turn on a disk thread: carries out outputs of the machine until one message is made, and queues for the
    /// next.
    pub(crate) fn step(&self, core: &Core) {
        let mut turn = Turn { core, now: Instant::now(), memory: None, block: None };
        let mut state = self.lock();
        state.machine.handle(turn.now, Input::Tick { streams: core.streams.count() });
        while let Some(output) = state.machine.poll() {
            let is_message =
                matches!(output, Output::Notify { .. } | Output::Send(_) | Output::Refuse { .. } | Output::End(_));
            state = self.obey(state, &mut turn, output);
            if is_message {
                break;
            }
        }
        state.is_queued = false;
        state.close_file_at_the_end();
        self.queue(&mut state);
    }

    /// Carries out one output. The lock is released while a file is looked up, a grant checked, or a block read.
    fn obey<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        output: Output<Refusal>,
    ) -> MutexGuard<'a, State> {
        let core = turn.core;
        let now = turn.now;
        match output {
            Output::Open { file, grant } => {
                drop(state);
                state = self.open(turn, file, grant);
            }
            Output::CheckGrant { grant } => {
                drop(state);
                state = self.check_grant(turn, grant);
            }
            Output::Complain { chunks, received } => {
                core.complaints.count(received);
                if let Some(file) = &state.file {
                    core.complaints.admit(now, &self.remote.address, &file.shared, &chunks);
                }
            }
            Output::Notify { others } => state.put_update(now, others),
            Output::CheckHeld { chunk } => {
                let is_held = state.file.as_ref().is_some_and(|file| file.shared.holds(chunk));
                state.machine.handle(now, Input::Held(is_held));
            }
            Output::Allow { bytes } => {
                // If the upload limit makes the stream wait, `Stream::turn` gets the bytes later. It waits for this lock.
                if let Some(bytes) = core.pace.ask(now, self.slot.number(), &self.me, bytes) {
                    state.machine.handle(now, Input::Allowed { bytes });
                }
            }
            Output::ReturnAllowance { bytes } => core.pace.give_back(now, bytes),
            Output::Reserve { bytes, is_small } => {
                // Never waits: a caller that takes nothing keeps its memory, and must not hold up a disk thread.
                let budget = if is_small { &core.memory.small_blocks } else { &core.memory.streams };
                turn.memory = budget.try_take(bytes as usize);
                state.machine.handle(now, Input::Reserved(turn.memory.is_some()));
            }
            Output::Read(block) => {
                let file = state.file.as_mut().map(|file| (Arc::clone(&file.shared), file.opened.take()));
                drop(state);
                state = self.read(turn, file, block);
            }
            Output::CloseFile => {
                if let Some(file) = &mut state.file {
                    file.opened = None;
                }
            }
            Output::Send(block) => state.put_block(turn, block),
            Output::Refuse { chunk, reason } => {
                core.count_refused();
                state.put_refusal(now, chunk, reason);
            }
            Output::End(end) => state.put_end(end),
        }
        state
    }

    /// Decides about access before it looks for the file: a caller that may not have it does not learn whether it is
    /// here.
    fn open(&self, turn: &mut Turn<'_>, key: FileKey, grant: Option<String>) -> MutexGuard<'_, State> {
        let core = turn.core;
        let presented = &self.remote.presented;
        let presented = grant.map_or_else(|| presented.clone(), |grant| presented.with_grant(grant));
        let found = presented.authorize(core, key.file_hash).and_then(|authorization| {
            let shared = core.catalog.find(key.file_hash, key.manifest_id).ok_or_else(Refusal::not_shared)?;
            Ok(ServedFile { shared, opened: None, authorization })
        });
        let file = match found {
            Ok(file) => file,
            Err(refusal) => {
                core.count_refused();
                return self.answer(turn, Input::Stop(refusal));
            }
        };
        let shared = Arc::clone(&file.shared);
        let me: Weak<dyn Watcher> = self.me.clone();
        shared.watch(me);
        let mut state = self.lock();
        turn.now = Instant::now();
        // Read under the lock and after `watch`: later changes come to `Watcher::changed`.
        let geometry = shared.manifest().geometry();
        let opened = OpenedFile { geometry, is_complete: shared.is_complete(), super_seed: shared.callers() };
        state.file = Some(file);
        state.machine.handle(turn.now, Input::Opened(opened));
        if shared.is_withdrawn() {
            state.machine.handle(turn.now, Input::Withdrawn);
        }
        state
    }

    /// A newer grant that is no good ends the call, although an older one may still be: the caller is wrong about
    /// something.
    fn check_grant(&self, turn: &mut Turn<'_>, grant: String) -> MutexGuard<'_, State> {
        let file_hash = self.lock().file.as_ref().map(|file| file.shared.manifest().file_hash());
        let Some(file_hash) = file_hash else { return self.lock() };
        match self.remote.presented.with_grant(grant).authorize(turn.core, file_hash) {
            Ok(authorization) => {
                let mut state = self.answer(turn, Input::GrantAccepted);
                if let Some(file) = &mut state.file {
                    file.authorization = authorization;
                }
                state
            }
            Err(refusal) => {
                turn.core.count_refused();
                self.answer(turn, Input::Stop(refusal))
            }
        }
    }

    fn read(
        &self,
        turn: &mut Turn<'_>,
        file: Option<(Arc<SharedFile>, Option<Reader>)>,
        block: Block,
    ) -> MutexGuard<'_, State> {
        let Some((shared_file, opened)) = file else { return self.answer(turn, Input::ReadFailed) };
        match read_block(&shared_file, opened, block) {
            Ok((reply, opened)) => {
                turn.block = Some(reply);
                let mut state = self.answer(turn, Input::ReadDone);
                if let Some(file) = &mut state.file {
                    file.opened = Some(opened);
                }
                state
            }
            Err(error) => {
                turn.memory = None;
                let _ = unreadable(turn.core, &shared_file, &error);
                self.answer(turn, Input::ReadFailed)
            }
        }
    }

    /// Hands an answer to the machine, after something that took time.
    fn answer(&self, turn: &mut Turn<'_>, input: Input<Callers, Refusal>) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        turn.now = Instant::now();
        state.machine.handle(turn.now, input);
        state
    }

    fn queue(&self, state: &mut State) {
        if state.is_queued || !state.machine.has_output() {
            return;
        }
        if let Some(me) = self.me.upgrade() {
            state.is_queued = self.pump.try_send(me).is_ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher for Stream {
    fn changed(&self) {
        let mut state = self.lock();
        let Some(file) = &state.file else { return };
        let is_complete = file.shared.is_complete();
        let input = if file.shared.is_withdrawn() { Input::Withdrawn } else { Input::Changed { is_complete } };
        state.machine.handle(Instant::now(), input);
        state.close_file_at_the_end();
        self.queue(&mut state);
    }
}

fn read_block(shared_file: &SharedFile, opened: Option<Reader>, block: Block) -> Result<(Rendered, Reader), ReadError> {
    let opened = match opened {
        Some(opened) => opened,
        None => shared_file.open()?,
    };
    let Block { chunk, offset, len, is_last } = block;
    let place = BlockPlace { chunk: chunk.0, offset, last: is_last };
    let from = shared_file.manifest().geometry().offset(chunk) + u64::from(offset);
    let reply = Rendered::block(place, len as usize, |buffer| opened.read(from, buffer))?;
    Ok((reply, opened))
}

#[cfg(test)]
mod tests {
    use peernet_engine::serving::wanted::{ChunkRange, WantedError};

    use super::*;

    #[test]
    fn a_message_out_of_bounds_gets_the_code_of_its_fault() {
        let nothing = ChunkRange { first: 0, count: 0 };
        for (error, code) in [
            (RequestError::FileHash, RefusalCode::InvalidArgument),
            (RequestError::ManifestId, RefusalCode::InvalidArgument),
            (RequestError::GrantTooLong { max: 9 }, RefusalCode::InvalidArgument),
            (RequestError::Ranges(WantedError::LongList), RefusalCode::InvalidArgument),
            (RequestError::Ranges(WantedError::ManyChunks), RefusalCode::InvalidArgument),
            (RequestError::Ranges(WantedError::NoSuchChunks(nothing)), RefusalCode::OutOfRange),
            (RequestError::Ranges(WantedError::RangesExhausted), RefusalCode::ResourceExhausted),
            (RequestError::Ranges(WantedError::ChunksExhausted), RefusalCode::ResourceExhausted),
        ] {
            let refusal = invalid(error);
            assert_eq!((refusal.code, &*refusal.text), (code, &*error.to_string()));
        }
    }
}
