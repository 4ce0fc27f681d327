//! One `Fetch` call on the serving side: what its caller wants, and what is sent next.
//!
//! A stream with something to do is in the disk threads' queue, at most once; a disk thread then makes one message and
//! puts the stream at the end of the queue again, so that streams take turns. It may make only a few messages ahead of
//! what gRPC has taken, so that a slow caller holds little memory and no thread.

mod ahead;
pub(in crate::grpc) mod wanted;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_channel::mpsc;
use grpcio::{RpcStatus, RpcStatusCode};
use peernet_engine::bitmap::Bitmap;
use peernet_engine::ids::{ChunkCount, ChunkIndex, FileHash, ManifestId};
use peernet_engine::serving::super_seed::Choice;
use peernet_protos::grpc::fetch_reply::{Kind, Reason};
use peernet_protos::grpc::{FetchReply, FetchRequest};

use self::ahead::{Ahead, MESSAGES_MAX};
use self::wanted::Wanted;
use super::super::marshal::Rendered;
use super::Core;
use super::budget::Permit;
use super::calls::{invalid, manifest_id, not_shared, status, unreadable};
use super::disk::Pump;
use super::flow::Flow;
use super::guard;
use super::leave::{self, Claim};
use super::upkeep::Upkeep;
use crate::grants::{GRANT_BYTES_MAX, Leave};
use crate::throttle::Connected;
use crate::transfers::Upload;
use crate::upload::{Caller, Held, Opened, Watcher};

/// What is ahead, one piece of news, and one last word.
const OUTGOING_MAX: usize = MESSAGES_MAX + 2;
/// How long a block is at most where memory is short.
pub(super) const BLOCK_BYTES_SMALL: u32 = 64 << 10;
/// News of new chunks, and of what others got, are put together for this long,
const NEWS_INTERVAL: Duration = Duration::from_millis(50);
/// or for this long for each stream of the server where that is longer: they cost both sides work,
const NEWS_INTERVAL_EACH: Duration = Duration::from_millis(6);
/// and so many times longer for every so many bytes of bitmap, so that they stay a small part of what is sent.
const NEWS_BYTES: usize = 512;

/// What the completion-queue thread sends.
pub(super) enum Out {
    /// A message, and the memory it takes.
    Reply(Rendered, Option<Permit>),
    /// The last word: an error.
    Fail(RpcStatus),
    /// The last word: all is sent.
    End,
}

/// All `Fetch` calls of one server.
pub(super) struct Streams {
    all: Mutex<Vec<Weak<Stream>>>,
    /// One more for each stream.
    count: Arc<()>,
    next: AtomicU64,
    upkeep: Upkeep,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self { all: Mutex::new(Vec::new()), count: Arc::default(), next: AtomicU64::new(0), upkeep: Upkeep::default() }
    }

    /// `None` when there are as many as may be.
    pub(super) fn begin(
        &self,
        pump: Pump,
        core: &Arc<Core>,
        remote: Remote,
    ) -> Option<(Arc<Stream>, mpsc::Receiver<Out>)> {
        let mut all = self.lock();
        all.retain(|stream| stream.strong_count() > 0);
        if all.len() >= core.streams_max() {
            return None;
        }
        let connected = core.connections.begin()?;
        let (outgoing, receiver) = mpsc::channel(OUTGOING_MAX);
        let state = Mutex::new(State::new(outgoing, core.limits.ranges_wanted_max, Arc::clone(&self.count)));
        let (upkeep, number) = (self.upkeep.clone(), self.next.fetch_add(1, Ordering::Relaxed));
        let ticket = Ticket { core: Arc::downgrade(core), number, _connected: connected };
        let stream = Arc::new_cyclic(|me| Stream { me: me.clone(), pump, upkeep, ticket, remote, state });
        all.push(Arc::downgrade(&stream));
        Some((stream, receiver))
    }

    pub(super) fn all(&self) -> Vec<Arc<Stream>> {
        self.lock().iter().filter_map(Weak::upgrade).collect()
    }

    pub(super) fn len(&self) -> usize {
        Arc::strong_count(&self.count) - 1
    }

    pub(super) fn upkeep(&self) -> Upkeep {
        self.upkeep.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Stream>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller.
pub(super) struct Remote {
    /// Where it is.
    pub(super) address: String,
    /// Who it is, as far as that is proven, and what it showed when it called.
    pub(super) claim: Claim,
}

pub(super) struct Stream {
    me: Weak<Stream>,
    pump: Pump,
    upkeep: Upkeep,
    ticket: Ticket,
    remote: Remote,
    state: Mutex<State>,
}

/// What a stream holds of its server.
struct Ticket {
    core: Weak<Core>,
    number: u64,
    _connected: Connected,
}

impl Drop for Stream {
    fn drop(&mut self) {
        let allowed = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).allowed;
        if let Some(core) = self.ticket.core.upgrade() {
            core.pace.forget(self.ticket.number);
            core.pace.give_back(allowed);
        }
    }
}

/// Invariant: `queued` is true exactly while the stream is in the pump or in a disk thread's hands.
struct State {
    /// Shared by all of the server, and by what lists them.
    streams: Arc<()>,
    subject: Subject,
    wanted: Wanted,
    current: Option<(ChunkIndex, u32)>,
    /// What it may do with its file; `None` where it has shown nothing.
    leave: Option<Leave>,
    /// A newer grant that it has shown, to be looked at.
    shown: Option<String>,
    /// Its place among those who fetch the same complete file, and what it was told last of what these got.
    caller: Option<Caller>,
    told: (u64, bool),
    /// It only wants what others got, and may change its mind until then.
    held_until: Option<Instant>,
    outgoing: mpsc::Sender<Out>,
    ahead: Ahead,
    /// There was no memory for another block beside what is on its way; the next [`Stream::sent`] tries again.
    starved: bool,
    queued: bool,
    /// It waits for the upload limit; [`Stream::turn`] ends that.
    waits_for_turn: bool,
    /// Bytes the limit allows it to send.
    allowed: u32,
    flow: Flow,
    ended: bool,
    caller_is_done: bool,
    news: bool,
    last_news: Option<Instant>,
    active: Instant,
}

/// What the call is about.
enum Subject {
    /// The first message has not come.
    Unknown,
    /// It has, and a disk thread is to look it up.
    Asked(FileHash, Option<ManifestId>),
    /// It is on the shelf.
    Known(Arc<Held>, Option<Opened>),
}

/// What a disk thread does next.
enum Act {
    LookUp(FileHash, Option<ManifestId>),
    LookAt(String, Arc<Held>),
    Fail(RpcStatus),
    News(Arc<Held>),
    Refuse(ChunkIndex, Reason),
    Block { held: Arc<Held>, opened: Option<Opened>, chunk: ChunkIndex, offset: u32, len: u32 },
    End,
}

impl State {
    fn new(outgoing: mpsc::Sender<Out>, ranges_max: usize, streams: Arc<()>) -> Self {
        let now = Instant::now();
        Self {
            streams,
            subject: Subject::Unknown,
            wanted: Wanted::new(ranges_max),
            current: None,
            leave: None,
            shown: None,
            caller: None,
            told: (0, false),
            held_until: None,
            outgoing,
            ahead: Ahead::new(now),
            starved: false,
            queued: false,
            waits_for_turn: false,
            allowed: 0,
            flow: Flow::new(),
            ended: false,
            caller_is_done: false,
            news: false,
            last_news: None,
            active: now,
        }
    }

    fn has_work(&self) -> bool {
        match self.subject {
            Subject::Unknown => self.caller_is_done && !self.ended,
            Subject::Asked(..) => !self.ended,
            Subject::Known(..) => !self.ended && (self.shown.is_some() || self.news_may_go() || self.more_may_go()),
        }
    }

    /// Of what is on the shelf; none before that is known.
    fn chunk_count(&self) -> ChunkCount {
        match &self.subject {
            Subject::Known(held, _) => held.manifest().geometry().chunk_count(),
            _ => ChunkCount(0),
        }
    }

    fn news_may_go(&self) -> bool {
        self.ahead.has_room_for_news() && self.news_are_due()
    }

    /// A block, a refusal or the end.
    fn more_may_go(&self) -> bool {
        let wanted = !self.wanted.is_empty() && !self.is_held();
        let asked = self.current.is_some() || wanted || self.caller_is_done;
        let has_room = || self.ahead.is_bare() || (!self.starved && self.ahead.has_room(Instant::now()));
        asked && !self.waits_for_turn && has_room()
    }

    fn news_are_due(&self) -> bool {
        (self.news || self.others_changed()) && self.last_news.is_none_or(|last| last.elapsed() >= self.news_interval())
    }

    fn others_changed(&self) -> bool {
        let Some(caller) = &self.caller else { return false };
        let ((told, had_others), (version, has_others)) = (self.told, caller.version());
        version != told && (had_others || has_others)
    }

    fn news_interval(&self) -> Duration {
        let Subject::Known(held, _) = &self.subject else { return NEWS_INTERVAL };
        let bytes = held.manifest().geometry().chunk_count().0 as usize / 8;
        let streams = Arc::strong_count(&self.streams) - 1;
        NEWS_INTERVAL.max(NEWS_INTERVAL_EACH * streams as u32) * (1 + bytes / NEWS_BYTES) as u32
    }

    /// What others got, to be told now.
    fn others(&mut self) -> Option<Bitmap> {
        let (others, version) = self.caller.as_ref()?.tell();
        self.told = (version, others.is_some());
        others
    }

    /// Takes the next chunk to send out of what is wanted; `None` when there is none for now.
    fn next_chunk(&mut self) -> Option<ChunkIndex> {
        let Some(caller) = &self.caller else { return self.wanted.next() };
        match caller.choose(Instant::now(), self.wanted.iter()) {
            Choice::Give(chunk) => {
                self.wanted.remove(chunk);
                Some(chunk)
            }
            Choice::Hold(until) => {
                self.held_until = Some(until);
                None
            }
            Choice::Nothing => None,
        }
    }

    fn is_held(&self) -> bool {
        self.held_until.is_some_and(|until| Instant::now() < until)
    }

    /// Puts the last word in and takes nothing more.
    fn finish(&mut self, last: Option<Out>) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.current = None;
        self.caller = None;
        self.wanted.clear();
        // The descriptor must not stay open for a caller who is gone.
        self.subject = Subject::Unknown;
        if let Some(last) = last {
            // The writer may have gone; then nobody is left to be told.
            let _ = self.outgoing.try_send(last);
        }
    }

    fn next_act(&mut self) -> Option<Act> {
        if !self.has_work() {
            return None;
        }
        let (held, opened) = match &self.subject {
            Subject::Unknown => return Some(Act::End),
            Subject::Asked(file_hash, id) => return Some(Act::LookUp(*file_hash, *id)),
            Subject::Known(held, opened) => (Arc::clone(held), opened.clone()),
        };
        if held.is_withdrawn() {
            return Some(Act::Fail(not_shared()));
        }
        if let Some(grant) = self.shown.take() {
            return Some(Act::LookAt(grant, held));
        }
        if self.news_may_go() {
            return Some(Act::News(held));
        }
        if !self.more_may_go() {
            return None;
        }
        if self.current.is_none() {
            let Some(chunk) = self.next_chunk() else {
                return (self.caller_is_done && self.wanted.is_empty()).then_some(Act::End);
            };
            if !held.holds(chunk) {
                return Some(Act::Refuse(chunk, Reason::NOT_HELD));
            }
            self.current = Some((chunk, 0));
        }
        let (chunk, offset) = self.current?;
        let left = held.manifest().geometry().chunk_len(chunk) - offset;
        Some(Act::Block { held, opened, chunk, offset, len: left.min(self.ahead.block_bytes(Instant::now())) })
    }

    /// `len` is how much payload it has.
    fn put(&mut self, reply: Option<Rendered>, len: u32, permit: Option<Permit>) {
        self.ahead.put(Instant::now(), len);
        let sent = reply.is_some_and(|reply| self.outgoing.try_send(Out::Reply(reply, permit)).is_ok());
        if !sent {
            self.finish(None);
        }
    }

    fn request(&mut self, request: &FetchRequest) -> Result<(), RpcStatus> {
        if let Subject::Unknown = self.subject {
            let file_hash = FileHash::from_slice(&request.file_hash);
            let file_hash = file_hash.map_err(|_| invalid("file_hash: 32 bytes are wanted in the first message"))?;
            self.subject = Subject::Asked(file_hash, manifest_id(&request.manifest_id)?);
            self.news = true;
        }
        self.active = Instant::now();
        if !request.grant.is_empty() {
            if request.grant.len() > GRANT_BYTES_MAX {
                return Err(invalid(format!("grant: more than {GRANT_BYTES_MAX} bytes")));
            }
            self.shown = Some(request.grant.clone());
        }
        self.wanted.drop_ranges(&request.dropped)?;
        if let Some(caller) = &self.caller {
            caller.take_back(wanted::chunks(&request.dropped, self.chunk_count()));
        }
        if self.current.is_some_and(|(chunk, _)| wanted::covers(&request.dropped, chunk)) {
            self.current = None;
        }
        self.wanted.append(&request.wanted)?;
        self.wanted.append(&request.again)?;
        if let Some(caller) = &self.caller {
            caller.insist(wanted::chunks(&request.again, self.chunk_count()));
        }
        self.held_until = None;
        Ok(())
    }
}

impl Stream {
    pub(super) fn upkeep(&self) -> Upkeep {
        self.upkeep.clone()
    }

    /// What it sends; `None` while that is not known or it has ended.
    pub(super) fn upload(&self) -> Option<Upload> {
        let state = self.lock();
        let Subject::Known(held, _) = &state.subject else { return None };
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

    /// What it is about, once that is known.
    pub(super) fn held(&self) -> Option<Arc<Held>> {
        if let Subject::Known(held, _) = &self.lock().subject { Some(Arc::clone(held)) } else { None }
    }

    /// A message of the caller.
    pub(super) fn request(&self, request: FetchRequest) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        match state.request(&request) {
            Ok(()) => self.queue(&mut state),
            Err(status) => state.finish(Some(Out::Fail(status))),
        }
    }

    /// The caller closed its half: what it wants is still sent, then the call ends.
    pub(super) fn caller_is_done(&self) {
        let mut state = self.lock();
        state.caller_is_done = true;
        self.queue(&mut state);
    }

    /// gRPC took a message, and there may be another.
    pub(super) fn sent(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        state.ahead.taken(now);
        state.active = now;
        state.starved = false;
        self.queue(&mut state);
    }

    /// Everything its caller asked for was handed to gRPC.
    pub(super) fn owes_nothing(&self) -> bool {
        let state = self.lock();
        state.ended || (state.wanted.is_empty() && state.current.is_none() && state.ahead.is_bare())
    }

    /// Nobody is there any more to send to.
    pub(super) fn abandon(&self) {
        self.lock().finish(None);
    }

    /// Who calls, as far as that is proven.
    pub(super) fn caller(&self) -> guard::Caller {
        self.remote.claim.caller
    }

    /// Ends the call with an error.
    pub(super) fn fail(&self, status: RpcStatus) {
        self.lock().finish(Some(Out::Fail(status)));
    }

    /// From time to time: sends news that were held back, and ends a call that wants nothing.
    pub(super) fn look(&self, now: Instant, idle_max: Duration) {
        let mut state = self.lock();
        let idle = state.wanted.is_empty() && state.current.is_none();
        if idle && now.saturating_duration_since(state.active) > idle_max {
            let text = "nothing was asked for in a long time";
            return state.finish(Some(Out::Fail(status(RpcStatusCode::DEADLINE_EXCEEDED, text))));
        }
        self.queue(&mut state);
    }

    /// On a disk thread: does one thing, and queues for the next.
    pub(super) fn step(&self, core: &Core) {
        let act = self.lock().next_act();
        match act {
            None => {}
            Some(Act::LookUp(file_hash, id)) => self.look_up(core, file_hash, id),
            Some(Act::LookAt(grant, held)) => self.look_at(core, grant, &held),
            Some(Act::Fail(status)) => self.fail(status),
            Some(Act::News(held)) => self.send_news(&held),
            Some(Act::Refuse(chunk, reason)) => self.refuse(core, chunk, reason),
            Some(Act::Block { held, opened, chunk, offset, len }) => {
                self.send_block(core, &held, opened, (chunk, offset, len));
            }
            Some(Act::End) => self.lock().finish(Some(Out::End)),
        }
        let mut state = self.lock();
        state.queued = false;
        self.queue(&mut state);
    }

    /// Before the file is looked for: who may not have it does not learn whether it is here.
    fn look_up(&self, core: &Core, file_hash: FileHash, id: Option<ManifestId>) {
        let shown = self.lock().shown.take();
        let claim = shown.map_or_else(|| self.remote.claim.clone(), |grant| self.remote.claim.with_grant(grant));
        let found = claim
            .leave(core, file_hash)
            .and_then(|leave| core.shelf.held(file_hash, id).map(|held| (held, leave)).ok_or_else(not_shared));
        let (held, leave) = match found {
            Ok(found) => found,
            Err(status) => {
                core.count_refused();
                return self.fail(status);
            }
        };
        let me: Weak<dyn Watcher> = self.me.clone();
        held.watch(me);
        let mut state = self.lock();
        if !state.ended {
            // Only of a complete file does each get something else: what someone has of a part is for everyone.
            state.caller = held.is_complete().then(|| held.join());
            state.subject = Subject::Known(held, None);
            state.leave = leave;
        }
    }

    /// One that is no good ends the call, although an older one may still be: whoever shows it is wrong about something.
    fn look_at(&self, core: &Core, grant: String, held: &Held) {
        match self.remote.claim.with_grant(grant).leave(core, held.manifest().file_hash()) {
            Ok(leave) => self.lock().leave = leave,
            Err(status) => {
                core.count_refused();
                self.fail(status);
            }
        }
    }

    /// Ends the call where its caller may not have the file any more.
    pub(super) fn look_at_leave(&self, core: &Core) {
        let (file_hash, leave) = match &*self.lock() {
            State { subject: Subject::Known(held, _), leave, shown: None, .. } => (held.manifest().file_hash(), *leave),
            _ => return,
        };
        if let Err(status) = leave::is_good(core, file_hash, leave) {
            core.count_refused();
            self.fail(status);
        }
    }

    fn send_news(&self, held: &Held) {
        {
            // Before the bitmap is read, so that a chunk added meanwhile makes news again.
            let mut state = self.lock();
            state.news = false;
            state.last_news = Some(Instant::now());
        }
        let have = held.have();
        let complete = have.is_full();
        let bitmap = if complete { Vec::new() } else { have.as_bytes().to_vec() };
        let mut state = self.lock();
        let given = state.others().map(|others| others.as_bytes().to_vec()).unwrap_or_default();
        let reply = FetchReply { kind: Kind::AVAILABLE.into(), complete, bitmap, given, ..FetchReply::default() };
        state.put(Rendered::plain(&reply), 0, None);
    }

    fn refuse(&self, core: &Core, chunk: ChunkIndex, reason: Reason) {
        core.count_refused();
        let kind = Kind::REFUSED.into();
        let reply = FetchReply { kind, chunk_index: chunk.0, reason: reason.into(), ..FetchReply::default() };
        self.lock().put(Rendered::plain(&reply), 0, None);
    }

    fn send_block(&self, core: &Core, held: &Held, opened: Option<Opened>, place: (ChunkIndex, u32, u32)) {
        let (chunk, offset, len) = place;
        let Some(len) = self.allowance(core, len) else { return };
        let Some((len, permit)) = self.memory_for(core, len) else { return };
        match block::read(held, opened, chunk, offset, len) {
            Ok((reply, opened)) => {
                block::count(core, len);
                let mut state = self.lock();
                state.flow.add(len);
                let unused = std::mem::take(&mut state.allowed).saturating_sub(len);
                core.pace.give_back(unused);
                state.advance(held, opened, (chunk, offset, len));
                state.put(Some(reply), len, permit);
            }
            Err(error) => {
                drop(permit);
                let _ = unreadable(core, held, &error);
                let mut state = self.lock();
                state.current = None;
                core.pace.give_back(std::mem::take(&mut state.allowed));
                drop(state);
                self.refuse(core, chunk, Reason::READ_FAILED);
            }
        }
    }

    /// How much of `len` the upload limit allows. `None`: not its turn yet, and it is queued again when it is.
    fn allowance(&self, core: &Core, len: u32) -> Option<u32> {
        let mut state = self.lock();
        if state.allowed == 0 {
            // Before it asks: its turn may come at once, and then waits for this lock.
            state.waits_for_turn = true;
            state.allowed = core.pace.ask(self.ticket.number, &self.me, len)?;
            state.waits_for_turn = false;
        }
        Some(len.min(state.allowed))
    }

    /// Its turn came: it may send so many bytes.
    pub(super) fn turn(&self, core: &Core, len: u32) {
        let mut state = self.lock();
        state.waits_for_turn = false;
        if state.ended {
            return core.pace.give_back(len);
        }
        state.allowed = len;
        self.queue(&mut state);
    }

    /// How long the block may be, and the memory taken for it. Never waits: callers who take nothing hold what they were
    /// given, and must hold up neither the disk threads nor anyone else. So a small block at a time is everyone's right,
    /// out of memory that is kept for these: there are no more streams than it has room for.
    fn memory_for(&self, core: &Core, len: u32) -> Option<(u32, Option<Permit>)> {
        if let Some(permit) = core.stream_budget.try_take(len as usize) {
            return Some((len, Some(permit)));
        }
        let mut state = self.lock();
        state.starved = true;
        let len = len.min(BLOCK_BYTES_SMALL);
        state.ahead.is_bare().then(|| (len, core.small_blocks.try_take(len as usize)))
    }

    fn queue(&self, state: &mut State) {
        if state.queued || !state.has_work() {
            return;
        }
        if let Some(me) = self.me.upgrade() {
            state.queued = self.pump.try_send(me).is_ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// After a block was made: what comes next, unless the caller dropped the chunk meanwhile.
    fn advance(&mut self, held: &Held, opened: Opened, (chunk, offset, len): (ChunkIndex, u32, u32)) {
        if self.ended {
            return;
        }
        if let Subject::Known(_, open) = &mut self.subject {
            *open = Some(opened);
        }
        if self.current == Some((chunk, offset)) {
            let rest = held.manifest().geometry().chunk_len(chunk) - offset - len;
            self.current = (rest > 0).then_some((chunk, offset + len));
        }
        if self.current.is_none() && self.wanted.is_empty() {
            // Nothing more to read for now: do not keep the descriptor.
            if let Subject::Known(_, open) = &mut self.subject {
                *open = None;
            }
        }
    }
}

impl Watcher for Stream {
    fn changed(&self) {
        let mut state = self.lock();
        state.news = true;
        self.queue(&mut state);
    }
}

mod block {
    //! Reading a block.

    use std::sync::atomic::Ordering;

    use super::super::super::marshal::{BlockPlace, Rendered};
    use super::{ChunkIndex, Core, Held, Opened};
    use crate::upload::ReadError;

    pub(super) fn read(
        held: &Held,
        opened: Option<Opened>,
        chunk: ChunkIndex,
        offset: u32,
        len: u32,
    ) -> Result<(Rendered, Opened), ReadError> {
        let geometry = held.manifest().geometry();
        let opened = match opened {
            Some(opened) => opened,
            None => held.open()?,
        };
        let place = BlockPlace { chunk: chunk.0, offset, last: offset + len == geometry.chunk_len(chunk) };
        let from = geometry.offset(chunk) + u64::from(offset);
        let reply = Rendered::block(place, len as usize, |buffer| opened.read(from, buffer))?;
        Ok((reply, opened))
    }

    pub(super) fn count(core: &Core, len: u32) {
        core.counters.blocks_sent.fetch_add(1, Ordering::Relaxed);
        core.counters.bytes_sent.fetch_add(u64::from(len), Ordering::Relaxed);
    }
}
