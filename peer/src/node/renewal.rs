//! The thread `identity`, which keeps a membership up to date.
//!
//! - It renews the certificate when half of its life is over, or when its device was logged out and the user has logged
//!   in again.
//! - It asks for the revoked accounts and devices as often as the tracker says.
//! - It asks for the keys that sign grants every few minutes, and soon after a grant of an unknown key was presented.
//!
//! Certificates expire by the wall clock, and a machine may have slept. So the thread looks at the clock every 30 s.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use peernet_threads::Group;

use crate::access::{Membership, TrackerKeys};
use crate::clock::unix_now;
use crate::discovery::tracker::TrackerError;
use crate::identity::{Identity, Revocations};
use crate::log::Log;

/// The longest time between two looks at the wall clock.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The interval between requests for the trackers' keys.
const KEYS_EVERY: Duration = Duration::from_secs(300);
/// The shortest time between two requests for the trackers' keys, however many grants of unknown keys are presented.
const KEYS_PAUSE: Duration = Duration::from_secs(5);
/// The first pause after a failure. It doubles with each further failure.
const BACKOFF_START: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// The tracker and the folder, as the thread uses them.
pub(crate) trait Issuer: Send + 'static {
    /// Gets another certificate from the tracker and stores it in the folder.
    fn certificate(&self) -> Result<Identity, TrackerError>;
    /// Returns the certificate in the folder, which another process may have renewed.
    fn stored(&self) -> Option<Identity>;
    /// Gets the revoked accounts and devices; `None` if they are those of the entity tag `known`.
    fn revocations(&self, known: Option<&str>) -> Result<Option<Revocations>, TrackerError>;
    /// Gets the keys that sign grants and stores them in the folder.
    fn tracker_keys(&self) -> Result<TrackerKeys, TrackerError>;
}

/// The tracker's last replies, from an earlier run.
#[derive(Default)]
pub(crate) struct LastReplies {
    /// The revoked accounts and devices.
    pub(crate) revocations: Option<Revocations>,
    /// The keys that sign grants.
    pub(crate) tracker_keys: Option<TrackerKeys>,
}

/// The handle of the thread. Dropping it stops the thread.
pub(crate) struct Renewal {
    _stop: Sender<()>,
}

impl Renewal {
    /// Starts the thread.
    pub(crate) fn start(
        issuer: impl Issuer,
        membership: Arc<Membership>,
        last: LastReplies,
        log: Log,
        group: &mut Group,
    ) -> io::Result<Self> {
        let (stop, stopped) = bounded(0);
        let mut owner = Owner::new(issuer, membership, log);
        owner.apply(last.revocations);
        if let Some(tracker_keys) = last.tracker_keys {
            owner.membership.replace_tracker_keys(tracker_keys);
        }
        group.spawn("identity", move || owner.run(&stopped))?;
        Ok(Self { _stop: stop })
    }
}

/// A recurring request, with growing pauses while it fails.
struct Duty {
    /// The earliest time of the next attempt.
    at: Instant,
    backoff: Duration,
    failing: bool,
}

impl Duty {
    fn new(now: Instant) -> Self {
        Self { at: now, backoff: BACKOFF_START, failing: false }
    }

    /// Notes a success. Returns true if the attempt before had failed.
    fn done(&mut self, next: Instant) -> bool {
        self.at = next;
        self.backoff = BACKOFF_START;
        std::mem::take(&mut self.failing)
    }

    /// Notes the outcome of an attempt. Logs the first failure in a row and the first success after failures.
    fn settle(&mut self, now: Instant, every: Result<Duration, TrackerError>, messages: &Messages, log: &Log) {
        match every {
            Ok(every) => {
                if self.done(now + every) {
                    log.info(messages.recovered);
                }
            }
            Err(error) => {
                // A request that was cancelled because the node stops is no failure.
                if self.failed(now) && !matches!(error, TrackerError::Cancelled) {
                    log.warn(&format!("{} failed, trying again: {error}", messages.action));
                }
            }
        }
    }

    /// Notes a failure. Returns true if it is the first in a row.
    fn failed(&mut self, now: Instant) -> bool {
        self.at = now + self.backoff;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        !std::mem::replace(&mut self.failing, true)
    }
}

/// The messages about a recurring request.
struct Messages {
    /// The action, as in "ACTION failed".
    action: &'static str,
    /// The message of a success after failures.
    recovered: &'static str,
}

/// The state of the thread.
struct Owner<I> {
    issuer: I,
    membership: Arc<Membership>,
    log: Log,
    renewing: Duty,
    asking: Duty,
    keys: Duty,
    keys_asked: Option<Instant>,
    etag: Option<String>,
    ask_again: Duration,
}

impl<I: Issuer> Owner<I> {
    fn new(issuer: I, membership: Arc<Membership>, log: Log) -> Self {
        let now = Instant::now();
        Self {
            issuer,
            membership,
            log,
            renewing: Duty::new(now),
            asking: Duty::new(now),
            keys: Duty::new(now),
            keys_asked: None,
            etag: None,
            ask_again: LOOK_EVERY,
        }
    }

    fn run(mut self, stopped: &Receiver<()>) {
        let membership = Arc::clone(&self.membership);
        loop {
            self.pass(Instant::now());
            let wait = self.wait(Instant::now());
            select! {
                recv(stopped) -> _ => return,
                recv(membership.key_requests()) -> _ => self.keys_requested(Instant::now()),
                default(wait) => {}
            }
        }
    }

    fn wait(&self, now: Instant) -> Duration {
        let until = |at: Instant| at.saturating_duration_since(now);
        let stale_at = if self.membership.is_ended() { 0 } else { self.membership.identity().renew_at() };
        let stale_in = Duration::from_secs(stale_at.saturating_sub(unix_now()));
        LOOK_EVERY.min(until(self.asking.at)).min(until(self.keys.at)).min(until(self.renewing.at).max(stale_in))
    }

    fn pass(&mut self, now: Instant) {
        let is_due = self.membership.identity().is_stale(unix_now()) || self.membership.is_ended();
        if now >= self.renewing.at && is_due {
            self.renew(now);
        }
        if now >= self.keys.at {
            self.ask_for_keys(now);
        }
        if now >= self.asking.at {
            self.ask(now);
        }
    }

    /// Brings the next request for keys forward, but not closer to the last one than [`KEYS_PAUSE`].
    fn keys_requested(&mut self, now: Instant) {
        let earliest = self.keys_asked.map_or(now, |asked| asked + KEYS_PAUSE);
        self.keys.at = self.keys.at.min(earliest);
    }

    fn ask_for_keys(&mut self, now: Instant) {
        self.keys_asked = Some(now);
        let asked = self.issuer.tracker_keys().map(|tracker_keys| {
            self.membership.replace_tracker_keys(tracker_keys);
            KEYS_EVERY
        });
        let messages = Messages {
            action: "asking for the keys that sign grants",
            recovered: "the tracker answers again which keys sign grants",
        };
        self.keys.settle(now, asked, &messages, &self.log);
    }

    fn renew(&mut self, now: Instant) {
        let renewed = match self.issuer.stored().filter(|stored| self.is_better(stored)) {
            Some(stored) => Ok(stored),
            None => self.issuer.certificate(),
        };
        let kept = renewed.map(|identity| {
            self.membership.replace(identity);
            Duration::ZERO
        });
        if kept.is_ok() && self.membership.is_ended() {
            // The tracker has issued a certificate of a revoked device. The next request waits.
            self.renewing.failed(now);
            return;
        }
        let messages = Messages {
            action: "renewing this node's certificate",
            recovered: "the tracker has renewed this node's certificate",
        };
        self.renewing.settle(now, kept, &messages, &self.log);
    }

    fn is_better(&self, stored: &Identity) -> bool {
        let is_revoked = stored.device().is_some_and(|device| self.membership.is_revoked_device(device));
        stored.peer() == self.membership.identity().peer() && !stored.is_stale(unix_now()) && !is_revoked
    }

    fn ask(&mut self, now: Instant) {
        let asked = self.issuer.revocations(self.etag.as_deref()).map(|revocations| {
            self.apply(revocations);
            self.ask_again
        });
        let messages = Messages {
            action: "asking which certificates are revoked",
            recovered: "the tracker answers again which certificates are revoked",
        };
        self.asking.settle(now, asked, &messages, &self.log);
    }

    fn apply(&mut self, revocations: Option<Revocations>) {
        let Some(Revocations { accounts, devices, etag, ask_again }) = revocations else { return };
        self.membership.revoke(accounts, devices);
        self.etag = etag;
        self.ask_again = ask_again;
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::unbounded;
    use peernet_engine::ids::{DeviceId, PeerId};

    use super::*;
    use crate::identity::testing::{Authority, Life};

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Fails `failures` times, then succeeds.
    struct Script {
        authority: Authority,
        failures: std::sync::Mutex<u32>,
        asked: Sender<&'static str>,
        revoked: Vec<PeerId>,
        revoked_devices: Vec<DeviceId>,
    }

    impl Issuer for Script {
        fn certificate(&self) -> Result<Identity, TrackerError> {
            self.asked.send("certificate").unwrap();
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(TrackerError::Busy { url: "u".to_owned(), why: "w".to_owned() });
            }
            Ok(self.authority.identity_for(peer(1), Life::day()))
        }

        fn stored(&self) -> Option<Identity> {
            None
        }

        fn revocations(&self, known: Option<&str>) -> Result<Option<Revocations>, TrackerError> {
            self.asked.send(if known.is_some() { "again" } else { "revocations" }).unwrap();
            let accounts = self.revoked.iter().copied().collect();
            let etag = Some("1".to_owned());
            let devices = self.revoked_devices.iter().copied().collect();
            let ask_again = Duration::from_millis(20);
            Ok(known.is_none().then_some(Revocations { accounts, devices, etag, ask_again }))
        }

        fn tracker_keys(&self) -> Result<TrackerKeys, TrackerError> {
            self.asked.send("keys").unwrap();
            Ok(TrackerKeys::default())
        }
    }

    fn peer(number: u8) -> PeerId {
        PeerId::from_random([number; 16])
    }

    #[test]
    fn a_certificate_is_renewed_at_half_life_and_failures_log_once() {
        let authority = Authority::new();
        let now = unix_now();
        let old = authority.identity_for(peer(1), Life { obtained_at: now - 100, expires_at: now + 50 });
        let membership = Membership::new(old.clone());
        let (asked, calls) = unbounded();
        let (logged, messages) = unbounded();
        let log = Log::new(move |_, message| logged.send(message.to_owned()).unwrap());
        let script =
            Script { authority, failures: 2.into(), asked, revoked: vec![peer(7)], revoked_devices: Vec::new() };
        let mut group = Group::default();
        let renewal = Renewal::start(script, Arc::clone(&membership), LastReplies::default(), log, &mut group).unwrap();
        let mut requests = Vec::new();
        while membership.identity().obtained_at() == old.obtained_at() || requests.len() < 6 {
            requests.push(calls.recv_timeout(PATIENCE).unwrap());
        }
        assert!(membership.is_revoked(peer(7)) && !membership.is_revoked(peer(1)));
        drop(renewal);
        group.join(PATIENCE).unwrap();
        requests.extend(calls.try_iter());
        let count = |what: &str| requests.iter().filter(|ask| **ask == what).count();
        assert_eq!((count("certificate"), count("revocations")), (3, 1), "{requests:?}");
        assert!(count("again") > 1, "{requests:?}");
        let logged: Vec<String> = messages.try_iter().collect();
        assert!(logged.len() == 2 && logged[0].contains("failed") && logged[1].contains("renewed"), "{logged:?}");
    }

    #[test]
    fn a_node_whose_device_is_revoked_gets_another_certificate() {
        let authority = Authority::new();
        let device = DeviceId::from_random([4; 16]);
        let membership = Membership::new(authority.device_of(peer(1), device));
        let (asked, calls) = unbounded();
        let script =
            Script { authority, failures: 1.into(), asked, revoked: Vec::new(), revoked_devices: vec![device] };
        let mut group = Group::default();
        let renewal =
            Renewal::start(script, Arc::clone(&membership), LastReplies::default(), Log::silent(), &mut group).unwrap();
        while membership.identity().device().is_some() {
            calls.recv_timeout(PATIENCE).unwrap();
        }
        drop(renewal);
        group.join(PATIENCE).unwrap();
        assert!(membership.is_revoked_device(device) && !membership.is_ended());
    }

    #[test]
    fn pauses_double_up_to_the_maximum_and_start_over() {
        let now = Instant::now();
        let mut duty = Duty::new(now);
        assert_eq!([duty.failed(now), duty.failed(now)], [true, false]);
        assert_eq!(duty.at, now + BACKOFF_START * 2);
        assert!((0..20).all(|_| !duty.failed(now)));
        assert_eq!(duty.at, now + BACKOFF_MAX);
        assert_eq!([duty.done(now), duty.done(now), duty.failed(now)], [true, false, true]);
    }
}
