//! One seeder and several downloaders of one file that know each other, on virtual time. Every downloader is a real
//! scheduler, and every connection a real serving machine. Does the seeder send each chunk about once, and do the
//! downloaders pass it on?

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use peernet_engine::bitmap::Bitmap;
use peernet_engine::download::{self, Download, Has, Protocol, SourceId};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkIndex, FileHash};
use peernet_engine::manifest::Geometry;
use peernet_engine::serving::super_seed::{SharedSuperSeed, SuperSeed};
use peernet_engine::serving::wanted::ChunkRange;
use peernet_engine::serving::{Block, FileKey, Input, Limits, OpenedFile, Output, Request, Serving};

const CHUNK_BYTES: u64 = 1 << 20;
/// Bytes a second of every uplink and downlink: 100 Mbit/s.
const RATE: u64 = 12_500_000;
const LATENCY: Duration = Duration::from_millis(2);
/// The delay of an availability update. In addition the machine keeps an interval, and the update waits behind the
/// blocks before it: some 150 ms in all.
const UPDATE_DELAY: Duration = Duration::from_millis(50);
/// The same on a line with long queues, where an update arrives some 1.2 s after the change.
const UPDATE_DELAY_LONG: Duration = Duration::from_millis(1_050);
const SEEDER: usize = 0;
/// The factor by which the slow node's uplink takes longer than the others'.
const SLOW: u32 = 5;

/// The callers of the seeder's file.
#[derive(Clone)]
struct Callers(Rc<RefCell<SuperSeed>>);

impl SharedSuperSeed for Callers {
    fn with<T>(&self, act: impl FnOnce(&mut SuperSeed) -> T) -> T {
        act(&mut self.0.borrow_mut())
    }
}

#[derive(Debug, Clone)]
enum Event {
    /// The connection from the node to the server stands.
    Connected { server: usize, node: usize },
    /// A request of the node arrives at the server.
    Asked { server: usize, node: usize, request: Request },
    /// The server's uplink has sent the message it was sending.
    Sent { server: usize },
    /// A deadline of the server's machine for the node.
    Serve { server: usize, node: usize },
    /// A message of the server arrives at the node.
    Arrives { server: usize, node: usize, message: Message },
    /// A deadline of the node's download.
    Tick { node: usize },
}

#[derive(Debug, Clone)]
enum Message {
    Block(Block),
    Update { others: Option<Bitmap>, has: Has },
}

/// One connection, as its server sees it.
struct Connection {
    machine: Serving<Callers, ()>,
    /// Made and not yet sent, oldest first.
    outgoing: VecDeque<Message>,
    tick_at: Option<Instant>,
    had_update: bool,
}

struct Node {
    download: Option<Download>,
    has: Bitmap,
    super_seed: Callers,
    /// By the node that calls.
    connections: BTreeMap<usize, Connection>,
    /// The caller that was served last.
    turn: usize,
    /// The caller that the uplink is sending to.
    sending: Option<usize>,
    /// When its downlink has taken everything that was sent to it so far.
    downlink_until: Option<Instant>,
    chunks_sent: u32,
    done_at: Option<Instant>,
    tick_at: Option<Instant>,
}

struct Crowd {
    setting: Setting,
    geometry: Geometry,
    start: Instant,
    now: Instant,
    nodes: Vec<Node>,
    events: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
}

/// The parameters that differ between runs.
#[derive(Debug, Clone, Copy)]
struct Setting {
    update_delay: Duration,
    /// A node with a slow uplink.
    slow: Option<usize>,
}

const PLAIN: Setting = Setting { update_delay: UPDATE_DELAY, slow: None };

/// The result of a run.
#[derive(Debug)]
struct Outcome {
    /// When the last downloader had the whole file.
    took: Duration,
    /// Chunks that the seeder sent for each chunk of the file.
    seeder_sent: f64,
}

impl Crowd {
    fn new(seed: u64, downloaders: usize, count: u32, setting: Setting) -> Self {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let start = Instant::now();
        let count = ChunkCount(count);
        let geometry = Geometry::new(ByteCount(u64::from(count.0) * CHUNK_BYTES), CHUNK_BYTES as u32);
        let node = |i: usize| Node {
            download: (i != SEEDER).then(|| {
                let limits = download::Limits::default();
                Download::new(start, seed * 1_000 + i as u64, limits, Bitmap::empty(count))
            }),
            has: if i == SEEDER { Bitmap::full(count) } else { Bitmap::empty(count) },
            super_seed: Callers(Rc::new(RefCell::new(SuperSeed::new(count)))),
            connections: BTreeMap::new(),
            turn: 0,
            sending: None,
            downlink_until: None,
            chunks_sent: 0,
            done_at: None,
            tick_at: None,
        };
        let nodes = (0..=downloaders).map(node).collect();
        let geometry = geometry.expect("a valid size");
        Self { setting, geometry, start, now: start, nodes, events: BTreeMap::new(), sequence: 0 }
    }

    fn run(mut self) -> Outcome {
        let all = 1..self.nodes.len();
        for node in all.clone() {
            for (rank, source) in (0..self.nodes.len()).filter(|source| *source != node).enumerate() {
                let source = SourceId(source as u64);
                self.feed(
                    node,
                    download::Input::SourceAdded { source, rank: rank as u32, protocol: Protocol::FetchStream },
                );
            }
        }
        while self.nodes[1..].iter().any(|node| node.done_at.is_none()) {
            let ((at, _), event) = self.events.pop_first().expect("something is always to come");
            assert!(at - self.start < Duration::from_secs(3_600), "it hangs");
            self.now = at;
            self.happen(event);
        }
        let last = all.map(|node| self.nodes[node].done_at.expect("all are done")).max().expect("there are some");
        let count = self.geometry.chunk_count().0;
        Outcome { took: last - self.start, seeder_sent: f64::from(self.nodes[SEEDER].chunks_sent) / f64::from(count) }
    }

    fn schedule(&mut self, after: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now + after, self.sequence), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Connected { server, node } => self.connected(server, node),
            Event::Asked { server, node, request } => self.serve(server, node, Input::Request(request)),
            Event::Sent { server } => self.sent(server),
            Event::Serve { server, node } => {
                self.connection(server, node).tick_at = None;
                self.tick(server, node);
            }
            Event::Arrives { server, node, message } => self.arrives(server, node, message),
            Event::Tick { node } => self.feed(node, download::Input::Tick),
        }
    }

    /// Hands an input to a node's download and carries out its outputs.
    fn feed(&mut self, node: usize, input: download::Input) {
        let now = self.now;
        let Some(download) = &mut self.nodes[node].download else { return };
        download.handle(now, input);
        let outputs: Vec<download::Output> = std::iter::from_fn(|| download.poll()).collect();
        let deadline = download.deadline();
        for output in outputs {
            self.obey(node, output);
        }
        if let Some(at) = deadline.filter(|at| self.nodes[node].tick_at != Some(*at)) {
            self.nodes[node].tick_at = Some(at);
            self.schedule(at.saturating_duration_since(now), Event::Tick { node });
        }
    }

    fn obey(&mut self, node: usize, output: download::Output) {
        use peernet_engine::download::Output;
        let server = |source: SourceId| source.0 as usize;
        match output {
            Output::Connect { source } => {
                self.schedule(LATENCY * 2, Event::Connected { server: server(source), node });
            }
            Output::Request { source, chunks, again: false } => {
                self.ask(server(source), node, Request { wanted: ranges(&chunks), ..nothing() });
            }
            Output::Request { source, chunks, again: true } => {
                self.ask(server(source), node, Request { again: ranges(&chunks), ..nothing() });
            }
            Output::Drop { source, chunks } => {
                self.ask(server(source), node, Request { dropped: ranges(&chunks), ..nothing() });
            }
            Output::Finished => self.nodes[node].done_at = Some(self.now),
            Output::Disconnect { .. } | Output::Failed { .. } => panic!("nothing fails here: {output:?}"),
            Output::NeedSources | Output::Report { .. } => {}
        }
    }

    fn ask(&mut self, server: usize, node: usize, request: Request) {
        self.schedule(LATENCY, Event::Asked { server, node, request });
    }

    fn connected(&mut self, server: usize, node: usize) {
        let streams = self.nodes[server].connections.len() as u32 + 1;
        let machine = Serving::new(self.now, Limits::default(), streams);
        let connection = Connection { machine, outgoing: VecDeque::new(), tick_at: None, had_update: false };
        self.nodes[server].connections.insert(node, connection);
        self.serve(server, node, Input::Request(nothing()));
    }

    fn connection(&mut self, server: usize, node: usize) -> &mut Connection {
        self.nodes[server].connections.get_mut(&node).expect("it was made")
    }

    fn tick(&mut self, server: usize, node: usize) {
        let streams = self.nodes[server].connections.len() as u32;
        self.serve(server, node, Input::Tick { streams });
    }

    /// Hands an input to a server's machine and carries out its outputs.
    fn serve(&mut self, server: usize, node: usize, input: Input<Callers, ()>) {
        let now = self.now;
        self.connection(server, node).machine.handle(now, input);
        while let Some(output) = self.connection(server, node).machine.poll() {
            self.obey_machine(server, node, output);
        }
        self.start_sending(server);
        // A chunk for one caller of the seeder causes an update to the others.
        let callers: Vec<usize> = self.nodes[server].connections.keys().copied().collect();
        for caller in callers.into_iter().filter(|caller| server == SEEDER || *caller == node) {
            self.schedule_tick(server, caller);
        }
    }

    fn schedule_tick(&mut self, server: usize, node: usize) {
        let now = self.now;
        let connection = self.connection(server, node);
        let Some(at) = connection.machine.deadline().map(|at| at.max(now)) else { return };
        if connection.tick_at.is_none_or(|tick_at| at < tick_at) {
            connection.tick_at = Some(at);
            self.schedule(at - now, Event::Serve { server, node });
        }
    }

    fn obey_machine(&mut self, server: usize, node: usize, output: Output<()>) {
        let answer = match output {
            Output::Open { .. } => Input::Opened(OpenedFile {
                geometry: self.geometry,
                is_complete: server == SEEDER,
                super_seed: self.nodes[server].super_seed.clone(),
            }),
            Output::CheckHeld { chunk } => Input::Held(self.nodes[server].has.contains(chunk)),
            Output::Allow { bytes } => Input::Allowed { bytes },
            Output::Reserve { .. } => Input::Reserved(true),
            Output::Read(_) => Input::ReadDone,
            Output::Send(block) => return self.connection(server, node).outgoing.push_back(Message::Block(block)),
            Output::Notify { others } => {
                let has = if server == SEEDER { Has::Complete } else { Has::Chunks(self.nodes[server].has.clone()) };
                return self.connection(server, node).outgoing.push_back(Message::Update { others, has });
            }
            Output::CloseFile | Output::ReturnAllowance { .. } => return,
            Output::Refuse { .. } | Output::End(_) | Output::Complain { .. } | Output::CheckGrant { .. } => {
                panic!("nothing fails here: {output:?}")
            }
        };
        let now = self.now;
        self.connection(server, node).machine.handle(now, answer);
    }

    /// The uplink begins with a message of the next caller in turn, if it is idle.
    fn start_sending(&mut self, server: usize) {
        let node = &mut self.nodes[server];
        if node.sending.is_some() {
            return;
        }
        let has_message = |(id, connection): (&usize, &Connection)| (!connection.outgoing.is_empty()).then_some(*id);
        let mut waiting = node.connections.iter().filter_map(has_message);
        let next = waiting.clone().find(|id| *id > node.turn).or_else(|| waiting.next());
        let Some(next) = next else { return };
        node.turn = next;
        node.sending = Some(next);
        let len = match node.connections[&next].outgoing.front() {
            Some(Message::Block(block)) => block.len,
            _ => 0,
        };
        let times = if self.setting.slow == Some(server) { SLOW } else { 1 };
        self.schedule(line_time(u64::from(len)) * times, Event::Sent { server });
    }

    fn sent(&mut self, server: usize) {
        let Some(node) = self.nodes[server].sending.take() else { return };
        let connection = self.connection(server, node);
        let message = connection.outgoing.pop_front().expect("it was being sent");
        let after = match &message {
            Message::Update { .. } if std::mem::replace(&mut connection.had_update, true) => {
                LATENCY + self.setting.update_delay
            }
            Message::Update { .. } => LATENCY,
            Message::Block(block) => {
                self.nodes[server].chunks_sent += u32::from(block.is_last);
                // The downlink is as wide as the uplinks, and all of them lead to it.
                let arrives = self.now + LATENCY;
                let begins = self.nodes[node].downlink_until.map_or(arrives, |until| until.max(arrives));
                self.nodes[node].downlink_until = Some(begins + line_time(block.len.into()));
                begins - self.now
            }
        };
        self.schedule(after, Event::Arrives { server, node, message });
        self.serve(server, node, Input::Taken);
    }

    fn arrives(&mut self, server: usize, node: usize, message: Message) {
        let source = SourceId(server as u64);
        match message {
            Message::Update { others, has } => {
                self.feed(node, download::Input::SourceGave { source, others });
                self.feed(node, download::Input::SourceHas { source, has });
            }
            Message::Block(Block { len, is_last: false, .. }) => {
                self.feed(node, download::Input::ProgressBytes { source, bytes: ByteCount(len.into()) });
            }
            Message::Block(Block { chunk, .. }) => {
                let bytes = ByteCount(CHUNK_BYTES);
                self.feed(node, download::Input::ChunkVerified { source, chunk, bytes, took: Duration::ZERO });
                if self.nodes[node].has.insert(chunk) {
                    let callers: Vec<usize> = self.nodes[node].connections.keys().copied().collect();
                    for caller in callers {
                        self.serve(node, caller, Input::Changed { is_complete: false });
                    }
                }
            }
        }
    }
}

fn nothing() -> Request {
    Request::of(Ok(FileKey { file_hash: FileHash([7; 32]), manifest_id: None }))
}

fn ranges(chunks: &[ChunkIndex]) -> Vec<ChunkRange> {
    chunks.iter().map(|chunk| ChunkRange { first: chunk.0, count: 1 }).collect()
}

/// The time in which a line takes so many bytes.
fn line_time(bytes: u64) -> Duration {
    Duration::from_micros(bytes * 1_000_000 / RATE)
}

/// Asserts that at most `sent_max` times the bytes leave the seeder, and that the last downloader is done in `time_max`
/// times the time that one copy takes.
fn check(setting: Setting, downloaders: usize, seeds: u64, most: Most) {
    const COUNT: u32 = 128;
    for seed in 0..seeds {
        let outcome = Crowd::new(seed, downloaders, COUNT, setting).run();
        let ratio = outcome.took.as_secs_f64() / line_time(u64::from(COUNT) * CHUNK_BYTES).as_secs_f64();
        println!("{downloaders} downloaders, seed {seed}: {ratio:.3} x the time, {:.3} sent", outcome.seeder_sent);
        assert!(outcome.seeder_sent <= most.sent, "{downloaders} downloaders, seed {seed}: {outcome:?}");
        assert!(ratio <= most.time, "{downloaders} downloaders, seed {seed}: {ratio:.2} x the time");
    }
}

/// Bounds of an outcome, in copies of the file.
struct Most {
    sent: f64,
    time: f64,
}

#[test]
fn a_seeder_sends_each_chunk_about_once_to_any_crowd() {
    check(PLAIN, 1, 1, Most { sent: 1.0, time: 1.01 });
    check(PLAIN, 2, 3, Most { sent: 1.01, time: 1.03 });
    check(PLAIN, 8, 3, Most { sent: 1.02, time: 1.10 });
    check(PLAIN, 16, 1, Most { sent: 1.03, time: 1.20 });
}

#[test]
fn late_availability_updates_cost_little() {
    let setting = Setting { update_delay: UPDATE_DELAY_LONG, ..PLAIN };
    check(setting, 8, 3, Most { sent: 1.05, time: 1.30 });
}

/// Chunks that only the node with a slow uplink was given come from the seeder again, once it has given everything
/// away.
#[test]
fn a_node_that_passes_on_slowly_does_not_hold_up_the_others() {
    let setting = Setting { slow: Some(1), ..PLAIN };
    check(setting, 8, 3, Most { sent: 1.30, time: 1.45 });
}
