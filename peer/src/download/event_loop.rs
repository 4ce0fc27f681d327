//! The event loop of a pass: owns the scheduler and runs on the calling thread.
//!
//! 1. It takes one [`Event`] of another thread, or the clock's tick, and feeds it to the scheduler
//!    ([`peernet_engine::download`]).
//! 2. It carries out the scheduler's outputs: connect to a source, ask for chunks, look for more sources.
//! 3. It shows the progress, and goes on until there is a [`Verdict`].
//!
//! It never waits for the disk, the network or a provider. Threads that are ahead of it wait in the bounded event
//! queue.

mod connections;
mod display;
mod reporting;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use peernet_engine::assembly::Shape;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::cause::Cause;
use peernet_engine::download::{Download, Input, Output, Protocol, SourceId};
use peernet_engine::ids::{ByteCount, ChunkIndex, FileHash};

use self::connections::Connections;
use self::display::Display;
use self::reporting::Reporting;
use crate::cancel::Cancel;
use crate::discovery::{Discovery, DiscoveryError, Source, sources_under};
use crate::download::FetchError;
use crate::download::event::{ConnectionId, Event, send};
use crate::download::expected::Expected;
use crate::download::pipeline::sync::Written;
use crate::download::run::Context;
use crate::download::source::connection::Shared;
use crate::grpc::Command;
use peernet_engine::candidate::Transport;

/// A file of at most so many chunks is asked for at once, without waiting a round trip for the source's availability.
const ASKED_AT_ONCE_MAX: u32 = 4;

/// The end of the pass, once it is decided: the hash of the whole file, or why there is none.
type Verdict = Option<Result<FileHash, FetchError>>;

/// The parts that a pass makes for its event loop.
pub(crate) struct Parts<'scope, 'env> {
    pub(crate) scope: &'scope Scope<'scope, 'env>,
    pub(crate) shared: Shared,
    /// The sizes as known at the start.
    pub(crate) shape: Shape,
    /// The chunks that are there already.
    pub(crate) held: Bitmap,
    /// Takes the chunks that are written, for the thread that syncs them. Has room for every chunk.
    pub(crate) written: Sender<Written>,
    pub(crate) events: Sender<Event>,
    /// Cancelled when the pass ends.
    pub(crate) stop: Cancel,
    /// Whether the bytes are handed to a sink, which the pass then waits for.
    pub(crate) delivers: bool,
}

/// See the module.
pub(crate) struct EventLoop<'scope, 'env, 'a, 'c> {
    context: &'a mut Context<'c>,
    scope: &'scope Scope<'scope, 'env>,
    discovery: &'env dyn Discovery,
    scheduler: Download,
    connections: Connections,
    completion: Completion,
    display: Display,
    reporting: Reporting<'env>,
    /// A lookup is under way.
    looking_up: bool,
    /// The number of callers that had asked this node for the growing file at the last look.
    calls: u64,
}

/// The progress of the file towards its end.
struct Completion {
    shape: Shape,
    /// Every chunk before this one is verified, or not wanted.
    front: u32,
    /// Dropped at the end of the pass, which ends the syncing thread.
    written: Option<Sender<Written>>,
    /// The sink has not got all bytes yet.
    delivering: bool,
    /// The hash of the whole file, which waits for the sink.
    whole: Option<FileHash>,
}

impl<'scope, 'env, 'a, 'c: 'env> EventLoop<'scope, 'env, 'a, 'c> {
    pub(crate) fn new(context: &'a mut Context<'c>, parts: Parts<'scope, 'env>) -> Self {
        let Parts { scope, shared, shape, held, written, events, stop, delivers } = parts;
        let discovery = context.discovery;
        let limits = context.job.limits.scheduler.clone();
        let scheduler = Download::of_some(Instant::now(), context.job.seed, limits, held, &shared.expected.wanted);
        let reporting = Reporting::new(discovery, shared.expected.file_hash);
        Self {
            context,
            scope,
            discovery,
            scheduler,
            connections: Connections::new(shared, events, stop),
            completion: Completion { shape, front: 0, written: Some(written), delivering: delivers, whole: None },
            display: Display::default(),
            reporting,
            looking_up: false,
            calls: 0,
        }
    }

    /// The sizes as known by now.
    pub(crate) fn shape(&self) -> Shape {
        self.completion.shape
    }

    fn expected(&self) -> &Arc<Expected> {
        &self.connections.shared.expected
    }

    /// Runs until every chunk is there and the whole file is hashed, or cannot be had.
    pub(crate) fn run(&mut self, sources: Vec<Source>, receiver: &Receiver<Event>) -> Result<FileHash, FetchError> {
        self.advance_front();
        let mut verdict = self.drain();
        verdict = verdict.or(self.introduce(sources));
        let cancelled = self.context.cancel.channel().clone();
        loop {
            let decided = verdict.or_else(|| self.connect_waiting()).or_else(|| self.hear_calls());
            if let Some(decided) = decided {
                return decided;
            }
            if self.context.grants.is_due() {
                self.look_up();
            }
            self.show(false);
            let wait = self.wait();
            verdict = crossbeam_channel::select! {
                recv(receiver) -> event => match event {
                    Ok(event) => self.take(event),
                    Err(_) => self.feed(Input::Tick),
                },
                recv(cancelled) -> _ => Some(Err(FetchError::Cancelled)),
                default(wait) => self.feed(Input::Tick),
            };
        }
    }

    /// Tells all threads of the pass to end, and hands over the last reports.
    pub(crate) fn end(&mut self) {
        self.show(true);
        self.connections.close_all();
        self.completion.written = None;
        self.reporting.hand_over();
    }

    fn wait(&self) -> Duration {
        let now = Instant::now();
        let until = self.scheduler.deadline().map(|deadline| deadline.saturating_duration_since(now));
        until.unwrap_or(Duration::MAX).min(self.context.job.limits.progress_interval)
    }

    /// Tells the scheduler when another caller has asked this node for the growing file.
    fn hear_calls(&mut self) -> Verdict {
        let calls = self.context.shared_file.as_ref().map_or(0, |file| file.calls());
        let has_more = std::mem::replace(&mut self.calls, calls) != calls;
        if has_more { self.feed(Input::Called) } else { None }
    }

    /// Makes sources known to the scheduler, best first.
    fn introduce(&mut self, sources: Vec<Source>) -> Verdict {
        let mut verdict = None;
        for (rank, source) in sources.into_iter().enumerate() {
            let protocol = source.protocol;
            let has = source.has.clone();
            if source.transport == Transport::Tls {
                self.context.grants.want();
            }
            let Some(id) = self.context.sources.meet(source) else { continue };
            let added = Input::SourceAdded { source: id, rank: rank as u32, protocol };
            // The first message of a `Fetch` stream is its availability, with the chunks given to others. That decides
            // which chunks to ask for, so the tracker's word is not used, except where waiting for it would take longer
            // than the download.
            let tells_itself = protocol == Protocol::FetchStream && self.expected().manifest.is_some();
            let waits = tells_itself && self.expected().count().0 > ASKED_AT_ONCE_MAX;
            let told = (!waits).then_some(Input::SourceHas { source: id, has });
            for input in std::iter::once(added).chain(told) {
                verdict = verdict.or_else(|| self.feed(input));
            }
        }
        verdict
    }

    /// Feeds one input to the scheduler and carries out its outputs.
    fn feed(&mut self, input: Input) -> Verdict {
        self.scheduler.handle(Instant::now(), input);
        self.drain()
    }

    fn drain(&mut self) -> Verdict {
        let mut verdict = None;
        while let Some(output) = self.scheduler.poll() {
            let decided = self.act(output);
            verdict = verdict.or(decided);
        }
        verdict
    }

    fn act(&mut self, output: Output) -> Verdict {
        match output {
            Output::Connect { source } => self.connect(source),
            Output::Request { source, chunks, again: false } => {
                self.connections.command(source, Command::Request(chunks))
            }
            Output::Request { source, chunks, again: true } => {
                self.connections.command(source, Command::RequestAnyway(chunks));
            }
            Output::Drop { source, chunks } => self.connections.command(source, Command::Withdraw(chunks)),
            Output::Disconnect { source, .. } => self.connections.disconnect(source),
            Output::NeedSources => self.look_up(),
            Output::Report { source, chunk, result } => self.report(source, chunk, result),
            // Every chunk is there. The hash of the whole file still decides.
            Output::Finished => {}
            Output::Failed { why } => return Some(Err(FetchError::GaveUp(why))),
        }
        None
    }

    /// Takes one event of another thread.
    fn take(&mut self, event: Event) -> Verdict {
        match event {
            Event::Has(id, has) => self.if_current(id, Input::SourceHas { source: id.source, has }),
            Event::Gave(id, others) => self.if_current(id, Input::SourceGave { source: id.source, others }),
            Event::Progress(id, bytes) => {
                let bytes = ByteCount(bytes.into());
                self.if_current(id, Input::ProgressBytes { source: id.source, bytes })
            }
            Event::Verified { id, chunk, bytes, took } => self.verified(id, chunk, bytes, took),
            Event::Failed(id, chunk, cause) => {
                // Before the scheduler disconnects the source for it.
                if cause == Cause::BadHash && self.connections.is_current(id) {
                    self.connections.command(id.source, Command::Complain(chunk));
                }
                self.feed(Input::ChunkFailed { source: id.source, chunk, cause })
            }
            Event::Busy(id, chunk) => self.if_current(id, Input::SourceBusy { source: id.source, chunk }),
            Event::HeldBack(id) => self.if_current(id, Input::HeldBack { source: id.source }),
            Event::Ended(id, cause, text) => self.ended(id, cause, &text),
            Event::Disk(doing, error) => Some(Err(FetchError::LocalDisk { doing, error })),
            Event::Sink(error) => Some(Err(FetchError::Sink(error))),
            Event::Whole(hash) if self.completion.delivering => {
                self.completion.whole = Some(hash);
                None
            }
            Event::Whole(hash) => Some(Ok(hash)),
            Event::Delivered => {
                self.completion.delivering = false;
                self.completion.whole.take().map(Ok)
            }
            Event::Sources(result) => self.looked_up(result),
        }
    }

    /// Events of an earlier connection to the same source are not taken for the present one's.
    fn if_current(&mut self, id: ConnectionId, input: Input) -> Verdict {
        if self.connections.is_current(id) { self.feed(input) } else { None }
    }

    /// A chunk is right and written. It counts for any connection that brought it, also one that is closed by now.
    fn verified(&mut self, id: ConnectionId, chunk: ChunkIndex, bytes: u32, took: Duration) -> Verdict {
        let is_new = !self.scheduler.verified().contains(chunk);
        let before = self.completion.shape;
        if let Ok(shape) = before.learn(chunk, bytes as usize) {
            self.completion.shape = shape;
        }
        let source = id.source;
        let verdict = self.feed(Input::ChunkVerified { source, chunk, bytes: ByteCount(bytes.into()), took });
        if is_new {
            self.context.bytes.fetched += u64::from(bytes);
            self.context.sources.credit(source, bytes);
            let last_len = (before != self.completion.shape).then_some(bytes);
            if let Some(written) = &self.completion.written {
                // It has room for every chunk. Where its thread has ended, an event has said why.
                let _ = written.try_send(Written { chunk, bytes, last_len });
            }
            if let Some(shared_file) = &self.context.shared_file {
                shared_file.add(chunk);
            }
            self.advance_front();
        }
        verdict
    }

    /// Tells the hashing and delivering threads how far the file is verified without a gap.
    fn advance_front(&mut self) {
        let verified = self.scheduler.verified();
        let count = verified.count().0;
        let shared = &self.connections.shared;
        let is_past = |chunk| verified.contains(chunk) || !shared.expected.wanted.contains(chunk);
        let completion = &mut self.completion;
        while completion.front < count && is_past(ChunkIndex(completion.front)) {
            completion.front += 1;
        }
        let whole = completion.front == count;
        let ready = completion.shape.offset(ChunkIndex(completion.front));
        match completion.shape.size() {
            Some(size) => shared.frontier.advance(ready.min(size.0), whole),
            None => shared.frontier.advance(ready, false),
        }
    }

    /// A connection's thread has ended.
    fn ended(&mut self, id: ConnectionId, cause: Cause, text: &str) -> Verdict {
        if let Some(known) = self.context.sources.get(id.source) {
            self.display.last_error = Some(format!("{}: {text}", known.source.first_address()));
        }
        if self.connections.is_superseded(id) {
            return None;
        }
        self.connections.forget(id.source);
        self.feed(Input::SourceFailed { source: id.source, cause })
    }

    fn report(&mut self, source: SourceId, chunk: ChunkIndex, result: Result<(), Cause>) {
        if let Some(known) = self.context.sources.get(source) {
            self.reporting.add(known.source.peer, chunk, result);
        }
    }

    /// Asks for more sources, and for another grant where that is due, on a thread of its own.
    fn look_up(&mut self) {
        if self.looking_up {
            return;
        }
        let discovery = self.discovery;
        let events = self.connections.events.clone();
        let expected = Arc::clone(self.expected());
        let grants = self.context.grants.clone();
        let lookup = move || {
            if grants.is_due() {
                // A failure leaves the present grant. If it is not good any more, the sources say so.
                let _present_one_stays = grants.renew(|| discovery.grant(expected.file_hash));
            }
            // The event loop may have ended meanwhile.
            let _ = send(&events, Event::Sources(sources_of(discovery, &expected)));
        };
        self.looking_up = Builder::new().name("fetch-lookup".to_owned()).spawn_scoped(self.scope, lookup).is_ok();
    }

    fn looked_up(&mut self, result: Result<Vec<Source>, DiscoveryError>) -> Verdict {
        self.looking_up = false;
        match result {
            Ok(sources) => {
                let usable = self.context.usable(sources);
                self.display.note = usable.note();
                self.introduce(usable.sources)
            }
            Err(error) => {
                self.display.note = Some(format!("no new sources: {error}"));
                None
            }
        }
    }
}

/// The sources that hold the file under this very manifest now.
fn sources_of(discovery: &dyn Discovery, expected: &Expected) -> Result<Vec<Source>, DiscoveryError> {
    let Some(manifest) = &expected.manifest else {
        let listing = discovery.v1_listing(expected.file_hash)?;
        let same = listing.filter(|listing| listing.chunk_hashes == expected.chunk_hashes());
        return Ok(same.map(|listing| listing.sources).unwrap_or_default());
    };
    Ok(sources_under(discovery.plan(expected.file_hash)?, manifest.id()))
}
