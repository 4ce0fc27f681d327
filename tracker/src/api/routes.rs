//! The route table: the one place that says which calls exist. The router, the OpenAPI test and the test of docs/API.md walk it.

use super::error::ApiError;
use super::guard::Caller;
use super::path::{PathArgs, args_of, is_of};
use crate::app::App;
use crate::http::{Reply, Request};
use crate::routes::{accounts, devices, feedback, files, grants, groups, identity, manifests, meta, search, swarm};
use crate::scopes::Scopes;
use crate::swarm::News;

/// Body limit of ordinary calls, in bytes.
pub const BODY_BYTES: usize = 64 << 10;
/// Body limit of calls that carry a manifest or many events, in bytes.
pub const BODY_BYTES_LARGE: usize = 1 << 20;
/// Body limit of a swarm announce, in bytes: 1,000 files with bitmaps of 2 KiB, in base64.
pub const BODY_BYTES_ANNOUNCE: usize = 4 << 20;

/// What answers a call that needs no account.
pub type OpenHandler = fn(&App, &Request, &PathArgs) -> Result<Reply, ApiError>;
/// What answers a call of an account.
pub type CallerHandler = fn(&App, &Caller, &Request, &PathArgs) -> Result<Reply, ApiError>;

/// What answers a call of an account whose answer may wait for a commit.
pub type CommittingHandler = fn(&App, &Caller, &Request) -> Result<Outcome, ApiError>;

/// What a handler ends with.
pub enum Outcome {
    /// The answer.
    Reply(Reply),
    /// News, and what follows them.
    Commit(Commit),
}

/// What is done after a commit, on the journal's thread: it waits for nothing.
pub type AfterCommit = Box<dyn FnOnce(&App) -> Result<Reply, ApiError> + Send>;

/// News that must have committed before their request is answered, and the work that makes the answer then.
pub struct Commit {
    /// What is committed.
    pub news: Vec<News>,
    /// What is done then.
    pub then: AfterCommit,
}

/// Who may call, and what answers.
#[derive(Clone, Copy)]
pub enum Access {
    /// Anyone.
    Open(OpenHandler),
    /// Who has a valid token with any of these scopes.
    Bearer(Scopes, CallerHandler),
    /// The same; no thread waits for the commit.
    Committing(Scopes, CommittingHandler),
}

/// One call.
#[derive(Clone, Copy)]
pub struct Route {
    /// `GET`, `POST`, `PUT` or `DELETE`. A `GET` route answers `HEAD` too.
    pub method: &'static str,
    /// A template: `{name}` stands for one non-empty segment.
    pub path: &'static str,
    /// How many bytes of that are the same in every path: those before the first `{`.
    literal_bytes: usize,
    /// The most bytes its body may have.
    pub body_bytes_max: usize,
    /// What answers.
    pub access: Access,
    /// Its name in the OpenAPI file and in metrics.
    pub operation: &'static str,
}

impl Route {
    const fn new(method: &'static str, path: &'static str, operation: &'static str, access: Access) -> Self {
        Self { method, path, literal_bytes: literal_bytes(path), body_bytes_max: BODY_BYTES, access, operation }
    }

    /// Whether this is a path of the route's.
    pub fn has(&self, path: &str) -> bool {
        let (literal, template) = self.path.split_at(self.literal_bytes);
        // With most routes this byte says no, sooner than the comparison of all of them would.
        let last = self.literal_bytes - 1;
        let may_be = path.as_bytes().get(last) == Some(&literal.as_bytes()[last]);
        may_be && path.strip_prefix(literal).is_some_and(|rest| is_of(template, rest))
    }

    /// The arguments in a path of the route's; `None` where a percent escape is broken or not UTF-8.
    pub fn args(&self, path: &str) -> Option<PathArgs> {
        let template = &self.path[self.literal_bytes..];
        args_of(template, path.get(self.literal_bytes..)?)
    }
}

const fn literal_bytes(path: &str) -> usize {
    let (bytes, mut at) = (path.as_bytes(), 0);
    while at < bytes.len() && bytes[at] != b'{' {
        at += 1;
    }
    at
}

impl Access {
    /// Whether a valid token must come with the call.
    pub fn needs_token(&self) -> bool {
        self.needed_scopes().is_some()
    }

    /// The scopes of which that token has one; `None` where no token is needed.
    pub fn needed_scopes(&self) -> Option<Scopes> {
        match self {
            Self::Open(_) => None,
            Self::Bearer(needed, _) | Self::Committing(needed, _) => Some(*needed),
        }
    }
}

const fn open(method: &'static str, path: &'static str, operation: &'static str, handler: OpenHandler) -> Route {
    Route::new(method, path, operation, Access::Open(handler))
}

const fn bearer(
    method: &'static str,
    path: &'static str,
    operation: &'static str,
    needed: Scopes,
    handler: CallerHandler,
) -> Route {
    Route::new(method, path, operation, Access::Bearer(needed, handler))
}

const fn committing(
    method: &'static str,
    path: &'static str,
    operation: &'static str,
    needed: Scopes,
    handler: CommittingHandler,
) -> Route {
    Route::new(method, path, operation, Access::Committing(needed, handler))
}

const READ: Scopes = Scopes::READ;
const SHARE: Scopes = Scopes::SHARE;
const ADMIN: Scopes = Scopes::ADMIN;
/// Whatever a device may do, it may see who is logged in beside it, and log out.
const ANY: Scopes = Scopes::ALL;

const fn sized(body_bytes_max: usize, route: Route) -> Route {
    Route { body_bytes_max, ..route }
}

/// The public port's calls. Literal paths come before templates that would match them.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    open("GET", "/health", "health", meta::health),
    open("GET", "/ready", "ready", meta::ready),
    open("GET", "/.well-known/jwks.json", "keySet", meta::key_set),
    open("GET", "/api/v1/openapi.json", "openapi", meta::openapi),
    open("GET", "/api/v1/authority", "authority", identity::authority),
    bearer("GET", "/api/v1/revocations", "revocations", READ, identity::revocations),
    open("GET", "/api/v1/stats", "stats", meta::stats),
    open("POST", "/api/v1/peers/register", "register", accounts::register),
    open("POST", "/api/v1/peers/login", "login", accounts::login),
    bearer("POST", "/api/v1/peers/password", "changePassword", ADMIN, accounts::change_password),
    bearer("POST", "/api/v1/peers/certificate", "certificate", READ, accounts::certificate),
    open("POST", "/api/v1/tokens/refresh", "renewToken", devices::renew),
    bearer("GET", "/api/v1/devices", "devices", ANY, devices::list),
    bearer("DELETE", "/api/v1/devices/{device_id}", "revokeDevice", ANY, devices::revoke),
    bearer("POST", "/api/v1/peers/refresh", "refreshToken", ADMIN, accounts::refresh),
    bearer("GET", "/api/v1/peers/me", "me", READ, accounts::me),
    bearer("POST", "/api/v1/peers/feedback", "feedback", READ, feedback::one),
    sized(BODY_BYTES_LARGE, bearer("POST", "/api/v1/peers/feedback/batch", "feedbackBatch", READ, feedback::batch)),
    sized(BODY_BYTES_LARGE, bearer("POST", "/api/v1/files/announce", "announceChunk", SHARE, files::announce_chunk)),
    bearer("GET", "/api/v1/files/lookup/{file_hash}", "lookup", READ, files::lookup),
    bearer("GET", "/api/v1/files/{file_hash}", "plan", READ, files::plan),
    bearer("DELETE", "/api/v1/files/{file_hash}", "withdraw", SHARE, files::access::withdraw),
    bearer("GET", "/api/v1/files/{file_hash}/access", "access", READ, files::access::show),
    bearer("PUT", "/api/v1/files/{file_hash}/access", "setAccess", SHARE, files::access::put),
    bearer("POST", "/api/v1/grants", "grant", READ, grants::issue),
    bearer("GET", "/api/v1/groups", "groups", ADMIN, groups::list),
    bearer("GET", "/api/v1/groups/{name}", "group", ADMIN, groups::show),
    bearer("PUT", "/api/v1/groups/{name}", "putGroup", ADMIN, groups::put),
    bearer("DELETE", "/api/v1/groups/{name}", "deleteGroup", ADMIN, groups::delete),
    bearer("GET", "/api/v1/files", "search", READ, search::search),
    sized(BODY_BYTES_LARGE, bearer("PUT", "/api/v1/manifests/{manifest_id}", "putManifest", SHARE, manifests::put)),
    bearer("GET", "/api/v1/manifests/{manifest_id}", "manifest", READ, manifests::get),
    bearer("PUT", "/api/v1/manifests/{manifest_id}/signature", "putSignature", SHARE, manifests::signatures::put),
    bearer("GET", "/api/v1/manifests/{manifest_id}/signatures", "signatures", READ, manifests::signatures::list),
    sized(BODY_BYTES_ANNOUNCE, committing("POST", "/api/v1/swarm/announce", "announce", SHARE, swarm::announce)),
    sized(BODY_BYTES_LARGE, bearer("POST", "/api/v1/swarm/leave", "leave", SHARE, swarm::leave)),
];

/// The operations listener's calls.
#[rustfmt::skip]
pub const OPS_ROUTES: &[Route] = &[
    open("GET", "/health", "health", meta::health),
    open("GET", "/ready", "ready", meta::ready),
    open("GET", "/metrics", "metrics", meta::metrics),
];
