//! Every decision of the serving machine, and arbitrary inputs.

#[path = "serving/anything.rs"]
mod anything;
#[path = "serving/scene.rs"]
mod scene;

use std::time::Duration;

use peernet_engine::manifest::CHUNKS_MAX;
use peernet_engine::serving::super_seed::{HOLD, HOLD_MAX};
use peernet_engine::serving::wanted::RANGES_PER_LIST_MAX;
use peernet_engine::serving::{
    BLOCK_BYTES_MAX, BLOCK_BYTES_SMALL, COMPLAINTS_PER_REQUEST_MAX, INTERVAL_MIN, INTERVAL_PER_STREAM, Input, Limits,
    MESSAGES_MAX, Request, RequestError, Serving,
};

use self::scene::{Answers, CHUNK_BYTES, Callers, In, Scene, geometry, nothing, ranges, start, wants};

const BLOCK_BYTES_FIRST: u32 = 128 << 10;

/// Feeds inputs to a stream with an open file and compares the outputs.
fn check(chunks: u32, answers: Answers, inputs: Vec<In>, expected: &[&str]) -> Scene {
    let mut scene = Scene::open(chunks, answers);
    for input in inputs {
        scene.feed(input);
    }
    scene.expect(expected);
    scene
}

fn partial(holds: &[u32]) -> Answers {
    Answers { holds: Some(holds.to_vec()), ..Answers::default() }
}

fn changed() -> In {
    Input::Changed { is_complete: false }
}

fn tick() -> In {
    Input::Tick { streams: 1 }
}

#[test]
fn a_stream_begins_with_a_file_and_an_update() {
    Scene::new(3).feed(wants(&[(1, 1)])).expect(&["open", "notify", "close", "chunk 1"]);
    let shown = Request { grant: Some("a grant".to_owned()), ..nothing() };
    Scene::new(3).feed(Input::Request(shown)).expect(&["open with a grant", "notify"]);
}

#[test]
fn a_first_message_without_a_file_ends_the_stream() {
    let mut scene = Scene::new(3);
    let expected = "end: file_hash: expected 32 bytes in the first message";
    scene.feed(Input::Request(Request::of(Err(RequestError::FileHash)))).expect(&[expected]);
    assert!(scene.stream.is_ended() && scene.stream.deadline().is_none());
    // Only the first message has to name one.
    let later = Request { wanted: ranges(&[(0, 1)]), ..Request::of(Err(RequestError::ManifestId)) };
    check(3, Answers::default(), vec![Input::Request(later)], &["close", "chunk 0"]);
}

#[test]
fn a_file_that_may_not_be_had_ends_the_stream() {
    let mut stream: scene::Stream = Serving::new(start(), Limits::default(), 1);
    stream.handle(start(), wants(&[(0, 1)]));
    assert!(stream.poll().is_some() && !stream.has_output());
    stream.handle(start(), Input::Stop("not shared"));
    let end = stream.poll().map(|output| format!("{output:?}"));
    assert_eq!((end.as_deref(), stream.poll()), (Some("End(Refused(\"not shared\"))"), None));
}

#[test]
fn a_stream_ends_once_everything_asked_for_was_sent() {
    Scene::new(3).feed(Input::RequestsEnded).expect(&["end: Complete"]);
    let ended = vec![Input::RequestsEnded];
    check(3, Answers::default(), ended, &["end: Complete"]);
    let slow = Answers { takes: false, ..Answers::default() };
    let mut scene = check(1, slow, vec![wants(&[(0, 1)]), Input::RequestsEnded], &[]);
    assert!(!scene.stream.is_ended() && !scene.stream.owes_nothing());
    scene.answers.takes = true;
    scene.feed(Input::Taken).expect(&["close", "chunk 0", "end: Complete"]);
    assert!(scene.stream.owes_nothing());
}

#[test]
fn chunks_are_sent_in_the_order_of_the_requests() {
    for (inputs, expected) in [
        (vec![wants(&[(2, 2), (0, 1)])], vec![2, 3, 0]),
        (vec![wants(&[(1, 1)]), wants(&[(0, 1)])], vec![1, 0]),
        // Twice is twice: the caller may have lost it.
        (vec![wants(&[(1, 1), (1, 1)])], vec![1, 1]),
    ] {
        let mut scene = Scene::open(4, Answers::default());
        for input in inputs {
            scene.feed(input);
        }
        assert_eq!(scene.chunks_sent(), expected);
    }
}

#[test]
fn dropped_chunks_are_not_sent() {
    let slow = Answers { takes: false, ..Answers::default() };
    let mut scene = Scene::open(4, slow);
    scene.feed(wants(&[(0, 4)]));
    // The first block of chunk 0 is on its way; the rest of it never follows.
    let drops = Request { dropped: ranges(&[(0, 1), (2, 1)]), ..nothing() };
    scene.feed(Input::Request(drops));
    scene.answers.takes = true;
    scene.feed(Input::Taken);
    assert_eq!((scene.chunks_sent(), scene.blocks[0]), (vec![1, 3], BLOCK_BYTES_FIRST));
}

#[test]
fn a_chunk_that_is_not_there_is_refused_and_the_stream_goes_on() {
    let past_the_end = ["chunk 0", "refuse 4 NotHeld"];
    check(2, Answers::default(), vec![wants(&[(0, 1), (4, 1)])], &past_the_end);
    check(4, partial(&[1]), vec![wants(&[(0, 3)])], &["refuse 0 NotHeld", "chunk 1", "refuse 2 NotHeld"]);
    let spoiled = Answers { unreadable: vec![0], ..Answers::default() };
    let expected = ["return 131072", "refuse 0 ReadFailed", "close", "chunk 1"];
    let limited = Answers { allows: Some(BLOCK_BYTES_FIRST), ..spoiled };
    check(2, limited, vec![wants(&[(0, 2)])], &expected);
}

#[test]
fn a_partial_source_that_becomes_complete_is_asked_no_more() {
    let mut scene = Scene::open(2, partial(&[]));
    scene.feed(wants(&[(0, 1)])).expect(&["refuse 0 NotHeld"]);
    // The driver would still say no.
    scene.feed(Input::Changed { is_complete: true }).feed(wants(&[(0, 1)]));
    assert_eq!(scene.chunks_sent(), [0]);
}

#[test]
fn requests_out_of_bounds_end_the_stream() {
    let lists: Vec<(Vec<(u32, u32)>, &str)> = vec![
        (vec![(0, 0)], "end: no file has 0 chunks from 0 on"),
        (vec![(CHUNKS_MAX, 1)], "end: no file has 1 chunks from 16384 on"),
        (vec![(0, CHUNKS_MAX), (0, 1)], "end: one message names more chunks than any file has"),
        (vec![(5, 1); RANGES_PER_LIST_MAX + 1], "end: at most 1024 ranges fit one message"),
    ];
    for (list, expected) in lists {
        let list = ranges(&list);
        for request in [
            Request { wanted: list.clone(), ..nothing() },
            Request { again: list.clone(), ..nothing() },
            Request { dropped: list.clone(), ..nothing() },
        ] {
            check(9, Answers::default(), vec![Input::Request(request)], &[expected]);
        }
    }
    let many: Vec<(u32, u32)> = (0..600).map(|i| (2 * i, 1)).collect();
    let slow = Answers { takes: false, ..Answers::default() };
    let exhausted = "end: too many ranges are requested at once";
    check(CHUNKS_MAX, slow, vec![wants(&many), wants(&many)], &[exhausted]);
}

#[test]
fn a_newer_grant_is_checked_and_a_bad_one_ends_the_stream() {
    let shows = |grant: &str| Input::Request(Request { grant: Some(grant.to_owned()), ..nothing() });
    check(3, Answers::default(), vec![shows("new"), wants(&[(0, 1)])], &["check new", "close", "chunk 0"]);
    let refusing = Answers { grant: Err("expired"), ..Answers::default() };
    check(3, refusing, vec![shows("old"), wants(&[(0, 1)])], &["check old", "end: expired"]);
    let long = "x".repeat(Limits::default().grant_bytes_max + 1);
    check(3, Answers::default(), vec![shows(&long)], &["end: grant: more than 4096 bytes"]);
}

#[test]
fn ended_access_ends_the_stream_unless_a_newer_grant_came() {
    check(3, Answers::default(), vec![Input::AccessEnded("not public")], &["end: not public"]);
    let now = start();
    let mut scene = Scene::open(3, Answers::default());
    let shown = Request { grant: Some("new".to_owned()), ..nothing() };
    scene.stream.handle(now, Input::Request(shown));
    scene.stream.handle(now, Input::AccessEnded("too soon"));
    assert!(!scene.stream.is_ended());
    // It is being checked.
    assert!(scene.stream.poll().is_some());
    scene.stream.handle(now, Input::AccessEnded("too soon"));
    assert!(!scene.stream.is_ended());
    scene.stream.handle(now, Input::GrantAccepted);
    scene.feed(Input::AccessEnded("now")).expect(&["end: now"]);
}

#[test]
fn a_stream_keeps_the_upload_limit_and_returns_the_rest() {
    let limited = |allows| Answers { allows: Some(allows), ..Answers::default() };
    let scene = check(1, limited(CHUNK_BYTES / 4), vec![wants(&[(0, 1)])], &["close", "chunk 0"]);
    assert!(scene.blocks.iter().all(|len| *len <= CHUNK_BYTES / 4), "{:?}", scene.blocks);
    let scene = check(1, limited(1_000), vec![wants(&[(0, 1)])], &["close", "chunk 0"]);
    assert_eq!((scene.blocks[0], scene.blocks.len()), (1_000, 1_049));
    assert_eq!(scene.stream.allowance(), 0);
}

#[test]
fn a_turn_comes_later_and_is_used_or_returned() {
    let waits = Answers { allows: None, ..Answers::default() };
    let mut scene = check(2, waits.clone(), vec![wants(&[(0, 1)])], &["wait for a turn"]);
    assert!(!scene.stream.has_output(), "it is asked once");
    scene.feed(Input::Allowed { bytes: 4_096 }).expect(&["wait for a turn"]);
    assert_eq!(scene.blocks, [4_096]);
    // The caller does not want the chunk any more: the allowance serves the next one.
    let drops = Request { dropped: ranges(&[(0, 1)]), ..nothing() };
    scene.feed(Input::Request(drops)).feed(Input::Allowed { bytes: 999 }).expect(&[]);
    assert_eq!(scene.stream.allowance(), 999);
    scene.feed(wants(&[(1, 1)])).expect(&["wait for a turn"]);
    assert_eq!(scene.blocks, [4_096, 999]);
    scene.feed(Input::CallerGone).expect(&[]);
    scene.feed(Input::Allowed { bytes: 5 }).expect(&["return 5"]);
    check(2, waits, vec![Input::Allowed { bytes: 7 }], &["return 7"]);
}

#[test]
fn an_allowance_that_is_too_large_is_returned() {
    let mut scene =
        check(1, Answers { allows: None, ..Answers::default() }, vec![wants(&[(0, 1)])], &["wait for a turn"]);
    scene.feed(Input::Allowed { bytes: BLOCK_BYTES_FIRST + 9 }).expect(&["return 9", "wait for a turn"]);
    scene.feed(Input::Stop("stopping")).expect(&["end: stopping"]);
}

#[test]
fn without_memory_a_stream_sends_one_small_block_at_a_time() {
    let short = Answers { has_memory: false, takes: false, ..Answers::default() };
    let mut scene = check(1, short, vec![wants(&[(0, 1)])], &["small", "return 65536"]);
    assert_eq!(scene.blocks, [BLOCK_BYTES_SMALL]);
    scene.feed(tick()).expect(&[]);
    // The transport took it: now there is room, and perhaps memory.
    scene.feed(Input::Taken).expect(&["small", "return 65536"]);
    scene.answers.has_memory = true;
    scene.feed(Input::Taken).expect(&[]);
    assert!(scene.blocks[2] > BLOCK_BYTES_SMALL, "{:?}", scene.blocks);
}

#[test]
fn no_more_messages_are_made_than_the_window_has_room_for() {
    // A fast transport: the window grows to its most.
    let mut scene = Scene::open(64, Answers::default());
    scene.feed(wants(&[(0, 32)]));
    scene.answers.takes = false;
    scene.feed(wants(&[(32, 32)]));
    let ahead = scene.blocks.len();
    scene.feed(tick()).feed(wants(&[(0, 1)]));
    assert_eq!(scene.blocks.len(), ahead, "the window is full");
    assert_eq!(*scene.blocks.last().expect("it sent some"), BLOCK_BYTES_MAX);
    scene.feed(Input::Taken);
    assert_eq!(scene.blocks.len(), ahead + 1);
    // A caller that takes nothing has one short block ahead.
    let mut slow = Scene::open(64, Answers { takes: false, ..Answers::default() });
    slow.feed(wants(&[(0, 64)]));
    assert!(slow.blocks.len() < MESSAGES_MAX && slow.blocks[0] == BLOCK_BYTES_FIRST, "{:?}", slow.blocks);
}

#[test]
fn updates_are_batched_within_their_interval() {
    let mut scene = Scene::open(8, partial(&[0]));
    scene.feed(changed()).feed(changed()).expect(&[]);
    assert_eq!(scene.stream.deadline(), Some(scene.now + INTERVAL_MIN));
    scene.wait(INTERVAL_MIN / 2).expect(&[]).wait(INTERVAL_MIN / 2).expect(&["notify"]);
    scene.wait(10 * INTERVAL_MIN).expect(&[]);
    // After a quiet time the next change is told at once.
    scene.feed(changed()).expect(&["notify"]);
}

#[test]
fn updates_come_less_often_with_many_streams_and_large_files() {
    for (chunks, streams, expected) in [
        (8, 1, INTERVAL_MIN),
        (8, 8, INTERVAL_MIN),
        (8, 100, INTERVAL_PER_STREAM * 100),
        (4_096, 1, 2 * INTERVAL_MIN),
        (CHUNKS_MAX, 1, 5 * INTERVAL_MIN),
        (CHUNKS_MAX, 10, 5 * 10 * INTERVAL_PER_STREAM),
    ] {
        let mut scene = Scene::open(chunks, partial(&[0]));
        scene.feed(Input::Tick { streams }).feed(changed()).expect(&[]);
        assert_eq!(scene.stream.deadline(), Some(scene.now + expected), "{chunks} chunks, {streams} streams");
    }
}

#[test]
fn one_update_waits_beside_blocks_and_no_second() {
    let mut scene = Scene::open(8, Answers { takes: false, ..partial(&[0, 1, 2]) });
    scene.feed(wants(&[(0, 3)])).expect(&[]);
    scene.feed(changed()).wait(INTERVAL_MIN).expect(&["notify"]);
    scene.feed(changed()).wait(INTERVAL_MIN).expect(&[]);
    assert!(scene.stream.deadline().is_none_or(|due| due > scene.now), "nothing can be done now");
    // The transport takes the block first, then the update.
    scene.feed(Input::Taken).expect(&[]).feed(Input::Taken).expect(&["notify"]);
}

/// Two streams of one complete file, both open.
fn two_callers(chunks: u32) -> (Scene, Scene) {
    let callers = Callers::of(chunks);
    let mut first = Scene::among(&callers, chunks, start());
    first.feed(Input::Request(nothing()));
    let mut second = Scene::among(&callers, chunks, first.now);
    second.feed(Input::Request(nothing())).expect(&["open", "notify []"]);
    first.expect(&["open", "notify"]);
    (first, second)
}

#[test]
fn callers_of_a_complete_file_get_different_chunks_and_are_told() {
    let (mut first, mut second) = two_callers(4);
    first.feed(wants(&[(0, 2)])).expect(&["chunk 0", "close", "chunk 1"]);
    second.feed(wants(&[(0, 4)])).expect(&["chunk 2", "chunk 3"]);
    second.wait(INTERVAL_MIN).expect(&["notify [0, 1]"]);
    first.wait(INTERVAL_MIN).expect(&["notify [2, 3]"]);
    // It changes its mind.
    let drops = Request { dropped: ranges(&[(0, 2)]), wanted: ranges(&[(3, 1)]), ..nothing() };
    second.feed(Input::Request(drops)).expect(&["close", "chunk 3"]);
}

#[test]
fn a_chunk_of_another_caller_is_held_back_for_a_while() {
    let (mut first, mut second) = two_callers(4);
    first.feed(wants(&[(0, 1)]));
    second.feed(wants(&[(0, 1)])).expect(&[]);
    assert!(!second.stream.has_output());
    second.wait(HOLD / 2).expect(&["notify [0]"]);
    let held = second.stream.deadline().expect("the hold ends");
    assert_eq!(held, second.now + HOLD / 2);
    // Each chunk that is chosen is a change, whose caller is not looked at.
    second.wait(HOLD / 2).expect(&["notify [0]", "close", "chunk 0"]);
    // Requested again, although the caller knows that the other has it: at once.
    first.now = second.now;
    first.feed(wants(&[(1, 1)]));
    let again = Request { again: ranges(&[(1, 1)]), ..nothing() };
    second.feed(Input::Request(again));
    assert_eq!(second.chunks_sent(), [1]);
}

#[test]
fn a_hold_ends_however_much_other_callers_get() {
    let (mut first, mut second) = two_callers(64);
    first.feed(wants(&[(0, 1)]));
    second.feed(wants(&[(0, 1)]));
    let begun = second.now;
    for chunk in 1..64 {
        first.wait(HOLD / 10).feed(wants(&[(chunk, 1)]));
        second.wait(HOLD / 10);
        if second.chunks_sent() == [0] {
            break;
        }
    }
    let waited = second.now - begun;
    assert!((HOLD_MAX..HOLD_MAX + HOLD / 5).contains(&waited), "{waited:?}");
}

#[test]
fn a_caller_that_closed_its_half_waits_out_its_hold_quietly() {
    let (mut first, mut second) = two_callers(4);
    first.feed(wants(&[(0, 1)]));
    second.feed(wants(&[(0, 1)])).feed(Input::RequestsEnded).expect(&[]);
    assert!(!second.stream.has_output(), "a driver would turn in circles");
    second.wait(HOLD).expect(&["notify [0]", "close", "chunk 0", "end: Complete"]);
}

#[test]
fn chunks_of_a_caller_that_left_are_free() {
    for leaves in [Input::CallerGone, Input::Stop("expelled"), Input::AccessEnded("not public")] {
        let (mut first, mut second) = two_callers(4);
        first.feed(wants(&[(0, 1)])).feed(leaves);
        second.feed(wants(&[(0, 1)]));
        assert_eq!(second.chunks_sent(), [0]);
    }
    let (mut first, mut second) = two_callers(4);
    first.feed(wants(&[(0, 1)]));
    drop(first);
    second.feed(wants(&[(0, 1)]));
    assert_eq!(second.chunks_sent(), [0]);
}

#[test]
fn a_partial_source_holds_nothing_back() {
    let callers = Callers::of(4);
    for mut scene in [(); 2].map(|()| Scene::among(&callers, 4, start())) {
        scene.answers = partial(&[0, 1]);
        scene.feed(wants(&[(0, 2)])).expect(&["open", "notify", "chunk 0", "close", "chunk 1"]);
    }
}

#[test]
fn a_stream_that_wants_nothing_for_long_ends() {
    let idle = Limits::default().idle_max;
    let mut scene = Scene::open(4, Answers::default());
    assert_eq!(scene.stream.deadline(), Some(scene.now + idle));
    scene.wait(idle - Duration::from_secs(1)).feed(wants(&[(0, 1)])).expect(&["close", "chunk 0"]);
    scene.wait(idle - Duration::from_secs(1)).expect(&[]).wait(Duration::from_secs(1)).expect(&["end: Idle"]);
    // A caller that waits for a chunk is not idle, however slow its line.
    let slow = Answers { takes: false, ..Answers::default() };
    let mut waiting = check(4, slow, vec![wants(&[(0, 1)])], &[]);
    waiting.wait(10 * idle).expect(&[]);
    assert!(!waiting.stream.is_ended());
}

#[test]
fn a_withdrawn_file_ends_the_stream() {
    check(4, Answers::default(), vec![Input::Withdrawn, wants(&[(0, 1)])], &["end: Withdrawn"]);
    // Also while the driver still looks it up.
    let mut stream: scene::Stream = Serving::new(start(), Limits::default(), 1);
    stream.handle(start(), wants(&[(0, 1)]));
    assert!(stream.poll().is_some());
    stream.handle(start(), Input::Withdrawn);
    let super_seed = Callers::of(4);
    let opened = scene::opened(geometry(4), &super_seed);
    stream.handle(start(), Input::Opened(opened));
    assert!(stream.is_ended() && stream.poll().is_some() && stream.poll().is_none());
}

#[test]
fn a_caller_that_is_gone_is_sent_nothing() {
    check(4, Answers::default(), vec![Input::CallerGone, wants(&[(0, 1)])], &[]);
    let mut scene = Scene::open(4, Answers::default());
    // The end was not told yet.
    scene.stream.handle(scene.now, Input::Stop("stopping"));
    scene.feed(Input::CallerGone).expect(&[]);
}

#[test]
fn a_block_that_is_read_when_the_stream_ends_is_not_sent() {
    for (read, ends) in [(true, true), (true, false), (false, true)] {
        let mut scene = Scene::open(1, Answers::default());
        let now = scene.now;
        let stream = &mut scene.stream;
        stream.handle(now, wants(&[(0, 1)]));
        stream.poll();
        stream.handle(now, Input::Allowed { bytes: 200_000 });
        stream.poll();
        stream.handle(now, Input::Reserved(true));
        assert!(matches!(stream.poll(), Some(peernet_engine::serving::Output::Read(_))));
        if !ends {
            stream.handle(now, Input::ReadDone);
        }
        stream.handle(now, Input::Stop("stopping"));
        stream.handle(now, if read { Input::ReadDone } else { Input::ReadFailed });
        scene.feed(tick()).expect(&["return 200000", "end: stopping"]);
        assert!(scene.blocks.is_empty());
    }
}

#[test]
fn complaints_are_passed_on_within_their_bound() {
    let complains = |chunks: Vec<u32>| Input::Request(Request { complaints: chunks, ..nothing() });
    let mut early = Scene::new(4);
    early.feed(complains(vec![0])).expect(&["open", "notify"]);
    check(4, Answers::default(), vec![complains(vec![3, 4, 0])], &["complain [3, 0] of 3"]);
    let many: Vec<u32> = (0..1_000).collect();
    let heard: Vec<u32> = (0..COMPLAINTS_PER_REQUEST_MAX as u32).collect();
    check(2_000, Answers::default(), vec![complains(many)], &[&format!("complain {heard:?} of 1000")]);
    let last = vec![complains(vec![1]), Input::RequestsEnded];
    check(4, Answers::default(), last, &["complain [1] of 1", "end: Complete"]);
}

#[test]
fn complaints_that_nobody_polls_take_bounded_memory() {
    let mut scene = Scene::open(4, Answers::default());
    for _ in 0..1_000 {
        let request = Request { complaints: vec![1; 100], ..nothing() };
        scene.stream.handle(scene.now, Input::Request(request));
    }
    let kept = format!("{:?}", vec![1; 4 * COMPLAINTS_PER_REQUEST_MAX]);
    scene.feed(tick()).expect(&[&format!("complain {kept} of 100000")]);
}
