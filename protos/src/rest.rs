//! Bodies of the tracker's REST calls, `/api/v1`. docs/API.md describes them; `WIRE` marks version 1's, whose meaning
//! and shape never change.
//!
//! Hashes are lower-case hex, peer ids hyphenated lower-case UUIDs, bitmaps base64 (RFC 4648 section 4, padded) with
//! bit 7 of byte 0 for chunk 0, times seconds since 1970-01-01 UTC.

mod integer;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The body of every error: a sentence for people and a stable word for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The failure and the remedy, for people.
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
    /// The device that logs in. The reply then has a refresh token, and its access token is short-lived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceRequest>,
}

/// A device as it introduces itself when it logs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRequest {
    /// The name that people give the device, 1 to 64 bytes without control characters.
    pub label: String,
    /// The permitted uses of its tokens: [`crate::claims::SCOPE_READ`] and so on; none means everything.
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
    /// The certificate, in reply to a `csr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateBody>,
    /// The device's id, where one logged in or its token was renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The device's next refresh token, opaque and shown once. It replaces the previous one.
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

/// `GET /api/v1/devices` (Bearer): the account's devices, the newest first.
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
    /// The permitted uses of the device's tokens.
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

/// A short-lived certificate that names its account, and the authorities to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateBody {
    /// PEM. Its DNS name is [`crate::identity::peer_name`] of the account.
    pub certificate: String,
    /// PEM: the authorities whose certificates members of this swarm take, the one that signs first.
    pub authorities: String,
    /// When the certificate ends.
    pub expires_at: u64,
}

/// `GET /api/v1/authority`: the authorities that members trust.
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
    /// The tokens in open tickets, in milli-tokens.
    pub escrow_mt: i64,
    /// The number of files that the account announces at present.
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
    /// The holders, best first; equal ones rotate with each request.
    pub peers: Vec<LookupV1Peer>,
}

/// One holder in a [`LookupV1Chunk`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LookupV1Peer {
    /// The holder's account.
    pub id: String,
    /// The address, `host:port`.
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
    /// The account that the event is about.
    pub target_peer_id: String,
    /// The file of the chunk.
    pub file_hash: String,
    /// The index of the chunk, from 0.
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
    /// The account that the event is about.
    pub target_peer_id: String,
    /// The file of the chunks.
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
    /// The number of chunk events that were well-formed and handed to the reputation thread.
    pub received: u64,
}

/// `PUT /api/v1/manifests/{manifest_id}` (Bearer): stores a manifest; 201 when new, 200 when known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestBody {
    /// SHA-256 of the file.
    pub file_hash: String,
    /// A suggestion for the file's name.
    pub file_name: String,
    /// The size in bytes.
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
    /// The key's signature (RFC 8032) of the account's publication of the manifest, 64 bytes in the same form.
    pub signature: String,
}

/// `GET /api/v1/manifests/{manifest_id}/signatures?account=…` (Bearer): the accounts that signed a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignaturesReply {
    /// The oldest first, at most 10.
    pub signatures: Vec<SignatureBody>,
    /// The number of matching signatures; counting ends at 1,000.
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

/// The transport of version 2's calls over mutual TLS.
pub const GRPC_TLS: &str = "grpc-tls";
/// The transport of version 2's calls in plaintext.
pub const GRPC: &str = "grpc";
/// Version 1's call, in plaintext.
pub const GRPC_V1: &str = "grpc-v1";

/// The chunks of a file that an announcer holds.
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
    /// The address of this peer's gRPC server, `host:port`. The host may be `0.0.0.0` or `[::]`, for which the
    /// tracker puts the address it sees.
    pub address: String,
    /// The transport at `address`: [`GRPC_TLS`], or [`GRPC`], which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// The address of this peer's plaintext server, for version 1 clients and callers that allow plaintext; like
    /// `address`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext_address: Option<String>,
    /// A label; sources with the caller's label come first among equals.
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
    /// The id of the manifest.
    pub manifest_id: String,
    /// The chunks of the manifest that this peer holds.
    pub have: Have,
}

/// The answer to a swarm announce, after which the announced leases live `lease_seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmAnnounceReply {
    /// Always `announced`.
    pub status: String,
    /// The life of the leases.
    pub lease_seconds: u64,
    /// When to announce again; jittered by the tracker.
    pub renew_in_seconds: u64,
    /// Manifests to PUT first, then announce again; nothing was recorded for these.
    pub unknown_manifests: Vec<String>,
    /// Files that must not be shared any more, by the announcer at least; nothing was recorded for these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<String>,
    /// Announced files that are not public. Peers serve them only to callers that present a grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restricted: Vec<String>,
}

/// `POST /api/v1/swarm/leave` (Bearer): ends leases at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmLeaveRequest {
    /// The files to end; absent means all of this account's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<Vec<String>>,
}

/// The reply to `POST /api/v1/swarm/leave`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmLeaveReply {
    /// Always `left`.
    pub status: String,
    /// The number of leases that ended.
    pub left: u64,
}

/// `GET /api/v1/files/{file_hash}` (Bearer): the plan. 404 `unknown_file` if no account ever announced it.
///
/// With the `ETag` of an earlier plan as `If-None-Match` the answer is 304 while nothing has changed; with `delta=1`
/// beside it may tell only what has, and then names that plan as `base`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanReply {
    /// SHA-256 of the file.
    pub file_hash: String,
    /// The name its announcers suggest.
    pub file_name: String,
    /// The file's visibility: [`ACCESS_PUBLIC`], [`ACCESS_SHARED`] or [`ACCESS_PRIVATE`]. Trackers that know only
    /// public send it empty.
    #[serde(default)]
    pub access: String,
    /// The `ETag` of the plan that this one only tells the changes of; absent where it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// In a delta, the sources of earlier plans that hold nothing any more.
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

/// One manifest of a plan, with its sources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanManifest {
    /// Fetch it with `GET /api/v1/manifests/{manifest_id}`.
    pub manifest_id: String,
    /// The size in bytes.
    pub size: u64,
    /// The chunk size in bytes.
    pub chunk_size: u32,
    /// At most 10 together with `kept`, best first.
    pub sources: Vec<PlanSource>,
    /// In a delta, the sources that are named again and have not changed since `base`.
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
    /// The chunks that the source holds.
    pub have: Have,
}

/// A ticket as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketBody {
    /// The ticket's id, opaque.
    pub id: String,
    /// The escrow in milli-tokens; 0 means free class.
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
    /// The name of the file.
    pub file_name: String,
    /// Bytes; null for a file shared by version 1 peers only.
    pub size: Option<u64>,
    /// Null for a file shared by version 1 peers only.
    pub manifest_id: Option<String>,
    /// The number of peers with a live lease.
    pub sources: u64,
    /// When it was first announced.
    pub created_at: u64,
}

/// The visibility of a file that every member of the swarm may have.
pub const ACCESS_PUBLIC: &str = "public";
/// The visibility of a file for its owner, named accounts and members of named groups.
pub const ACCESS_SHARED: &str = "shared";
/// Only its owner may.
pub const ACCESS_PRIVATE: &str = "private";
/// The visibility of a file that its owner withdrew with `DELETE /api/v1/files/{file_hash}`. No request sets it.
pub const ACCESS_WITHDRAWN: &str = "withdrawn";

/// `POST /api/v1/grants` (Bearer): requests a grant for a file, which the peers that serve it check.
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

/// `PUT /api/v1/files/{file_hash}/access` (Bearer): sets a file's visibility.
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

/// `GET /api/v1/files/{file_hash}/access` (Bearer): a file's visibility, for its owner only.
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
    /// The group's name.
    pub name: String,
    /// The number of members.
    pub members: u64,
}
