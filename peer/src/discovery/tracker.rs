//! The tracker's REST API as a node calls it: blocking calls with time-outs, bounded replies, and retries where a call
//! may be repeated. Replies are returned as validated types. [`TrackerProvider`] is the tracker as a discovery
//! provider.

mod access;
mod base;
mod certificates;
mod devices;
mod error;
mod http;
mod options;
mod plans;
mod provider;
mod report_batch;
pub(crate) mod reports;
mod session;
mod signatures;
mod trust;
mod url;
mod wire;

use std::time::Duration;

use peernet_engine::download::Has;
use peernet_engine::ids::{FileHash, ManifestId, PeerId};
use peernet_engine::manifest::Manifest;
use peernet_protos::rest::{
    DeviceRequest, FeedbackBatchReply, FeedbackBatchRequest, FeedbackEntry, LoginRequest, LookupV1Reply,
    ManifestReplyBody, MeReply, PasswordRequest, RegisterRequest, SearchReply, SwarmAnnounceReply, SwarmLeaveReply,
    SwarmLeaveRequest, TokenReply,
};

use crate::cancel::Cancel;
use crate::discovery::askers::Askers;
use crate::discovery::{Plan, V1Listing};
use crate::home::{Credentials, Home, HomeError, IdentityFiles};
use crate::log::Log;
use http::{Call, Http};
use peernet_engine::candidate::Transport;
use plans::Plans;
use session::Session;
use trust::Trust;

pub use access::GroupInfo;
pub(crate) use devices::is_label;
pub use devices::{Device, LoggedOut};
pub(crate) use error::{DeviceEnd, TrackerError};
pub(crate) use options::TrackerOptions;
pub use options::TrackerTls;
pub(crate) use provider::TrackerProvider;
pub use session::AtTracker;
pub(crate) use url::{normal_url, normal_urls, percent_encoded};

/// An account as the tracker sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Me {
    /// The account's id.
    pub peer_id: PeerId,
    /// The address it was registered with, if any.
    pub address: Option<String>,
    /// From 0 to 1, in steps of 0.05; 0.5 for a newcomer.
    pub reputation_score: f64,
    /// Whether settled transfers with other accounts have proven it.
    pub established: bool,
    /// Milli-tokens; 1,000 are one MiB of verified payload.
    pub balance_mt: i64,
    /// Milli-tokens in escrow for open downloads.
    pub escrow_mt: i64,
    /// The number of files that the account announces at the moment.
    pub files_shared: u64,
    /// Seconds since 1970-01-01 UTC.
    pub created_at: u64,
}

/// The name of an account at a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginName {
    /// The account's id.
    Peer(PeerId),
    /// The address it was registered with.
    Address(String),
}

/// The addresses at which a node can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReachedAt {
    /// `host:port`; the host may be `0.0.0.0` or `[::]`, for which the tracker puts the address it sees.
    pub address: String,
    /// The transport expected there.
    pub transport: Transport,
    /// An address at which it also accepts plaintext.
    pub plaintext_address: Option<String>,
}

/// One file to announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AnnouncedFile {
    /// The file.
    pub file_hash: FileHash,
    /// The manifest.
    pub manifest_id: ManifestId,
    /// The chunks that are here.
    pub has: Has,
}

/// The result of an announce.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    /// The length of the leases.
    pub lease: Duration,
    /// When to announce again.
    pub renew_in: Duration,
    /// Manifests the tracker does not know: their files were not announced.
    pub unknown: Vec<ManifestId>,
    /// Files that may not be shared from here: they were not announced.
    pub withdrawn: Vec<FileHash>,
    /// Files that were announced and are not public.
    pub restricted: Vec<FileHash>,
}

/// One hit of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The file.
    pub file_hash: FileHash,
    /// The name that its announcer gave it; clean it before showing it on a terminal.
    pub file_name: String,
    /// Bytes; unknown for a file of version 1 peers only.
    pub size: Option<u64>,
    /// Unknown for a file of version 1 peers only.
    pub manifest_id: Option<ManifestId>,
    /// The number of peers that hold it now.
    pub sources: u64,
    /// Seconds since 1970-01-01 UTC.
    pub created_at: u64,
}

/// A page of hits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hits {
    /// Newest first.
    pub files: Vec<Hit>,
    /// For the next page.
    pub next: Option<String>,
}

/// The longest replies in bytes, by their content.
const SMALL_ANSWER: u64 = 64 << 10;
const LISTING_ANSWER: u64 = 4 << 20;
const V1_LOOKUP_ANSWER: u64 = 64 << 20;

/// The longest time of leaving the swarm: it happens while the program ends.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);

/// One tracker and one account at it. All calls block, each for at most about two minutes with all its retries.
pub(crate) struct TrackerClient {
    urls: String,
    http: Http,
    session: Session,
    identity: IdentityFiles,
    options: TrackerOptions,
    log: Log,
    plans: Plans,
    askers: Askers,
}

impl TrackerClient {
    /// Talks to `url`, or to several with commas between them that serve one swarm, with the account in `home`, if it
    /// is one of theirs. `log` gets newly pinned authorities; `stop` ends pauses between retries.
    pub(crate) fn new(
        url: &str,
        home: &Home,
        options: TrackerOptions,
        log: Log,
        stop: Cancel,
    ) -> Result<Self, TrackerError> {
        let bases = normal_urls(url)?;
        let urls = bases.join(",");
        let session = Session::new(urls.clone(), home.credentials());
        let http = Http::new(&bases, &options, stop).trusting(|| Trust::load(home.trust(), urls.clone()))?;
        Ok(Self {
            session,
            http,
            identity: home.identity(),
            options,
            log,
            plans: Plans::default(),
            askers: Askers::default(),
            urls,
        })
    }

    /// The tracker's URL, without a slash at its end; several have commas between them.
    pub(crate) fn url(&self) -> &str {
        &self.urls
    }

    /// Each tracker's URL.
    pub(crate) fn urls(&self) -> Vec<String> {
        url::each_url(&self.urls)
    }

    /// The threads on which downloads ask this tracker.
    pub(crate) fn askers(&self) -> &Askers {
        &self.askers
    }

    /// The account in use, without asking the tracker.
    pub(crate) fn account(&self) -> Result<Option<Credentials>, TrackerError> {
        self.session.current()
    }

    /// Makes an account, or logs in where `address` has one with this password, and keeps its token. `invite` is the
    /// code that some trackers require for a new account.
    pub(crate) fn register(
        &self,
        address: Option<&str>,
        password: &str,
        invite: Option<&str>,
    ) -> Result<Credentials, TrackerError> {
        trust::meet(&self.http, &self.options, &self.log)?;
        let device = self.introduction();
        let request = RegisterRequest {
            address: address.map(str::to_owned),
            password: Some(password.to_owned()),
            protocol: Some(2),
            invite: invite.map(str::to_owned),
            csr: Some(self.csr()?),
            device: Some(device.clone()),
        };
        // With an address, a second call logs in; without, it would make a second account.
        let call = Call { repeatable: address.is_some(), ..Call::post("/api/v1/peers/register", &request) };
        self.keep(&self.http.json(&call)?, address, &device)
    }

    /// Logs in and keeps the token.
    pub(crate) fn login(&self, name: &LoginName, password: &str) -> Result<Credentials, TrackerError> {
        trust::meet(&self.http, &self.options, &self.log)?;
        let csr = Some(self.csr()?);
        let device = self.introduction();
        let password = password.to_owned();
        let mut request = LoginRequest { password, csr, device: Some(device.clone()), ..LoginRequest::default() };
        match name {
            LoginName::Peer(peer) => request.peer_id = Some(peer.to_string()),
            LoginName::Address(address) => request.address = Some(address.clone()),
        }
        let call = Call { repeatable: true, ..Call::post("/api/v1/peers/login", &request) };
        let known = self.session.current()?.and_then(|credentials| credentials.address);
        let address = request.address.as_deref().or(known.as_deref());
        self.keep(&self.http.json(&call)?, address, &device)
    }

    /// Sets another password and keeps the new token; all earlier tokens stop working, and all certificates of devices.
    pub(crate) fn change_password(&self, old: &str, new: &str) -> Result<Credentials, TrackerError> {
        let device = self.introduction_again()?;
        let old_password = old.to_owned();
        let new_password = new.to_owned();
        let request = PasswordRequest { old_password, new_password, device: Some(device.clone()) };
        let reply: TokenReply = self.authorised(Call::post("/api/v1/peers/password", &request))?;
        let address = self.session.current()?.and_then(|credentials| credentials.address);
        let credentials = self.keep(&reply, address.as_deref(), &device)?;
        if let (Some(_), Err(error)) = (&credentials.device, self.certificate()) {
            self.log.warn(&format!("the password is changed, but there is no new certificate yet: {error}"));
        }
        Ok(credentials)
    }

    /// The account: balance, reputation.
    pub(crate) fn me(&self) -> Result<Me, TrackerError> {
        let reply: MeReply = self.authorised(Call::get("/api/v1/peers/me"))?;
        wire::me(reply)
    }

    /// Asks for the plan of a file. Opens or renews this account's ticket for it.
    pub(crate) fn plan(&self, file_hash: FileHash) -> Result<Plan, TrackerError> {
        let reply = self.plans.ask(file_hash, |known| {
            let delta = if known.is_some() { "?delta=1" } else { "" };
            let path = format!("/api/v1/files/{file_hash}{delta}");
            let call = Call { answer_max: LISTING_ANSWER, known, ..Call::get(&path) };
            self.session.ask(&self.http, call)
        })?;
        wire::plan(file_hash, reply)
    }

    /// Asks for a manifest and its name. The manifest is checked to have this id.
    pub(crate) fn manifest(&self, id: ManifestId) -> Result<(Manifest, String), TrackerError> {
        let path = format!("/api/v1/manifests/{id}");
        let reply: ManifestReplyBody = self.authorised(Call { answer_max: LISTING_ANSWER, ..Call::get(&path) })?;
        wire::manifest(id, reply.manifest)
    }

    /// Uploads a manifest.
    pub(crate) fn put_manifest(&self, manifest: &Manifest, file_name: &str) -> Result<(), TrackerError> {
        let path = format!("/api/v1/manifests/{}", manifest.id());
        let call = Call::put(&path, &wire::manifest_body(manifest, file_name));
        self.authorised::<serde_json::Value>(call).map(drop)
    }

    /// Takes or renews leases, at most [`peernet_protos::limits::FILES_PER_ANNOUNCE_MAX`] at once.
    pub(crate) fn announce(
        &self,
        at: &ReachedAt,
        site: Option<&str>,
        files: &[AnnouncedFile],
    ) -> Result<Announced, TrackerError> {
        let request = wire::announce(at, site, files);
        let call = Call { repeatable: true, ..Call::post("/api/v1/swarm/announce", &request) };
        let reply: SwarmAnnounceReply = self.authorised(Call { answer_max: LISTING_ANSWER, ..call })?;
        wire::announced(&reply)
    }

    /// Ends the leases of these files. Takes little time, because it is called while the program ends; leases end by
    /// themselves anyway.
    pub(crate) fn leave(&self, files: &[FileHash]) -> Result<u64, TrackerError> {
        let request = SwarmLeaveRequest { files: Some(files.iter().map(ToString::to_string).collect()) };
        let call = Call { timeout: LEAVE_TIMEOUT, ..Call::post("/api/v1/swarm/leave", &request) };
        self.authorised::<SwarmLeaveReply>(call).map(|reply| reply.left)
    }

    /// Sends feedback, at most [`peernet_protos::limits::EVENTS_PER_BATCH_MAX`] entries.
    pub(crate) fn feedback(&self, events: Vec<FeedbackEntry>) -> Result<u64, TrackerError> {
        let call = Call::post("/api/v1/peers/feedback/batch", &FeedbackBatchRequest { events });
        self.authorised::<FeedbackBatchReply>(call).map(|reply| reply.received)
    }

    /// Files whose name contains every word of `words`, newest first.
    pub(crate) fn search(&self, words: &str, limit: usize, after: Option<&str>) -> Result<Hits, TrackerError> {
        let mut path = format!("/api/v1/files?name={}&limit={limit}", percent_encoded(words));
        if let Some(after) = after {
            path.push_str(&format!("&after={}", percent_encoded(after)));
        }
        let reply: SearchReply = self.authorised(Call { answer_max: LISTING_ANSWER, ..Call::get(&path) })?;
        wire::hits(reply)
    }

    /// Version 1's view of a file; `None` where it has none.
    pub(crate) fn lookup_v1(&self, file_hash: FileHash) -> Result<Option<V1Listing>, TrackerError> {
        let path = format!("/api/v1/files/lookup/{file_hash}");
        let call = Call { answer_max: V1_LOOKUP_ANSWER, ..Call::get(&path) };
        match self.authorised::<LookupV1Reply>(call) {
            Err(TrackerError::Answered { status: 404, .. }) => Ok(None),
            reply => wire::v1_listing(reply?),
        }
    }

    /// Keeps the account of a login, and then its certificate: the account exists even if the certificate is wrong.
    fn keep(
        &self,
        reply: &TokenReply,
        address: Option<&str>,
        device: &DeviceRequest,
    ) -> Result<Credentials, TrackerError> {
        let credentials = self.session.keep(reply, address, device)?;
        if let Some(body) = &reply.certificate {
            self.keep_certificate(credentials.peer_id, body)?;
        }
        Ok(credentials)
    }

    fn authorised<T: serde::de::DeserializeOwned>(&self, call: Call<'_>) -> Result<T, TrackerError> {
        self.session.run(&self.http, call)
    }
}

fn local(error: HomeError) -> TrackerError {
    TrackerError::LocalState(error.to_string())
}
