//! Arbitrary inputs in any order: the scheduler does not panic, and its requests are always valid.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use peernet_engine::bitmap::Bitmap;
use peernet_engine::cause::Cause;
use peernet_engine::download::{Download, Has, Input, Limits, Output, Protocol, SourceId, Why};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkIndex};
use proptest::prelude::*;

const COUNT: ChunkCount = ChunkCount(12);

fn any_cause() -> impl Strategy<Value = Cause> {
    // A local disk failure ends the download; it is left to a test of its own.
    prop::sample::select(vec![Cause::Refused, Cause::TimedOut, Cause::BadHash, Cause::Transport])
}

fn any_has() -> impl Strategy<Value = Has> {
    prop_oneof![
        Just(Has::Complete),
        (0u16..1 << 12).prop_map(|bits| {
            let bytes = (bits << 4).to_be_bytes();
            Has::Chunks(Bitmap::from_bytes(&bytes, COUNT).expect("the last four bits are zero"))
        }),
        Just(Has::Chunks(Bitmap::full(ChunkCount(99)))),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    let source = || (0u64..5).prop_map(SourceId);
    let protocol = || prop::sample::select(vec![Protocol::FetchStream, Protocol::Version1]);
    let chunk = || prop_oneof![20 => 0..COUNT.0, 1 => Just(COUNT.0), 1 => Just(u32::MAX)].prop_map(ChunkIndex);
    let bytes = || prop_oneof![Just(0), 1u64..2_000_000, Just(u64::MAX)].prop_map(ByteCount);
    prop_oneof![
        4 => (source(), any::<u32>(), protocol()).prop_map(|(source, rank, protocol)| Input::SourceAdded { source, rank, protocol }),
        4 => (source(), any_has()).prop_map(|(source, has)| Input::SourceHas { source, has }),
        3 => (source(), chunk(), bytes())
            .prop_map(|(source, chunk, bytes)| Input::ChunkVerified { source, chunk, bytes, took: Duration::ZERO }),
        2 => (source(), chunk(), any_cause()).prop_map(|(source, chunk, cause)| Input::ChunkFailed { source, chunk, cause }),
        1 => (source(), chunk()).prop_map(|(source, chunk)| Input::SourceBusy { source, chunk }),
        1 => (source(), any_cause()).prop_map(|(source, cause)| Input::SourceFailed { source, cause }),
        1 => source().prop_map(|source| Input::SourceGone { source }),
        2 => (source(), bytes()).prop_map(|(source, bytes)| Input::ProgressBytes { source, bytes }),
        1 => source().prop_map(|source| Input::HeldBack { source }),
        1 => Just(Input::Called),
        3 => Just(Input::Tick),
    ]
}

/// The requests in flight, as an observer of inputs and outputs knows them.
#[derive(Default)]
struct Onlooker {
    wanted: BTreeSet<(SourceId, ChunkIndex)>,
    verified: BTreeSet<ChunkIndex>,
    liars: BTreeSet<SourceId>,
    known: BTreeSet<SourceId>,
    ended: bool,
}

impl Onlooker {
    fn saw_input(&mut self, input: &Input) {
        match *input {
            Input::SourceAdded { source, .. } if !self.liars.contains(&source) => {
                self.known.insert(source);
            }
            Input::ChunkVerified { source, chunk, .. } if chunk.0 < COUNT.0 => {
                self.verified.insert(chunk);
                self.wanted.remove(&(source, chunk));
            }
            Input::ChunkFailed { source, cause: Cause::BadHash, .. } if self.known.contains(&source) => {
                self.liars.insert(source);
                self.cut(source);
            }
            Input::ChunkFailed { source, chunk, .. } | Input::SourceBusy { source, chunk } => {
                self.wanted.remove(&(source, chunk));
            }
            Input::SourceFailed { source, .. } => self.cut(source),
            Input::SourceGone { source } => {
                self.cut(source);
                self.known.remove(&source);
            }
            _ => {}
        }
    }

    fn cut(&mut self, source: SourceId) {
        self.wanted.retain(|wanted| wanted.0 != source);
    }

    fn saw_output(&mut self, output: Output) {
        assert!(!self.ended, "{output:?} after the end");
        match output {
            Output::Request { source, chunks, .. } => {
                assert!(self.known.contains(&source) && !self.liars.contains(&source), "{source:?} is asked");
                for chunk in chunks {
                    assert!(!self.verified.contains(&chunk), "{chunk:?} is there");
                    assert!(self.wanted.insert((source, chunk)), "{chunk:?} is asked twice of {source:?}");
                }
            }
            Output::Drop { source, chunks } => {
                for chunk in chunks {
                    assert!(self.wanted.remove(&(source, chunk)), "{chunk:?} was not asked of {source:?}");
                }
            }
            Output::Disconnect { source, .. } => self.cut(source),
            Output::Report { result, .. } => assert_ne!(result, Err(Cause::LocalDisk)),
            Output::Finished => {
                self.ended = true;
                assert_eq!(self.verified.len(), COUNT.0 as usize);
            }
            Output::Failed { .. } => self.ended = true,
            Output::Connect { .. } | Output::NeedSources => {}
        }
    }
}

fn start() -> Instant {
    #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
    Instant::now()
}

/// Lets time pass, and honest sources answer all requests, until the end.
fn serve_to_the_end(mut now: Instant, download: &mut Download, onlooker: &mut Onlooker) {
    let good = SourceId(1_000);
    let mut inputs = vec![
        Input::SourceHas { source: good, has: Has::Complete },
        Input::SourceAdded { source: good, rank: 0, protocol: Protocol::FetchStream },
    ];
    for _ in 0..10_000 {
        now += Duration::from_millis(50);
        let input = inputs.pop().unwrap_or_else(|| {
            let answer = onlooker.wanted.iter().find(|wanted| wanted.0 == good);
            answer.map_or(Input::Tick, |(source, chunk)| {
                let source = *source;
                let chunk = *chunk;
                let bytes = ByteCount(1 << 20);
                Input::ChunkVerified { source, chunk, bytes, took: Duration::ZERO }
            })
        });
        onlooker.saw_input(&input);
        download.handle(now, input);
        while let Some(output) = download.poll() {
            onlooker.saw_output(output);
        }
        if onlooker.ended {
            return;
        }
    }
    panic!("never ends");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_input_in_any_order_breaks_it_and_no_chunk_is_lost(
        seed in any::<u64>(),
        steps in prop::collection::vec((any_input(), 0u64..3_000), 0..150),
    ) {
        let mut now = start();
        let limits = Limits { no_progress: Duration::from_secs(3_600), all_banned_timeout: Duration::from_secs(3_600), ..Limits::default() };
        let mut download = Download::new(now, seed, limits, Bitmap::empty(COUNT));
        let mut onlooker = Onlooker::default();
        for (input, wait) in steps {
            now += Duration::from_millis(wait);
            if !onlooker.ended {
                onlooker.saw_input(&input);
            }
            download.handle(now, input);
            while let Some(output) = download.poll() {
                onlooker.saw_output(output);
            }
            prop_assert_eq!(download.verified().len() as usize, onlooker.verified.len());
            prop_assert_eq!(download.deadline().is_none(), onlooker.ended);
        }
        if !onlooker.ended {
            serve_to_the_end(now, &mut download, &mut onlooker);
        }
        prop_assert!(download.verified().is_full());
    }
}

#[test]
fn a_local_failure_ends_it_and_costs_no_source() {
    let now = start();
    let source = SourceId(1);
    let chunk = ChunkIndex(0);
    let mut download = Download::new(now, 1, Limits::default(), Bitmap::empty(COUNT));
    download.handle(now, Input::SourceAdded { source, rank: 0, protocol: Protocol::FetchStream });
    download.handle(now, Input::SourceHas { source, has: Has::Complete });
    while download.poll().is_some() {}
    download.handle(now, Input::ChunkFailed { source, chunk, cause: Cause::LocalDisk });
    let outputs: Vec<_> = std::iter::from_fn(|| download.poll()).collect();
    assert!(matches!(outputs[..], [Output::Failed { .. }]), "{outputs:?}");
}

#[test]
fn a_complete_file_is_finished_at_once() {
    for count in [0, 5] {
        let mut download = Download::new(start(), 1, Limits::default(), Bitmap::full(ChunkCount(count)));
        assert_eq!(download.poll(), Some(Output::Finished));
        assert_eq!((download.poll(), download.deadline()), (None, None));
    }
}

#[test]
fn time_while_suspended_is_not_held_against_sources() {
    let now = start();
    let source = SourceId(1);
    let mut download = Download::new(now, 1, Limits::default(), Bitmap::empty(COUNT));
    download.handle(now, Input::SourceAdded { source, rank: 0, protocol: Protocol::FetchStream });
    download.handle(now, Input::SourceHas { source, has: Has::Complete });
    while download.poll().is_some() {}
    download.handle(now + Duration::from_secs(3_600), Input::Tick);
    let outputs: Vec<_> = std::iter::from_fn(|| download.poll()).collect();
    assert!(matches!(outputs[..], [Output::NeedSources]), "{outputs:?}");
}

#[test]
fn chunks_of_a_source_that_left_are_held_by_none() {
    let start = start();
    let mut download = Download::new(start, 1, Limits::default(), Bitmap::empty(COUNT));
    for (source, chunk) in [(SourceId(1), 0), (SourceId(2), 1)] {
        let mut bitmap = Bitmap::empty(COUNT);
        bitmap.insert(ChunkIndex(chunk));
        download.handle(start, Input::SourceAdded { source, rank: 0, protocol: Protocol::FetchStream });
        download.handle(start, Input::SourceHas { source, has: Has::Chunks(bitmap) });
    }
    let source = SourceId(1);
    let chunk = ChunkIndex(0);
    let bytes = ByteCount(1 << 20);
    download.handle(start, Input::ChunkVerified { source, chunk, bytes, took: Duration::ZERO });
    download.handle(start, Input::SourceGone { source: SourceId(2) });
    while let Some(deadline) = download.deadline() {
        while download.poll().is_some() {}
        download.handle(deadline, Input::Tick);
    }
    let outputs: Vec<_> = std::iter::from_fn(|| download.poll()).collect();
    let waited = Limits::default().no_progress;
    assert_eq!(outputs.last(), Some(&Output::Failed { why: Why::Incomplete { missing: 11, waited } }));
}

#[test]
fn unwanted_chunks_are_never_requested() {
    let now = start();
    let source = SourceId(1);
    let mut wanted = Bitmap::empty(COUNT);
    assert!([2, 5, 6].into_iter().all(|chunk| wanted.insert(ChunkIndex(chunk))));
    let mut held = Bitmap::empty(COUNT);
    // One that is wanted is there, and one that is not.
    assert!([5, 0].into_iter().all(|chunk| held.insert(ChunkIndex(chunk))));
    let mut download = Download::of_some(now, 1, Limits::default(), held, &wanted);
    download.handle(now, Input::SourceAdded { source, rank: 0, protocol: Protocol::FetchStream });
    download.handle(now, Input::SourceHas { source, has: Has::Complete });
    let mut asked = BTreeSet::new();
    while let Some(output) = download.poll() {
        if let Output::Request { chunks, .. } = output {
            asked.extend(chunks);
        }
    }
    assert_eq!(asked.iter().map(|chunk| chunk.0).collect::<Vec<_>>(), [2, 6]);
    let verified = |chunk| Input::ChunkVerified { source, chunk, bytes: ByteCount(9), took: Duration::ZERO };
    // One that nobody asked for is taken as it comes.
    for chunk in [ChunkIndex(1), ChunkIndex(2)] {
        download.handle(now, verified(chunk));
        assert!(!download.is_complete());
    }
    download.handle(now, verified(ChunkIndex(6)));
    assert!(download.is_complete() && download.is_ended());
    assert!(std::iter::from_fn(|| download.poll()).any(|output| output == Output::Finished));
    let nothing = Download::of_some(now, 1, Limits::default(), Bitmap::empty(COUNT), &Bitmap::empty(COUNT));
    assert!(nothing.is_ended());
}

#[test]
fn a_source_held_back_by_our_limit_is_not_blamed() {
    let begin = start();
    let source = SourceId(1);
    let mut download = Download::new(begin, 1, Limits::default(), Bitmap::empty(COUNT));
    download.handle(begin, Input::SourceAdded { source, rank: 0, protocol: Protocol::FetchStream });
    download.handle(begin, Input::SourceHas { source, has: Has::Complete });
    let mut outputs: Vec<Output> = Vec::new();
    let mut feed = |secs: u64, input: Input| {
        download.handle(begin + Duration::from_secs(secs), input);
        outputs.extend(std::iter::from_fn(|| download.poll()));
        outputs.iter().any(|output| matches!(output, Output::Disconnect { .. } | Output::Failed { .. }))
    };
    // Far longer than any time-out of a source, a chunk or the whole download.
    for secs in (0..1_000).step_by(2) {
        assert!(!feed(secs, Input::HeldBack { source }), "{secs}");
    }
    // From then on the source is as answerable as any other.
    assert!((1_000..1_030).step_by(2).any(|secs| feed(secs, Input::Tick)));
}
