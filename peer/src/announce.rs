//! The thread that keeps the tracker's view of this node true: announces what is shared, renews the leases as told, makes
//! manifests known that the tracker lacks, and leaves when the node stops.

mod book;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, bounded, select};
use peernet_engine::ids::{FileHash, ManifestId};
use peernet_threads::Group;

use crate::discovery::tracker::{Announced, AnnouncedFile, ReachedAt, TrackerClient, TrackerError};
use crate::error::NodeError;
use crate::log::Log;
use crate::shares::{Offer, Shares};
use book::{Book, batches};

/// Callers that wait for an announce at once; more wait in line.
const WAITING_MAX: usize = 16;
/// How long a change waits for others.
const GATHER: Duration = Duration::from_millis(100);
/// How often the bitmaps of downloads in progress are told.
const GROWING_EVERY: Duration = Duration::from_secs(10);
/// How often files are looked at: gone, changed, back.
const RECHECK_EVERY: Duration = Duration::from_secs(60);
/// How soon the tracker is asked again that has not heard yet for whom this node says a file is.
const CONTRADICTED: Duration = Duration::from_secs(20);
/// The first pause after a failure; it doubles with each in a row.
const BACKOFF_START: Duration = Duration::from_secs(1);
/// The longest.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Files whose leases one call ends.
const LEAVE_BATCH: usize = 1_000;

/// Asks for an announce now, and wants to know how it went.
struct Settle {
    /// Also of what the tracker knows already: its answer may be another.
    afresh: bool,
    done: Sender<Result<(), TrackerError>>,
}

/// The handle; dropping it is the stop.
pub(crate) struct Announcer {
    settle: Sender<Settle>,
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    answered: Arc<AtomicBool>,
}

/// What the thread needs.
pub(crate) struct Setup {
    pub(crate) client: Arc<TrackerClient>,
    pub(crate) shares: Arc<Shares>,
    /// Where this node listens.
    pub(crate) at: ReachedAt,
    /// The label of its site.
    pub(crate) site: Option<String>,
    pub(crate) log: Log,
}

impl Announcer {
    /// Starts the thread "announce".
    pub(crate) fn start(setup: Setup, group: &mut Group) -> Result<Self, NodeError> {
        let (settle, inbox) = bounded(WAITING_MAX);
        let owner = Owner::new(setup);
        let answered = Arc::clone(&owner.answered);
        group
            .spawn("announce", move || owner.run(&inbox))
            .map_err(|error| NodeError::Local { doing: "starting a thread".to_owned(), error })?;
        Ok(Self { settle, answered })
    }

    /// Whether the tracker knew what is shared when it was last told.
    #[cfg(feature = "cli")]
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until the tracker knows what is shared now, at most `timeout`; with `afresh` it is told all of it once more.
    pub(crate) fn settle(&self, timeout: Duration, afresh: bool) -> Result<(), NodeError> {
        let late =
            || NodeError::Unreachable(format!("the tracker did not take the announce within {} s", timeout.as_secs()));
        let deadline = Instant::now() + timeout;
        let (done, wait) = bounded(1);
        self.settle.send_deadline(Settle { afresh, done }, deadline).map_err(|_| late())?;
        Ok(wait.recv_deadline(deadline).map_err(|_| late())??)
    }
}

struct Owner {
    setup: Setup,
    book: Book,
    /// When to announce changes, if there may be some.
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
                        let _nobody_waits_any_more = done.try_send(self.pass());
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
        all.into_iter().flatten().min().expect("two are always there")
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
        // The outcome is kept in `failing`, and the next attempt is planned.
        let _kept = self.pass();
    }

    /// Makes the tracker know what is shared now.
    fn pass(&mut self) -> Result<(), TrackerError> {
        self.changed_at = None;
        let result = self.announce();
        self.answered.store(result.is_ok(), Ordering::Relaxed);
        let log = self.setup.log.clone();
        match &result {
            Ok(()) => {
                if self.failing.take().is_some() {
                    log.info("the tracker knows again what is shared here");
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
            self.setup.shares.left(files);
        }
        let mut renew_in = None;
        for batch in batches(self.book.due(&offers)) {
            let told = self.announce_batch(&batch)?;
            renew_in = renew_in.into_iter().chain([told]).min();
        }
        if let Some(renew_in) = renew_in {
            // A batch of changes must not put off the renewal of the others.
            let asked = Instant::now() + renew_in;
            self.renew_at = if self.book.is_whole(&offers) { asked } else { self.renew_at.min(asked) };
        }
        if self.book.is_empty() {
            self.renew_at = Instant::now() + BACKOFF_MAX;
        }
        Ok(())
    }

    fn announce_batch(&mut self, batch: &[Offer]) -> Result<Duration, TrackerError> {
        let (mut told, mut contradicted) = self.tell(batch.iter())?;
        if !told.unknown.is_empty() {
            let (again, more) = self.tell(self.make_known(batch, &told.unknown)?.into_iter())?;
            (told, contradicted) = (again, contradicted | more);
            if !told.unknown.is_empty() {
                return Err(TrackerError::Malformed(
                    "it does not know a manifest it was given a moment ago".to_owned(),
                ));
            }
        }
        self.book.announced(batch);
        // Soon again where the tracker has not heard yet what this node has said.
        Ok(if contradicted { told.renew_in.min(CONTRADICTED) } else { told.renew_in })
    }

    /// Announces these and heeds the answer; whether that contradicts what this node has just said of them.
    fn tell<'a>(&self, offers: impl Iterator<Item = &'a Offer>) -> Result<(Announced, bool), TrackerError> {
        let Setup { client, at, site, .. } = &self.setup;
        let (asked, files) = (Instant::now(), offers.map(Offer::announced).collect::<Vec<_>>());
        let told = client.announce(at, site.as_deref(), &files)?;
        let contradicted = self.heard_of_access(asked, &files, &told);
        Ok((told, contradicted))
    }

    /// Before anything else is done with the answer: what is not public is served to nobody without a grant from here on.
    /// Whether it contradicts what this node has just said.
    fn heard_of_access(&self, asked: Instant, announced: &[AnnouncedFile], told: &Announced) -> bool {
        let Setup { shares, log, .. } = &self.setup;
        let is_known = |file: &&AnnouncedFile| {
            !told.unknown.contains(&file.manifest_id) && !told.withdrawn.contains(&file.file_hash)
        };
        let files: Vec<FileHash> = announced.iter().filter(is_known).map(|file| file.file_hash).collect();
        let restricted: BTreeSet<FileHash> = told.restricted.iter().copied().collect();
        let heard = shares.heard(asked, &files, &|file| restricted.contains(&file));
        if let Err(error) = &heard {
            let what = "which shared files are not public is known now and will not be after a restart";
            log.warn(&format!("{what}: {error}"));
        }
        told.withdrawn.iter().for_each(|file| shares.end_withdrawn(*file));
        heard.unwrap_or(true)
    }

    fn make_known<'a>(&self, batch: &'a [Offer], unknown: &[ManifestId]) -> Result<Vec<&'a Offer>, TrackerError> {
        let unknown: Vec<&Offer> = batch.iter().filter(|offer| unknown.contains(&offer.manifest.id())).collect();
        for offer in &unknown {
            self.setup.client.put_manifest(&offer.manifest, &offer.file_name)?;
        }
        Ok(unknown)
    }

    /// Says good-bye; what does not get through ends with its lease.
    fn leave_all(self) {
        for files in self.book.files().chunks(LEAVE_BATCH) {
            if let Err(error) = self.setup.client.leave(files) {
                return self.setup.log.warn(&format!("leaving failed, the leases end by themselves: {error}"));
            }
        }
    }
}
