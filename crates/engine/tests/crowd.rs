//! One seeder and several downloaders of one file who know each other, each a real scheduler, on virtual time: does the
//! seeder send everything about once, and do the downloaders pass it on?

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use peernet_engine::bitmap::Bitmap;
use peernet_engine::download::{Download, Has, Input, Limits, Output, SourceId};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkIndex};
use peernet_engine::serving::super_seed::{CallerId, Choice, Giving};

const CHUNK_BYTES: u64 = 1 << 20;
const BLOCK_BYTES: u64 = 64 << 10;
/// Of every uplink: 100 Mbit/s.
const RATE: u64 = 12_500_000;
const LATENCY: Duration = Duration::from_millis(2);
/// How late news of chunks, and of what others ask for, arrive.
const NEWS: Duration = Duration::from_millis(100);
/// The same where they wait behind what is being sent.
const NEWS_LATE: Duration = Duration::from_millis(1_200);
const SEEDER: usize = 0;
/// How many times longer the slow node's uplink takes than the others'.
const SLOW: u32 = 5;

#[derive(Debug, Clone, Copy)]
enum Event {
    /// The connection of the second to the first stands.
    Connected(usize, usize),
    /// The first may send its next block.
    Send(usize),
    /// Someone it held back need wait no longer.
    Wakes(usize),
    /// A block of the first arrives at the second; the last one of its chunk, or not.
    Arrives(usize, usize, ChunkIndex, bool),
    /// The second hears what the first holds now.
    News(usize, usize),
    /// A deadline of the node.
    Tick(usize),
}

/// What one node wants of another, and how far the first of it was sent.
#[derive(Default)]
struct Queue {
    wanted: VecDeque<ChunkIndex>,
    /// Being sent, and how much of it was.
    current: Option<(ChunkIndex, u64)>,
    held_until: Option<Instant>,
    open: bool,
    news_on_their_way: bool,
}

struct Node {
    download: Option<Download>,
    has: Bitmap,
    /// By who asks.
    queues: BTreeMap<usize, Queue>,
    /// Who was served last.
    turn: usize,
    is_sending: bool,
    /// When its downlink has taken all that was sent to it so far.
    hears_until: Option<Instant>,
    chunks_sent: u32,
    done_at: Option<Instant>,
    tick_at: Option<Instant>,
}

struct Crowd {
    news: Duration,
    slow: Option<usize>,
    giving: Giving,
    start: Instant,
    now: Instant,
    nodes: Vec<Node>,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    count: ChunkCount,
}

/// How it went.
#[derive(Debug)]
struct Outcome {
    /// When the last had all of it.
    took: Duration,
    /// How many chunks the seeder sent for each chunk of the file.
    seeder_sent: f64,
}

impl Crowd {
    fn new(seed: u64, downloaders: usize, count: u32, news: Duration, slow: Option<usize>) -> Self {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let start = Instant::now();
        let count = ChunkCount(count);
        let node = |i: usize| Node {
            download: (i != SEEDER)
                .then(|| Download::new(start, seed * 1_000 + i as u64, Limits::default(), Bitmap::empty(count))),
            has: if i == SEEDER { Bitmap::full(count) } else { Bitmap::empty(count) },
            queues: BTreeMap::new(),
            turn: 0,
            is_sending: false,
            hears_until: None,
            chunks_sent: 0,
            done_at: None,
            tick_at: None,
        };
        let nodes = (0..=downloaders).map(node).collect();
        let giving = Giving::new(count);
        Self { news, slow, giving, start, now: start, nodes, events: BTreeMap::new(), sequence: 0, count }
    }

    fn run(mut self) -> Outcome {
        let all = 1..self.nodes.len();
        for node in all.clone() {
            for (rank, source) in (0..self.nodes.len()).filter(|source| *source != node).enumerate() {
                let source = SourceId(source as u64);
                self.feed(node, Input::SourceAdded { source, rank: rank as u32, v1: false });
            }
        }
        while self.nodes[1..].iter().any(|node| node.done_at.is_none()) {
            let ((at, _), event) = self.events.pop_first().expect("something is always to come");
            assert!(at - self.start < Duration::from_secs(3_600), "it hangs");
            self.now = at;
            self.happen(event);
        }
        let last = all.map(|node| self.nodes[node].done_at.expect("all are done")).max().expect("there are some");
        let seeder_sent = f64::from(self.nodes[SEEDER].chunks_sent) / f64::from(self.count.0);
        Outcome { took: last - self.start, seeder_sent }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + after, self.sequence), event);
    }

    fn feed(&mut self, node: usize, input: Input) {
        let now = self.now;
        let Some(download) = &mut self.nodes[node].download else { return };
        download.handle(now, input);
        let mut outputs = Vec::new();
        while let Some(output) = download.poll() {
            outputs.push(output);
        }
        let deadline = download.deadline();
        for output in outputs {
            self.obey(node, output);
        }
        if let Some(at) = deadline.filter(|at| self.nodes[node].tick_at != Some(*at)) {
            self.nodes[node].tick_at = Some(at);
            self.schedule(at.saturating_duration_since(now), Event::Tick(node));
        }
    }

    fn obey(&mut self, node: usize, output: Output) {
        match output {
            Output::Connect { source } => self.schedule(LATENCY * 2, Event::Connected(source.0 as usize, node)),
            Output::Request { source, chunks, again } => {
                let server = source.0 as usize;
                let queue = self.nodes[server].queues.entry(node).or_default();
                queue.wanted.extend(&chunks);
                queue.held_until = None;
                if server == SEEDER && again {
                    self.giving.insist(CallerId(node as u64), chunks.into_iter());
                }
                self.send_on(server, LATENCY);
            }
            Output::Drop { source, chunks } => {
                let queue = self.nodes[source.0 as usize].queues.entry(node).or_default();
                queue.wanted.retain(|chunk| !chunks.contains(chunk));
                queue.current = queue.current.filter(|(chunk, _)| !chunks.contains(chunk));
                if source.0 as usize == SEEDER {
                    self.giving.take_back(CallerId(node as u64), chunks.into_iter());
                }
            }
            Output::Finished => self.nodes[node].done_at = Some(self.now),
            Output::Disconnect { .. } | Output::Failed { .. } => panic!("nobody fails here: {output:?}"),
            Output::NeedSources | Output::Report { .. } => {}
        }
    }

    fn tell(&mut self, server: usize, node: usize) {
        let queue = self.nodes[server].queues.entry(node).or_default();
        if queue.open && !std::mem::replace(&mut queue.news_on_their_way, true) {
            self.schedule(self.news, Event::News(server, node));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Connected(server, node) => {
                self.nodes[server].queues.entry(node).or_default().open = true;
                if server == SEEDER {
                    self.giving.join(CallerId(node as u64));
                }
                self.hear(server, node);
            }
            Event::News(server, node) => {
                self.nodes[server].queues.entry(node).or_default().news_on_their_way = false;
                self.hear(server, node);
            }
            Event::Send(server) => self.send(server),
            Event::Wakes(server) => self.send_on(server, Duration::ZERO),
            Event::Arrives(server, node, chunk, last) => self.arrives(server, node, chunk, last),
            Event::Tick(node) => self.feed(node, Input::Tick),
        }
    }

    fn hear(&mut self, server: usize, node: usize) {
        let source = SourceId(server as u64);
        if server == SEEDER {
            let others = self.giving.tell(CallerId(node as u64));
            self.feed(node, Input::SourceGave { source, others });
        }
        let has = if server == SEEDER { Has::Complete } else { Has::Chunks(self.nodes[server].has.clone()) };
        self.feed(node, Input::SourceHas { source, has });
    }

    fn send_on(&mut self, server: usize, latency: Duration) {
        let node = &mut self.nodes[server];
        let has_work = node.queues.values().any(|queue| queue.current.is_some() || !queue.wanted.is_empty());
        if has_work && !std::mem::replace(&mut node.is_sending, true) {
            let times = if self.slow == Some(server) { SLOW } else { 1 };
            self.schedule(latency + block_time() * times, Event::Send(server));
        }
    }

    /// One block to the next in turn.
    fn send(&mut self, server: usize) {
        self.nodes[server].is_sending = false;
        let turn = self.nodes[server].turn;
        let callers: Vec<usize> = self.nodes[server].queues.keys().copied().collect();
        let (before, after): (Vec<usize>, Vec<usize>) = callers.into_iter().partition(|id| *id <= turn);
        let next = after.into_iter().chain(before).find_map(|id| self.next_of(server, id));
        if let Some((next, chunk, sent)) = next {
            let node = &mut self.nodes[server];
            node.turn = next;
            let sent = sent + BLOCK_BYTES;
            let last = sent >= CHUNK_BYTES;
            node.chunks_sent += u32::from(last);
            node.queues.entry(next).or_default().current = (!last).then_some((chunk, sent));
            // The downlink is as wide as the uplinks, and all of them lead to it.
            let arrives = self.now + LATENCY;
            let begins = self.nodes[next].hears_until.map_or(arrives, |until| until.max(arrives));
            self.nodes[next].hears_until = Some(begins + block_time());
            self.schedule(begins - self.now, Event::Arrives(server, next, chunk, last));
            self.send_on(server, Duration::ZERO);
        }
    }

    /// What the server sends this caller next, if anything now.
    fn next_of(&mut self, server: usize, caller: usize) -> Option<(usize, ChunkIndex, u64)> {
        let queue = self.nodes[server].queues.get_mut(&caller)?;
        if let Some((chunk, sent)) = queue.current {
            return Some((caller, chunk, sent));
        }
        if queue.held_until.is_some_and(|until| self.now < until) {
            return None;
        }
        let chunk = if server == SEEDER {
            match self.giving.choose(self.now, CallerId(caller as u64), queue.wanted.iter().copied()) {
                Choice::Give(chunk) => chunk,
                Choice::Hold(until) => {
                    queue.held_until = Some(until);
                    self.schedule(until - self.now, Event::Wakes(server));
                    return None;
                }
                Choice::Nothing => return None,
            }
        } else {
            queue.wanted.front().copied()?
        };
        queue.wanted.retain(|wanted| *wanted != chunk);
        if server == SEEDER {
            let callers: Vec<usize> = self.nodes[server].queues.keys().copied().filter(|id| *id != caller).collect();
            callers.into_iter().for_each(|id| self.tell(server, id));
        }
        Some((caller, chunk, 0))
    }

    fn arrives(&mut self, server: usize, node: usize, chunk: ChunkIndex, last: bool) {
        let source = SourceId(server as u64);
        if !last {
            return self.feed(node, Input::ProgressBytes { source, bytes: ByteCount(BLOCK_BYTES) });
        }
        let bytes = ByteCount(CHUNK_BYTES);
        self.feed(node, Input::ChunkVerified { source, chunk, bytes, took: Duration::ZERO });
        if self.nodes[node].has.insert(chunk) {
            let callers: Vec<usize> = self.nodes[node].queues.keys().copied().collect();
            callers.into_iter().for_each(|caller| self.tell(node, caller));
        }
    }
}

fn block_time() -> Duration {
    Duration::from_micros(BLOCK_BYTES * 1_000_000 / RATE)
}

/// How long the seeder's uplink needs for one copy.
fn one_copy(count: u32) -> Duration {
    Duration::from_micros(u64::from(count) * CHUNK_BYTES * 1_000_000 / RATE)
}

/// At most so many times the bytes leave the seeder, and the last is done in so many times the time one copy takes.
fn check((news, slow): (Duration, Option<usize>), downloaders: usize, seeds: u64, sent_max: f64, time_max: f64) {
    for seed in 0..seeds {
        let outcome = Crowd::new(seed, downloaders, 128, news, slow).run();
        let ratio = outcome.took.as_secs_f64() / one_copy(128).as_secs_f64();
        assert!(outcome.seeder_sent <= sent_max, "{downloaders} downloaders, seed {seed}: {outcome:?}");
        assert!(ratio <= time_max, "{downloaders} downloaders, seed {seed}: {ratio:.2} x the time");
    }
}

#[test]
fn a_seeder_sends_each_chunk_about_once_however_many_fetch_from_it() {
    check((NEWS, None), 1, 1, 1.0, 1.01);
    check((NEWS, None), 2, 3, 1.01, 1.03);
    check((NEWS, None), 8, 3, 1.02, 1.10);
    check((NEWS, None), 16, 1, 1.03, 1.20);
}

#[test]
fn news_that_are_late_cost_little() {
    check((NEWS_LATE, None), 8, 3, 1.05, 1.30);
}

/// What only someone with a slow uplink was given comes from the seeder again, once it has given everything away.
#[test]
fn one_who_passes_on_slowly_does_not_hold_up_the_others_for_long() {
    check((NEWS, Some(1)), 8, 3, 1.30, 1.45);
}
