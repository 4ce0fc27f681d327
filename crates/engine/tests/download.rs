//! The download scheduler in a simulated world, and under arbitrary inputs.

#[path = "download/anything.rs"]
mod anything;
#[path = "download/steps.rs"]
mod steps;
#[path = "download/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use expect_test::{Expect, expect};
use peernet_engine::cause::Cause;
use peernet_engine::download::{Limits, Protocol, SourceId, Why};
use peernet_engine::ids::ChunkCount;
use peernet_engine::random::Rng;

use self::world::{Ended, Habit, SourceSpec, World};

const MB: u64 = 1_000_000;

fn run(seed: u64, count: u32, specs: Vec<SourceSpec>) -> Ended {
    World::new(seed, Limits::default(), count, specs).run()
}

/// Makes honest sources that hold the whole file together, and some bad ones.
fn mixed_crowd(seed: u64) -> (u32, Vec<SourceSpec>) {
    let mut rng = Rng::new(seed);
    let count = 1 + rng.below(120) as u32;
    let honest = 1 + rng.below(4);
    let mut specs: Vec<_> = (0..honest).map(|_| random_spec(&mut rng, Habit::Honest)).collect();
    if rng.below(2) == 0 {
        share_out(&mut rng, count, &mut specs);
    }
    for _ in 0..rng.below(5) {
        let habit = bad_habit(&mut rng);
        specs.push(random_spec(&mut rng, habit));
    }
    rng.shuffle(&mut specs);
    (count, specs)
}

fn random_spec(rng: &mut Rng, habit: Habit) -> SourceSpec {
    let rate = 50_000 << rng.below(10);
    let latency = Duration::from_millis(1 + rng.below(200));
    let protocol = if rng.below(4) == 0 { Protocol::Version1 } else { Protocol::FetchStream };
    SourceSpec { habit, rate, latency, protocol, holds: None }
}

/// Gives each chunk to one or more of the sources.
fn share_out(rng: &mut Rng, count: u32, specs: &mut [SourceSpec]) {
    let many = specs.len() as u64;
    for spec in specs.iter_mut() {
        spec.holds = Some(BTreeSet::new());
    }
    for chunk in 0..count {
        for _ in 0..1 + rng.below(2) {
            let spec = &mut specs[rng.below(many) as usize];
            spec.holds.as_mut().expect("set above").insert(chunk);
        }
    }
}

fn bad_habit(rng: &mut Rng) -> Habit {
    let from = rng.below(5_000);
    let span = 1 + rng.below(40_000);
    match rng.below(6) {
        0 => Habit::Liar,
        1 => Habit::Silent(rng.below(5) as u32),
        2 => Habit::Away(from, from + span),
        3 => Habit::Refuser,
        4 => Habit::Busy,
        _ => Habit::Unreachable,
    }
}

#[test]
fn a_download_finishes_if_honest_sources_hold_everything() {
    for seed in 0..400 {
        let (count, specs) = mixed_crowd(seed);
        let ended = run(seed, count, specs.clone());
        assert_eq!(ended.result, Ok(()), "seed {seed}: {specs:#?} {:#?}", ended.trace);
        let good = ended.reports.iter().filter(|report| report.2.is_ok()).map(|report| report.1);
        assert_eq!(good.clone().collect::<BTreeSet<_>>().len(), count as usize, "seed {seed}");
        assert_eq!(good.count(), count as usize, "seed {seed}: one good report a chunk");
        for (source, chunk, result) in &ended.reports {
            assert_ne!(*result, Err(Cause::LocalDisk), "seed {seed}");
            let honest = matches!(specs[source.0 as usize].habit, Habit::Honest | Habit::Busy);
            assert!(result.is_ok() || !honest, "seed {seed}: honest {source:?} reported for {chunk:?}: {result:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..50 {
        let (count, specs) = mixed_crowd(seed);
        let first = run(seed, count, specs.clone());
        let second = run(seed, count, specs);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
    let partial = || {
        let mut specs = vec![SourceSpec::honest(MB), SourceSpec::honest(MB)];
        share_out(&mut Rng::new(1), 40, &mut specs);
        specs
    };
    assert_ne!(run(1, 40, partial()).trace, run(2, 40, partial()).trace);
}

#[test]
fn one_bad_source_does_not_stall_the_others() {
    let good = || vec![SourceSpec::honest(10 * MB); 3];
    let alone = run(1, 150, good()).took;
    for habit in [
        Habit::Liar,
        Habit::Silent(0),
        Habit::Silent(3),
        Habit::Away(1_000, 3_000_000),
        Habit::Refuser,
        Habit::Unreachable,
    ] {
        for protocol in [Protocol::FetchStream, Protocol::Version1] {
            for place in [0, 3] {
                let mut specs = good();
                specs.insert(place, SourceSpec { protocol, ..SourceSpec::honest(10 * MB).with(habit) });
                let took = run(1, 150, specs).took;
                assert!(took < alone.mul_f64(1.2), "{habit:?} {protocol:?} at {place}: {took:?} against {alone:?}");
            }
        }
    }
    for protocol in [Protocol::FetchStream, Protocol::Version1] {
        let mut specs = good();
        specs.insert(0, SourceSpec { protocol, ..SourceSpec::honest(MB / 10) });
        let took = run(1, 150, specs).took;
        assert!(took < alone.mul_f64(1.2), "slow, {protocol:?}: {took:?} against {alone:?}");
    }
}

#[test]
fn rates_add_up() {
    let one = run(1, 200, vec![SourceSpec::honest(10 * MB)]).took.as_secs_f64();
    let ideal = 200.0 * 1.048576 / 10.0;
    assert!(one < ideal * 1.05, "one source: {one} of {ideal}");
    let four = run(1, 200, vec![SourceSpec::honest(10 * MB); 4]).took.as_secs_f64();
    assert!(four < ideal / 4.0 * 1.1, "four sources: {four} of {}", ideal / 4.0);
    let far = SourceSpec { latency: Duration::from_millis(150), ..SourceSpec::honest(50 * MB) };
    let far = run(1, 1_000, vec![far]).took.as_secs_f64();
    assert!(far < 1_048.576 / 50.0 * 1.1, "a far source: {far}");
}

#[test]
fn a_banned_source_is_never_asked_again() {
    let specs = vec![SourceSpec::honest(50 * MB).with(Habit::Liar), SourceSpec::honest(MB)];
    let ended = run(1, 40, specs);
    assert_eq!(ended.result, Ok(()));
    let lies = ended.reports.iter().filter(|report| report.2 == Err(Cause::BadHash)).count();
    assert_eq!(lies, 1);
    assert!(ended.requests.iter().filter(|request| request.0 == SourceId(0)).count() <= 4);
}

#[test]
fn a_failed_download_has_the_right_reason() {
    let waited = Limits::default().no_progress;
    let honest = SourceSpec::honest(MB);
    let part = SourceSpec { holds: Some((0..7).collect()), ..honest.clone() };
    for (specs, why) in [
        (vec![], Why::NoSources { waited }),
        (vec![honest.clone().with(Habit::Unreachable)], Why::NoSources { waited }),
        (vec![part], Why::Incomplete { missing: 3, waited }),
        (vec![honest.clone().with(Habit::Silent(2))], Why::NoProgress { waited }),
        (vec![SourceSpec { rate: 200, ..honest.clone() }], Why::NoProgress { waited }),
        (vec![honest.clone().with(Habit::Liar), honest.with(Habit::Liar)], Why::BadHashes { sources: 2 }),
    ] {
        let ended = run(1, 10, specs.clone());
        assert_eq!(ended.result, Err(why), "{specs:?} {:#?}", ended.trace);
    }
}

#[test]
fn a_very_slow_source_is_not_taken_for_stalled() {
    for protocol in [Protocol::FetchStream, Protocol::Version1] {
        let ended = run(1, 3, vec![SourceSpec { protocol, ..SourceSpec::honest(60_000) }]);
        assert_eq!(ended.result, Ok(()), "{protocol:?}");
        assert!(ended.reports.iter().all(|report| report.2.is_ok()), "{protocol:?}: {:?}", ended.reports);
    }
}

#[test]
fn a_source_that_comes_back_is_used_again() {
    let ended = run(1, 20, vec![SourceSpec::honest(MB).with(Habit::Away(3_000, 30_000))]);
    assert_eq!(ended.result, Ok(()));
    assert!(ended.took > Duration::from_secs(30));
}

fn check_trace(count: u32, specs: Vec<SourceSpec>, expected: Expect) {
    expected.assert_eq(&run(1, count, specs).trace.join("\n"));
}

#[test]
fn a_single_source_is_asked_in_order() {
    check_trace(
        6,
        vec![SourceSpec::honest(10 * MB)],
        expect![[r#"
            0 < SourceAdded { source: SourceId(0), rank: 0, protocol: FetchStream }
            0 > Connect { source: SourceId(0) }
            40 < SourceHas { source: SourceId(0), has: Complete }
            40 > Request { source: SourceId(0), chunks: [ChunkIndex(0), ChunkIndex(1), ChunkIndex(2), ChunkIndex(3)], again: false }
            184 < ChunkVerified { source: SourceId(0), chunk: ChunkIndex(0), bytes: ByteCount(1048576), took: 0ns }
            184 > Report { source: SourceId(0), chunk: ChunkIndex(0), result: Ok(()) }
            184 > Request { source: SourceId(0), chunks: [ChunkIndex(4)], again: false }
            289 < ChunkVerified { source: SourceId(0), chunk: ChunkIndex(1), bytes: ByteCount(1048576), took: 0ns }
            289 > Report { source: SourceId(0), chunk: ChunkIndex(1), result: Ok(()) }
            289 > Request { source: SourceId(0), chunks: [ChunkIndex(5)], again: false }
            394 < ChunkVerified { source: SourceId(0), chunk: ChunkIndex(2), bytes: ByteCount(1048576), took: 0ns }
            394 > Report { source: SourceId(0), chunk: ChunkIndex(2), result: Ok(()) }
            499 < ChunkVerified { source: SourceId(0), chunk: ChunkIndex(3), bytes: ByteCount(1048576), took: 0ns }
            499 > Report { source: SourceId(0), chunk: ChunkIndex(3), result: Ok(()) }
            604 < ChunkVerified { source: SourceId(0), chunk: ChunkIndex(4), bytes: ByteCount(1048576), took: 0ns }
            604 > Report { source: SourceId(0), chunk: ChunkIndex(4), result: Ok(()) }
            709 < ChunkVerified { source: SourceId(0), chunk: ChunkIndex(5), bytes: ByteCount(1048576), took: 0ns }
            709 > Report { source: SourceId(0), chunk: ChunkIndex(5), result: Ok(()) }
            709 > Finished"#]],
    );
}

#[test]
fn the_chunk_of_a_silent_source_comes_from_another() {
    let specs = vec![SourceSpec::honest(10 * MB).with(Habit::Silent(0)), SourceSpec::honest(10 * MB)];
    check_trace(
        2,
        specs,
        expect![[r#"
            0 < SourceAdded { source: SourceId(0), rank: 0, protocol: FetchStream }
            0 > Connect { source: SourceId(0) }
            0 < SourceAdded { source: SourceId(1), rank: 1, protocol: FetchStream }
            0 > Connect { source: SourceId(1) }
            40 < SourceHas { source: SourceId(0), has: Complete }
            40 > Request { source: SourceId(0), chunks: [ChunkIndex(0), ChunkIndex(1)], again: false }
            40 < SourceHas { source: SourceId(1), has: Complete }
            540 > Request { source: SourceId(1), chunks: [ChunkIndex(0)], again: false }
            606 > Request { source: SourceId(1), chunks: [ChunkIndex(1)], again: false }
            684 < ChunkVerified { source: SourceId(1), chunk: ChunkIndex(0), bytes: ByteCount(1048576), took: 0ns }
            684 > Drop { source: SourceId(0), chunks: [ChunkIndex(0)] }
            684 > Report { source: SourceId(1), chunk: ChunkIndex(0), result: Ok(()) }
            789 < ChunkVerified { source: SourceId(1), chunk: ChunkIndex(1), bytes: ByteCount(1048576), took: 0ns }
            789 > Drop { source: SourceId(0), chunks: [ChunkIndex(1)] }
            789 > Report { source: SourceId(1), chunk: ChunkIndex(1), result: Ok(()) }
            789 > Finished"#]],
    );
}

#[test]
fn many_partial_sources_are_all_used_fully() {
    let mut specs: Vec<_> = (0..12).map(|i| SourceSpec::honest((20 + i) * MB)).collect();
    share_out(&mut Rng::new(3), 4_000, &mut specs[..8]);
    let total: u64 = specs.iter().map(|spec| spec.rate).sum();
    let ideal = 4_000.0 * world::CHUNK_BYTES as f64 / total as f64;
    let ended = run(1, 4_000, specs);
    assert_eq!(ended.result, Ok(()));
    assert!(ended.took.as_secs_f64() < ideal * 1.1, "{:?} of {ideal} s", ended.took);
    assert!(ended.requests.len() < 4_050, "{} requests: too much is fetched twice", ended.requests.len());
}

#[test]
fn an_idle_source_is_not_taken_for_slow() {
    let silent = SourceSpec { protocol: Protocol::Version1, ..SourceSpec::honest(400_000).with(Habit::Silent(3)) };
    let ended = run(1, 24, vec![silent, SourceSpec::honest(1_600_000), SourceSpec::honest(800_000)]);
    assert_eq!(ended.result, Ok(()));
    assert!(ended.took < Duration::from_secs(15), "{:?}", ended.took);
}

#[test]
fn a_stalled_source_is_dropped_after_one_timeout() {
    let ended = run(1, 30, vec![SourceSpec::honest(MB).with(Habit::Silent(20))]);
    let dropped = ended.trace.iter().find(|line| line.contains("Disconnect")).expect("it is dropped");
    // 20 chunks take 21 s.
    let ms: u64 = dropped.split(' ').next().expect("a time").parse().expect("a number");
    assert!((40_000..43_000).contains(&ms), "{dropped}");
}

#[test]
fn read_ahead_bounds_the_chunks_and_uses_all_sources() {
    let limits = || Limits { read_ahead: Some(ChunkCount(64)), ..Limits::default() };
    for seed in 0..100 {
        let (count, specs) = mixed_crowd(seed);
        let freely = run(seed, count, specs.clone());
        let ended = World::new(seed, Limits { read_ahead: Some(ChunkCount(5)), ..limits() }, count, specs).run();
        assert_eq!(ended.result, freely.result, "{seed}: {:#?}", ended.trace);
    }
    let ideal = 400.0 * world::CHUNK_BYTES as f64 / 40e6;
    let ended = World::new(1, limits(), 400, vec![SourceSpec::honest(10 * MB); 4]).run();
    assert!(ended.took.as_secs_f64() < ideal * 1.1, "{:?} of {ideal} s", ended.took);
}
