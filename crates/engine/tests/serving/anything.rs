//! Any inputs in any order: nothing panics, and the outputs always make sense.

use std::collections::VecDeque;
use std::time::Duration;

use peernet_engine::ids::ChunkIndex;
use peernet_engine::serving::{Block, Input, Limits, MESSAGES_MAX, OpenedFile, Output, Request, RequestError, Serving};
use proptest::prelude::*;

use crate::scene::{CHUNK_BYTES, Callers, In, Stream, file, geometry, nothing, ranges, start};

const CHUNKS: u32 = 5;

/// An input, without the parts that cannot be cloned.
#[derive(Debug, Clone)]
enum Act {
    Request {
        lists: [Vec<(u32, u32)>; 3],
        complaints: Vec<u32>,
        grant: bool,
        names_file: bool,
    },
    RequestsEnded,
    CallerGone,
    Opened {
        is_complete: bool,
    },
    GrantAccepted,
    AccessEnded,
    Stop,
    Held(bool),
    Allowed(u32),
    Reserved(bool),
    ReadDone,
    ReadFailed,
    Taken,
    Changed(bool),
    Withdrawn,
    Tick(u32),
    /// Poll this many outputs.
    Poll(usize),
}

fn any_list() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let range = prop_oneof![20 => (0..CHUNKS + 2, 1u32..4), 1 => (any::<u32>(), any::<u32>())];
    prop::collection::vec(range, 0..3)
}

fn any_act() -> impl Strategy<Value = Act> {
    let lists = || [any_list(), any_list(), any_list()];
    prop_oneof![
        6 => (lists(), prop::collection::vec(0..CHUNKS + 2, 0..3), any::<bool>(), prop::bool::weighted(0.9)).prop_map(
            |(lists, complaints, grant, names_file)| Act::Request { lists, complaints, grant, names_file }
        ),
        1 => Just(Act::RequestsEnded),
        1 => Just(Act::CallerGone),
        3 => prop::bool::weighted(0.7).prop_map(|is_complete| Act::Opened { is_complete }),
        1 => Just(Act::GrantAccepted),
        1 => Just(Act::AccessEnded),
        1 => Just(Act::Stop),
        4 => any::<bool>().prop_map(Act::Held),
        8 => (1u32..2 * CHUNK_BYTES).prop_map(Act::Allowed),
        8 => prop::bool::weighted(0.8).prop_map(Act::Reserved),
        8 => Just(Act::ReadDone),
        2 => Just(Act::ReadFailed),
        8 => Just(Act::Taken),
        2 => any::<bool>().prop_map(Act::Changed),
        1 => Just(Act::Withdrawn),
        3 => (0u32..300).prop_map(Act::Tick),
        40 => (1usize..4).prop_map(Act::Poll),
    ]
}

fn input(act: &Act, callers: &Callers) -> In {
    match act {
        Act::Request { lists: [wanted, again, dropped], complaints, grant, names_file } => Input::Request(Request {
            file: if *names_file { Ok(file()) } else { Err(RequestError::FileHash) },
            wanted: ranges(wanted),
            again: ranges(again),
            dropped: ranges(dropped),
            complaints: complaints.clone(),
            grant: grant.then(|| "grant".to_owned()),
        }),
        Act::RequestsEnded => Input::RequestsEnded,
        Act::CallerGone => Input::CallerGone,
        Act::Opened { is_complete } => Input::Opened(OpenedFile {
            geometry: geometry(CHUNKS),
            is_complete: *is_complete,
            super_seed: callers.clone(),
        }),
        Act::GrantAccepted => Input::GrantAccepted,
        Act::AccessEnded => Input::AccessEnded("ended"),
        Act::Stop => Input::Stop("stopping"),
        Act::Held(is_held) => Input::Held(*is_held),
        Act::Allowed(bytes) => Input::Allowed { bytes: *bytes },
        Act::Reserved(is_there) => Input::Reserved(*is_there),
        Act::ReadDone => Input::ReadDone,
        Act::ReadFailed => Input::ReadFailed,
        Act::Taken => Input::Taken,
        Act::Changed(is_complete) => Input::Changed { is_complete: *is_complete },
        Act::Withdrawn => Input::Withdrawn,
        Act::Tick(streams) => Input::Tick { streams: *streams },
        Act::Poll(_) => Input::Tick { streams: 1 },
    }
}

/// The knowledge of an observer that sees only inputs and outputs.
#[derive(Default)]
struct Onlooker {
    /// Messages that the transport has not taken; the payload of each.
    ahead: VecDeque<u32>,
    allowed: u64,
    used: u64,
    requested: Vec<bool>,
    reading: Option<Block>,
    last_sent: Option<Block>,
    ended: bool,
}

impl Onlooker {
    fn saw_act(&mut self, act: &Act) {
        match act {
            Act::Request { lists: [wanted, again, _], .. } => {
                self.requested.resize(CHUNKS as usize + 8, false);
                for (first, count) in wanted.iter().chain(again) {
                    (*first..first.saturating_add(*count).min(CHUNKS + 8)).for_each(|chunk| {
                        self.requested[chunk as usize] = true;
                    });
                }
            }
            Act::Allowed(bytes) => self.allowed += u64::from(*bytes),
            Act::Taken => drop(self.ahead.pop_front()),
            _ => {}
        }
    }

    fn was_requested(&self, chunk: ChunkIndex) -> bool {
        self.requested.get(chunk.0 as usize).copied().unwrap_or_default()
    }

    fn saw_output(&mut self, output: &Output<&'static str>) {
        // Allowance that is left after the end is still returned.
        let is_left_over = matches!(output, Output::ReturnAllowance { .. } | Output::Complain { .. });
        assert!(!self.ended || is_left_over, "{output:?} after the end");
        match *output {
            Output::Read(block) => {
                assert!(self.was_requested(block.chunk) && block.len > 0, "{block:?}");
                assert!(block.chunk.0 < CHUNKS && block.offset + block.len <= CHUNK_BYTES, "{block:?}");
                assert_eq!(block.is_last, block.offset + block.len == CHUNK_BYTES);
                self.reading = Some(block);
            }
            Output::Send(block) => {
                assert_eq!(self.reading.take(), Some(block), "a block is read before it is sent");
                if block.offset > 0 {
                    let before = self.last_sent.expect("a chunk begins at its begin");
                    assert_eq!((before.chunk, before.offset + before.len), (block.chunk, block.offset));
                }
                self.last_sent = Some(block);
                self.used += u64::from(block.len);
                self.ahead.push_back(block.len);
            }
            Output::Refuse { chunk, .. } => {
                assert!(self.was_requested(chunk), "{chunk:?}");
                self.ahead.push_back(0);
            }
            Output::Notify { .. } => self.ahead.push_back(0),
            Output::ReturnAllowance { bytes } => self.used += u64::from(bytes),
            Output::Complain { ref chunks, received } => {
                assert!(received > 0 && chunks.iter().all(|chunk| chunk.0 < CHUNKS));
            }
            Output::End(_) => self.ended = true,
            _ => {}
        }
        // Every message made, and one update beside them.
        assert!(self.ahead.len() <= MESSAGES_MAX + 1, "{:?}", self.ahead);
    }
}

/// Answers everything honestly until the stream ends.
fn serve_to_the_end(stream: &mut Stream, callers: &Callers, onlooker: &mut Onlooker) {
    let mut now = start() + Duration::from_secs(100_000);
    let mut inputs: VecDeque<In> = [Input::Request(nothing()), Input::RequestsEnded].into();
    // A driver's answers that may still be owed.
    inputs.extend([Input::Held(true), Input::Reserved(true), Input::ReadFailed, Input::GrantAccepted]);
    let opened = || Act::Opened { is_complete: true };
    inputs.push_back(input(&opened(), callers));
    for _ in 0..10_000 {
        now += Duration::from_millis(10);
        let next = inputs.pop_front().unwrap_or(Input::Tick { streams: 1 });
        stream.handle(now, next);
        if !onlooker.ahead.is_empty() {
            onlooker.ahead.pop_front();
            stream.handle(now, Input::Taken);
        }
        while let Some(output) = stream.poll() {
            onlooker.saw_output(&output);
            match output {
                Output::Open { .. } => inputs.push_back(input(&opened(), callers)),
                Output::CheckHeld { .. } => inputs.push_back(Input::Held(true)),
                Output::Allow { bytes } => {
                    onlooker.allowed += u64::from(bytes);
                    inputs.push_back(Input::Allowed { bytes });
                }
                Output::Reserve { .. } => inputs.push_back(Input::Reserved(true)),
                Output::Read(_) => inputs.push_back(Input::ReadDone),
                _ => {}
            }
        }
        if stream.is_ended() && !stream.has_output() {
            return;
        }
        if inputs.is_empty() {
            // An allowance that the onlooker's acts left open.
            onlooker.allowed += 1;
            inputs.push_back(Input::Allowed { bytes: 1 });
        }
    }
    panic!("the stream does not end");
}

proptest! {
    #[test]
    fn any_order_of_inputs_keeps_the_promises(acts in prop::collection::vec((any_act(), 0u64..400), 0..150)) {
        let callers = Callers::of(CHUNKS);
        let mut now = start();
        let mut stream: Stream = Serving::new(now, Limits { ranges_wanted_max: 8, ..Limits::default() }, 1);
        let mut rival: Stream = Serving::new(now, Limits::default(), 1);
        rival.handle(now, Input::Request(Request { wanted: ranges(&[(0, CHUNKS)]), ..nothing() }));
        let mut onlooker = Onlooker::default();
        for (act, wait) in acts {
            now += Duration::from_millis(wait);
            onlooker.saw_act(&act);
            stream.handle(now, input(&act, &callers));
            let polls = if let Act::Poll(polls) = act { polls } else { 0 };
            for _ in 0..polls {
                let was_announced = stream.has_output();
                let Some(output) = stream.poll() else { break };
                prop_assert!(was_announced, "{:?}", output);
                onlooker.saw_output(&output);
            }
            prop_assert!(!stream.is_ended() || stream.deadline().is_none());
            // One that competes for the same chunks.
            if rival.poll().is_some() {
                rival.handle(now, input(&Act::Opened { is_complete: true }, &callers));
                rival.handle(now, Input::Allowed { bytes: CHUNK_BYTES });
            }
            // A block that was read and waits to be sent is on neither side.
            let reading = onlooker.reading.map_or(0, |block| u64::from(block.len));
            let left = onlooker.used + u64::from(stream.allowance());
            prop_assert!(left <= onlooker.allowed && left + reading >= onlooker.allowed, "{left} of {}", onlooker.allowed);
        }
        serve_to_the_end(&mut stream, &callers, &mut onlooker);
        prop_assert_eq!(onlooker.used, onlooker.allowed);
        prop_assert_eq!(stream.allowance(), 0);
    }
}
