//! The announcer: the thread that tells the tracker what this node shares.
//!
//! It announces changes, renews leases when the tracker asks for it, uploads manifests that the tracker lacks, and ends
//! all leases when the node stops. It also passes the tracker's replies about visibility on to the shares.

mod book;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, bounded, select};
use peernet_engine::ids::{FileHash, ManifestId};
use peernet_engine::manifest::Manifest;
use peernet_threads::Group;

use crate::discovery::tracker::{Announced, AnnouncedFile, ReachedAt, TrackerClient, TrackerError};
use crate::log::Log;
use crate::shares::{Offer, Shares};
use book::{Book, batches};

/// Requests for an announce that wait for the thread. Callers beyond them block until one is taken.
const WAITING_MAX: usize = 16;
/// The time for which a change waits for others to be announced with it.
const GATHER: Duration = Duration::from_millis(100);
/// The interval between announces of the bitmaps of downloads in progress.
const GROWING_EVERY: Duration = Duration::from_secs(10);
/// The interval between checks of all shared files: they may be gone, changed or back.
const RECHECK_EVERY: Duration = Duration::from_secs(60);
/// The pause before the announce that follows a contradicted visibility, which this node has just set.
const CONTRADICTED: Duration = Duration::from_secs(20);
/// The first pause after a failure; it doubles with each in a row.
const BACKOFF_START: Duration = Duration::from_secs(1);
/// The longest pause between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// The number of files whose leases one call ends.
const LEAVE_BATCH: usize = 1_000;

/// A request to announce now and report the outcome.
struct Settle {
    /// Whether to announce everything, also files that the tracker knows already. Its reply may differ this time.
    afresh: bool,
    done: Sender<Result<(), TrackerError>>,
}

/// The reason that the tracker does not know the shares.
#[derive(Debug)]
pub(crate) enum AnnounceError {
    /// The tracker did not accept the announce within this time.
    Late(Duration),
    /// The tracker refused the announce, or could not be reached.
    Tracker(TrackerError),
}

impl fmt::Display for AnnounceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Late(timeout) => write!(f, "the tracker did not accept the announce within {} s", timeout.as_secs()),
            Self::Tracker(error) => error.fmt(f),
        }
    }
}

/// The tracker's calls about leases, as the thread uses them.
pub(crate) trait LeaseCalls: Send + Sync {
    /// Takes or renews the leases of these files.
    fn announce(&self, at: &ReachedAt, site: Option<&str>, files: &[AnnouncedFile]) -> Result<Announced, TrackerError>;

    /// Ends the leases of these files. Returns the number of leases that ended.
    fn leave(&self, files: &[FileHash]) -> Result<u64, TrackerError>;

    /// Uploads a manifest that the tracker lacks.
    fn put_manifest(&self, manifest: &Manifest, file_name: &str) -> Result<(), TrackerError>;
}

impl LeaseCalls for TrackerClient {
    fn announce(&self, at: &ReachedAt, site: Option<&str>, files: &[AnnouncedFile]) -> Result<Announced, TrackerError> {
        Self::announce(self, at, site, files)
    }

    fn leave(&self, files: &[FileHash]) -> Result<u64, TrackerError> {
        Self::leave(self, files)
    }

    fn put_manifest(&self, manifest: &Manifest, file_name: &str) -> Result<(), TrackerError> {
        Self::put_manifest(self, manifest, file_name)
    }
}

/// The handle of the thread. Dropping it stops the thread.
pub(crate) struct Announcer {
    settle: Sender<Settle>,
    answered: Arc<AtomicBool>,
}

/// The parts that the thread works with.
pub(crate) struct Setup {
    pub(crate) client: Arc<dyn LeaseCalls>,
    pub(crate) shares: Arc<Shares>,
    /// The addresses that this node listens on.
    pub(crate) at: ReachedAt,
    /// The label of this node's site.
    pub(crate) site: Option<String>,
    pub(crate) log: Log,
}

impl Announcer {
    /// Starts the thread "announce".
    pub(crate) fn start(setup: Setup, group: &mut Group) -> io::Result<Self> {
        let (settle, inbox) = bounded(WAITING_MAX);
        let owner = Owner::new(setup);
        let answered = Arc::clone(&owner.answered);
        group.spawn("announce", move || owner.run(&inbox))?;
        Ok(Self { settle, answered })
    }

    /// Tells whether the last announce succeeded.
    #[cfg(feature = "cli")]
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until the tracker knows the present shares, at most `timeout`. With `afresh`, everything is announced
    /// again.
    pub(crate) fn settle(&self, timeout: Duration, afresh: bool) -> Result<(), AnnounceError> {
        let late = || AnnounceError::Late(timeout);
        let deadline = Instant::now() + timeout;
        let (done, wait) = bounded(1);
        self.settle.send_deadline(Settle { afresh, done }, deadline).map_err(|_| late())?;
        wait.recv_deadline(deadline).map_err(|_| late())?.map_err(AnnounceError::Tracker)
    }
}

/// An announce that the tracker accepted.
struct Sent {
    reply: Announced,
    /// Whether the reply contradicts a visibility that this node has just set.
    is_contradicted: bool,
}

struct Owner {
    setup: Setup,
    book: Book,
    /// When to announce changes; `None` if there are none.
    changed_at: Option<Instant>,
    renew_at: Instant,
    recheck_at: Instant,
    backoff: Duration,
    failing: Option<TrackerError>,
    answered: Arc<AtomicBool>,
}

impl Owner {
    fn new(setup: Setup) -> Self {
        let now = Instant::now();
        Self {
            setup,
            book: Book::default(),
            changed_at: Some(now),
            renew_at: now + RECHECK_EVERY,
            recheck_at: now + RECHECK_EVERY,
            backoff: BACKOFF_START,
            failing: None,
            answered: Arc::default(),
        }
    }

    fn run(mut self, inbox: &Receiver<Settle>) {
        let shares = Arc::clone(&self.setup.shares);
        loop {
            let wait = self.deadline().saturating_duration_since(Instant::now());
            select! {
                recv(inbox) -> settle => match settle {
                    Ok(Settle { afresh, done }) => {
                        if afresh {
                            self.book.forget_all();
                        }
                        let _caller_timed_out = done.try_send(self.pass());
                    }
                    Err(_) => return self.leave_all(),
                },
                recv(shares.changes()) -> _ => { self.changed_at.get_or_insert_with(|| Instant::now() + GATHER); },
                recv(after(wait)) -> _ => self.tick(),
            }
        }
    }

    fn deadline(&self) -> Instant {
        let growing = self.setup.shares.is_growing().then(|| Instant::now() + GROWING_EVERY);
        let all = [self.changed_at, Some(self.renew_at), Some(self.recheck_at), growing];
        all.into_iter().flatten().min().expect("renewal and recheck always have a time")
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if now >= self.recheck_at {
            self.recheck_at = now + RECHECK_EVERY;
            self.setup.shares.recheck();
        }
        if now >= self.renew_at {
            self.book.forget_all();
        }
        // `pass` keeps the error in `failing` and plans the next attempt.
        let _kept = self.pass();
    }

    /// Announces the present shares, logs a change of the outcome, and plans the next attempt after a failure.
    fn pass(&mut self) -> Result<(), TrackerError> {
        self.changed_at = None;
        let result = self.announce();
        self.answered.store(result.is_ok(), Ordering::Relaxed);
        let log = self.setup.log.clone();
        match &result {
            Ok(()) => {
                if self.failing.take().is_some() {
                    log.info("announcing succeeds again");
                }
                self.backoff = BACKOFF_START;
            }
            Err(error) => {
                if self.failing.as_ref() != Some(error) {
                    log.warn(&format!("announcing failed, trying again: {error}"));
                    self.failing = Some(error.clone());
                }
                self.changed_at = Some(Instant::now() + self.backoff);
                self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
            }
        }
        result
    }

    fn announce(&mut self) -> Result<(), TrackerError> {
        let offers = self.setup.shares.offers();
        for files in self.book.gone(&offers).chunks(LEAVE_BATCH) {
            self.setup.client.leave(files)?;
            self.book.left(files);
            self.setup.shares.leases_ended(files);
        }
        let mut renew_in = None;
        for batch in batches(self.book.due(&offers)) {
            let asked_for = self.announce_batch(&batch)?;
            renew_in = renew_in.into_iter().chain([asked_for]).min();
        }
        if let Some(renew_in) = renew_in {
            // An announce of some files must not postpone the renewal of the others.
            let asked = Instant::now() + renew_in;
            self.renew_at = if self.book.is_whole(&offers) { asked } else { self.renew_at.min(asked) };
        }
        if self.book.is_empty() {
            self.renew_at = Instant::now() + BACKOFF_MAX;
        }
        Ok(())
    }

    /// Announces one batch, with the manifests that the tracker lacks. Returns when to announce it again.
    fn announce_batch(&mut self, batch: &[Offer]) -> Result<Duration, TrackerError> {
        let mut sent = self.send(batch.iter())?;
        if !sent.reply.unknown.is_empty() {
            let unknown = self.put_manifests(batch, &sent.reply.unknown)?;
            let again = self.send(unknown.into_iter())?;
            if !again.reply.unknown.is_empty() {
                return Err(TrackerError::Malformed("it lacks a manifest that it has just accepted".to_owned()));
            }
            sent = Sent { is_contradicted: sent.is_contradicted | again.is_contradicted, ..again };
        }
        self.book.announced(batch);
        let renew_in = sent.reply.renew_in;
        // The tracker that replied may not have read this node's own change yet, so it is asked again soon.
        Ok(if sent.is_contradicted { renew_in.min(CONTRADICTED) } else { renew_in })
    }

    /// Announces these files and applies the reply.
    fn send<'a>(&self, offers: impl Iterator<Item = &'a Offer>) -> Result<Sent, TrackerError> {
        let Setup { client, at, site, .. } = &self.setup;
        let asked_at = Instant::now();
        let files: Vec<AnnouncedFile> = offers.map(Offer::announced).collect();
        let reply = client.announce(at, site.as_deref(), &files)?;
        let is_contradicted = self.apply_visibility(asked_at, &files, &reply);
        Ok(Sent { reply, is_contradicted })
    }

    /// Applies the visibility in a reply, before anything else is done with the reply. From here on, files that are not
    /// public are not served without a grant. Returns whether the reply contradicts a visibility that this node has
    /// just set.
    fn apply_visibility(&self, asked_at: Instant, announced: &[AnnouncedFile], reply: &Announced) -> bool {
        let Setup { shares, log, .. } = &self.setup;
        let is_known = |file: &&AnnouncedFile| {
            !reply.unknown.contains(&file.manifest_id) && !reply.withdrawn.contains(&file.file_hash)
        };
        let files: Vec<FileHash> = announced.iter().filter(is_known).map(|file| file.file_hash).collect();
        let restricted: BTreeSet<FileHash> = reply.restricted.iter().copied().collect();
        let applied = shares.apply_tracker_reply(asked_at, &files, &|file| restricted.contains(&file));
        if let Err(error) = &applied {
            let what = "the visibility of shared files counts now, but could not be stored for the next start";
            log.warn(&format!("{what}: {error}"));
        }
        reply.withdrawn.iter().for_each(|file| shares.end_withdrawn(*file));
        applied.unwrap_or(true)
    }

    /// Uploads the manifests that the tracker lacks. Returns their offers, which have to be announced again.
    fn put_manifests<'a>(&self, batch: &'a [Offer], unknown: &[ManifestId]) -> Result<Vec<&'a Offer>, TrackerError> {
        let unknown: Vec<&Offer> = batch.iter().filter(|offer| unknown.contains(&offer.manifest.id())).collect();
        for offer in &unknown {
            self.setup.client.put_manifest(&offer.manifest, &offer.file_name)?;
        }
        Ok(unknown)
    }

    /// Ends all leases. Those that it fails to end expire.
    fn leave_all(self) {
        for files in self.book.files().chunks(LEAVE_BATCH) {
            if let Err(error) = self.setup.client.leave(files) {
                return self.setup.log.warn(&format!("ending the leases failed, they will expire instead: {error}"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
