//! Providers that answer from a table, fail, or never answer.

use std::sync::Mutex;

use crossbeam_channel::{Sender, bounded};
use peernet_engine::ids::{ByteCount, ChunkHash, ChunkIndex, PeerId};
use peernet_engine::manifest::Geometry;

use super::*;
use crate::discovery::testing::{FILE, manifest_id, plan, source};

/// A provider with one fixed answer to every question.
struct Provider {
    plan: Result<Plan, DiscoveryError>,
    listing: Result<Option<V1Listing>, DiscoveryError>,
    manifest: Result<Manifest, DiscoveryError>,
    grant: Result<Option<GrantToken>, DiscoveryError>,
    reports: Mutex<Vec<FetchReport>>,
    /// The answer waits until this channel disconnects.
    held_until: Option<Receiver<()>>,
}

impl Provider {
    fn of(plan: Result<Plan, DiscoveryError>) -> Self {
        let nothing = || DiscoveryError::NotFound;
        let manifest = Err(nothing());
        let reports = Mutex::default();
        Self { plan, listing: Ok(None), manifest, grant: Ok(None), reports, held_until: None }
    }
}

impl SourceDiscovery for Provider {
    fn plan(&self, _: FileHash) -> Result<Plan, DiscoveryError> {
        if let Some(held) = &self.held_until {
            let _disconnected = held.recv();
        }
        self.plan.clone()
    }

    fn v1_listing(&self, _: FileHash) -> Result<Option<V1Listing>, DiscoveryError> {
        self.listing.clone()
    }
}

impl ManifestProvider for Provider {
    fn manifest(&self, _: ManifestId) -> Result<Manifest, DiscoveryError> {
        self.manifest.clone()
    }
}

impl GrantProvider for Provider {
    fn grant(&self, _: FileHash) -> Result<Option<GrantToken>, DiscoveryError> {
        self.grant.clone()
    }
}

impl ReportSink for Provider {
    fn report(&self, reports: Vec<FetchReport>) {
        self.reports.lock().unwrap().extend(reports);
    }
}

fn combined(providers: Vec<Provider>) -> Combined {
    providers.into_iter().fold(Combined::new(Cancel::new()), |all, provider| all.with(Arc::new(provider)))
}

fn refused() -> DiscoveryError {
    DiscoveryError::Refused("not you".to_owned())
}

fn away() -> DiscoveryError {
    DiscoveryError::Unreachable("away".to_owned())
}

#[track_caller]
fn check(answers: Vec<Result<Plan, DiscoveryError>>, expected: Result<Plan, DiscoveryError>) {
    assert_eq!(combined(answers.into_iter().map(Provider::of).collect()).plan(FILE), expected);
}

#[test]
fn plans_are_merged_in_the_order_of_the_providers() {
    let first = plan("name", &[(1, &[1, 2]), (2, &[3])]);
    let second = plan("other", &[(3, &[4]), (1, &[5])]);
    check(vec![Ok(first), Ok(second)], Ok(plan("name", &[(1, &[1, 2, 5]), (2, &[3]), (3, &[4])])));
    check(vec![Ok(plan("", &[])), Ok(plan("late", &[]))], Ok(plan("late", &[])));
    check(vec![Ok(Plan { restricted: true, ..plan("a", &[]) }), Ok(Plan { v1_listed: true, ..plan("b", &[]) })], {
        Ok(Plan { restricted: true, v1_listed: true, ..plan("a", &[]) })
    });
}

#[test]
fn a_peer_that_two_providers_name_is_one_source() {
    let mut twice = plan("a", &[(1, &[1, 2])]);
    twice.manifests[0].sources[0].candidates = peernet_engine::candidate::Candidates::hosts(["elsewhere:1"]);
    check(vec![Ok(plan("a", &[(1, &[1])])), Ok(twice)], Ok(plan("a", &[(1, &[1, 2])])));
}

#[test]
fn a_failing_provider_is_passed_over_while_another_answers() {
    for failure in [refused(), away(), DiscoveryError::NotFound] {
        let known = plan("a", &[(1, &[1])]);
        check(vec![Err(failure.clone()), Ok(known.clone())], Ok(known.clone()));
        check(vec![Ok(known.clone()), Err(failure)], Ok(known));
    }
}

#[test]
fn the_worst_failure_is_told_when_no_provider_answers() {
    check(vec![], Err(DiscoveryError::NotFound));
    check(vec![Err(DiscoveryError::NotFound), Err(away())], Err(away()));
    check(vec![Err(refused()), Err(away())], Err(refused()));
    check(vec![Err(away())], Err(away()));
}

/// Two providers, of which the second does not answer before the sender is dropped.
fn with_a_slow_one(first: Result<Plan, DiscoveryError>) -> (Combined, Sender<()>) {
    let (go, held_until) = bounded(0);
    let slow = Provider { held_until: Some(held_until), ..Provider::of(Ok(plan("slow", &[(1, &[9])]))) };
    (combined(vec![Provider::of(first), slow]), go)
}

#[test]
fn a_slow_provider_is_left_behind_after_the_first_answer() {
    let known = plan("a", &[(1, &[1])]);
    let (all, go) = with_a_slow_one(Ok(known.clone()));
    assert_eq!(all.plan(FILE), Ok(known));
    drop(go);
}

#[test]
fn a_slow_provider_is_waited_for_when_the_others_fail() {
    let (all, go) = with_a_slow_one(Err(away()));
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| all.plan(FILE));
        drop(go);
        assert_eq!(answer.join().unwrap(), Ok(plan("slow", &[(1, &[9])])));
    });
}

#[test]
fn a_cancelled_download_waits_for_no_provider() {
    let (all, go) = with_a_slow_one(Err(away()));
    all.cancel.cancel();
    assert!(matches!(all.plan(FILE), Err(DiscoveryError::Unreachable(_))));
    drop(go);
}

#[test]
fn listings_of_the_same_chunks_are_merged() {
    let listing = |hash: u8, peers: &[u8]| {
        let sources = peers.iter().copied().map(source).collect();
        Ok(Some(V1Listing { chunk_hashes: vec![ChunkHash([hash; 32])], sources }))
    };
    let provider = |listing| Provider { listing, ..Provider::of(Err(away())) };
    let all = [Ok(None), listing(1, &[1]), Err(away()), listing(2, &[2]), listing(1, &[1, 3])];
    assert_eq!(combined(all.map(provider).into()).v1_listing(FILE), listing(1, &[1, 3]));
    assert_eq!(combined([Ok(None), Err(away())].map(provider).into()).v1_listing(FILE), Ok(None));
    assert_eq!(combined([Err(away()), Err(refused())].map(provider).into()).v1_listing(FILE), Err(refused()));
}

fn manifest(byte: u8) -> Manifest {
    let geometry = Geometry::new(ByteCount(1), 1 << 20).unwrap();
    Manifest::new(FILE, geometry, vec![ChunkHash([byte; 32])]).unwrap()
}

#[test]
fn the_first_right_manifest_of_a_provider_is_used() {
    let provider = |manifest| Provider { manifest, ..Provider::of(Err(away())) };
    let check = |answers: Vec<Result<Manifest, DiscoveryError>>, expected: Result<Manifest, DiscoveryError>| {
        let all = combined(answers.into_iter().map(provider).collect());
        assert_eq!(all.manifest(manifest(1).id()).map(|found| found.id()), expected.map(|right| right.id()));
    };
    check(vec![Err(away()), Ok(manifest(1))], Ok(manifest(1)));
    check(vec![Ok(manifest(2)), Ok(manifest(1))], Ok(manifest(1)));
    check(vec![Ok(manifest(2)), Err(away())], Err(away()));
    check(vec![Ok(manifest(2))], Err(DiscoveryError::NotFound));
    check(vec![], Err(DiscoveryError::NotFound));
    assert_ne!(manifest(1).id(), manifest_id(1));
}

#[test]
fn a_grant_comes_from_the_first_provider_that_issues_one() {
    let grant = || GrantToken { text: "signed".to_owned(), expires_at: 2, renew_at: 1 };
    let check = |answers: Vec<Result<Option<GrantToken>, DiscoveryError>>, expected: Result<bool, DiscoveryError>| {
        let provider = |grant| Provider { grant, ..Provider::of(Err(away())) };
        let all = combined(answers.into_iter().map(provider).collect());
        assert_eq!(all.grant(FILE).map(|grant| grant.is_some()), expected);
    };
    check(vec![Ok(None), Err(away()), Ok(Some(grant()))], Ok(true));
    check(vec![Ok(None), Err(away())], Ok(false));
    check(vec![Err(away()), Err(refused())], Err(refused()));
    check(vec![], Ok(false));
}

#[test]
fn reports_go_to_every_sink() {
    let providers: Vec<_> = (0..3).map(|_| Arc::new(Provider::of(Err(away())))).collect();
    let all = providers.iter().fold(Combined::new(Cancel::new()), |all, provider| all.with(Arc::clone(provider)));
    let peer = PeerId::from_random([1; 16]);
    let report = FetchReport { peer, file_hash: FILE, chunk: ChunkIndex(0), result: Ok(()) };
    all.report(vec![report]);
    assert!(providers.iter().all(|provider| *provider.reports.lock().unwrap() == [report]));
    combined(vec![]).report(vec![report]);
}
