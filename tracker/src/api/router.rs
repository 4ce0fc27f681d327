//! The router: finds the route of a request in the table, runs its handler, and counts and logs the answer. The door
//! and the operations listener share it.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use peernet_protos::rest::ErrorBody;
use tiny_http::Method;

use crate::api::guard::Guard;
use crate::api::handlers::Handlers;
use crate::api::routes::{AfterCommit, Outcome};
use crate::api::{Access, ApiError, OPS_ROUTES, PathArgs, ROUTES, Route};
use crate::domain::limits::Limits;
use crate::ops::access_log::{AccessLog, LoggedReply};
use crate::ops::counters::Counters;
use crate::ops::log;
use crate::ops::metrics::Metrics;
use crate::replication::LeaseLog;
use crate::store::StoreError;
use peernet_door::{Answer, Head, Proxies, Refused, Reply, Request, Responder, Service};

/// The parts that the router uses.
pub struct Router {
    /// The parts of the handlers.
    pub handlers: Handlers,
    /// Authenticates callers.
    pub guard: Guard,
    /// Request rates of addresses.
    pub limits: Arc<Limits>,
    /// Counts answers.
    pub counters: Arc<Counters>,
    /// Measures answers.
    pub metrics: Arc<Metrics>,
    /// Logs answers.
    pub access_log: Arc<AccessLog>,
    /// Commits updates of the swarm.
    pub lease_log: Arc<LeaseLog>,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub proxies: Arc<Proxies>,
}

/// The service behind the public port.
pub struct Public(pub Arc<Router>);

/// The service behind the operations listener.
pub struct Operations(pub Arc<Router>);

impl Service for Public {
    fn body_bytes_max(&self, head: &Head) -> usize {
        body_bytes_max(ROUTES, head)
    }

    fn client_of(&self, remote: IpAddr, head: &Head) -> IpAddr {
        self.0.proxies.client_of(remote, head)
    }

    fn answer(&self, request: Request) -> Answer {
        let begun = Instant::now();
        let router = &self.0;
        let (route, outcome) = walk(router, ROUTES, &request, admit(router, &request));
        match outcome {
            Ok(Outcome::Reply(reply)) => Answer::Now(finish(router, &request, begun, route, Ok(reply))),
            Err(error) => Answer::Now(finish(router, &request, begun, route, Err(error))),
            Ok(Outcome::Commit(commit)) => {
                let (responder, answer) = Answer::deferred();
                // The handler has read the body, and no budget counts it while the request waits.
                let request = Request { body: Vec::new(), ..request };
                let router = Arc::clone(router);
                let lease_log = Arc::clone(&router.lease_log);
                let resumption = Resumption { router, request, begun, route, then: commit.then, responder };
                lease_log.write_then(&commit.updates, Box::new(move |committed| resumption.resume(committed)));
                answer
            }
        }
    }

    fn refused(&self, refused: &Refused) -> Reply {
        self.0.access_log.refused(refused);
        refusal(refused)
    }
}

/// A request whose reply waits for its commit, and everything that the reply needs then.
struct Resumption {
    router: Arc<Router>,
    request: Request,
    begun: Instant,
    route: Option<usize>,
    then: AfterCommit,
    responder: Responder,
}

impl Resumption {
    /// Makes the reply after the commit, and delivers it.
    fn resume(self, committed: Result<(), StoreError>) {
        let Self { router, request, begun, route, then, responder } = self;
        let result = committed.map_err(ApiError::from).and_then(|()| guarded(&request, then));
        responder.reply(finish(&router, &request, begun, route, result));
    }
}

/// The tracker's phrasing of a request that the door refuses.
fn refusal(refused: &Refused) -> Reply {
    let error = match refused.code {
        "https_required" => "this tracker speaks HTTPS only: use https:// in its URL",
        _ => refused.message,
    };
    let request_id = (refused.status >= 500).then(|| refused.id.to_string());
    let body = ErrorBody { error: error.to_owned(), code: refused.code.to_owned(), request_id };
    Reply::json(refused.status, &body)
}

impl Service for Operations {
    fn body_bytes_max(&self, head: &Head) -> usize {
        body_bytes_max(OPS_ROUTES, head)
    }

    fn answer(&self, request: Request) -> Answer {
        let (route, outcome) = walk(&self.0, OPS_ROUTES, &request, Ok(()));
        let reply = outcome.and_then(|outcome| match outcome {
            Outcome::Reply(reply) => Ok(reply),
            // No call of the operations table commits anything.
            Outcome::Commit(_) => Err(ApiError::internal()),
        });
        Answer::Now(answered(&self.0, &request, route, reply).reply)
    }

    fn refused(&self, refused: &Refused) -> Reply {
        refusal(refused)
    }
}

/// Paths that are answered whatever their client did before: a monitor may share its address with any client.
const UNLIMITED: [&str; 2] = ["/health", "/ready"];

/// Counts a request against its address.
fn admit(router: &Router, request: &Request) -> Result<(), ApiError> {
    if UNLIMITED.contains(&request.head.path.as_str()) {
        return Ok(());
    }
    Ok(router.limits.check_address(request.remote)?)
}

fn body_bytes_max(table: &[Route], head: &Head) -> usize {
    // A body for an unknown path is read within the ordinary limit: the client then gets a 404 instead of a reset
    // connection.
    find(table, head).map_or(crate::api::routes::BODY_BYTES, |(number, _)| table[number].body_bytes_max)
}

/// An answer, with the route and code that are counted and logged.
pub(crate) struct Answered {
    /// The route's index in its table; `None` where no route matches.
    pub(crate) route: Option<usize>,
    /// The stable word of an error.
    pub(crate) code: Option<&'static str>,
    pub(crate) reply: Reply,
}

/// Finds the route and runs its handler. Returns the index of the route with the outcome. `admitted` is the result of
/// the rate limits; a request over its rate goes no further.
fn walk(
    router: &Router,
    table: &[Route],
    request: &Request,
    admitted: Result<(), ApiError>,
) -> (Option<usize>, Result<Outcome, ApiError>) {
    let found = find(table, &request.head);
    let route = found.as_ref().ok().map(|(number, _)| *number);
    let outcome = admitted
        .and(found)
        .and_then(|(number, args)| guarded(request, || dispatch(router, &table[number], request, &args)));
    (route, outcome)
}

/// Runs work for a request: its log lines carry the request's id, and its panic becomes a 500.
fn guarded<T>(request: &Request, work: impl FnOnce() -> Result<T, ApiError>) -> Result<T, ApiError> {
    log::within(request.id, || catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| panicked(request)))
}

fn panicked<T>(request: &Request) -> Result<T, ApiError> {
    log::error("router", "a handler panicked", &[("path", &request.head.path)]);
    Err(ApiError::internal())
}

fn answered(router: &Router, request: &Request, route: Option<usize>, result: Result<Reply, ApiError>) -> Answered {
    let code = result.as_ref().err().map(|error| error.code);
    let reply = result.unwrap_or_else(|error| error.to_reply(&request.id));
    router.counters.answered(reply.status);
    Answered { route, code, reply }
}

/// Counts and logs the reply, and returns it.
fn finish(
    router: &Router,
    request: &Request,
    begun: Instant,
    route: Option<usize>,
    result: Result<Reply, ApiError>,
) -> Reply {
    let answered = answered(router, request, route, result);
    let took = begun.elapsed();
    router.metrics.answered(answered.route, answered.reply.status, took);
    let logged = LoggedReply { status: answered.reply.status, bytes: answered.reply.body.len(), code: answered.code };
    router.access_log.answered(request, logged, begun, took);
    answered.reply
}

fn dispatch(router: &Router, route: &Route, request: &Request, args: &PathArgs) -> Result<Outcome, ApiError> {
    let caller = |needed| router.guard.authenticate(&request.head, needed);
    match route.access {
        Access::Open(handler) => handler(&router.handlers, request, args).map(Outcome::Reply),
        Access::Bearer(needed, handler) => {
            handler(&router.handlers, &caller(needed)?, request, args).map(Outcome::Reply)
        }
        Access::Committing(needed, handler) => handler(&router.handlers, &caller(needed)?, request),
    }
}

/// Finds the index of a head's route: 404 `not_found`, 405 `method_not_allowed` with `Allow`, or 400 `bad_path`.
fn find(table: &[Route], head: &Head) -> Result<(usize, PathArgs), ApiError> {
    let method = if head.method == Method::Head { "GET" } else { head.method.as_str() };
    // The first match counts: `/files/announce` is not the file "announce".
    let first = table.iter().find(|route| route.has(&head.path)).ok_or_else(no_such_path)?;
    let args = first.args(&head.path).ok_or_else(broken_path)?;
    let calls = || table.iter().enumerate().filter(|(_, route)| route.path == first.path);
    match calls().find(|(_, route)| route.method == method) {
        Some((number, _)) => Ok((number, args)),
        None => Err(method_not_allowed(calls().map(|(_, route)| route.method).collect())),
    }
}

fn broken_path() -> ApiError {
    ApiError::bad_request("bad_path", "the path has a percent escape that is broken or not UTF-8")
}

fn no_such_path() -> ApiError {
    ApiError::not_found("not_found", "there is no such call; see /api/v1/openapi.json")
}

fn method_not_allowed(mut allowed: Vec<&str>) -> ApiError {
    if allowed.contains(&"GET") {
        allowed.push("HEAD");
    }
    allowed.dedup();
    let allow = allowed.join(", ");
    let message = format!("this path takes {allow}");
    ApiError { allow: Some(allow), ..ApiError::new(405, "method_not_allowed", message) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use peernet_door::RequestId;

    use super::*;

    fn found(method: Method, path: &str) -> Result<&'static str, (u16, Option<String>)> {
        let head = Head { method, path: path.into(), query: String::new(), headers: Vec::new() };
        find(ROUTES, &head).map(|(number, _)| ROUTES[number].operation).map_err(|error| (error.status, error.allow))
    }

    #[test]
    fn paths_lead_to_their_operations() {
        for (method, path, operation) in [
            (Method::Get, "/health", "health"),
            (Method::Head, "/health", "health"),
            (Method::Get, "/api/v1/files/lookup/abc", "lookup"),
            (Method::Get, "/api/v1/files/abc", "plan"),
            (Method::Get, "/api/v1/files", "search"),
            (Method::Post, "/api/v1/files/announce", "announceChunk"),
            (Method::Put, "/api/v1/manifests/abc", "putManifest"),
            (Method::Delete, "/api/v1/devices/abc", "revokeDevice"),
            (Method::Delete, "/api/v1/files/abc", "withdraw"),
            (Method::Put, "/api/v1/files/abc/access", "setAccess"),
            (Method::Get, "/api/v1/files/lookup/access", "lookup"),
            (Method::Get, "/api/v1/groups/a%2Fb", "group"),
        ] {
            assert_eq!(found(method, path), Ok(operation), "{path}");
        }
    }

    #[test]
    fn unknown_paths_are_404_and_wrong_methods_405_with_allow() {
        for path in ["/", "/healt", "/health/", "/api/v1/files/", "/api/v1/files/lookup/a/b", "/metrics"] {
            assert_eq!(found(Method::Get, path), Err((404, None)), "{path}");
        }
        for (method, path, allow) in [
            (Method::Post, "/health", "GET, HEAD"),
            (Method::Get, "/api/v1/peers/register", "POST"),
            (Method::Head, "/api/v1/peers/register", "POST"),
            (Method::Delete, "/api/v1/manifests/abc", "PUT, GET, HEAD"),
            (Method::Options, "/api/v1/files/announce", "POST"),
            (Method::Get, "/api/v1/files/announce", "POST"),
            (Method::Options, "/api/v1/swarm/leave", "POST"),
            (Method::Get, "/api/v1/devices/abc", "DELETE"),
            (Method::Delete, "/api/v1/devices", "GET, HEAD"),
            (Method::Post, "/api/v1/files/abc", "GET, DELETE, HEAD"),
            (Method::Delete, "/api/v1/files/announce", "POST"),
        ] {
            assert_eq!(found(method, path), Err((405, Some(allow.to_owned()))), "{path}");
        }
        assert_eq!(found(Method::Get, "/api/v1/files/%zz"), Err((400, None)));
    }

    #[test]
    fn no_call_is_in_the_table_twice() {
        let calls: BTreeSet<_> = ROUTES.iter().map(|route| (route.method, route.path)).collect();
        let operations: BTreeSet<_> = ROUTES.iter().map(|route| route.operation).collect();
        assert_eq!((calls.len(), operations.len()), (ROUTES.len(), ROUTES.len()));
    }

    /// A path of a template, with `x` for each argument.
    fn filled(template: &str) -> String {
        let fill = |segment: &str| if segment.starts_with('{') { "x".to_owned() } else { segment.to_owned() };
        template.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    #[test]
    fn every_call_of_the_tables_is_reached_by_its_path_alone() {
        for table in [ROUTES, OPS_ROUTES] {
            for (number, route) in table.iter().enumerate() {
                let path = filled(route.path);
                let head = |method: &str, path: &str| Head {
                    method: method.parse().expect("a method"),
                    path: path.to_owned(),
                    query: String::new(),
                    headers: Vec::new(),
                };
                let found = |method: &str, path: &str| find(table, &head(method, path)).map(|(number, _)| number);
                assert_eq!(found(route.method, &path), Ok(number), "{}", route.operation);
                assert_eq!(body_bytes_max(table, &head(route.method, &path)), route.body_bytes_max);
                let refused = found("PATCH", &path).expect_err("no call takes it");
                let allow = refused.allow.clone().expect("says what is allowed");
                assert!(allow.split(", ").any(|method| method == route.method), "{allow}");
                assert_eq!(refused.message, format!("this path takes {allow}"));
                assert_eq!(found(route.method, &format!("{path}//")).expect_err("is longer").status, 404, "{path}");
            }
        }
    }

    #[test]
    fn a_refusal_of_the_door_has_the_tracker_s_words() {
        let refused =
            |status, code| Refused { status, code, message: "by the door", remote: None, id: RequestId::fresh() };
        let body = |refused: &Refused| String::from_utf8(refusal(refused).body).expect("is text");
        let plain = refused(400, "https_required");
        let expected = r#"{"error":"this tracker speaks HTTPS only: use https:// in its URL","code":"https_required"}"#;
        assert_eq!(body(&plain), expected);
        assert_eq!(body(&refused(400, "bad_request")), r#"{"error":"by the door","code":"bad_request"}"#);
        let busy = refused(503, "busy");
        let expected = format!(r#"{{"error":"by the door","code":"busy","request_id":"{}"}}"#, busy.id);
        assert_eq!((refusal(&busy).status, body(&busy)), (503, expected));
    }

    #[test]
    fn a_panic_of_a_handler_is_a_500_and_an_error_stays() {
        let head = Head { method: Method::Get, path: "/x".into(), query: String::new(), headers: Vec::new() };
        let request = Request { head, body: Vec::new(), remote: None, id: RequestId::fresh() };
        assert_eq!(guarded(&request, || Ok(7)), Ok(7));
        assert_eq!(guarded::<()>(&request, || Err(no_such_path())), Err(no_such_path()));
        assert_eq!(guarded::<()>(&request, || panic!("a defect for the test")), Err(ApiError::internal()));
    }
}
