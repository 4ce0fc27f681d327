//! The announcer against a tracker that replies by a script.

use std::collections::VecDeque;
use std::fs;
use std::sync::Mutex;

use peernet_engine::candidate::Transport;

use super::*;
use crate::cancel::Cancel;
use crate::files::hashing::hash_file_identified;

const WAIT: Duration = Duration::from_secs(30);
const RENEW_IN: Duration = Duration::from_secs(500);

/// A tracker that gives the next reply of a script, and accepts everything after its end.
#[derive(Default)]
struct Script {
    replies: Mutex<VecDeque<Result<Announced, TrackerError>>>,
    /// The calls, each with the files that it names.
    calls: Mutex<Vec<(&'static str, Vec<FileHash>)>>,
    leaving_fails: AtomicBool,
}

impl Script {
    fn called(&self, name: &'static str, files: Vec<FileHash>) {
        self.calls.lock().unwrap().push((name, files));
    }
}

impl LeaseCalls for Script {
    fn announce(&self, _: &ReachedAt, _: Option<&str>, files: &[AnnouncedFile]) -> Result<Announced, TrackerError> {
        self.called("announce", files.iter().map(|file| file.file_hash).collect());
        self.replies.lock().unwrap().pop_front().unwrap_or_else(|| Ok(accepted()))
    }

    fn leave(&self, files: &[FileHash]) -> Result<u64, TrackerError> {
        self.called("leave", files.to_vec());
        if self.leaving_fails.load(Ordering::Relaxed) { Err(busy()) } else { Ok(files.len() as u64) }
    }

    fn put_manifest(&self, manifest: &Manifest, _: &str) -> Result<(), TrackerError> {
        self.called("put", vec![manifest.file_hash()]);
        Ok(())
    }
}

fn accepted() -> Announced {
    Announced {
        lease: 2 * RENEW_IN,
        renew_in: RENEW_IN,
        unknown: Vec::new(),
        withdrawn: Vec::new(),
        restricted: Vec::new(),
    }
}

fn busy() -> TrackerError {
    TrackerError::Busy { url: "u".to_owned(), why: "w".to_owned() }
}

/// A node with shares, and its tracker.
struct Scene {
    folder: tempfile::TempDir,
    shares: Arc<Shares>,
    tracker: Arc<Script>,
    logged: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            shares: Arc::new(Shares::in_memory(Log::silent())),
            tracker: Arc::default(),
            logged: Arc::default(),
        }
    }

    /// Shares a new file with this name as its content.
    fn share(&self, name: &str) -> FileHash {
        let path = self.folder.path().join(name);
        fs::write(&path, name).unwrap();
        let (manifest, identity) = hash_file_identified(&path, 1, &mut |_| {}, &Cancel::new()).unwrap();
        let file_hash = manifest.file_hash();
        self.shares.add(Arc::new(manifest), &path, identity, name, None).unwrap();
        file_hash
    }

    fn setup(&self) -> Setup {
        let logged = Arc::clone(&self.logged);
        let tracker: Arc<Script> = Arc::clone(&self.tracker);
        Setup {
            client: tracker,
            shares: Arc::clone(&self.shares),
            at: ReachedAt { address: "0.0.0.0:1".to_owned(), transport: Transport::Plaintext, plaintext_address: None },
            site: None,
            log: Log::new(move |_, message| logged.lock().unwrap().push(message.to_owned())),
        }
    }

    fn reply(&self, reply: Result<Announced, TrackerError>) {
        self.tracker.replies.lock().unwrap().push_back(reply);
    }

    /// Returns the calls since the last look.
    fn calls(&self) -> Vec<(&'static str, Vec<FileHash>)> {
        std::mem::take(&mut self.tracker.calls.lock().unwrap())
    }

    fn logged(&self) -> Vec<String> {
        std::mem::take(&mut self.logged.lock().unwrap())
    }
}

#[test]
fn only_changes_are_announced_and_removed_files_leave() {
    let scene = Scene::new();
    let mut owner = Owner::new(scene.setup());
    let one = scene.share("one");
    owner.pass().unwrap();
    assert_eq!(scene.calls(), [("announce", vec![one])]);
    owner.pass().unwrap();
    assert_eq!(scene.calls(), []);
    let two = scene.share("two");
    owner.pass().unwrap();
    assert_eq!(scene.calls(), [("announce", vec![two])]);
    scene.shares.remove(one).unwrap();
    owner.pass().unwrap();
    assert_eq!(scene.calls(), [("leave", vec![one])]);
}

#[test]
fn leases_are_renewed_when_the_tracker_asks() {
    let scene = Scene::new();
    let mut owner = Owner::new(scene.setup());
    let file = scene.share("file");
    let before = Instant::now();
    owner.pass().unwrap();
    assert!(owner.renew_at >= before + RENEW_IN && owner.renew_at <= Instant::now() + RENEW_IN);
    assert_eq!(scene.calls().len(), 1);
    owner.tick();
    assert_eq!(scene.calls(), [], "nothing is due");
    owner.renew_at = Instant::now();
    owner.tick();
    assert_eq!(scene.calls(), [("announce", vec![file])]);
    assert!(owner.renew_at > Instant::now());
}

#[test]
fn an_unknown_manifest_is_uploaded_and_announced_again() {
    let scene = Scene::new();
    let mut owner = Owner::new(scene.setup());
    let one = scene.share("one");
    let two = scene.share("two");
    let manifest = scene.shares.offers().iter().find(|offer| offer.manifest.file_hash() == two).unwrap().manifest.id();
    let lacking = || Ok(Announced { unknown: vec![manifest], ..accepted() });
    scene.reply(lacking());
    owner.pass().unwrap();
    let mut calls = scene.calls();
    calls[0].1.sort();
    let mut both = vec![one, two];
    both.sort();
    assert_eq!(calls, [("announce", both), ("put", vec![two]), ("announce", vec![two])]);
    // A tracker that still lacks it is not asked in a circle.
    owner.book.forget_all();
    scene.reply(lacking());
    scene.reply(lacking());
    assert!(matches!(owner.pass(), Err(TrackerError::Malformed(_))));
    assert_eq!(scene.calls().len(), 3);
}

#[test]
fn failures_back_off_and_are_logged_once() {
    let scene = Scene::new();
    let mut owner = Owner::new(scene.setup());
    scene.share("file");
    for expected in [BACKOFF_START * 2, BACKOFF_START * 4] {
        scene.reply(Err(busy()));
        assert_eq!(owner.pass(), Err(busy()));
        assert_eq!(owner.backoff, expected);
        assert!(owner.changed_at.is_some_and(|at| at > Instant::now()), "another attempt is planned");
        assert!(!owner.answered.load(Ordering::Relaxed));
    }
    owner.backoff = BACKOFF_MAX;
    scene.reply(Err(busy()));
    assert_eq!(owner.pass(), Err(busy()));
    assert_eq!(owner.backoff, BACKOFF_MAX);
    owner.pass().unwrap();
    assert_eq!((owner.backoff, owner.changed_at), (BACKOFF_START, None));
    assert!(owner.answered.load(Ordering::Relaxed));
    let logged = scene.logged();
    assert!(logged.len() == 2 && logged[0].contains("failed") && logged[1].contains("again"), "{logged:?}");
}

#[test]
fn the_visibility_of_a_reply_is_applied() {
    let scene = Scene::new();
    let mut owner = Owner::new(scene.setup());
    let public = scene.share("public");
    let restricted = scene.share("restricted");
    let withdrawn = scene.share("withdrawn");
    scene.reply(Ok(Announced { restricted: vec![restricted], withdrawn: vec![withdrawn], ..accepted() }));
    owner.pass().unwrap();
    let mut shares: Vec<_> = scene.shares.list().iter().map(|share| (share.file_hash, share.restricted)).collect();
    shares.sort();
    let mut expected = vec![(public, false), (restricted, true)];
    expected.sort();
    assert_eq!(shares, expected);
}

#[test]
fn a_contradicted_visibility_is_announced_again_soon() {
    let scene = Scene::new();
    let mut owner = Owner::new(scene.setup());
    let file = scene.share("file");
    scene.shares.set_local_visibility(&[file], true).unwrap();
    owner.pass().unwrap();
    assert!(scene.shares.list()[0].restricted, "this node's own change stays");
    assert!(owner.renew_at <= Instant::now() + CONTRADICTED);
}

#[test]
fn a_settled_announcer_ends_its_leases_at_the_stop() {
    let scene = Scene::new();
    let file = scene.share("file");
    let mut group = Group::default();
    let announcer = Announcer::start(scene.setup(), &mut group).unwrap();
    announcer.settle(WAIT, false).unwrap();
    assert_eq!(scene.calls(), [("announce", vec![file])]);
    announcer.settle(WAIT, true).unwrap();
    assert_eq!(scene.calls(), [("announce", vec![file])], "afresh announces known files too");
    scene.reply(Err(busy()));
    let failed = announcer.settle(WAIT, true);
    assert!(matches!(failed, Err(AnnounceError::Tracker(TrackerError::Busy { .. }))), "{failed:?}");
    drop(announcer);
    group.join(WAIT).unwrap();
    assert_eq!(scene.calls().last(), Some(&("leave", vec![file])));
}

#[test]
fn leases_that_cannot_be_ended_are_logged() {
    let scene = Scene::new();
    let mut owner = Owner::new(scene.setup());
    scene.share("file");
    owner.pass().unwrap();
    scene.tracker.leaving_fails.store(true, Ordering::Relaxed);
    owner.leave_all();
    let logged = scene.logged();
    assert!(logged.len() == 1 && logged[0].contains("will expire instead"), "{logged:?}");
}
