//! The driver of one `Fetch` call: does what the serving machine (`peernet_engine::serving`) decides.
//!
//! A stream with something to do is in the queue of the disk threads, at most once. A disk thread polls the machine until
//! it has made one message, and puts the stream at the end of the queue again, so that streams take turns. The machine
//! makes only a few messages ahead of what gRPC has taken. So a slow caller holds little memory and no thread.

mod registry;
pub(in crate::grpc) mod request;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use futures_channel::mpsc;
use grpcio::{RpcStatus, RpcStatusCode};
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::ChunkIndex;
use peernet_engine::serving::{
    Block, End, FileKey, Input, Limits, OpenedFile, Output, RefusalReason, RequestError, Serving,
};
use peernet_protos::grpc::fetch_reply::{Kind, Reason};
use peernet_protos::grpc::{FetchReply, FetchRequest};

use self::registry::StreamSlot;
pub(super) use self::registry::Streams;
use super::super::marshal::{BlockPlace, Rendered};
use super::Core;
use super::budget::Permit;
use super::calls::{not_shared, status, unreadable};
use super::disk::Pump;
use super::flow::Flow;
use super::guard;
use super::leave::{self, Claim};
use super::upkeep::Upkeep;
use crate::grants::{GRANT_BYTES_MAX, Leave};
use crate::transfers::Upload;
use crate::upload::{Callers, Held, Opened, ReadError, Watcher};

type Machine = Serving<Callers, RpcStatus>;

/// A message for the completion-queue thread to send.
pub(super) enum Out {
    /// A reply, and the memory it takes.
    Reply(Rendered, Option<Permit>),
    /// The end of the call: an error.
    Fail(RpcStatus),
    /// The end of the call: everything was sent.
    End,
}

/// The caller of a stream.
pub(super) struct Remote {
    /// Its address and port.
    pub(super) address: String,
    /// Its proven identity, and the grant that came with the call.
    pub(super) claim: Claim,
}

/// One `Fetch` call.
pub(super) struct Stream {
    me: Weak<Stream>,
    pump: Pump,
    upkeep: Upkeep,
    slot: StreamSlot,
    remote: Remote,
    state: Mutex<State>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let allowance = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).machine.allowance();
        if let Some(core) = self.slot.core() {
            core.pace.forget(self.slot.number());
            core.pace.give_back(allowance);
        }
    }
}

/// Invariant: `is_queued` is true exactly while the stream is in the pump or in a disk thread's hands.
struct State {
    machine: Machine,
    /// The file, from [`Output::Open`] to the end of the stream.
    file: Option<ServedFile>,
    outgoing: mpsc::Sender<Out>,
    is_queued: bool,
    flow: Flow,
}

/// The file that a stream reads.
struct ServedFile {
    held: Arc<Held>,
    /// Open while chunks are being read.
    opened: Option<Opened>,
    /// The permit of the caller; `None` where anyone may have the file.
    permit: Option<Leave>,
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
    fn new(core: &Core, outgoing: mpsc::Sender<Out>, streams: u32) -> Self {
        let now = Instant::now();
        let limits = Limits {
            ranges_wanted_max: core.limits.ranges_wanted_max,
            idle_max: core.limits.stream_idle_max,
            grant_bytes_max: GRANT_BYTES_MAX,
        };
        let machine = Serving::new(now, limits, streams);
        Self { machine, file: None, outgoing, is_queued: false, flow: Flow::new() }
    }

    /// Hands a message to the completion-queue thread. Where that cannot be done, the caller is gone.
    fn put(&mut self, now: Instant, reply: Option<Rendered>, memory: Option<Permit>) {
        let is_sent = reply.is_some_and(|reply| self.outgoing.try_send(Out::Reply(reply, memory)).is_ok());
        if !is_sent {
            self.machine.handle(now, Input::CallerGone);
        }
    }

    fn put_update(&mut self, now: Instant, others: Option<Bitmap>) {
        let Some(file) = &self.file else { return };
        let have = file.held.have();
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
        self.flow.add(block.len);
        self.put(turn.now, turn.block.take(), turn.memory.take());
    }

    fn put_end(&mut self, end: End<RpcStatus>) {
        // The descriptor must not stay open for a caller that is gone.
        self.file = None;
        let last = match end {
            End::Complete => Out::End,
            End::Idle => Out::Fail(status(RpcStatusCode::DEADLINE_EXCEEDED, "nothing was asked for in a long time")),
            End::Withdrawn => Out::Fail(not_shared()),
            End::Invalid(error) => Out::Fail(invalid(error)),
            End::Refused(status) => Out::Fail(status),
        };
        // The writer may have gone with its caller.
        let _ = self.outgoing.try_send(last);
    }

    fn close_file_at_the_end(&mut self) {
        if self.machine.is_ended() && !self.machine.has_output() {
            self.file = None;
        }
    }
}

/// The status of a message that is out of bounds.
fn invalid(error: RequestError) -> RpcStatus {
    use peernet_engine::serving::wanted::WantedError;
    let code = match error {
        RequestError::Ranges(WantedError::NoSuchChunks(_)) => RpcStatusCode::OUT_OF_RANGE,
        RequestError::Ranges(error) if error.is_exhausted() => RpcStatusCode::RESOURCE_EXHAUSTED,
        _ => RpcStatusCode::INVALID_ARGUMENT,
    };
    RpcStatus::with_message(code, error.to_string())
}

impl Stream {
    pub(super) fn upkeep(&self) -> Upkeep {
        self.upkeep.clone()
    }

    /// Returns what the stream sends; `None` before its file is open, and once it ended.
    pub(super) fn upload(&self) -> Option<Upload> {
        let state = self.lock();
        let held = &state.file.as_ref()?.held;
        Some(Upload {
            file_hash: held.manifest().file_hash(),
            file_name: held.file_name().to_owned(),
            address: self.remote.address.clone(),
            transport: self.remote.claim.caller.transport(),
            peer: self.remote.claim.caller.peer(),
            rate: state.flow.rate(),
            bytes: state.flow.bytes(),
            age: state.flow.age(),
        })
    }

    /// Takes a message of the caller.
    pub(super) fn request(&self, request: FetchRequest) {
        self.input(Input::Request(request::of_wire(request)));
    }

    /// The caller closed its half: what it wants is still sent, then the call ends.
    pub(super) fn requests_ended(&self) {
        self.input(Input::RequestsEnded);
    }

    /// gRPC took a message, and there may be another.
    pub(super) fn sent(&self) {
        self.input(Input::Taken);
    }

    /// The caller is gone.
    pub(super) fn abandon(&self) {
        self.input(Input::CallerGone);
    }

    /// Ends the call with an error.
    pub(super) fn fail(&self, status: RpcStatus) {
        self.input(Input::Stop(status));
    }

    /// The stream's turn under the upload limit came: it may send this many bytes.
    pub(super) fn turn(&self, bytes: u32) {
        self.input(Input::Allowed { bytes });
    }

    /// Whether everything the caller asked for was handed to gRPC.
    pub(super) fn owes_nothing(&self) -> bool {
        self.lock().machine.owes_nothing()
    }

    /// The identity of the caller, as far as it is proven.
    pub(super) fn caller(&self) -> guard::Caller {
        self.remote.claim.caller
    }

    /// Looks at the stream from time to time: sends updates that were held back, and ends a call that wants nothing.
    pub(super) fn look(&self, streams: u32) {
        self.input(Input::Tick { streams });
    }

    /// Ends the call where its caller may not have the file any more.
    pub(super) fn look_at_access(&self, core: &Core) {
        let (file_hash, permit) = match &self.lock().file {
            Some(file) => (file.held.manifest().file_hash(), file.permit),
            None => return,
        };
        let Err(status) = leave::is_good(core, file_hash, permit) else { return };
        let mut state = self.lock();
        let was_ended = state.machine.is_ended();
        state.machine.handle(Instant::now(), Input::AccessEnded(status));
        if state.machine.is_ended() && !was_ended {
            core.count_refused();
        }
        self.queue(&mut state);
    }

    fn input(&self, input: Input<Callers, RpcStatus>) {
        let mut state = self.lock();
        state.machine.handle(Instant::now(), input);
        state.close_file_at_the_end();
        self.queue(&mut state);
    }

    /// Takes a turn on a disk thread: does what the machine says until one message is made, and queues for the next.
    pub(super) fn step(&self, core: &Core) {
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

    /// Does what one output says. The lock is released while a file is looked up, a grant checked, or a block read.
    fn obey<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        turn: &mut Turn<'_>,
        output: Output<RpcStatus>,
    ) -> MutexGuard<'a, State> {
        let (core, now) = (turn.core, turn.now);
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
                    core.complaints.hear(now, &self.remote.address, &file.held, &chunks);
                }
            }
            Output::Notify { others } => state.put_update(now, others),
            Output::CheckHeld { chunk } => {
                let is_held = state.file.as_ref().is_some_and(|file| file.held.holds(chunk));
                state.machine.handle(now, Input::Held(is_held));
            }
            Output::Allow { bytes } => {
                // Where it has to wait, its turn comes to `Stream::turn`, which waits for this lock.
                if let Some(bytes) = core.pace.ask(self.slot.number(), &self.me, bytes) {
                    state.machine.handle(now, Input::Allowed { bytes });
                }
            }
            Output::ReturnAllowance { bytes } => core.pace.give_back(bytes),
            Output::Reserve { bytes, is_small } => {
                // Never waits: a caller that takes nothing keeps what it was given, and must not hold up a disk thread.
                let budget = if is_small { &core.small_blocks } else { &core.stream_budget };
                turn.memory = budget.try_take(bytes as usize);
                state.machine.handle(now, Input::Reserved(turn.memory.is_some()));
            }
            Output::Read(block) => {
                let file = state.file.as_mut().map(|file| (Arc::clone(&file.held), file.opened.take()));
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
        let claim = grant.map_or_else(|| self.remote.claim.clone(), |grant| self.remote.claim.with_grant(grant));
        let found = claim.leave(core, key.file_hash).and_then(|permit| {
            let held = core.shelf.held(key.file_hash, key.manifest_id).ok_or_else(not_shared)?;
            Ok(ServedFile { held, opened: None, permit })
        });
        let file = match found {
            Ok(file) => file,
            Err(status) => {
                core.count_refused();
                return self.answer(turn, Input::Stop(status));
            }
        };
        let held = Arc::clone(&file.held);
        let me: Weak<dyn Watcher> = self.me.clone();
        held.watch(me);
        let mut state = self.lock();
        turn.now = Instant::now();
        // Read under the lock and after `watch`: what changes later comes to `Watcher::changed`.
        let geometry = held.manifest().geometry();
        let opened = OpenedFile { geometry, is_complete: held.is_complete(), super_seed: held.callers() };
        state.file = Some(file);
        state.machine.handle(turn.now, Input::Opened(opened));
        if held.is_withdrawn() {
            state.machine.handle(turn.now, Input::Withdrawn);
        }
        state
    }

    /// A newer grant that is no good ends the call, although an older one may still be: the caller is wrong about
    /// something.
    fn check_grant(&self, turn: &mut Turn<'_>, grant: String) -> MutexGuard<'_, State> {
        let file_hash = self.lock().file.as_ref().map(|file| file.held.manifest().file_hash());
        let Some(file_hash) = file_hash else { return self.lock() };
        match self.remote.claim.with_grant(grant).leave(turn.core, file_hash) {
            Ok(permit) => {
                let mut state = self.answer(turn, Input::GrantAccepted);
                if let Some(file) = &mut state.file {
                    file.permit = permit;
                }
                state
            }
            Err(status) => {
                turn.core.count_refused();
                self.answer(turn, Input::Stop(status))
            }
        }
    }

    fn read(
        &self,
        turn: &mut Turn<'_>,
        file: Option<(Arc<Held>, Option<Opened>)>,
        block: Block,
    ) -> MutexGuard<'_, State> {
        let Some((held, opened)) = file else { return self.answer(turn, Input::ReadFailed) };
        match read_block(&held, opened, block) {
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
                let _ = unreadable(turn.core, &held, &error);
                self.answer(turn, Input::ReadFailed)
            }
        }
    }

    /// Hands an answer to the machine, after something that took time.
    fn answer(&self, turn: &mut Turn<'_>, input: Input<Callers, RpcStatus>) -> MutexGuard<'_, State> {
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
        let is_complete = file.held.is_complete();
        let input = if file.held.is_withdrawn() { Input::Withdrawn } else { Input::Changed { is_complete } };
        state.machine.handle(Instant::now(), input);
        state.close_file_at_the_end();
        self.queue(&mut state);
    }
}

fn read_block(held: &Held, opened: Option<Opened>, block: Block) -> Result<(Rendered, Opened), ReadError> {
    let opened = match opened {
        Some(opened) => opened,
        None => held.open()?,
    };
    let Block { chunk, offset, len, is_last } = block;
    let place = BlockPlace { chunk: chunk.0, offset, last: is_last };
    let from = held.manifest().geometry().offset(chunk) + u64::from(offset);
    let reply = Rendered::block(place, len as usize, |buffer| opened.read(from, buffer))?;
    Ok((reply, opened))
}
