//! One stream of a source, with a driver that answers as a test says.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use peernet_engine::ids::{ByteCount, FileHash};
use peernet_engine::manifest::Geometry;
use peernet_engine::serving::super_seed::{SharedSuperSeed, SuperSeed};
use peernet_engine::serving::wanted::ChunkRange;
use peernet_engine::serving::{End, FileKey, Input, Limits, OpenedFile, Output, Request, Serving};

pub(crate) const CHUNK_BYTES: u32 = 1 << 20;

/// The callers of one file.
#[derive(Debug, Clone)]
pub(crate) struct Callers(Rc<RefCell<SuperSeed>>);

impl Callers {
    pub(crate) fn of(chunks: u32) -> Self {
        Self(Rc::new(RefCell::new(SuperSeed::new(geometry(chunks).chunk_count()))))
    }
}

impl SharedSuperSeed for Callers {
    fn with<T>(&self, act: impl FnOnce(&mut SuperSeed) -> T) -> T {
        act(&mut self.0.borrow_mut())
    }
}

pub(crate) type Stream = Serving<Callers, &'static str>;
pub(crate) type In = Input<Callers, &'static str>;

pub(crate) fn geometry(chunks: u32) -> Geometry {
    Geometry::new(ByteCount(u64::from(chunks) * u64::from(CHUNK_BYTES)), CHUNK_BYTES).expect("a valid size")
}

pub(crate) fn start() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    Instant::now()
}

pub(crate) fn file() -> FileKey {
    FileKey { file_hash: FileHash([7; 32]), manifest_id: None }
}

pub(crate) fn ranges(list: &[(u32, u32)]) -> Vec<ChunkRange> {
    list.iter().map(|(first, count)| ChunkRange { first: *first, count: *count }).collect()
}

/// A message that asks for nothing.
pub(crate) fn nothing() -> Request {
    Request::of(Ok(file()))
}

pub(crate) fn wants(list: &[(u32, u32)]) -> In {
    Input::Request(Request { wanted: ranges(list), ..nothing() })
}

/// The driver's answers to the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answers {
    /// Chunks that the source holds; `None` for all.
    pub(crate) holds: Option<Vec<u32>>,
    /// Bytes the upload limit allows at once; `None` lets the stream wait.
    pub(crate) allows: Option<u32>,
    /// Whether there is memory for large blocks.
    pub(crate) has_memory: bool,
    /// Chunks that cannot be read.
    pub(crate) unreadable: Vec<u32>,
    /// Whether the transport takes every message at once.
    pub(crate) takes: bool,
    /// The answer to a newer grant.
    pub(crate) grant: Result<(), &'static str>,
}

impl Default for Answers {
    fn default() -> Self {
        Self {
            holds: None,
            allows: Some(u32::MAX),
            has_memory: true,
            unreadable: Vec::new(),
            takes: true,
            grant: Ok(()),
        }
    }
}

/// A stream, its driver, and a log of the outputs to caller and driver.
pub(crate) struct Scene {
    pub(crate) now: Instant,
    pub(crate) stream: Stream,
    pub(crate) answers: Answers,
    callers: Callers,
    chunks: u32,
    log: Vec<String>,
    /// Lengths of the blocks that were sent.
    pub(crate) blocks: Vec<u32>,
}

impl Scene {
    /// A stream of a file of so many chunks that has not been asked for anything.
    pub(crate) fn new(chunks: u32) -> Self {
        Self::among(&Callers::of(chunks), chunks, start())
    }

    /// The same beside other callers of the file.
    pub(crate) fn among(callers: &Callers, chunks: u32, now: Instant) -> Self {
        let stream = Serving::new(now, Limits::default(), 1);
        let callers = callers.clone();
        Self { now, stream, answers: Answers::default(), callers, chunks, log: Vec::new(), blocks: Vec::new() }
    }

    /// A stream whose file is open, after the first availability update.
    pub(crate) fn open(chunks: u32, answers: Answers) -> Self {
        let mut scene = Self { answers, ..Self::new(chunks) };
        let takes = std::mem::replace(&mut scene.answers.takes, true);
        scene.feed(Input::Request(nothing()));
        scene.answers.takes = takes;
        scene.log.clear();
        scene
    }

    pub(crate) fn wait(&mut self, span: Duration) -> &mut Self {
        self.now += span;
        self.feed(Input::Tick { streams: 1 })
    }

    /// Hands in one input and does everything that follows.
    pub(crate) fn feed(&mut self, input: In) -> &mut Self {
        self.stream.handle(self.now, input);
        loop {
            let was_announced = self.stream.has_output();
            let Some(output) = self.stream.poll() else { break };
            assert!(was_announced, "{output:?} was not announced");
            self.obey(output);
        }
        self
    }

    fn obey(&mut self, output: Output<&'static str>) {
        match output {
            Output::Open { grant, .. } => {
                self.log.push(format!("open{}", grant.map(|grant| format!(" with {grant}")).unwrap_or_default()));
                self.answer(Input::Opened(self.opened()));
            }
            Output::CheckGrant { grant } => {
                self.log.push(format!("check {grant}"));
                self.answer(self.answers.grant.map_or_else(Input::Stop, |()| Input::GrantAccepted));
            }
            Output::Complain { chunks, received } => {
                let chunks: Vec<u32> = chunks.iter().map(|chunk| chunk.0).collect();
                self.log.push(format!("complain {chunks:?} of {received}"));
            }
            Output::Notify { others } => {
                let others = others.map(|others| others.iter().map(|chunk| chunk.0).collect::<Vec<_>>());
                self.log.push(others.map_or("notify".to_owned(), |others| format!("notify {others:?}")));
                self.made();
            }
            Output::CheckHeld { chunk } => {
                let is_held = self.answers.holds.as_ref().is_none_or(|holds| holds.contains(&chunk.0));
                self.answer(Input::Held(is_held));
            }
            Output::Allow { bytes } => match self.answers.allows {
                Some(most) => self.answer(Input::Allowed { bytes: bytes.min(most) }),
                None => self.log.push("wait for a turn".to_owned()),
            },
            Output::ReturnAllowance { bytes } => self.log.push(format!("return {bytes}")),
            Output::Reserve { is_small, .. } => {
                if is_small {
                    self.log.push("small".to_owned());
                }
                self.answer(Input::Reserved(self.answers.has_memory));
            }
            Output::Read(block) => {
                let is_readable = !self.answers.unreadable.contains(&block.chunk.0);
                self.answer(if is_readable { Input::ReadDone } else { Input::ReadFailed });
            }
            Output::CloseFile => self.log.push("close".to_owned()),
            Output::Send(block) => {
                self.blocks.push(block.len);
                if block.is_last {
                    self.log.push(format!("chunk {}", block.chunk.0));
                }
                self.made();
            }
            Output::Refuse { chunk, reason } => {
                self.log.push(format!("refuse {} {reason:?}", chunk.0));
                self.made();
            }
            Output::End(end) => self.log.push(match end {
                End::Refused(why) => format!("end: {why}"),
                End::Invalid(error) => format!("end: {error}"),
                other => format!("end: {other:?}"),
            }),
        }
    }

    fn opened(&self) -> OpenedFile<Callers> {
        let is_complete = self.answers.holds.is_none();
        OpenedFile { geometry: geometry(self.chunks), is_complete, super_seed: self.callers.clone() }
    }

    fn answer(&mut self, input: In) {
        self.stream.handle(self.now, input);
    }

    fn made(&mut self) {
        if self.answers.takes {
            self.answer(Input::Taken);
        }
    }

    /// Returns the log since the last call, and compares it.
    pub(crate) fn expect(&mut self, expected: &[&str]) -> &mut Self {
        let log = std::mem::take(&mut self.log);
        assert_eq!(log, expected);
        self
    }

    /// The chunks that were sent since the last look at the log.
    pub(crate) fn chunks_sent(&mut self) -> Vec<u32> {
        let log = std::mem::take(&mut self.log);
        log.iter().filter_map(|line| line.strip_prefix("chunk ")?.parse().ok()).collect()
    }
}

/// The answer to the first output for a complete file.
pub(crate) fn opened(geometry: Geometry, callers: &Callers) -> OpenedFile<Callers> {
    OpenedFile { geometry, is_complete: true, super_seed: callers.clone() }
}
