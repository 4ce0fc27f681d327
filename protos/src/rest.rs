//! Bodies of the tracker's REST calls, `/api/v1`. docs/API.md describes them; `WIRE` marks version 1's, whose meaning
//! and shape never change.
//!
//! Hashes are lower-case hex, peer ids hyphenated lower-case UUIDs, bitmaps base64 (RFC 4648 section 4, padded) with bit 7 of
//! byte 0 for chunk 0, times seconds since 1970-01-01 UTC.

mod integer;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The body of every error: a sentence for people and a stable word for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong and what to do, for people.
    pub error: String,
    /// A stable word, for programs.
    #[serde(default)]
    pub code: String,
    /// In answers from 500 on, what to look for in the tracker's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// `POST /api/v1/peers/register` (WIRE: `address` and `password` are all that version 1 sends, both required there).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterRequest {
    /// `host:port` where this peer will listen; also a login name. Version 2 clients may leave it out by sending
    /// `"protocol": 2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// 1 to 72 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// 2 where the client is not version 1.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "integer::maybe")]
    pub protocol: Option<u32>,
    /// The invite code, where the tracker wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<String>,
    /// A PKCS #10 request (RFC 2986, PEM) of this device's P-256 key, for a certificate beside the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// Who logs in for longer: the answer then has a refresh token, and its access token is short-lived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceRequest>,
}

/// A device as it introduces itself when it logs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// What people know it by, 1 to 64 bytes without control characters.
    pub label: String,
    /// What its tokens may be used for: [`crate::claims::SCOPE_READ`] and so on; none means everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
}

/// `POST /api/v1/peers/login`: by `peer_id` or by registered `address`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRequest {
    /// The account's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_id: Option<String>,
    /// Or the address it was registered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The account's password.
    pub password: String,
    /// See [`RegisterRequest::csr`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// See [`RegisterRequest::device`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceRequest>,
}

/// The answer to register (201, WIRE: `peer_id`, `token`), login, refresh and password change (200).
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenReply {
    /// The account's id.
    pub peer_id: String,
    /// The access token; opaque to clients.
    pub token: String,
    /// When `token` stops working.
    #[serde(default)]
    pub expires_at: u64,
    /// Where a `csr` was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateBody>,
    /// The device's id, where one logged in or its token was renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// What the device gets its next access token with, once; opaque. It takes the place of the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// When `refresh_token` stops working unless it is renewed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_expires_at: Option<u64>,
}

impl fmt::Debug for TokenReply {
    /// Without the tokens themselves.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TokenReply");
        shown.field("peer_id", &self.peer_id).field("expires_at", &self.expires_at);
        shown.field("device_id", &self.device_id).field("refresh_expires_at", &self.refresh_expires_at);
        shown.finish_non_exhaustive()
    }
}

/// `POST /api/v1/tokens/refresh`: the token in it is the proof, no other is needed.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRefreshRequest {
    /// The one that came last.
    pub refresh_token: String,
    /// See [`RegisterRequest::csr`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
}

impl fmt::Debug for TokenRefreshRequest {
    /// Without the token itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRefreshRequest").finish_non_exhaustive()
    }
}

/// `GET /api/v1/devices` (Bearer): who is logged in to the account, the newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesReply {
    /// At most 100.
    pub devices: Vec<DeviceBody>,
}

/// One device of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceBody {
    /// A UUID like a peer id.
    pub device_id: String,
    /// As it introduced itself.
    pub label: String,
    /// What its tokens may be used for.
    pub scopes: Vec<String>,
    /// When it logged in.
    pub created_at: u64,
    /// When its token was last renewed.
    pub seen_at: u64,
    /// Whether it is the caller.
    pub current: bool,
}

/// `POST /api/v1/peers/certificate` (Bearer): another certificate for the same account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRequest {
    /// See [`RegisterRequest::csr`].
    pub csr: String,
}

/// A short-lived certificate that names its account, and whom to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateBody {
    /// PEM. Its DNS name is [`crate::identity::peer_name`] of the account.
    pub certificate: String,
    /// PEM: the authorities whose certificates members of this swarm take, the one that signs first.
    pub authorities: String,
    /// When the certificate ends.
    pub expires_at: u64,
}

/// `GET /api/v1/authority`: whom members trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityReply {
    /// SHA-256 of the signing certificate (DER), lower-case hex.
    pub fingerprint: String,
    /// See [`CertificateBody::authorities`].
    pub certificates: String,
}

/// `GET /api/v1/revocations` (Bearer): whose certificates count no more, although they have not ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationsReply {
    /// Suspended accounts' peer ids, in ascending order.
    pub accounts: Vec<String>,
    /// Ids of devices that were ended lately, of accounts that are not suspended, in ascending order.
    #[serde(default)]
    pub devices: Vec<String>,
    /// When to ask again.
    pub ask_again_seconds: u64,
}

/// `POST /api/v1/peers/password` (Bearer). Every earlier token of the account stops working, and every device's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRequest {
    /// The password as it is now.
    pub old_password: String,
    /// The password to set, 1 to 72 bytes.
    pub new_password: String,
    /// See [`RegisterRequest::device`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceRequest>,
}

/// `GET /api/v1/peers/me` (Bearer).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeReply {
    /// The account's id.
    pub peer_id: String,
    /// The address it was registered with, if any.
    pub address: Option<String>,
    /// Rounded to 0.05; 0.5 for a newcomer.
    pub reputation_score: f64,
    /// Whether two or more sessions have proven it.
    pub established: bool,
    /// Whole tokens; 1 token is 1 MiB of verified payload.
    pub token_balance: i64,
    /// The same in milli-tokens, exactly.
    pub token_balance_mt: i64,
    /// What open tickets hold, in milli-tokens.
    pub escrow_mt: i64,
    /// How many files it announces at the moment.
    pub files_shared: u64,
    /// When the account was made.
    pub created_at: u64,
}

/// `POST /api/v1/files/announce` (WIRE, Bearer): one chunk of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnounceChunkRequest {
    /// SHA-256 of the file.
    pub file_hash: String,
    /// A suggestion for the file's name.
    #[serde(default)]
    pub file_name: String,
    /// At least 1.
    #[serde(deserialize_with = "integer::whole")]
    pub total_chunks: i64,
    /// From 0; absent means 0.
    #[serde(default, deserialize_with = "integer::whole")]
    pub chunk_index: i64,
    /// SHA-256 of the chunk.
    pub chunk_hash: String,
}

/// A body that only says what happened: `{"status": "announced"}` and the like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    /// One word or phrase that version 1 clients compare.
    pub status: String,
}

/// `GET /api/v1/files/lookup/{file_hash}` (WIRE, Bearer). Keys are exactly 0..n-1, or there are none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LookupV1Reply {
    /// Per chunk index.
    pub chunks: BTreeMap<u32, LookupV1Chunk>,
}

/// One chunk of a [`LookupV1Reply`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupV1Chunk {
    /// SHA-256 of the chunk.
    pub chunk_hash: String,
    /// Who holds it, best first, equals rotated per request.
    pub peers: Vec<LookupV1Peer>,
}

/// One holder in a [`LookupV1Chunk`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupV1Peer {
    /// The holder's account.
    pub id: String,
    /// `host:port`.
    pub address: String,
    /// A number, never a string.
    pub reputation_score: f64,
}

/// `SUCCESS_UPLOAD` or `FAILED_UPLOAD`, as version 1 spells them.
pub const SUCCESS_UPLOAD: &str = "SUCCESS_UPLOAD";
/// See [`SUCCESS_UPLOAD`].
pub const FAILED_UPLOAD: &str = "FAILED_UPLOAD";

/// `POST /api/v1/peers/feedback` (WIRE, Bearer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackRequest {
    /// Whom it is about.
    pub target_peer_id: String,
    /// Which file.
    pub file_hash: String,
    /// Which chunk, from 0.
    #[serde(deserialize_with = "integer::whole")]
    pub chunk_index: i64,
    /// [`SUCCESS_UPLOAD`] or [`FAILED_UPLOAD`].
    pub event_type: String,
}

/// `POST /api/v1/peers/feedback/batch` (Bearer): at most 1,000 entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackBatchRequest {
    /// Applied in order.
    pub events: Vec<FeedbackEntry>,
}

/// One entry of a batch: the same event for several chunks of one (target, file).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackEntry {
    /// Whom it is about.
    pub target_peer_id: String,
    /// Which file.
    pub file_hash: String,
    /// The chunks as half-open runs `[first, count]`, at most 1,024 runs.
    #[serde(deserialize_with = "integer::pairs")]
    pub chunks: Vec<(u32, u32)>,
    /// [`SUCCESS_UPLOAD`] or [`FAILED_UPLOAD`].
    pub event_type: String,
}

/// The 202 answer to a batch; also when the rules ignore some of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackBatchReply {
    /// Always `feedback received`.
    pub status: String,
    /// How many chunk events were well-formed and handed to the reputation thread.
    pub received: u64,
}

/// `PUT /api/v1/manifests/{manifest_id}` (Bearer): stores a manifest; 201 when new, 200 when known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestBody {
    /// SHA-256 of the file.
    pub file_hash: String,
    /// A suggestion for the file's name.
    pub file_name: String,
    /// Bytes.
    #[serde(deserialize_with = "integer::whole")]
    pub size: u64,
    /// Bytes; a power of two from 1 MiB to 16 MiB.
    #[serde(deserialize_with = "integer::whole")]
    pub chunk_size: u32,
    /// 32 bytes a chunk, in order, base64.
    pub chunk_hashes: String,
}

/// `GET /api/v1/manifests/{manifest_id}` (Bearer).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestReplyBody {
    /// SHA-256 of the manifest, as DESIGN and docs/PROTOCOL.md define it.
    pub manifest_id: String,
    /// The manifest itself.
    #[serde(flatten)]
    pub manifest: ManifestBody,
}

/// `PUT /api/v1/manifests/{manifest_id}/signature` (Bearer): the caller's account says that it publishes a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureRequest {
    /// An Ed25519 key, 32 bytes in base64url (RFC 4648 section 5) without padding.
    pub key: String,
    /// Its signature (RFC 8032) of the account's publication of the manifest, 64 bytes in the same form.
    pub signature: String,
}

/// `GET /api/v1/manifests/{manifest_id}/signatures?account=…` (Bearer): who says that he publishes a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignaturesReply {
    /// The oldest first, at most 10.
    pub signatures: Vec<SignatureBody>,
    /// How many there are of what was asked for; no more than 1,000 are counted.
    pub total: u64,
}

/// One account's signature of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureBody {
    /// The account.
    pub peer_id: String,
    /// See [`SignatureRequest::key`].
    pub key: String,
    /// See [`SignatureRequest::signature`].
    pub signature: String,
    /// When the account signed the manifest first, also where it has signed it again since.
    pub signed_at: u64,
}

/// This version's calls over mutual TLS.
pub const GRPC_TLS: &str = "grpc-tls";
/// This version's calls in plaintext.
pub const GRPC: &str = "grpc";
/// Version 1's call, in plaintext.
pub const GRPC_V1: &str = "grpc-v1";

/// What of a file an announcer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Have {
    /// Every chunk: `"complete"`.
    Complete,
    /// Some: `{"bitmap": "<base64>"}`.
    Bitmap(String),
}

/// `POST /api/v1/swarm/announce` (Bearer): the whole truth about each named file; idempotent; leased.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmAnnounceRequest {
    /// Where this peer's gRPC server listens, `host:port`; the host may be `0.0.0.0` or `[::]`, for which the
    /// tracker puts the address it sees.
    pub address: String,
    /// How `address` is spoken to: [`GRPC_TLS`], or [`GRPC`], which is meant where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// Where this peer answers without TLS as well, for version 1 clients and for who allows plaintext; like `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext_address: Option<String>,
    /// A label; sources with the asker's label come first among equals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// At most 1,000.
    pub files: Vec<SwarmFile>,
}

/// One file of a [`SwarmAnnounceRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmFile {
    /// SHA-256 of the file.
    pub file_hash: String,
    /// Which manifest.
    pub manifest_id: String,
    /// What this peer holds of it.
    pub have: Have,
}

/// The answer to a swarm announce, after which the announced leases live `lease_seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmAnnounceReply {
    /// Always `announced`.
    pub status: String,
    /// How long the leases live.
    pub lease_seconds: u64,
    /// When to announce again; jittered by the tracker.
    pub renew_in_seconds: u64,
    /// Manifests to PUT first, then announce again; nothing was recorded for these.
    pub unknown_manifests: Vec<String>,
    /// Files that must not be shared any more, by the announcer at least; nothing was recorded for these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<String>,
    /// Announced files that are not public: to be served only to who shows a grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restricted: Vec<String>,
}

/// `POST /api/v1/swarm/leave` (Bearer): ends leases at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmLeaveRequest {
    /// Which files; absent means all of this account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
}

/// The answer to leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmLeaveReply {
    /// Always `left`.
    pub status: String,
    /// How many leases ended.
    pub left: u64,
}

/// `GET /api/v1/files/{file_hash}` (Bearer): the plan. 404 `unknown_file` when nobody ever announced it.
///
/// With the `ETag` of an earlier plan as `If-None-Match` the answer is 304 while nothing has changed; with `delta=1` beside
/// it may tell only what has, and then names that plan as `base`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanReply {
    /// SHA-256 of the file.
    pub file_hash: String,
    /// The name its announcers suggest.
    pub file_name: String,
    /// Who may have the file: [`ACCESS_PUBLIC`], [`ACCESS_SHARED`] or [`ACCESS_PRIVATE`]; empty from trackers that know no other than public.
    #[serde(default)]
    pub access: String,
    /// The `ETag` of the plan that this one only tells the changes of; absent where it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Of a delta: who was named before and holds nothing any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    /// Distinct manifests, the one with most live holders first. A file shared only by version 1 peers has none:
    /// its chunk hashes are in the version 1 lookup.
    pub manifests: Vec<PlanManifest>,
    /// Whether version 1's lookup lists this file, chunk hashes included.
    pub v1_listed: bool,
    /// The caller's ticket for this file; null when tickets are unavailable at the moment.
    pub ticket: Option<TicketBody>,
    /// Ask again no sooner than this.
    pub ask_again_seconds: u64,
}

/// One manifest of a plan and who serves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanManifest {
    /// Fetch it with `GET /api/v1/manifests/{manifest_id}`.
    pub manifest_id: String,
    /// Bytes.
    pub size: u64,
    /// Bytes.
    pub chunk_size: u32,
    /// At most 10 together with `kept`, best first.
    pub sources: Vec<PlanSource>,
    /// Of a delta: who is named again and has not changed since `base`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<String>,
}

/// One source of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSource {
    /// The source's account.
    pub peer_id: String,
    /// `host:port` candidates, best first.
    pub addresses: Vec<String>,
    /// [`GRPC_TLS`], [`GRPC`] or [`GRPC_V1`].
    pub transport: String,
    /// Rounded to 0.05.
    pub reputation_score: f64,
    /// What it holds.
    pub have: Have,
}

/// A ticket as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketBody {
    /// Opaque.
    pub id: String,
    /// How many milli-tokens it holds; 0 means free class.
    pub escrow_mt: i64,
    /// When it closes unless renewed by another lookup.
    pub expires_at: u64,
}

/// `GET /api/v1/files?name=…&limit=…&after=…` (Bearer): files whose name contains every word, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchReply {
    /// At most `limit`.
    pub files: Vec<SearchFile>,
    /// Pass as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One hit of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchFile {
    /// SHA-256 of the file.
    pub file_hash: String,
    /// Its name.
    pub file_name: String,
    /// Bytes; null for a file shared by version 1 peers only.
    pub size: Option<u64>,
    /// Null for a file shared by version 1 peers only.
    pub manifest_id: Option<String>,
    /// How many peers hold a live lease.
    pub sources: u64,
    /// When it was first announced.
    pub created_at: u64,
}

/// Anyone in the swarm may have the file.
pub const ACCESS_PUBLIC: &str = "public";
/// Its owner, named accounts and members of named groups may.
pub const ACCESS_SHARED: &str = "shared";
/// Only its owner may.
pub const ACCESS_PRIVATE: &str = "private";
/// Nobody may any more. Said, never asked for: `DELETE /api/v1/files/{file_hash}` does it.
pub const ACCESS_WITHDRAWN: &str = "withdrawn";

/// `POST /api/v1/grants` (Bearer): leave to fetch a file, for the peers that serve it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRequest {
    /// SHA-256 of the file.
    pub file_hash: String,
    /// Files that the grant shall cover beside, at most 4: a collection's pack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more: Vec<String>,
}

/// The 200 answer to a [`GrantRequest`].
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantReply {
    /// A signed token, see [`crate::claims::GrantClaims`].
    pub grant: String,
    /// When it ends.
    pub expires_at: u64,
    /// When to ask for the next one.
    pub renew_in_seconds: u64,
}

impl fmt::Debug for GrantReply {
    /// Without the grant itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantReply").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}

/// `PUT /api/v1/files/{file_hash}/access` (Bearer): who may have a file from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAccessRequest {
    /// [`ACCESS_PUBLIC`], [`ACCESS_SHARED`] or [`ACCESS_PRIVATE`].
    pub access: String,
    /// Peer ids that it is shared with, at most 1,000; only with [`ACCESS_SHARED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accounts: Vec<String>,
    /// Names of the owner's groups that it is shared with, at most 100; only with [`ACCESS_SHARED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// `GET /api/v1/files/{file_hash}/access` (Bearer): who may have a file, told to its owner only.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAccessReply {
    /// SHA-256 of the file.
    pub file_hash: String,
    /// The owner's peer id: the caller's.
    pub owner: String,
    /// [`ACCESS_PUBLIC`], [`ACCESS_SHARED`], [`ACCESS_PRIVATE`] or [`ACCESS_WITHDRAWN`].
    pub access: String,
    /// Peer ids that it is shared with, in ascending order.
    pub accounts: Vec<String>,
    /// Names of the groups that it is shared with, in ascending order.
    pub groups: Vec<String>,
}

/// `PUT /api/v1/groups/{name}` (Bearer): makes a group, or replaces its members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRequest {
    /// Peer ids, at most 1,000.
    pub members: Vec<String>,
}

/// `GET /api/v1/groups/{name}` (Bearer): a group of the caller's account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReply {
    /// 1 to 64 bytes without control characters.
    pub name: String,
    /// Peer ids in ascending order.
    pub members: Vec<String>,
}

/// `GET /api/v1/groups` (Bearer): the groups of the caller's account, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsReply {
    /// At most 100.
    pub groups: Vec<GroupSummary>,
}

/// One group of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSummary {
    /// Its name.
    pub name: String,
    /// How many members it has.
    pub members: u64,
}
