//! The route table: the one list of calls. The router, the OpenAPI test and the test of docs/API.md walk it.

use super::error::ApiError;
use super::guard::Caller;
use super::path::{PathArgs, args_of, is_of};
use crate::api::handlers::{
    Handlers, accounts, devices, feedback, files, grants, groups, identity, manifests, meta, search, signatures, swarm,
};
use crate::base::scopes::Scopes;
use crate::replication::LeaseUpdate;
use peernet_door::{Reply, Request};

/// Body limit of ordinary calls, in bytes.
pub const BODY_BYTES: usize = 64 << 10;
/// Body limit of calls that carry a manifest or many events, in bytes.
pub const BODY_BYTES_LARGE: usize = 1 << 20;
/// Body limit of a swarm announce, in bytes: 1,000 files with bitmaps of 2 KiB, in base64.
pub const BODY_BYTES_ANNOUNCE: usize = 4 << 20;

/// The handler of a call that needs no account.
pub type OpenHandler = fn(&Handlers, &Request, &PathArgs) -> Result<Reply, ApiError>;
/// The handler of a call of an account.
pub type CallerHandler = fn(&Handlers, &Caller, &Request, &PathArgs) -> Result<Reply, ApiError>;

/// The handler of a call of an account whose answer may wait for a commit.
pub type CommittingHandler = fn(&Handlers, &Caller, &Request) -> Result<Outcome, ApiError>;

/// The outcome of a handler.
pub enum Outcome {
    /// The reply is ready.
    Reply(Reply),
    /// The reply waits for a commit.
    Commit(Commit),
}

/// The continuation after a commit. It runs on the commit thread, so it must not wait.
pub type AfterCommit = Box<dyn FnOnce() -> Result<Reply, ApiError> + Send>;

/// Updates that must commit before their request is answered, and the continuation that makes the answer.
pub struct Commit {
    /// The updates to commit.
    pub updates: Vec<LeaseUpdate>,
    /// The continuation.
    pub then: AfterCommit,
}

/// The callers that a call admits, and its handler.
#[derive(Clone, Copy)]
pub enum Access {
    /// Any client.
    Open(OpenHandler),
    /// Callers with a valid token that has any of these scopes.
    Bearer(Scopes, CallerHandler),
    /// Like `Bearer`, but no thread waits for the commit.
    Committing(Scopes, CommittingHandler),
}

/// A call of the API.
#[derive(Clone, Copy)]
pub struct Route {
    /// `GET`, `POST`, `PUT` or `DELETE`. A `GET` route answers `HEAD` too.
    pub method: &'static str,
    /// A template: `{name}` stands for one non-empty segment.
    pub path: &'static str,
    /// The length of the part before the first `{`, which is the same in every path.
    literal_bytes: usize,
    /// The most bytes of its body.
    pub body_bytes_max: usize,
    /// The callers that it admits, and its handler.
    pub access: Access,
    /// The name of the call in the OpenAPI file and in metrics.
    pub operation: &'static str,
}

impl Route {
    const fn new(method: &'static str, path: &'static str, operation: &'static str, access: Access) -> Self {
        Self { method, path, literal_bytes: literal_bytes(path), body_bytes_max: BODY_BYTES, access, operation }
    }

    /// Returns whether a path is one of this route.
    pub fn has(&self, path: &str) -> bool {
        let (literal, template) = self.path.split_at(self.literal_bytes);
        // This byte rejects most routes faster than a comparison of the whole prefix.
        let last = self.literal_bytes - 1;
        let may_be = path.as_bytes().get(last) == Some(&literal.as_bytes()[last]);
        may_be && path.strip_prefix(literal).is_some_and(|rest| is_of(template, rest))
    }

    /// Reads the arguments of a path of this route; `None` where a percent escape is broken or not UTF-8.
    pub fn args(&self, path: &str) -> Option<PathArgs> {
        let template = &self.path[self.literal_bytes..];
        args_of(template, path.get(self.literal_bytes..)?)
    }
}

const fn literal_bytes(path: &str) -> usize {
    let bytes = path.as_bytes();
    let mut at = 0;
    while at < bytes.len() && bytes[at] != b'{' {
        at += 1;
    }
    at
}

impl Access {
    /// Returns whether a valid token must come with the call.
    pub fn needs_token(&self) -> bool {
        self.needed_scopes().is_some()
    }

    /// The scopes of which a token must have one; `None` where no token is needed.
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
/// Any scope will do: every device may list the devices of its account and log them out.
const ANY: Scopes = Scopes::ALL;

const fn sized(body_bytes_max: usize, route: Route) -> Route {
    Route { body_bytes_max, ..route }
}

/// The public port's calls. Literal paths come before templates that would match them.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    open("GET", "/health", "health", |h, r, a| meta::health(&h.meta, r, a)),
    open("GET", "/ready", "ready", |h, r, a| meta::ready(&h.meta, r, a)),
    open("GET", "/.well-known/jwks.json", "keySet", |h, r, a| meta::key_set(&h.meta, r, a)),
    open("GET", "/api/v1/openapi.json", "openapi", |h, r, a| meta::openapi(&h.meta, r, a)),
    open("GET", "/api/v1/authority", "authority", |h, r, a| identity::authority(&h.accounts, r, a)),
    bearer("GET", "/api/v1/revocations", "revocations", READ, |h, c, r, a| identity::revocations(&h.accounts, c, r, a)),
    open("GET", "/api/v1/stats", "stats", |h, r, a| meta::stats(&h.meta, r, a)),
    open("POST", "/api/v1/peers/register", "register", |h, r, a| accounts::register(&h.accounts, r, a)),
    open("POST", "/api/v1/peers/login", "login", |h, r, a| accounts::login(&h.accounts, r, a)),
    bearer("POST", "/api/v1/peers/password", "changePassword", ADMIN, |h, c, r, a| accounts::change_password(&h.accounts, c, r, a)),
    bearer("POST", "/api/v1/peers/certificate", "certificate", READ, |h, c, r, a| accounts::certificate(&h.accounts, c, r, a)),
    open("POST", "/api/v1/tokens/refresh", "renewToken", |h, r, a| devices::renew(&h.accounts, r, a)),
    bearer("GET", "/api/v1/devices", "devices", ANY, |h, c, r, a| devices::list(&h.accounts, c, r, a)),
    bearer("DELETE", "/api/v1/devices/{device_id}", "revokeDevice", ANY, |h, c, r, a| devices::revoke(&h.accounts, c, r, a)),
    bearer("POST", "/api/v1/peers/refresh", "refreshToken", ADMIN, |h, c, r, a| accounts::refresh(&h.accounts, c, r, a)),
    bearer("GET", "/api/v1/peers/me", "me", READ, |h, c, r, a| accounts::me(&h.accounts, c, r, a)),
    bearer("POST", "/api/v1/peers/feedback", "feedback", READ, |h, c, r, a| feedback::one(&h.feedback, c, r, a)),
    sized(BODY_BYTES_LARGE, bearer("POST", "/api/v1/peers/feedback/batch", "feedbackBatch", READ, |h, c, r, a| feedback::batch(&h.feedback, c, r, a))),
    sized(BODY_BYTES_LARGE, bearer("POST", "/api/v1/files/announce", "announceChunk", SHARE, |h, c, r, a| files::announce_chunk(&h.files, c, r, a))),
    bearer("GET", "/api/v1/files/lookup/{file_hash}", "lookup", READ, |h, c, r, a| files::lookup(&h.files, c, r, a)),
    bearer("GET", "/api/v1/files/{file_hash}", "plan", READ, |h, c, r, a| files::plan(&h.files, c, r, a)),
    bearer("DELETE", "/api/v1/files/{file_hash}", "withdraw", SHARE, |h, c, r, a| files::access::withdraw(&h.access, c, r, a)),
    bearer("GET", "/api/v1/files/{file_hash}/access", "access", READ, |h, c, r, a| files::access::show(&h.access, c, r, a)),
    bearer("PUT", "/api/v1/files/{file_hash}/access", "setAccess", SHARE, |h, c, r, a| files::access::put(&h.access, c, r, a)),
    bearer("POST", "/api/v1/grants", "grant", READ, |h, c, r, a| grants::issue(&h.access, c, r, a)),
    bearer("GET", "/api/v1/groups", "groups", ADMIN, |h, c, r, a| groups::list(&h.access, c, r, a)),
    bearer("GET", "/api/v1/groups/{name}", "group", ADMIN, |h, c, r, a| groups::show(&h.access, c, r, a)),
    bearer("PUT", "/api/v1/groups/{name}", "putGroup", ADMIN, |h, c, r, a| groups::put(&h.access, c, r, a)),
    bearer("DELETE", "/api/v1/groups/{name}", "deleteGroup", ADMIN, |h, c, r, a| groups::delete(&h.access, c, r, a)),
    bearer("GET", "/api/v1/files", "search", READ, |h, c, r, a| search::search(&h.files, c, r, a)),
    sized(BODY_BYTES_LARGE, bearer("PUT", "/api/v1/manifests/{manifest_id}", "putManifest", SHARE, |h, c, r, a| manifests::put(&h.manifests, c, r, a))),
    bearer("GET", "/api/v1/manifests/{manifest_id}", "manifest", READ, |h, c, r, a| manifests::get(&h.manifests, c, r, a)),
    bearer("PUT", "/api/v1/manifests/{manifest_id}/signature", "putSignature", SHARE, |h, c, r, a| signatures::put(&h.manifests, c, r, a)),
    bearer("GET", "/api/v1/manifests/{manifest_id}/signatures", "signatures", READ, |h, c, r, a| signatures::list(&h.manifests, c, r, a)),
    sized(BODY_BYTES_ANNOUNCE, committing("POST", "/api/v1/swarm/announce", "announce", SHARE, |h, c, r| swarm::announce(&h.swarm, c, r))),
    sized(BODY_BYTES_LARGE, bearer("POST", "/api/v1/swarm/leave", "leave", SHARE, |h, c, r, a| swarm::leave(&h.swarm, c, r, a))),
];

/// The operations listener's calls.
#[rustfmt::skip]
pub const OPS_ROUTES: &[Route] = &[
    open("GET", "/health", "health", |h, r, a| meta::health(&h.meta, r, a)),
    open("GET", "/ready", "ready", |h, r, a| meta::ready(&h.meta, r, a)),
    open("GET", "/metrics", "metrics", |h, r, a| meta::metrics(&h.meta, r, a)),
];
