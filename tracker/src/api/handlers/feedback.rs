//! `/api/v1/peers/feedback`: reports of downloaders about sources.
//!
//! The answer is 202 whether or not the rules let a report change anything; 4xx only for a malformed report or an unknown
//! account.

use peernet_engine::economy::Event;
use peernet_engine::ids::{ChunkIndex, PeerId};
use peernet_engine::time::UnixMillis;
use peernet_protos::limits::EVENTS_PER_BATCH_MAX;
use peernet_protos::rest::{FeedbackBatchReply, FeedbackBatchRequest, FeedbackRequest, StatusReply};
use peernet_threads::Blocking;

use crate::api::handlers::FeedbackCalls;
use crate::api::wire::{self, Report, Verdict};
use crate::api::{ApiError, Caller, PathArgs, json_body};
use peernet_door::{Reply, Request};

/// The status text that version 1 clients compare with.
const RECEIVED: &str = "feedback received";
/// The most chunks one batch reports on, all entries together: four of the largest files.
const CHUNKS_PER_BATCH_MAX: usize = 65_536;

/// `POST /api/v1/peers/feedback`: a report about one chunk. 404 `unknown_peer` for a target that is no account.
pub fn one(calls: &FeedbackCalls, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: FeedbackRequest = json_body(request)?;
    let report = wire::report(&body)?;
    must_exist(calls, report.target)?;
    calls.reputation.feedback(&Blocking::declare(), vec![event(calls, (calls.clock)(), caller.peer, report)])?;
    Ok(Reply::json(202, &StatusReply { status: RECEIVED.to_owned() }))
}

/// `POST /api/v1/peers/feedback/batch`: runs of chunks, one transaction. Nothing is applied if an entry is malformed.
pub fn batch(calls: &FeedbackCalls, caller: &Caller, request: &Request, _args: &PathArgs) -> Result<Reply, ApiError> {
    let body: FeedbackBatchRequest = json_body(request)?;
    if body.events.len() > EVENTS_PER_BATCH_MAX {
        let message = format!("one call carries at most {EVENTS_PER_BATCH_MAX} events");
        return Err(ApiError::new(413, "too_many_events", message));
    }
    let mut reports = Vec::with_capacity(body.events.len());
    let mut received = 0;
    for entry in &body.events {
        let report = wire::report_entry(entry)?;
        received += report.chunks.len();
        if received > CHUNKS_PER_BATCH_MAX {
            let message = format!("one call reports on at most {CHUNKS_PER_BATCH_MAX} chunks");
            return Err(ApiError::new(413, "too_many_events", message));
        }
        reports.push(report);
    }
    all_exist(calls, &reports)?;
    let now = (calls.clock)();
    calls.reputation.feedback(
        &Blocking::declare(),
        reports.into_iter().map(|report| event(calls, now, caller.peer, report)).collect(),
    )?;
    Ok(Reply::json(202, &FeedbackBatchReply { status: RECEIVED.to_owned(), received: received as u64 }))
}

fn all_exist(calls: &FeedbackCalls, reports: &[Report]) -> Result<(), ApiError> {
    let mut targets: Vec<PeerId> = reports.iter().map(|report| report.target).collect();
    targets.sort_unstable();
    targets.dedup();
    targets.into_iter().try_for_each(|target| must_exist(calls, target))
}

fn must_exist(calls: &FeedbackCalls, target: PeerId) -> Result<(), ApiError> {
    match calls.accounts.generation(target)? {
        Some(_) => Ok(()),
        None => Err(ApiError::not_found("unknown_peer", "target_peer_id names no account")),
    }
}

/// Makes an event of a report. A success counts for the chunks on which the target holds a lease, or held one until a moment
/// ago. A failure counts once, however many chunks it names.
fn event(calls: &FeedbackCalls, now: UnixMillis, reporter: PeerId, report: Report) -> Event {
    let Report { target, file_hash, chunks, verdict } = report;
    match verdict {
        Verdict::Success => {
            let holds = |chunk: &ChunkIndex| calls.swarm.holds(now, target, file_hash, *chunk);
            Event::Success { reporter, target, file_hash, chunks: chunks.into_iter().filter(holds).collect() }
        }
        Verdict::Failure => {
            let chunk = chunks.first().copied().unwrap_or(ChunkIndex(0));
            Event::Failure { reporter, target, file_hash, chunk, garbage: false }
        }
    }
}
