//! Downloads between members, and sources that are refused.

use std::sync::Arc;
use std::time::Duration;

use peernet::Cancel;
use peernet::FetchProgress;
use peernet::internals::Dial;
use peernet::internals::FileIdentity;
use peernet::internals::Membership;
use peernet::internals::SharedFile;
use peernet::internals::Source;
use peernet::internals::{FetchError, FetchJob, Fetched, fetch};
use peernet::internals::{FileCatalog, UploadLimits};
use peernet::internals::{Identity, IdentityParts};
use peernet::internals::{Listen, PeerServer};
use peernet::{SpeedLimits, Transport};
use peernet_engine::ids::PeerId;

use super::testing::{Authority, Life, unix_now};
use crate::swarm::{Catalogue, Library, MIB, Peer, Stage, source};

fn peer(number: u8) -> PeerId {
    PeerId::from_random([number; 16])
}

/// A member that serves the stage's file.
struct Serving {
    membership: Arc<Membership>,
    server: PeerServer,
}

fn serving(stage: &Stage, authority: &Authority, number: u8) -> Serving {
    let membership = authority.member(number);
    let library = Arc::new(Library::default());
    let identity = FileIdentity::of_path(&stage.original).unwrap();
    library.add(SharedFile::complete(Arc::clone(&stage.manifest), stage.original.clone(), identity, "name".to_owned()));
    let listen = Listen::tls("127.0.0.1:0", Arc::clone(&membership));
    let server = PeerServer::start(listen, library as Arc<dyn FileCatalog>, UploadLimits::default()).unwrap();
    Serving { membership, server }
}

impl Serving {
    /// Returns the server as a source of this account, which may be the wrong one.
    fn source_of(&self, peer: PeerId) -> Source {
        Source { transport: Transport::Tls, ..source(peer, &self.server.local_addr().to_string()) }
    }
}

fn job(stage: &Stage, dial: Dial) -> FetchJob {
    let mut job = stage.job();
    job.dial = dial;
    job
}

/// Downloads from sources that are expected to deliver, with the generous limits of a real download.
fn download(stage: &Stage, dial: Dial, sources: Vec<Source>) -> Result<Fetched, FetchError> {
    fetch(job(stage, dial), &Catalogue::of(&stage.manifest, sources), &mut |_| {}, &Cancel::new())
}

/// Downloads from a source that is expected to be refused, and gives up soon. A slow machine changes nothing: the
/// result is the same.
fn download_in_vain(stage: &Stage, dial: Dial, source: Source) -> Result<Fetched, FetchError> {
    let mut job = job(stage, dial);
    job.limits.scheduler.no_progress = Duration::from_secs(2);
    fetch(job, &Catalogue::of(&stage.manifest, vec![source]), &mut |_| {}, &Cancel::new())
}

#[test]
fn members_fetch_from_each_other_and_see_that_it_is_encrypted() {
    let stage = Stage::with(5 * MIB + 7);
    let authority = Authority::new();
    let one = serving(&stage, &authority, 1);
    let two = serving(&stage, &authority, 2);
    let directory = Catalogue::of(&stage.manifest, vec![one.source_of(peer(1)), two.source_of(peer(2))]);
    let mut transports = Vec::new();
    let mut watch = |progress: &FetchProgress| {
        transports.extend(progress.sources.iter().map(|source| source.transport));
    };
    let fetched = fetch(job(&stage, Dial::tls(authority.member(9))), &directory, &mut watch, &Cancel::new()).unwrap();
    stage.assert_complete(&fetched);
    assert!(!transports.is_empty() && transports.iter().all(|transport| *transport == Transport::Tls));
}

#[test]
fn a_source_that_fails_to_prove_its_account_is_not_used() {
    let stage = Stage::with(3 * MIB);
    let authority = Authority::new();
    let foreign = Authority::new();
    let honest = serving(&stage, &authority, 1);
    let stranger = serving(&stage, &foreign, 2);
    let now = unix_now();
    let ended = authority.parts(peer(9), Life { obtained_at: now - 7_200, expires_at: now - 3_600 });
    let ended = Membership::new(Identity::new(ended).unwrap());
    for (what, membership, source) in [
        ("another peer's certificate", authority.member(9), honest.source_of(peer(3))),
        ("another swarm's certificate", authority.member(9), stranger.source_of(peer(2))),
        ("a caller of another swarm", foreign.member(9), honest.source_of(peer(1))),
        ("a certificate of our own that has ended", ended, honest.source_of(peer(1))),
    ] {
        let result = download_in_vain(&stage, Dial::tls(membership), source);
        assert!(matches!(result, Err(FetchError::GaveUp(_))), "{what}: {result:?}");
        assert!(!stage.final_path().exists());
    }
    assert_eq!([&honest, &stranger].map(|it| it.server.counters().bytes_sent), [0, 0]);
}

#[test]
fn plaintext_sources_are_used_last_and_only_if_allowed() {
    let stage = Stage::with(3 * MIB);
    let authority = Authority::new();
    let open = stage.peer();
    let secret = serving(&stage, &authority, 1);
    let both = || vec![open.source(), secret.source_of(peer(1))];
    // Beside an encrypted source it is not asked, and said to be there.
    let result = download(&stage, Dial::tls(authority.member(9)), both());
    stage.assert_complete(&result.unwrap());
    assert_eq!(open.server.counters().bytes_sent, 0);
    std::fs::remove_file(stage.final_path()).unwrap();
    // Alone it is no source, of either version.
    for only in [open.source(), open.v1_source()] {
        let result = download(&stage, Dial::tls(authority.member(9)), vec![only]);
        let error = result.unwrap_err();
        assert!(matches!(error, FetchError::OnlyPlaintext), "{error:?}");
        assert!(error.to_string().contains("--allow-plaintext"), "{error}");
    }
    let listed = Catalogue::of_v1(&stage.manifest, vec![open.v1_source()]);
    let result = fetch(job(&stage, Dial::tls(authority.member(9))), &listed, &mut |_| {}, &Cancel::new());
    assert!(matches!(result, Err(FetchError::OnlyPlaintext)), "{result:?}");
    assert_eq!(open.server.counters().bytes_sent + open.server.counters().chunk_calls, 0);
    let result = download(&stage, Dial::tls(authority.member(9)).and_plaintext(), vec![open.source()]);
    stage.assert_complete(&result.unwrap());
    assert_eq!(open.server.counters().bytes_sent, 3 * MIB as u64);
    let _ends: Peer = open;
}

#[test]
fn a_transfer_survives_renewed_certificates_on_both_sides() {
    let stage = Stage::with(6 * MIB);
    let authority = Authority::new();
    let one = serving(&stage, &authority, 1);
    let caller = authority.member(9);
    let directory = Catalogue::of(&stage.manifest, vec![one.source_of(peer(1))]);
    let mut job = job(&stage, Dial::tls(Arc::clone(&caller)));
    let limits = SpeedLimits { max_download: peernet::Rate::new(6 << 20), ..SpeedLimits::default() };
    job.throttle = peernet::internals::Throttle::new(&limits);
    let mut renewed = false;
    let mut watch = |progress: &FetchProgress| {
        if progress.chunks_done > 0 && !std::mem::replace(&mut renewed, true) {
            one.membership.replace(authority.identity_for(peer(1), Life::day()));
            caller.replace(authority.identity_for(peer(9), Life::day()));
        }
    };
    let fetched = fetch(job, &directory, &mut watch, &Cancel::new()).unwrap();
    stage.assert_complete(&fetched);
    assert!(renewed);
    assert_eq!(one.server.counters().streams_begun, 1, "one call, on the connection from before");
}

#[test]
fn parts_of_two_accounts_make_no_identity() {
    let authority = Authority::new();
    let key = authority.parts(peer(2), Life::day()).key;
    assert!(Identity::new(IdentityParts { key, ..authority.parts(peer(1), Life::day()) }).is_err());
}
