//! The grant of one download: requested before the first source is called, renewed while the download runs, and
//! presented to every source.
//!
//! A download continues without a grant. Sources serve public files to every member, and refuse other files themselves.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::GrantToken;
use crate::clock::unix_now;

/// The shortest time between two requests, in seconds, however often sources refuse the grant.
const PAUSE_S: u64 = 30;

/// The latest grant, shared by the threads of one download.
#[derive(Clone, Default)]
pub(crate) struct GrantCache(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// The number of grants received so far.
    number: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    grant: Option<Arc<GrantToken>>,
    /// When to request a grant, in seconds since 1970-01-01 UTC. `None` while no request is planned: no source needs a
    /// grant yet, or the provider issues none.
    due_at: Option<u64>,
    /// The earliest time of the next request. 0 before the first one.
    not_before: u64,
}

/// A grant and its number, to present to a source.
pub(crate) struct CurrentGrant {
    /// Changes with every new grant; see [`GrantCache::number`].
    pub(crate) number: u64,
    /// `None` if there is none that is still good.
    pub(crate) token: Option<Arc<GrantToken>>,
}

impl GrantCache {
    /// Returns the grant to present. An expired one is left out: a source refuses it even for a public file, which it
    /// serves without any grant.
    pub(crate) fn current(&self) -> CurrentGrant {
        let state = self.lock();
        let good = state.grant.as_ref().filter(|grant| grant.expires_at > unix_now());
        CurrentGrant { number: self.number(), token: good.cloned() }
    }

    /// Plans the first request, because a source may ask for a grant. Does nothing after that.
    pub(crate) fn want(&self) {
        let mut state = self.lock();
        if state.not_before == 0 && state.due_at.is_none() {
            state.due_at = Some(0);
        }
    }

    /// Returns the number of the latest grant; 0 before the first. Takes no lock, so it may be compared often.
    pub(crate) fn number(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }

    /// Brings the next request forward, because a source refused the grant with this number. A refusal of an older
    /// grant says nothing about the latest.
    pub(crate) fn refused(&self, number: u64) {
        let mut state = self.lock();
        if number == self.number() {
            state.due_at = state.due_at.map(|at| at.min(state.not_before));
        }
    }

    /// Tells whether it is time to call [`GrantCache::renew`].
    pub(crate) fn is_due(&self) -> bool {
        self.lock().due_at.is_some_and(|at| at <= unix_now())
    }

    /// Requests a grant and keeps it. After an error the old grant stays. `request` runs without a lock held.
    pub(crate) fn renew<E>(&self, request: impl FnOnce() -> Result<Option<GrantToken>, E>) -> Result<(), E> {
        let reply = request();
        let mut state = self.lock();
        if state.apply(reply, unix_now())? {
            self.0.number.fetch_add(1, Ordering::AcqRel);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a reply in and plans the next request. Returns whether there is a new grant.
    fn apply<E>(&mut self, reply: Result<Option<GrantToken>, E>, now: u64) -> Result<bool, E> {
        self.not_before = now + PAUSE_S;
        match reply {
            Ok(Some(grant)) => {
                self.due_at = Some(grant.renew_at.max(self.not_before));
                self.grant = Some(Arc::new(grant));
                Ok(true)
            }
            Ok(None) => {
                self.due_at = None;
                Ok(false)
            }
            Err(error) => {
                self.due_at = Some(self.not_before);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reply = Result<Option<GrantToken>, &'static str>;

    fn token(renew_at: u64) -> GrantToken {
        GrantToken { text: renew_at.to_string(), expires_at: u64::MAX, renew_at }
    }

    #[test]
    fn the_reply_decides_when_the_next_request_is_due() {
        let cases: [(Reply, u64, Option<u64>); 5] = [
            (Ok(Some(token(500))), 100, Some(500)),
            // A tracker that names a time in the past is not asked without a pause.
            (Ok(Some(token(0))), 500, Some(500 + PAUSE_S)),
            (Ok(Some(token(500 + PAUSE_S))), 500, Some(500 + PAUSE_S)),
            (Err("away"), 600, Some(600 + PAUSE_S)),
            (Ok(None), 700, None),
        ];
        for (reply, now, expected) in cases {
            let mut state = State::default();
            let outcome = state.apply(reply.clone(), now);
            assert_eq!(outcome, reply.map(|grant| grant.is_some()));
            assert_eq!((state.due_at, state.not_before), (expected, now + PAUSE_S));
        }
    }

    #[test]
    fn an_error_leaves_the_old_grant() {
        let cache = GrantCache::default();
        cache.renew(|| Reply::Ok(Some(token(u64::MAX)))).unwrap();
        assert_eq!(cache.renew(|| Reply::Err("away")), Err("away"));
        let current = cache.current();
        assert_eq!((current.number, current.token.as_deref()), (1, Some(&token(u64::MAX))));
    }

    #[test]
    fn an_expired_grant_is_not_presented() {
        let cache = GrantCache::default();
        for (expires_at, is_presented) in [(unix_now() - 1, false), (unix_now() + 1_000, true)] {
            cache.renew(|| Reply::Ok(Some(GrantToken { expires_at, ..token(0) }))).unwrap();
            assert_eq!(cache.current().token.is_some(), is_presented, "{expires_at}");
        }
    }

    #[test]
    fn the_first_grant_is_requested_when_a_source_may_need_it() {
        let cache = GrantCache::default();
        assert!(!cache.is_due());
        cache.want();
        assert!(cache.is_due());
        cache.renew(|| Reply::Ok(None)).unwrap();
        cache.want();
        assert!(!cache.is_due(), "the provider issues none, so it is not asked again");
    }

    #[test]
    fn only_a_refusal_of_the_latest_grant_hastens_the_next() {
        let cache = GrantCache::default();
        cache.refused(0);
        assert!(!cache.is_due());
        cache.lock().apply(Reply::Ok(Some(token(u64::MAX))), 0).unwrap();
        cache.0.number.store(2, Ordering::Release);
        cache.refused(1);
        assert!(!cache.is_due());
        cache.refused(2);
        assert!(cache.is_due());
    }

    #[test]
    fn the_number_counts_grants_and_nothing_else() {
        let cache = GrantCache::default();
        let replies: [(Reply, u64); 6] = [
            (Ok(None), 0),
            (Err("away"), 0),
            (Ok(Some(token(1))), 1),
            (Err("away"), 1),
            (Ok(Some(token(1))), 2),
            (Ok(None), 2),
        ];
        for (reply, number) in replies {
            assert_eq!(cache.renew(|| reply.clone()).is_err(), reply.is_err());
            assert_eq!((cache.number(), cache.current().number), (number, number), "{reply:?}");
        }
        assert!(cache.current().token.is_some(), "a provider that issues no more takes none back");
    }

    #[test]
    fn all_threads_of_a_download_see_the_latest_grant() {
        let cache = GrantCache::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let cache = cache.clone();
                scope.spawn(move || (0..50).for_each(|_| cache.renew(|| Reply::Ok(Some(token(u64::MAX)))).unwrap()));
            }
            let mut seen = 0;
            while seen < 200 {
                let now = cache.current().number;
                assert!((seen..=200).contains(&now), "{seen} {now}");
                seen = now;
                std::thread::yield_now();
            }
        });
        assert_eq!(cache.number(), 200);
    }

    #[test]
    fn a_request_in_progress_holds_no_lock() {
        let cache = GrantCache::default();
        cache.want();
        let reply = cache.renew(|| {
            // The download's other threads go on meanwhile.
            let current = cache.current();
            cache.refused(current.number);
            assert!(cache.is_due() && current.token.is_none());
            Reply::Ok(Some(token(u64::MAX)))
        });
        assert_eq!((reply, cache.number()), (Ok(()), 1));
    }

    #[test]
    fn a_grant_in_debug_text_keeps_its_secret() {
        let text = format!("{:?}", GrantToken { text: "very-secret".to_owned(), expires_at: 7, renew_at: 5 });
        assert_eq!(text, "GrantToken { expires_at: 7, .. }");
    }
}
