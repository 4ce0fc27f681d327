//! Leases of announces: how long they last, and when they are renewed.
//!
//! An announce states the whole truth about a file and is leased. Without renewal it expires, so that a dead peer is no
//! longer in plans. A short lease with early renewal keeps lookups from naming the dead, which avoids more timeouts
//! than any rule of reputation; jitter keeps a thousand peers that started together from renewing together.

use std::time::Duration;

use crate::random::Rng;
use crate::time::UnixMillis;

/// The form of an announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnounceForm {
    /// One announce for a whole file, by a peer that renews it.
    PerFile,
    /// One call for each chunk, by a version 1 peer that never renews.
    PerChunk,
}

/// The lease of a peer that renews. Three renewals fit into it, so that one lost call does no harm.
const LEASE: Duration = Duration::from_secs(5 * 60);
/// The lease of a peer that never renews. It ends earlier when the peer leaves or its address stops answering.
const LEASE_UNRENEWED: Duration = Duration::from_secs(24 * 3600);

/// Returns how long an announce of this form lasts.
pub fn lease_length(form: AnnounceForm) -> Duration {
    match form {
        AnnounceForm::PerFile => LEASE,
        AnnounceForm::PerChunk => LEASE_UNRENEWED,
    }
}

/// Returns when an announce made now expires.
pub fn lease_until(now: UnixMillis, form: AnnounceForm) -> UnixMillis {
    now.plus(lease_length(form))
}

/// Returns true while a lease is live: before its end, not at it.
pub fn is_live(lease_until: UnixMillis, now: UnixMillis) -> bool {
    now < lease_until
}

/// Returns how long a holder waits before it renews a lease of this length: a random time from a quarter to a third of
/// it. Zero for a zero lease.
pub fn renew_after(lease: Duration, rng: &mut Rng) -> Duration {
    let quarter = lease / 4;
    let spread_ms = u64::try_from((lease / 3).saturating_sub(quarter).as_millis()).unwrap_or(u64::MAX);
    quarter + Duration::from_millis(rng.below(spread_ms.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_holds_up_to_its_end() {
        let now = UnixMillis(1_000);
        let until = lease_until(now, AnnounceForm::PerFile);
        assert_eq!(until, UnixMillis(301_000));
        assert!(is_live(until, now) && is_live(until, UnixMillis(300_999)) && !is_live(until, until));
        assert_eq!(lease_until(now, AnnounceForm::PerChunk), UnixMillis(86_401_000));
    }

    #[test]
    fn renewals_come_three_times_a_lease_and_spread_out() {
        let lease = Duration::from_secs(120);
        let waits: Vec<Duration> = (0..100).map(|seed| renew_after(lease, &mut Rng::new(seed))).collect();
        assert!(waits.iter().all(|wait| (Duration::from_secs(30)..=Duration::from_secs(40)).contains(wait)));
        assert!(waits.iter().max() > waits.iter().min().map(|least| *least + Duration::from_secs(8)).as_ref());
        assert_eq!(renew_after(Duration::ZERO, &mut Rng::new(0)), Duration::ZERO);
        assert!(renew_after(Duration::MAX, &mut Rng::new(0)) >= Duration::MAX / 4);
    }
}
