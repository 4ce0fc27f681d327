//! The owner of the scheduler: one event in, what the scheduler then wants done out.

mod connection_limit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use peernet_engine::assembly::Shape;
use peernet_engine::bitmap::Bitmap;
use peernet_engine::bottleneck::{Bottleneck, BottleneckMeter};
use peernet_engine::cause::Cause;
use peernet_engine::download::{Download, Input, Output, SourceId};
use peernet_engine::ids::{ByteCount, ChunkIndex, FileHash};
use peernet_engine::rate::eta;

use self::connection_limit::Waiting;
use crate::cancel::Cancel;
use crate::discovery::{Directory, DirectoryError, Source};
use crate::download::event::{Event, LinkId, tell};
use crate::download::expected::Blueprint;
use crate::download::manifest::Context;
use crate::download::pipeline::hash::Frontier;
use crate::download::pipeline::sync::Written;
use crate::download::pipeline::write::Writes;
use crate::download::source::{self, Link};
use crate::download::stage_times::SpentCounters;
use crate::download::{FetchError, FetchProgress, FetchReport, Phase, SourceProgress};
use crate::grpc::{Command, Commands, commands};
use crate::part::Part;
use crate::transfers::Transport;

/// A file of so few chunks is asked for without waiting a round trip for what the source says first.
const ASKED_AT_ONCE_MAX: u32 = 4;
/// Reports handed over at once.
const REPORTS_MAX: usize = 256;

pub(crate) struct Owner<'scope, 'env, 'a, 'c> {
    context: &'a mut Context<'c>,
    scope: &'scope Scope<'scope, 'env>,
    blueprint: &'a Arc<Blueprint>,
    shape: Shape,
    part: &'a Arc<Part>,
    frontier: &'a Arc<Frontier>,
    writes: Writes,
    events: Sender<Event>,
    written: Option<Sender<Written>>,
    over: &'a Cancel,
    directory: &'env dyn Directory,
    download: Download,
    links: BTreeMap<SourceId, Open>,
    next_link: u64,
    /// Every chunk before this one is verified, or not wanted.
    front: u32,
    looking_up: bool,
    /// How many had asked us for the same file when last looked.
    calls: u64,
    /// A sink has not got all bytes yet; then the whole hash waits here.
    delivering: bool,
    whole: Option<FileHash>,
    /// Those there was no connection free for.
    waiting: Waiting,
    reports: Vec<FetchReport>,
    shown: Option<Instant>,
    spent: Arc<SpentCounters>,
    bottleneck: BottleneckMeter,
    note: Option<String>,
    /// The last failure of a connection, for when nothing else explains why nothing comes.
    last_trouble: Option<String>,
}

struct Open {
    number: u64,
    commands: Commands,
}

/// What is decided, when something is.
type Verdict = Option<Result<FileHash, FetchError>>;

impl<'scope, 'env, 'a, 'c: 'env> Owner<'scope, 'env, 'a, 'c> {
    #[expect(clippy::too_many_arguments, reason = "all of it is made by the one caller, a line before")]
    pub(crate) fn new(
        context: &'a mut Context<'c>,
        scope: &'scope Scope<'scope, 'env>,
        (blueprint, shape): (&'a Arc<Blueprint>, Shape),
        part: &'a Arc<Part>,
        frontier: &'a Arc<Frontier>,
        events: Sender<Event>,
        (writes, written): (Writes, Sender<Written>),
        held: Bitmap,
        over: &'a Cancel,
    ) -> Self {
        let scheduler = context.job.limits.scheduler.clone();
        let directory = context.directory;
        let download = Download::of_some(Instant::now(), context.job.seed, scheduler, held, &blueprint.wanted);
        Self {
            context,
            scope,
            blueprint,
            shape,
            part,
            frontier,
            writes,
            events,
            written: Some(written),
            over,
            directory,
            download,
            links: BTreeMap::new(),
            next_link: 0,
            front: 0,
            looking_up: false,
            calls: 0,
            delivering: false,
            whole: None,
            waiting: Waiting::default(),
            reports: Vec::new(),
            shown: None,
            spent: Arc::default(),
            bottleneck: BottleneckMeter::new(Instant::now()),
            note: None,
            last_trouble: None,
        }
    }

    /// There is a sink: the download ends when it has got everything.
    pub(crate) fn wait_for_delivery(&mut self) {
        self.delivering = true;
    }

    /// The sizes as known by now.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Until every chunk is there and the whole is hashed, or it cannot be.
    pub(crate) fn run(&mut self, sources: &[Source], happening: &Receiver<Event>) -> Result<FileHash, FetchError> {
        self.advance_front();
        let mut verdict = self.drain();
        self.introduce(sources.to_vec(), &mut verdict);
        let cancelled = self.context.cancel.channel().clone();
        loop {
            if let Some(verdict) = verdict {
                return verdict;
            }
            if let Some(decided) = self.connect_waiting() {
                return decided;
            }
            if let Some(decided) = self.hear_calls() {
                return decided;
            }
            if self.context.leave.is_due() {
                self.look_up();
            }
            self.show(false);
            let wait = self.wait();
            verdict = crossbeam_channel::select! {
                recv(happening) -> event => match event {
                    Ok(event) => self.take(event),
                    Err(_) => self.feed(Input::Tick),
                },
                recv(cancelled) -> _ => Some(Err(FetchError::Cancelled)),
                default(wait) => self.feed(Input::Tick),
            };
        }
    }

    /// Tells all threads to end, and hands over the last reports.
    pub(crate) fn end(&mut self) {
        self.show(true);
        self.links.clear();
        self.written = None;
        self.hand_over_reports();
    }

    fn wait(&self) -> Duration {
        let now = Instant::now();
        let until = self.download.deadline().map(|deadline| deadline.saturating_duration_since(now));
        until.unwrap_or(Duration::MAX).min(self.context.job.limits.progress_interval)
    }

    fn hear_calls(&mut self) -> Verdict {
        let calls = self.context.held.as_ref().map_or(0, |held| held.calls());
        let has_more = std::mem::replace(&mut self.calls, calls) != calls;
        if has_more { self.feed(Input::Called) } else { None }
    }

    fn introduce(&mut self, sources: Vec<Source>, verdict: &mut Verdict) {
        for (rank, source) in sources.into_iter().enumerate() {
            let (v1, has) = (source.v1, source.has.clone());
            if source.transport == Transport::Tls {
                self.context.leave.want();
            }
            let Some(id) = self.context.known.meet(source) else { continue };
            let added = Input::SourceAdded { source: id, rank: rank as u32, v1 };
            // A source of this version tells by itself first thing, and who else asks it, which decides what to ask for.
            let waits = !v1 && self.blueprint.manifest.is_some() && self.blueprint.count().0 > ASKED_AT_ONCE_MAX;
            let told = (!waits).then_some(Input::SourceHas { source: id, has });
            for input in std::iter::once(added).chain(told) {
                if verdict.is_none() {
                    *verdict = self.feed(input);
                }
            }
        }
    }

    fn feed(&mut self, input: Input) -> Verdict {
        self.download.handle(Instant::now(), input);
        self.drain()
    }

    fn drain(&mut self) -> Verdict {
        let mut verdict = None;
        while let Some(output) = self.download.poll() {
            if let Some(decided) = self.act(output) {
                verdict.get_or_insert(decided);
            }
        }
        verdict
    }

    fn act(&mut self, output: Output) -> Verdict {
        match output {
            Output::Connect { source } => self.connect(source),
            Output::Request { source, chunks, again: false } => self.command(source, Command::Request(chunks)),
            Output::Request { source, chunks, again: true } => self.command(source, Command::Again(chunks)),
            Output::Drop { source, chunks } => self.command(source, Command::Drop(chunks)),
            Output::Disconnect { source, .. } => {
                self.waiting.forget(source);
                drop(self.links.remove(&source));
            }
            Output::NeedSources => self.look_up(),
            Output::Report { source, chunk, result } => self.report(source, chunk, result),
            // The hash of the whole still decides.
            Output::Finished => {}
            Output::Failed { why } => return Some(Err(FetchError::GaveUp(why))),
        }
        None
    }

    fn take(&mut self, event: Event) -> Verdict {
        match event {
            Event::Has(link, has) => self.if_current(link, Input::SourceHas { source: link.source, has }),
            Event::Gave(link, others) => self.if_current(link, Input::SourceGave { source: link.source, others }),
            Event::Progress(link, bytes) => {
                let bytes = ByteCount(bytes.into());
                self.if_current(link, Input::ProgressBytes { source: link.source, bytes })
            }
            Event::Verified { link, chunk, bytes, took } => self.verified(link, chunk, bytes, took),
            Event::Failed(link, chunk, cause) => {
                // Before the scheduler has the link dropped.
                if cause == Cause::BadHash && self.is_current(link) {
                    self.command(link.source, Command::Complain(chunk));
                }
                self.feed(Input::ChunkFailed { source: link.source, chunk, cause })
            }
            Event::Busy(link, chunk) => self.if_current(link, Input::SourceBusy { source: link.source, chunk }),
            Event::HeldBack(link) => self.if_current(link, Input::HeldBack { source: link.source }),
            Event::Ended(link, cause, text) => self.ended(link, cause, text),
            Event::Disk(doing, error) => Some(Err(FetchError::LocalDisk { doing, error })),
            Event::Sink(error) => Some(Err(FetchError::Sink(error))),
            Event::Whole(hash) if self.delivering => {
                self.whole = Some(hash);
                None
            }
            Event::Whole(hash) => Some(Ok(hash)),
            Event::Delivered => {
                self.delivering = false;
                self.whole.take().map(Ok)
            }
            Event::Sources(result) => self.looked_up(result),
        }
    }

    fn is_current(&self, link: LinkId) -> bool {
        self.links.get(&link.source).is_some_and(|open| open.number == link.number)
    }

    fn if_current(&mut self, link: LinkId, input: Input) -> Verdict {
        if self.is_current(link) { self.feed(input) } else { None }
    }

    fn verified(&mut self, link: LinkId, chunk: ChunkIndex, bytes: u32, took: Duration) -> Verdict {
        let fresh = !self.download.verified().contains(chunk);
        let before = self.shape;
        if let Ok(shape) = self.shape.learn(chunk, bytes as usize) {
            self.shape = shape;
        }
        let source = link.source;
        let verdict = self.feed(Input::ChunkVerified { source, chunk, bytes: ByteCount(bytes.into()), took });
        if fresh {
            self.context.bytes_fetched += u64::from(bytes);
            self.context.known.credit(source, bytes);
            let last_len = (before != self.shape).then_some(bytes);
            if let Some(written) = &self.written {
                // It has room for every chunk; where its thread has ended, that has told why.
                let _ = written.try_send(Written { chunk, bytes, last_len });
            }
            if let Some(held) = &self.context.held {
                held.add(chunk);
            }
            self.advance_front();
        }
        verdict
    }

    fn advance_front(&mut self) {
        let verified = self.download.verified();
        let count = verified.count().0;
        let wanted = &self.blueprint.wanted;
        let is_past = |chunk| verified.contains(chunk) || !wanted.contains(chunk);
        while self.front < count && is_past(ChunkIndex(self.front)) {
            self.front += 1;
        }
        let whole = self.front == count;
        let ready = self.shape.offset(ChunkIndex(self.front));
        match self.shape.size() {
            Some(size) => self.frontier.advance(ready.min(size.0), whole),
            None => self.frontier.advance(ready, false),
        }
    }

    fn connect(&mut self, source: SourceId) {
        let Some(known) = self.context.known.get(source) else { return };
        let Some(connected) = self.context.job.throttle.connections().begin() else {
            self.links.remove(&source);
            return self.waiting.turned_away(source);
        };
        let number = self.next_link;
        self.next_link += 1;
        let (commands, orders) = commands();
        let link = Link {
            id: LinkId { source, number },
            source: known.source.clone(),
            dial: self.context.job.dial.clone(),
            leave: self.context.leave.clone(),
            blueprint: Arc::clone(self.blueprint),
            part: Arc::clone(self.part),
            frontier: Arc::clone(self.frontier),
            writes: self.writes.clone(),
            events: self.events.clone(),
            orders,
            limits: self.context.job.limits.clone(),
            throttle: Arc::clone(&self.context.job.throttle),
            spent: Arc::clone(&self.spent),
            _connected: connected,
            over: self.over.clone(),
        };
        // An old connection ends with its commands.
        self.links.insert(source, Open { number, commands });
        let thread = thread::Builder::new().name(format!("fetch-from-{}", source.0));
        if let Err(error) = thread.spawn_scoped(self.scope, move || source::run(link)) {
            self.links.remove(&source);
            self.note = Some(format!("no thread for another source: {error}"));
        }
    }

    fn command(&mut self, source: SourceId, command: Command) {
        let sent = self.links.get_mut(&source).is_some_and(|open| open.commands.send(command));
        if !sent {
            // Its thread is ending, and its last word is on the way; or it never came to be, and then it stalls, which
            // the scheduler notices.
            self.links.remove(&source);
        }
    }

    fn ended(&mut self, link: LinkId, cause: Cause, text: String) -> Verdict {
        if let Some(known) = self.context.known.get(link.source) {
            let address = known.source.addresses.first().map_or("", String::as_str);
            self.last_trouble = Some(format!("{address}: {text}"));
        }
        if self.links.get(&link.source).is_some_and(|open| open.number != link.number) {
            return None;
        }
        self.links.remove(&link.source);
        self.feed(Input::SourceFailed { source: link.source, cause })
    }

    fn report(&mut self, source: SourceId, chunk: ChunkIndex, result: Result<(), Cause>) {
        let Some(known) = self.context.known.get(source) else { return };
        if result.is_err_and(|cause| !cause.is_the_remotes_fault()) {
            return;
        }
        let (peer, file_hash) = (known.source.peer, self.blueprint.file_hash);
        self.reports.push(FetchReport { peer, file_hash, chunk, result });
        if self.reports.len() >= REPORTS_MAX {
            self.hand_over_reports();
        }
    }

    fn hand_over_reports(&mut self) {
        if !self.reports.is_empty() {
            self.directory.report(std::mem::take(&mut self.reports));
        }
    }

    fn look_up(&mut self) {
        if self.looking_up {
            return;
        }
        let (directory, events, blueprint) = (self.directory, self.events.clone(), Arc::clone(self.blueprint));
        let leave = self.context.leave.clone();
        let thread = thread::Builder::new().name("fetch-lookup".to_owned());
        let spawned = thread.spawn_scoped(self.scope, move || {
            if leave.is_due() {
                // An error leaves the one there is; why there is none the next question tells, if that matters.
                let _old_one_stays = leave.ask(directory, blueprint.file_hash);
            }
            // The owner may have gone meanwhile.
            let _ = tell(&events, Event::Sources(sources_of(directory, &blueprint)));
        });
        self.looking_up = spawned.is_ok();
    }

    fn looked_up(&mut self, result: Result<Vec<Source>, DirectoryError>) -> Verdict {
        self.looking_up = false;
        let mut verdict = None;
        match result {
            Ok(sources) => {
                let (usable, note) = self.context.usable(sources);
                self.note = note;
                self.introduce(usable, &mut verdict);
            }
            Err(error) => self.note = Some(format!("no new sources: {error}")),
        }
        verdict
    }

    fn show(&mut self, last: bool) {
        let now = Instant::now();
        let interval = self.context.job.limits.progress_interval;
        if !last && self.shown.is_some_and(|shown| now - shown < interval) {
            return;
        }
        self.shown = Some(now);
        if self.reports.len() >= REPORTS_MAX / 4 {
            self.hand_over_reports();
        }
        let bottleneck = self.bottleneck.look(now, self.spent.sums());
        let progress = self.progress(now, bottleneck);
        (self.context.progress)(&progress);
    }

    fn progress(&self, now: Instant, bottleneck: Bottleneck) -> FetchProgress {
        let verified = self.download.verified();
        let sources = self.download.sources(now);
        let rate = self.download.rate(now);
        let whole = self.download.is_complete();
        let bytes_done = bytes_of(verified, self.shape);
        let bytes_total = self.shape.size().map(|_| bytes_of(&self.blueprint.wanted, self.shape));
        let rest = bytes_total.map(|total| ByteCount(total.saturating_sub(bytes_done)));
        let stuck = !whole && sources.iter().all(|source| source.in_flight == 0);
        FetchProgress {
            phase: if whole { Phase::Verifying } else { Phase::Fetching },
            bytes_total,
            bytes_done,
            bytes_resumed: self.context.bytes_resumed,
            chunks_total: self.blueprint.wanted.len(),
            chunks_done: verified.len(),
            rate,
            eta: rest.and_then(|rest| eta(rest, rate)),
            bottleneck,
            elapsed: self.context.begun.elapsed(),
            sources: sources.iter().filter_map(|view| self.source_progress(view)).collect(),
            note: self.waiting.note().or(self.note.clone()).or_else(|| self.last_trouble.clone().filter(|_| stuck)),
        }
    }

    fn source_progress(&self, view: &peernet_engine::download::SourceView) -> Option<SourceProgress> {
        let known = self.context.known.get(view.source)?;
        Some(SourceProgress {
            peer: known.source.peer,
            address: known.source.addresses.first().cloned().unwrap_or_default(),
            transport: known.source.transport,
            v1: view.v1,
            rate: view.rate,
            in_flight: view.in_flight as u32,
            chunks: view.chunks,
            bytes: known.bytes,
        })
    }
}

/// Bytes of the held chunks; of a file of unknown size each counts in full.
pub(crate) fn bytes_of(held: &Bitmap, shape: Shape) -> u64 {
    let all = shape.offset(ChunkIndex(held.len()));
    let count = held.count().0;
    match (shape, count.checked_sub(1).map(ChunkIndex)) {
        (Shape::Sized(geometry), Some(last)) if held.contains(last) => {
            all - u64::from(geometry.chunk_size() - geometry.chunk_len(last))
        }
        _ => all,
    }
}

/// Who serves this very blueprint now.
fn sources_of(directory: &dyn Directory, blueprint: &Blueprint) -> Result<Vec<Source>, DirectoryError> {
    let Some(manifest) = &blueprint.manifest else {
        let listing = directory.v1_listing(blueprint.file_hash)?;
        let same = listing.filter(|listing| listing.chunk_hashes == blueprint.chunk_hashes());
        return Ok(same.map(|listing| listing.sources).unwrap_or_default());
    };
    let plan = directory.plan(blueprint.file_hash)?;
    let of_this = plan.manifests.into_iter().filter(|planned| planned.id == manifest.id());
    Ok(of_this.flat_map(|planned| planned.sources).collect())
}
