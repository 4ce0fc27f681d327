//! The scheduler input by input: a script of times and events, and the outputs that follow from each.

use std::time::{Duration, Instant};

use expect_test::{Expect, expect};
use peernet_engine::bitmap::Bitmap;
use peernet_engine::cause::Cause;
use peernet_engine::download::{Download, Has, Input, Limits, Output, Protocol, SourceId, SourceState};
use peernet_engine::ids::{ByteCount, ChunkCount, ChunkIndex};

const CHUNK_BYTES: u64 = 1 << 20;

/// A download with the time of its start.
struct Steps {
    start: Instant,
    download: Download,
}

impl Steps {
    fn new(count: u32, limits: Limits) -> Self {
        Self::with(count, limits, &[], &(0..count).collect::<Vec<_>>())
    }

    /// A download of the chunks in `wanted`, with the chunks in `held` verified by an earlier run.
    fn with(count: u32, limits: Limits, held: &[u32], wanted: &[u32]) -> Self {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        let start = Instant::now();
        let download = Download::of_some(start, 1, limits, bitmap(count, held), &bitmap(count, wanted));
        Self { start, download }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Feeds one input, and returns the outputs, one in a line.
    fn feed(&mut self, ms: u64, input: Input) -> Vec<String> {
        self.download.handle(self.at(ms), input);
        std::iter::from_fn(|| self.download.poll()).map(|output| shown(&output)).collect()
    }

    /// Ticks at each deadline up to `ms`, and returns the outputs with their times.
    fn run_to(&mut self, ms: u64) -> Vec<String> {
        let mut lines = Vec::new();
        let mut rounds = 0;
        while let Some(at) = self.download.deadline().filter(|at| *at <= self.at(ms)) {
            let now = at.saturating_duration_since(self.start).as_millis() as u64 + 1;
            lines.extend(self.feed(now, Input::Tick).into_iter().map(|line| format!("{now} {line}")));
            rounds += 1;
            assert!(rounds < 10_000, "the deadline does not move on");
        }
        lines
    }

    fn state(&self, ms: u64, source: u64) -> Option<SourceState> {
        self.download.sources(self.at(ms)).iter().find(|view| view.source.0 == source).map(|view| view.state)
    }

    fn in_flight(&self, ms: u64, source: u64) -> usize {
        self.download.sources(self.at(ms)).iter().find(|view| view.source.0 == source).map_or(0, |view| view.in_flight)
    }
}

fn bitmap(count: u32, chunks: &[u32]) -> Bitmap {
    let mut bitmap = Bitmap::empty(ChunkCount(count));
    chunks.iter().for_each(|chunk| {
        bitmap.insert(ChunkIndex(*chunk));
    });
    bitmap
}

fn numbers(chunks: &[ChunkIndex]) -> String {
    chunks.iter().map(|chunk| chunk.0.to_string()).collect::<Vec<_>>().join(" ")
}

fn shown(output: &Output) -> String {
    match output {
        Output::Connect { source } => format!("connect {}", source.0),
        Output::Request { source, chunks, again } => {
            format!("{} {}: {}", if *again { "again" } else { "request" }, source.0, numbers(chunks))
        }
        Output::Drop { source, chunks } => format!("drop {}: {}", source.0, numbers(chunks)),
        Output::Disconnect { source, cause } => format!("disconnect {}: {cause}", source.0),
        Output::NeedSources => "lookup".to_owned(),
        Output::Report { source, chunk, result } => match result {
            Ok(()) => format!("report {} {}: ok", source.0, chunk.0),
            Err(cause) => format!("report {} {}: {cause}", source.0, chunk.0),
        },
        Output::Finished => "finished".to_owned(),
        Output::Failed { why } => format!("failed: {why}"),
    }
}

fn added(source: u64) -> Input {
    Input::SourceAdded { source: SourceId(source), rank: source as u32, protocol: Protocol::FetchStream }
}

fn added_v1(source: u64) -> Input {
    Input::SourceAdded { source: SourceId(source), rank: source as u32, protocol: Protocol::Version1 }
}

fn complete(source: u64) -> Input {
    Input::SourceHas { source: SourceId(source), has: Has::Complete }
}

fn holds(source: u64, count: u32, chunks: &[u32]) -> Input {
    Input::SourceHas { source: SourceId(source), has: Has::Chunks(bitmap(count, chunks)) }
}

fn gave(source: u64, count: u32, chunks: &[u32]) -> Input {
    Input::SourceGave { source: SourceId(source), others: Some(bitmap(count, chunks)) }
}

fn verified(source: u64, chunk: u32) -> Input {
    let took = Duration::from_millis(100);
    Input::ChunkVerified { source: SourceId(source), chunk: ChunkIndex(chunk), bytes: ByteCount(CHUNK_BYTES), took }
}

fn failed(source: u64, chunk: u32, cause: Cause) -> Input {
    Input::ChunkFailed { source: SourceId(source), chunk: ChunkIndex(chunk), cause }
}

fn busy(source: u64, chunk: u32) -> Input {
    Input::SourceBusy { source: SourceId(source), chunk: ChunkIndex(chunk) }
}

fn broke(source: u64, cause: Cause) -> Input {
    Input::SourceFailed { source: SourceId(source), cause }
}

fn gone(source: u64) -> Input {
    Input::SourceGone { source: SourceId(source) }
}

fn bytes(source: u64, bytes: u64) -> Input {
    Input::ProgressBytes { source: SourceId(source), bytes: ByteCount(bytes) }
}

/// Runs a script and compares its outputs, each with the time of its input.
fn check(mut steps: Steps, script: Vec<(u64, Input)>, expected: Expect) -> Steps {
    let mut lines = Vec::new();
    for (ms, input) in script {
        lines.extend(steps.feed(ms, input).into_iter().map(|line| format!("{ms} {line}")));
    }
    expected.assert_eq(&lines.join("\n"));
    steps
}

/// One source with all of 8 chunks, of which four are in flight.
fn one_source() -> Steps {
    let mut steps = Steps::new(8, Limits::default());
    assert_eq!(steps.feed(0, added(0)), ["connect 0"]);
    assert_eq!(steps.feed(10, complete(0)), ["request 0: 0 1 2 3"]);
    steps
}

/// Two sources with all of 8 chunks, of which four are in flight at each.
fn two_sources() -> Steps {
    let mut steps = Steps::new(8, Limits::default());
    steps.feed(0, added(0));
    steps.feed(0, added(1));
    assert_eq!(steps.feed(10, complete(0)), ["request 0: 0 1 2 3"]);
    assert_eq!(steps.feed(10, complete(1)), ["request 1: 4 5 6 7"]);
    steps
}

#[test]
fn a_source_is_asked_once_it_announced_its_chunks() {
    let script = vec![
        (0, added(0)),
        (1, added(0)),
        (2, holds(0, 6, &[4, 1])),
        (3, holds(0, 7, &[0])),
        (4, holds(0, 6, &[4, 1, 0])),
        (5, holds(0, 6, &[0, 1, 2, 3, 4, 5])),
    ];
    let steps = check(
        Steps::new(6, Limits::default()),
        script,
        expect![[r#"
            0 connect 0
            2 request 0: 4 1
            4 request 0: 0
            5 request 0: 2"#]],
    );
    assert_eq!(steps.in_flight(5, 0), 4, "the window of a new source");
}

#[test]
fn chunks_are_spread_over_all_sources_in_turns() {
    let mut steps = Steps::new(6, Limits::default());
    let announce = [(0, 2), (1, 1), (2, 0)];
    for (source, rank) in announce {
        steps.feed(0, Input::SourceAdded { source: SourceId(source), rank, protocol: Protocol::FetchStream });
    }
    // One file of six chunks, three sources that hold nothing at first and then all of it at once.
    for source in 0..3 {
        assert!(steps.feed(1, holds(source, 6, &[])).is_empty());
    }
    assert_eq!(steps.feed(2, complete(0)).len(), 1);
    steps.feed(3, complete(1));
    let total: usize = (0..3).map(|source| steps.in_flight(3, source)).sum();
    assert_eq!(total, 6, "every chunk is in flight once");
}

#[test]
fn a_verified_chunk_is_reported_and_the_next_one_requested() {
    let steps = check(
        one_source(),
        vec![(100, verified(0, 0)), (200, verified(0, 2)), (300, verified(0, 0)), (400, verified(0, 99))],
        expect![[r#"
            100 report 0 0: ok
            100 request 0: 4 5
            200 report 0 2: ok
            200 request 0: 6 7"#]],
    );
    assert_eq!(steps.download.verified().len(), 2, "a chunk counts once, and none past the end");
}

#[test]
fn a_chunk_counts_whoever_brings_it() {
    check(
        two_sources(),
        vec![(100, verified(1, 0)), (110, verified(7, 1)), (120, verified(0, 0))],
        expect![[r#"
            100 drop 0: 0
            100 report 1 0: ok
            110 drop 0: 1"#]],
    );
}

#[test]
fn a_refused_chunk_comes_from_another_source() {
    let steps = check(
        two_sources(),
        vec![
            (100, failed(0, 1, Cause::Refused)),
            (110, failed(0, 1, Cause::Refused)),
            (120, failed(0, 6, Cause::Refused)),
            (200, verified(1, 4)),
            (210, verified(1, 5)),
        ],
        expect![[r#"
            100 report 0 1: refused
            200 report 1 4: ok
            210 report 1 5: ok
            210 request 1: 1"#]],
    );
    assert_eq!(steps.state(200, 0), Some(SourceState::Active), "its other requests go on");
}

#[test]
fn a_source_that_refuses_a_chunk_is_not_asked_for_it_again() {
    let mut steps = one_source();
    assert_eq!(steps.feed(100, failed(0, 1, Cause::Refused)), ["report 0 1: refused"]);
    let mut later = steps.run_to(30_000);
    later.retain(|line| line.contains("request"));
    assert!(!later.iter().any(|line| line.ends_with(" 1") || line.contains(" 1 ")), "{later:?}");
}

#[test]
fn a_busy_source_pauses_without_a_report() {
    let mut steps = one_source();
    assert!(steps.feed(100, busy(0, 3)).is_empty());
    assert!(steps.feed(101, busy(0, 3)).is_empty(), "the chunk is not in flight any more");
    assert_eq!(steps.state(102, 0), Some(SourceState::Active));
    for chunk in 0..3 {
        steps.feed(110, failed(0, chunk, Cause::TimedOut));
    }
    assert_eq!(steps.state(120, 0), Some(SourceState::BackingOff));
    let again = steps.run_to(2_000);
    let requests: Vec<_> = again.iter().filter(|line| line.contains("request")).collect();
    assert_eq!(requests.len(), 1, "{again:?}");
}

#[test]
fn failures_during_one_pause_do_not_lengthen_it() {
    let mut steps = one_source();
    steps.feed(100, busy(0, 0));
    let first = steps.download.deadline();
    for chunk in 1..4 {
        steps.feed(101, busy(0, chunk));
    }
    assert_eq!(steps.download.deadline(), first);
}

#[test]
fn a_broken_connection_is_one_incident() {
    let mut steps = one_source();
    assert_eq!(steps.feed(100, broke(0, Cause::Transport)), ["report 0 0: connection failed"]);
    assert!(steps.feed(101, broke(0, Cause::Transport)).is_empty(), "it is closed already");
    assert_eq!(steps.state(102, 0), Some(SourceState::BackingOff));
    let again = steps.run_to(1_600);
    assert_eq!(again.iter().filter(|line| line.ends_with("connect 0")).count(), 1, "{again:?}");
}

#[test]
fn the_back_off_doubles_up_to_its_bound() {
    let mut steps = Steps::new(4, Limits { no_progress: Duration::from_secs(3_600), ..Limits::default() });
    steps.feed(0, added(0));
    let mut now = 0;
    let mut pauses = Vec::new();
    for _ in 0..9 {
        steps.feed(now, broke(0, Cause::Transport));
        let begun = now;
        while steps.state(now, 0) == Some(SourceState::BackingOff) {
            now += 50;
            steps.feed(now, Input::Tick);
        }
        pauses.push(now - begun);
    }
    for (index, pause) in pauses.iter().enumerate() {
        let middle = 1_000 << index.min(5);
        let middle = middle.min(30_000);
        let range = middle * 74 / 100..=middle * 126 / 100 + 50;
        assert!(range.contains(pause), "pause {index} is {pause} ms, about {middle} expected");
    }
}

#[test]
fn a_verified_chunk_ends_the_row_of_failures() {
    let mut steps = one_source();
    for chunk in [1, 2, 3] {
        steps.feed(100, failed(0, chunk, Cause::TimedOut));
        steps.run_to(10_000);
    }
    steps.feed(10_100, verified(0, 0));
    let state = steps.download.sources(steps.at(10_100));
    assert_eq!((state[0].chunks, state[0].state), (1, SourceState::Active));
}

#[test]
fn a_source_that_leaves_gives_its_requests_back() {
    check(
        two_sources(),
        vec![(100, gone(0)), (110, verified(1, 4)), (120, gone(9)), (130, complete(0)), (140, verified(1, 5))],
        expect![[r#"
            110 report 1 4: ok
            110 request 1: 0 1
            140 report 1 5: ok
            140 request 1: 2 3"#]],
    );
}

#[test]
fn a_wrong_hash_bans_the_source() {
    let steps = check(
        two_sources(),
        vec![
            (100, failed(0, 2, Cause::BadHash)),
            (110, added(0)),
            (120, complete(0)),
            (130, failed(0, 3, Cause::BadHash)),
            (140, verified(1, 4)),
        ],
        expect![[r#"
            100 report 0 2: hash mismatch
            100 disconnect 0: hash mismatch
            140 report 1 4: ok
            140 request 1: 0"#]],
    );
    assert_eq!(steps.state(140, 0), None);
}

#[test]
fn a_download_fails_soon_if_every_source_lied() {
    let mut steps = one_source();
    steps.feed(100, failed(0, 0, Cause::BadHash));
    let lines = steps.run_to(60_000);
    let last = lines.last().unwrap();
    assert!(last.ends_with("failed: all 1 sources sent data that does not match the manifest"), "{lines:?}");
    let ms: u64 = last.split(' ').next().unwrap().parse().unwrap();
    let expected = 100 + Limits::default().all_banned_timeout.as_millis() as u64;
    assert!((expected..expected + 10).contains(&ms), "{last}");
    assert!(steps.download.deadline().is_none() && steps.download.is_ended());
}

#[test]
fn another_source_in_time_saves_the_download() {
    let mut steps = one_source();
    steps.feed(100, failed(0, 0, Cause::BadHash));
    assert!(steps.feed(5_000, added(1)).contains(&"connect 1".to_owned()));
    assert!(!steps.run_to(20_000).iter().any(|line| line.contains("failed")));
}

#[test]
fn a_full_disk_ends_the_download_and_blames_no_source() {
    for input in [failed(0, 0, Cause::LocalDisk), broke(0, Cause::LocalDisk)] {
        let mut steps = one_source();
        assert_eq!(steps.feed(100, input), ["failed: the local disk failed or is full"]);
        for input in [verified(0, 0), added(1), Input::Tick] {
            assert!(steps.feed(200, input).is_empty(), "nothing follows the end");
        }
        assert_eq!(steps.download.deadline(), None);
    }
}

#[test]
fn a_stalled_source_is_dropped_and_tried_again() {
    let mut steps = one_source();
    let limits = Limits::default();
    let lines = steps.run_to(10 + limits.stall_timeout.as_millis() as u64 + 2);
    let lines: Vec<_> = lines.iter().filter(|line| !line.ends_with("lookup")).collect();
    assert_eq!(lines, ["20011 report 0 0: timed out", "20011 disconnect 0: timed out"]);
    let again = steps.run_to(22_000);
    assert!(again.iter().any(|line| line.ends_with("connect 0")), "{again:?}");
}

#[test]
fn version_1_sources_have_more_patience() {
    let mut steps = Steps::new(8, Limits::default());
    steps.feed(0, added_v1(0));
    steps.feed(10, complete(0));
    assert!(!steps.run_to(44_000).iter().any(|line| line.contains("disconnect")));
    assert!(steps.run_to(46_000).iter().any(|line| line.contains("disconnect 0: timed out")));
}

/// Feeds `size` bytes every second for `seconds`, and returns when the source is dropped, in seconds.
fn dropped_after(size: u64, seconds: u64) -> Option<u64> {
    let limits = Limits { no_progress: Duration::from_secs(3_600), ..Limits::default() };
    let mut steps = Steps::new(8, limits);
    steps.feed(0, added(0));
    steps.feed(0, complete(0));
    for second in 1..=seconds {
        let lines = steps.feed(second * 1_000, bytes(0, size));
        if lines.iter().any(|line| line.starts_with("disconnect")) {
            return Some(second);
        }
    }
    None
}

#[test]
fn a_trickle_counts_as_life_up_to_the_chunk_timeout() {
    // 16 KiB within 20 s are the least; a chunk within 300 s is the least too.
    for (size, expected) in [(0, 20), (100, 20), (700, 20), (1_000, 300), (20_000, 300)] {
        assert_eq!(dropped_after(size, 400), Some(expected), "{size} bytes a second");
    }
}

#[test]
fn our_own_rate_limit_is_no_stall() {
    let mut steps = one_source();
    for second in 1..120 {
        let lines = steps.feed(second * 1_000, Input::HeldBack { source: SourceId(0) });
        assert!(!lines.iter().any(|line| line.contains("disconnect") || line.contains("failed")), "{lines:?}");
    }
    assert_eq!(steps.state(119_000, 0), Some(SourceState::Active));
}

#[test]
fn a_process_that_was_suspended_blames_no_source() {
    let mut steps = one_source();
    let lines = steps.feed(3_600_000, Input::Tick);
    assert!(!lines.iter().any(|line| line.contains("disconnect") || line.contains("failed")), "{lines:?}");
    assert_eq!(steps.state(3_600_000, 0), Some(SourceState::Active));
}

#[test]
fn more_sources_than_the_bound_are_not_taken() {
    let mut steps = Steps::new(4, Limits { sources_max: 3, ..Limits::default() });
    for source in 0..3 {
        assert_eq!(steps.feed(0, added(source)), [format!("connect {source}")]);
    }
    assert!(steps.feed(0, added(3)).is_empty());
    steps.feed(1, gone(1));
    assert_eq!(steps.feed(2, added(3)), ["connect 3"], "a place is free again");
}

#[test]
fn lookups_become_rarer_while_they_bring_nothing() {
    let limits = Limits { no_progress: Duration::from_secs(600), ..Limits::default() };
    let mut steps = Steps::new(4, limits);
    let lines = steps.run_to(200_000);
    let times: Vec<u64> = lines.iter().map(|line| line.split(' ').next().unwrap().parse().unwrap()).collect();
    let pauses: Vec<u64> = times.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000).collect();
    assert_eq!(pauses, [5, 10, 20, 40, 60, 60]);
    steps.feed(200_500, added(0));
    steps.feed(200_600, gone(0));
    let soon = steps.run_to(203_000);
    assert_eq!(soon.len(), 1, "the last source was lost, so a lookup follows soon: {soon:?}");
}

#[test]
fn enough_sources_with_every_chunk_need_no_lookup() {
    let limits = Limits { sources_wanted: 2, no_progress: Duration::from_secs(3_600), ..Limits::default() };
    let mut steps = Steps::new(64, limits);
    for source in 0..2 {
        steps.feed(0, added(source));
        steps.feed(1, complete(source));
    }
    let mut chunk = 0;
    for second in 1..30 {
        for source in 0..2 {
            let lines = steps.feed(second * 1_000, verified(source, chunk));
            assert!(!lines.contains(&"lookup".to_owned()), "{second}: {lines:?}");
            chunk += 1;
        }
    }
}

#[test]
fn a_chunk_that_no_source_holds_is_looked_up() {
    let limits = Limits { sources_wanted: 1, ..Limits::default() };
    let mut steps = Steps::new(4, limits);
    steps.feed(0, added(0));
    steps.feed(1, holds(0, 4, &[0, 1, 2]));
    let lines = steps.run_to(6_000);
    assert!(lines.iter().any(|line| line.ends_with("lookup")), "{lines:?}");
}

#[test]
fn other_downloaders_are_looked_up_at_once() {
    for sign in [Input::Called, gave(0, 8, &[])] {
        let mut steps = one_source();
        steps.feed(100, sign.clone());
        let lines = steps.run_to(200);
        assert_eq!(lines, ["151 lookup"], "{sign:?}");
    }
}

#[test]
fn a_reader_gets_chunks_in_order_and_not_far_ahead() {
    let limits = Limits { read_ahead: Some(ChunkCount(3)), ..Limits::default() };
    check(
        Steps::new(8, limits),
        vec![
            (0, added(0)),
            (1, complete(0)),
            (100, verified(0, 1)),
            (200, verified(0, 0)),
            (300, verified(0, 2)),
            (400, verified(0, 3)),
        ],
        expect![[r#"
            0 connect 0
            1 request 0: 0 1 2
            100 report 0 1: ok
            200 report 0 0: ok
            200 request 0: 3 4
            300 report 0 2: ok
            300 request 0: 5
            400 report 0 3: ok
            400 request 0: 6"#]],
    );
}

#[test]
fn only_wanted_chunks_are_requested() {
    let steps = check(
        Steps::with(8, Limits::default(), &[0, 1], &[1, 3, 5]),
        vec![(0, added(0)), (1, complete(0)), (100, verified(0, 3)), (200, verified(0, 7)), (300, verified(0, 5))],
        expect![[r#"
            0 connect 0
            1 request 0: 3 5
            100 report 0 3: ok
            200 report 0 7: ok
            300 report 0 5: ok
            300 finished"#]],
    );
    assert!(steps.download.is_complete() && steps.download.is_ended());
    let held: Vec<u32> = steps.download.verified().iter().map(|chunk| chunk.0).collect();
    assert_eq!(held, [0, 1, 3, 5, 7], "a chunk that was not wanted counts if its bytes are right");
}

#[test]
fn a_download_with_every_wanted_chunk_is_finished_at_once() {
    let cases: [(u32, &[u32], &[u32]); 4] =
        [(0, &[], &[]), (3, &[0, 1, 2], &[0, 1, 2]), (3, &[1], &[1]), (3, &[], &[])];
    for (count, held, wanted) in cases {
        let mut steps = Steps::with(count, Limits::default(), held, wanted);
        assert_eq!(steps.download.poll(), Some(Output::Finished), "{count} {held:?} {wanted:?}");
        assert!(steps.feed(1, added(0)).is_empty());
        assert_eq!(steps.download.deadline(), None);
    }
}

#[test]
fn chunks_given_to_others_are_taken_off_the_list() {
    let steps = check(
        one_source(),
        vec![(50, gave(0, 8, &[1, 2])), (60, gave(0, 9, &[0])), (100, verified(0, 0))],
        expect![[r#"
            50 drop 0: 1 2
            50 request 0: 4 6
            100 report 0 0: ok
            100 lookup
            100 request 0: 7"#]],
    );
    assert_eq!(steps.in_flight(100, 0), 4);
}

#[test]
fn chunks_given_to_others_are_asked_for_again_in_the_end() {
    let mut steps = Steps::new(2, Limits { sources_wanted: 0, ..Limits::default() });
    steps.feed(0, added(0));
    steps.feed(10, gave(0, 2, &[1]));
    steps.feed(11, complete(0));
    assert_eq!(steps.in_flight(12, 0), 1, "the chunk of the other caller waits");
    steps.feed(500, verified(0, 0));
    let lines = steps.run_to(5_000);
    assert!(lines.iter().any(|line| line.ends_with("again 0: 1")), "{lines:?}");
}

#[test]
fn the_rarest_chunk_goes_first_among_partial_sources() {
    let mut steps = Steps::new(6, Limits { window_start: 1, window_min: 1, ..Limits::default() });
    for source in 0..3 {
        steps.feed(0, added(source));
    }
    steps.feed(1, holds(1, 6, &[0, 1, 2, 3, 4]));
    steps.feed(1, holds(2, 6, &[0, 1, 2, 3, 4]));
    assert_eq!(steps.feed(2, complete(0)), ["request 0: 5"], "only the complete source holds it");
}

#[test]
fn an_idle_source_takes_over_from_a_stuck_one() {
    let mut steps = Steps::new(4, Limits::default());
    steps.feed(0, added(0));
    steps.feed(0, added(1));
    steps.feed(1, complete(0));
    assert_eq!(steps.in_flight(1, 0), 4);
    assert!(steps.feed(2, complete(1)).is_empty(), "nothing is unassigned");
    let lines = steps.run_to(1_500);
    let rescues: Vec<_> = lines.iter().filter(|line| line.contains("request 1:")).collect();
    assert!(!rescues.is_empty(), "{lines:?}");
    let lines = steps.feed(1_600, verified(1, 0));
    assert!(lines.contains(&"drop 0: 0".to_owned()), "the slower source need not send it: {lines:?}");
}

#[test]
fn inputs_that_name_nothing_known_are_ignored() {
    let strays = || {
        vec![
            complete(9),
            holds(9, 8, &[1]),
            gave(9, 8, &[1]),
            failed(9, 0, Cause::BadHash),
            failed(0, 99, Cause::Refused),
            busy(9, 0),
            busy(0, 99),
            broke(9, Cause::Transport),
            gone(9),
            bytes(9, 1_000),
            Input::Tick,
        ]
    };
    let mut steps = one_source();
    for stray in strays() {
        assert!(steps.feed(20, stray.clone()).is_empty(), "{stray:?}");
    }
    assert_eq!(steps.in_flight(20, 0), 4);
}

#[test]
fn a_snapshot_tells_the_states_of_the_sources() {
    let mut steps = Steps::new(4, Limits::default());
    for source in 0..4 {
        steps.feed(0, added(source));
    }
    steps.feed(1, holds(1, 4, &[]));
    steps.feed(1, complete(2));
    steps.feed(1, broke(3, Cause::Transport));
    let states: Vec<_> = (0..4).map(|source| steps.state(2, source).unwrap()).collect();
    use SourceState::{Active, BackingOff, Connecting, Idle};
    assert_eq!(states, [Connecting, Idle, Active, BackingOff]);
    assert!(!steps.download.is_complete() && !steps.download.is_ended());
}

#[test]
fn the_rate_is_the_sum_over_the_sources() {
    let mut steps = two_sources();
    for tick in 1..=20 {
        steps.feed(tick * 100, bytes(0, 100_000));
        steps.feed(tick * 100, bytes(1, 50_000));
    }
    let now = steps.at(2_000);
    let views = steps.download.sources(now);
    let total = steps.download.rate(now);
    assert!((total - 1_500_000.0).abs() < 100_000.0, "{total}");
    assert!(views[0].rate > 1.5 * views[1].rate, "{views:?}");
}
