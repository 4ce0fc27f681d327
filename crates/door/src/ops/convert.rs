//! tiny_http's request as ours, and our reply as its answer.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crossbeam_channel::bounded;

use crate::head::HeadError;
use crate::head::target;
use crate::print;
use crate::refusal::Refusal;
use crate::{Answer, Head, Reply, Request, RequestId, Service};

/// Reads the request, asks the service, answers. A client that has gone is not an error.
pub(super) fn answer(mut theirs: tiny_http::Request, service: &dyn Service) {
    let head = head_of(&theirs);
    let id = head.as_ref().map_or_else(RequestId::fresh, RequestId::of);
    let asked = read(&mut theirs, head, id, service).and_then(|request| ask(request, service));
    let reply = asked.unwrap_or_else(|refusal| refusal.reply(&id));
    // It fails where the client is gone, and then there is nobody to tell.
    let _ = theirs.respond(print::response(reply, &id));
}

/// The service's reply; one that is yet to come is waited for here.
fn ask(request: Request, service: &dyn Service) -> Result<Reply, Refusal> {
    let later = match catch_unwind(AssertUnwindSafe(|| service.answer(request))) {
        Ok(Answer::Now(reply)) => return Ok(reply),
        Ok(Answer::Later(later)) => later,
        Err(_) => return Err(Refusal::Panicked),
    };
    let (answer, answered) = bounded(1);
    later(Box::new(move |reply| drop(answer.send(reply))));
    answered.recv().map_err(|_| Refusal::Panicked)
}

fn read(
    theirs: &mut tiny_http::Request,
    head: Option<Head>,
    id: RequestId,
    service: &dyn Service,
) -> Result<Request, Refusal> {
    let head = head.ok_or(Refusal::Head(HeadError::Malformed("request target must be a path or a URL")))?;
    let body_bytes_max = service.body_bytes_max(&head);
    if theirs.body_length().is_some_and(|length| length > body_bytes_max) {
        return Err(Refusal::BodyTooLarge);
    }
    let announced = theirs.body_length();
    let mut body = Vec::new();
    let limit = u64::try_from(body_bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    theirs.as_reader().take(limit).read_to_end(&mut body).map_err(|_| Refusal::Truncated)?;
    if body.len() > body_bytes_max {
        return Err(Refusal::BodyTooLarge);
    }
    // tiny_http reports the end of the stream within a body as the body's end.
    if announced.is_some_and(|length| length != body.len()) {
        return Err(Refusal::Truncated);
    }
    let remote = theirs.remote_addr().map(|addr| addr.ip().to_canonical());
    Ok(Request { head, body, remote, id })
}

fn head_of(theirs: &tiny_http::Request) -> Option<Head> {
    let (path, query) = target::split(theirs.url())?;
    let header = |header: &tiny_http::Header| {
        (header.field.as_str().as_str().to_ascii_lowercase().into(), header.value.as_str().trim().to_owned())
    };
    let headers = theirs.headers().iter().map(header).collect();
    Some(Head { method: theirs.method().clone(), path, query, headers })
}
