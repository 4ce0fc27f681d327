//! The thread "exchange": tells the other trackers of one database what this one heard, and hears from them.
//!
//! What is told comes out of the log, so that a database that was away is told later and a restart forgets nothing. What is
//! heard enters the index as if it had been announced here, and needs no log: its own tracker has it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::news::News;
use super::restore::Learner;
use crate::boot::app::App;
use crate::ops::log;
use crate::store::exchange::{Batch, Exchange, TrackerId, TrackerRow};
use crate::store::{Durability, StoreError, V1Listing, Write};

/// How often news goes out and comes in. Twice this and two commits is what an announce takes to the other trackers.
const TURN_EVERY: Duration = Duration::from_millis(200);
/// The same while the database is away.
const TURN_EVERY_AWAY: Duration = Duration::from_secs(1);
/// How often trackers say that they run, and look who else does.
const MEET_EVERY: Duration = Duration::from_secs(2);
/// Who was not seen for this long has nothing new to tell.
const SILENT_AFTER: Duration = Duration::from_secs(30);
/// How long a tracker that ended is remembered: its tokens and half-announced version 1 files may live that long.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// How often what expired is deleted.
const FORGET_EVERY: Duration = Duration::from_secs(60);
/// The most bytes told at once.
const PUSH_BYTES_MAX: usize = 1 << 20;
/// The most turns of telling before others are heard again.
const PUSHES_PER_TURN: usize = 16;
/// The most batches asked for at once.
const PULL_MAX: usize = 64;

/// Takes a first turn, says to `begun` how it went, and runs until `stop` is disconnected.
pub fn run(app: &App, exchange: &dyn Exchange, begun: &Sender<Result<(), StoreError>>, stop: &Receiver<()>) {
    let first = Exchanger::new(app, exchange).and_then(|mut exchanger| exchanger.turn().map(|()| exchanger));
    match first {
        Ok(exchanger) => {
            let _heard = begun.send(Ok(()));
            exchanger.run(stop);
        }
        Err(error) => {
            let _heard = begun.send(Err(error));
        }
    }
}

/// The thread's state.
struct Exchanger<'a> {
    app: &'a App,
    exchange: &'a dyn Exchange,
    learner: Learner<'a>,
    myself: TrackerId,
    others: Vec<TrackerRow>,
    /// The last batch heard of each tracker.
    heard: HashMap<TrackerId, i64>,
    met_at: Option<Instant>,
    forgot_at: Instant,
}

impl<'a> Exchanger<'a> {
    fn new(app: &'a App, exchange: &'a dyn Exchange) -> Result<Self, StoreError> {
        let mut fresh = [0; 16];
        getrandom::fill(&mut fresh).map_err(|_| StoreError::Failed("the system gives no randomness".into()))?;
        Ok(Self {
            app,
            exchange,
            learner: Learner::new(&app.swarm, app.store.as_ref()),
            myself: app.journal.log().identity(TrackerId(fresh))?,
            others: Vec::new(),
            heard: HashMap::new(),
            met_at: None,
            forgot_at: Instant::now(),
        })
    }

    /// Runs until `stop` is disconnected, and tells what is left.
    fn run(mut self, stop: &Receiver<()>) {
        let mut away = false;
        loop {
            let wait = if away { TURN_EVERY_AWAY } else { TURN_EVERY };
            let goes_on = stop.recv_timeout(wait) == Err(RecvTimeoutError::Timeout);
            let done = self.turn();
            if let Err(error) = &done
                && !away
            {
                log::warn("exchange", "the other trackers hear nothing for a while", &[("why", error)]);
            }
            if away && done.is_ok() {
                log::info("exchange", "the other trackers hear again", &[]);
            }
            away = done.is_err();
            if !goes_on {
                return;
            }
        }
    }

    /// One turn: who is there, what they hear, what they say.
    fn turn(&mut self) -> Result<(), StoreError> {
        if self.met_at.is_none_or(|at| at.elapsed() >= MEET_EVERY) {
            self.meet()?;
        }
        self.tell()?;
        self.hear()?;
        if self.forgot_at.elapsed() >= FORGET_EVERY {
            self.forgot_at = Instant::now();
            self.exchange.forget((self.app.clock)())?;
        }
        Ok(())
    }

    fn meet(&mut self) -> Result<(), StoreError> {
        let now = (self.app.clock)();
        let remembered = REMEMBERED.max(self.app.keys.lifetime());
        let seen_after = now.minus(remembered);
        let row = TrackerRow { id: self.myself, public_key: self.app.keys.public(), seen_at: now };
        let trackers = self.exchange.meet(&row, seen_after)?;
        self.others = trackers.into_iter().filter(|tracker| tracker.id != self.myself).collect();
        self.app.keys.trust(self.others.iter().map(|tracker| tracker.public_key));
        self.met_at = Some(Instant::now());
        Ok(())
    }

    fn tell(&self) -> Result<(), StoreError> {
        for _ in 0..PUSHES_PER_TURN {
            let batches = self.app.journal.log().unpushed((self.app.clock)(), PUSH_BYTES_MAX)?;
            let Some(batch) = joined(batches) else { return Ok(()) };
            self.exchange.push(self.myself, &batch)?;
            self.app.journal.log().note_pushed(batch.seq)?;
        }
        Ok(())
    }

    fn hear(&mut self) -> Result<(), StoreError> {
        let now = (self.app.clock)();
        let silent_since = now.minus(SILENT_AFTER);
        for tracker in &self.others {
            let id = tracker.id;
            if tracker.seen_at < silent_since && self.heard.contains_key(&id) {
                continue;
            }
            loop {
                let after = self.heard.get(&id).copied().unwrap_or(-1);
                let batches = self.exchange.pull(id, after, now, PULL_MAX)?;
                self.heard.insert(id, batches.last().map_or(after, |batch| batch.seq));
                for batch in &batches {
                    let whole = self.learner.learn_all(now, &batch.body)?;
                    whole.into_iter().for_each(|listing| self.seal(listing));
                }
                if batches.len() < PULL_MAX {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A version 1 file whose chunks were announced to several trackers is whole: this one noticed, so it says so.
    fn seal(&self, listing: V1Listing) {
        let written = self.app.database.writer.write(vec![Write::SealV1(listing.clone())], Durability::Synced);
        if let Err(error) = written.and_then(|_| self.app.journal.write(&[News::Sealed(listing)])) {
            log::warn("exchange", "a whole file is listed here only", &[("why", &error)]);
        }
    }
}

/// Several batches as one, which keeps the last one's place.
fn joined(batches: Vec<Batch>) -> Option<Batch> {
    let mut batches = batches.into_iter();
    let mut all = batches.next()?;
    for batch in batches {
        News::join(&mut all.body, &batch.body);
        (all.seq, all.expires_at) = (batch.seq, all.expires_at.max(batch.expires_at));
    }
    Some(all)
}
