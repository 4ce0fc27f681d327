//! A simulated world for the download scheduler: sources with rates, delays and bad habits, on virtual time. The same
//! seed and the same sources give the same trace, line by line.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use peernet_engine::bitmap::Bitmap;
use peernet_engine::cause::Cause;
use peernet_engine::download::{Download, Has, Input, Limits, Output, Protocol, SourceId, Why};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkIndex};

pub(crate) const CHUNK_BYTES: u64 = 1 << 20;
const BLOCK_BYTES: u64 = 256 << 10;
/// The longest run, in virtual time. A longer one hangs.
const RUN_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The behaviour of a source.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Habit {
    Honest,
    /// Every chunk it sends is wrong.
    Liar,
    /// Stalls after this many chunks, with the connection open.
    Silent(u32),
    /// Offline from the first to the second time, in milliseconds; open requests are lost.
    Away(u64, u64),
    /// Announces the whole file and refuses each chunk.
    Refuser,
    /// Turns away every second chunk.
    Busy,
    /// Is unreachable.
    Unreachable,
}

#[derive(Debug, Clone)]
pub(crate) struct SourceSpec {
    pub(crate) habit: Habit,
    pub(crate) rate: u64,
    pub(crate) latency: Duration,
    pub(crate) protocol: Protocol,
    /// The chunks it holds; `None` for all.
    pub(crate) holds: Option<BTreeSet<u32>>,
}

impl SourceSpec {
    pub(crate) fn honest(rate: u64) -> Self {
        Self {
            habit: Habit::Honest,
            rate,
            latency: Duration::from_millis(20),
            protocol: Protocol::FetchStream,
            holds: None,
        }
    }

    pub(crate) fn with(self, habit: Habit) -> Self {
        Self { habit, ..self }
    }
}

struct Source {
    spec: SourceSpec,
    queue: VecDeque<ChunkIndex>,
    /// Bytes sent of the first chunk in the queue.
    sent: u64,
    started: u32,
    /// The number of its connection: events of an earlier one are void.
    epoch: u32,
    is_sending: bool,
}

#[derive(Debug, Clone, Copy)]
enum Event {
    Answer(SourceId, u32),
    Block(SourceId, u32),
    Leave(SourceId),
}

pub(crate) struct World {
    start: Instant,
    now: Instant,
    download: Download,
    sources: BTreeMap<SourceId, Source>,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    count: ChunkCount,
    read_ahead: Option<ChunkCount>,
    pub(crate) trace: Vec<String>,
}

/// The end of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) result: Result<(), Why>,
    pub(crate) took: Duration,
    pub(crate) trace: Vec<String>,
    pub(crate) reports: Vec<(SourceId, ChunkIndex, Result<(), Cause>)>,
    pub(crate) requests: Vec<(SourceId, ChunkIndex)>,
}

impl World {
    pub(crate) fn new(seed: u64, limits: Limits, count: u32, specs: Vec<SourceSpec>) -> Self {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let start = Instant::now();
        let count = ChunkCount(count);
        let read_ahead = limits.read_ahead;
        let download = Download::new(start, seed, limits, Bitmap::empty(count));
        let new = |spec| Source { spec, queue: VecDeque::new(), sent: 0, started: 0, epoch: 0, is_sending: false };
        let sources = specs.into_iter().enumerate().map(|(i, spec)| (SourceId(i as u64), new(spec))).collect();
        let events = BTreeMap::new();
        let trace = Vec::new();
        Self { start, now: start, download, sources, events, sequence: 0, count, read_ahead, trace }
    }

    /// Runs the download to its end.
    pub(crate) fn run(mut self) -> Ended {
        let mut ended = Ended { result: Ok(()), took: RUN_MAX, trace: vec![], reports: vec![], requests: vec![] };
        for (rank, id) in self.sources.keys().copied().collect::<Vec<_>>().into_iter().enumerate() {
            if let Habit::Away(from, _) = self.sources[&id].spec.habit {
                self.schedule(Duration::from_millis(from), Event::Leave(id));
            }
            let protocol = self.sources[&id].spec.protocol;
            self.feed(Input::SourceAdded { source: id, rank: rank as u32, protocol }, &mut ended);
        }
        while !self.download.is_ended() {
            self.step(&mut ended);
            assert!(
                self.now - self.start < RUN_MAX,
                "hangs: {:#?}",
                self.trace.iter().rev().take(20).collect::<Vec<_>>()
            );
        }
        assert_eq!(self.download.deadline(), None);
        ended.took = self.now - self.start;
        ended.trace = self.trace;
        ended
    }

    fn step(&mut self, ended: &mut Ended) {
        let deadline = self.download.deadline().expect("a running download has a deadline");
        match self.events.first_key_value().map(|(key, event)| (*key, *event)) {
            Some((key, event)) if key.0 <= deadline => {
                self.events.remove(&key);
                self.now = self.now.max(key.0);
                self.happen(event, ended);
            }
            _ => {
                self.now = self.now.max(deadline);
                self.feed(Input::Tick, ended);
                assert!(self.download.deadline().is_none_or(|next| next > self.now), "a tick at the deadline moves it");
            }
        }
    }

    fn feed(&mut self, input: Input, ended: &mut Ended) {
        if !matches!(input, Input::Tick | Input::ProgressBytes { .. }) {
            self.note(&format!("< {input:?}"));
        }
        self.download.handle(self.now, input);
        while let Some(output) = self.download.poll() {
            self.note(&format!("> {output:?}"));
            self.obey(output, ended);
        }
        self.assert_bounds();
    }

    fn assert_bounds(&self) {
        let limits = Limits::default();
        let sources = self.download.sources(self.now);
        assert!(sources.iter().map(|source| source.in_flight).sum::<usize>() <= limits.in_flight_max);
        assert!(
            sources
                .iter()
                .all(|source| source.protocol != Protocol::Version1 || source.in_flight <= limits.window_max_v1)
        );
    }

    fn note(&mut self, what: &str) {
        self.trace.push(format!("{} {what}", (self.now - self.start).as_millis()));
    }

    fn obey(&mut self, output: Output, ended: &mut Ended) {
        match output {
            Output::Connect { source } => self.connect(source),
            Output::Request { source, chunks, .. } => {
                assert!(!chunks.is_empty());
                if let (Some(ahead), Some(front)) = (self.read_ahead, self.download.verified().missing().next()) {
                    assert!(
                        chunks.iter().all(|chunk| chunk.0 < front.0 + ahead.0),
                        "{chunks:?} with {front:?} missing"
                    );
                }
                ended.requests.extend(chunks.iter().map(|chunk| (source, *chunk)));
                self.source(source).queue.extend(chunks);
                self.send_on(source, true);
            }
            Output::Drop { source, chunks } => self.drop_chunks(source, &chunks),
            Output::Disconnect { source, .. } => self.cut(source),
            Output::Report { source, chunk, result } => ended.reports.push((source, chunk, result)),
            Output::Failed { why } => ended.result = Err(why),
            Output::NeedSources | Output::Finished => {}
        }
    }

    fn source(&mut self, id: SourceId) -> &mut Source {
        self.sources.get_mut(&id).expect("outputs name known sources")
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + after, self.sequence), event);
    }

    fn connect(&mut self, id: SourceId) {
        let source = self.source(id);
        source.epoch += 1;
        let after = source.spec.latency * 2;
        let event = Event::Answer(id, source.epoch);
        self.schedule(after, event);
    }

    fn cut(&mut self, id: SourceId) {
        let source = self.source(id);
        source.epoch += 1;
        (source.sent, source.is_sending) = (0, false);
        source.queue.clear();
    }

    fn drop_chunks(&mut self, id: SourceId, chunks: &[ChunkIndex]) {
        let source = self.source(id);
        if source.queue.front().is_some_and(|front| chunks.contains(front)) {
            source.sent = 0;
        }
        source.queue.retain(|chunk| !chunks.contains(chunk));
    }

    /// Starts the next block when none is under way; the first one after a pause takes a round trip more.
    fn send_on(&mut self, id: SourceId, is_new: bool) {
        let source = self.source(id);
        let silent = matches!(source.spec.habit, Habit::Silent(after) if source.started >= after);
        if source.is_sending || source.queue.is_empty() || silent {
            return;
        }
        source.is_sending = true;
        let latency = if is_new { source.spec.latency * 2 } else { Duration::ZERO };
        let time = latency + Duration::from_micros(BLOCK_BYTES * 1_000_000 / source.spec.rate);
        let event = Event::Block(id, source.epoch);
        self.schedule(time, event);
    }

    fn happen(&mut self, event: Event, ended: &mut Ended) {
        match event {
            Event::Leave(source) => {
                self.cut(source);
                self.feed(Input::SourceFailed { source, cause: Cause::Transport }, ended);
            }
            Event::Answer(source, epoch) if self.source(source).epoch == epoch => self.answer(source, ended),
            Event::Block(source, epoch) if self.source(source).epoch == epoch => self.block(source, ended),
            Event::Answer(..) | Event::Block(..) => {}
        }
    }

    fn answer(&mut self, source: SourceId, ended: &mut Ended) {
        let ms = (self.now - self.start).as_millis() as u64;
        let spec = self.source(source).spec.clone();
        let away = matches!(spec.habit, Habit::Away(from, to) if (from..to).contains(&ms));
        if away || spec.habit == Habit::Unreachable {
            self.cut(source);
            return self.feed(Input::SourceFailed { source, cause: Cause::Transport }, ended);
        }
        let has = spec.holds.map_or(Has::Complete, |holds| {
            let mut bitmap = Bitmap::empty(self.count);
            holds.iter().for_each(|i| assert!(bitmap.insert(ChunkIndex(*i))));
            Has::Chunks(bitmap)
        });
        self.feed(Input::SourceHas { source, has }, ended);
    }

    fn block(&mut self, id: SourceId, ended: &mut Ended) {
        let source = self.source(id);
        source.is_sending = false;
        let Some(chunk) = source.queue.front().copied() else { return };
        source.sent += BLOCK_BYTES;
        let input = match source.sent >= CHUNK_BYTES {
            true => Some(finish_chunk(id, source, chunk)),
            false => (source.spec.protocol != Protocol::Version1)
                .then_some(Input::ProgressBytes { source: id, bytes: ByteCount(BLOCK_BYTES) }),
        };
        // The next one in its queue is on its way before we can say anything to this one.
        self.send_on(id, false);
        if let Some(input) = input {
            self.feed(input, ended);
        }
    }
}

fn finish_chunk(id: SourceId, source: &mut Source, chunk: ChunkIndex) -> Input {
    source.sent = 0;
    source.queue.pop_front();
    source.started += 1;
    match source.spec.habit {
        Habit::Liar => Input::ChunkFailed { source: id, chunk, cause: Cause::BadHash },
        Habit::Refuser => Input::ChunkFailed { source: id, chunk, cause: Cause::Refused },
        Habit::Busy if source.started.is_multiple_of(2) => Input::SourceBusy { source: id, chunk },
        _ => Input::ChunkVerified { source: id, chunk, bytes: ByteCount(CHUNK_BYTES), took: Duration::ZERO },
    }
}
