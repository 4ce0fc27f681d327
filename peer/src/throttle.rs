//! The limits of one node: bytes a second each way, connections, and memory.
//!
//! They hold for all uploads and downloads of the node together and can be changed at any moment.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use peernet_engine::rate_limit::{Bucket, Debt, Rate};

use crate::memory::{Memory, MemoryMax};

/// The longest wait before the limit is looked at again, because it may have been changed.
const LOOK: Duration = Duration::from_millis(250);

/// The limits of a node; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpeedLimits {
    /// Payload of all uploads together, bytes a second.
    pub max_upload: Option<Rate>,
    /// Payload of all downloads together, bytes a second. Bytes beyond it wait in the network; memory stays bounded.
    pub max_download: Option<Rate>,
    /// Sources that downloads are connected to, and `Fetch` calls that are served, at once. When they are used up,
    /// further callers are told to come back later, and downloads go on with the sources they have.
    pub max_connections: Option<NonZeroU32>,
    /// Bytes of files held in memory at once, over all uploads and downloads.
    pub max_memory: MemoryMax,
}

/// A number of connections as a user gives it; `0` and `none` are no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectionsSetting(pub Option<NonZeroU32>);

/// A text that is not a number of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnectionsError;

impl fmt::Display for ConnectionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("give a number of connections, or none for no limit")
    }
}

impl std::error::Error for ConnectionsError {}

impl FromStr for ConnectionsSetting {
    type Err = ConnectionsError;

    fn from_str(text: &str) -> Result<Self, ConnectionsError> {
        match text {
            "none" => Ok(Self(None)),
            number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                number.parse().map(|number| Self(NonZeroU32::new(number))).map_err(|_| ConnectionsError)
            }
            _ => Err(ConnectionsError),
        }
    }
}

/// The limits that all downloads and the server of one node share.
#[derive(Debug)]
pub struct Throttle {
    download: Mutex<Bucket>,
    connections: Connections,
    memory: Memory,
    received: AtomicU64,
}

impl Throttle {
    /// Starts with these limits. The server keeps the upload rate itself.
    pub fn new(limits: &SpeedLimits) -> Arc<Self> {
        let download = Mutex::new(Bucket::new(Instant::now(), limits.max_download));
        let connections = Connections::new(limits.max_connections);
        let memory = Memory::new(limits.max_memory);
        Arc::new(Self { download, connections, memory, received: AtomicU64::new(0) })
    }

    /// Changes the limits. Connections beyond a new limit go on to their end.
    pub fn set(&self, limits: &SpeedLimits) {
        self.bucket().set_rate(Instant::now(), limits.max_download);
        self.connections.set_max(limits.max_connections);
        self.memory.set_max(limits.max_memory);
    }

    /// The memory of the node.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The connections of the node.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Payload bytes received so far, over all downloads.
    pub fn bytes_received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Counts received bytes. Returns `None` where there is no limit, and so no wait.
    pub(crate) fn received(&self, bytes: u64) -> Option<Debt> {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        let mut bucket = self.bucket();
        bucket.rate()?;
        Some(bucket.owe(Instant::now(), bytes))
    }

    /// Returns how long to wait before asking again; `None` when the bytes fit the limit by now.
    pub(crate) fn wait(&self, debt: Debt) -> Option<Duration> {
        self.bucket().wait(Instant::now(), debt).map(|wait| wait.min(LOOK))
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.download.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bounded count of connections. All clones share it.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    now: AtomicU32,
    /// `u32::MAX` for no limit.
    max: AtomicU32,
}

/// One counted connection. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Connected(Arc<Counts>);

impl Connections {
    /// Starts at zero.
    pub fn new(max: Option<NonZeroU32>) -> Self {
        Self(Arc::new(Counts { now: AtomicU32::new(0), max: AtomicU32::new(number(max)) }))
    }

    /// Number of connections now.
    pub fn count(&self) -> u32 {
        self.0.now.load(Ordering::Acquire)
    }

    /// Returns true if there is room for another connection now.
    pub(crate) fn has_room(&self) -> bool {
        self.count() < self.0.max.load(Ordering::Acquire)
    }

    /// Counts one more connection; `None` when the bound is reached.
    pub(crate) fn begin(&self) -> Option<Connected> {
        let max = self.0.max.load(Ordering::Acquire);
        let more = |now: u32| (now < max).then(|| now + 1);
        self.0.now.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).ok()?;
        Some(Connected(Arc::clone(&self.0)))
    }

    fn set_max(&self, max: Option<NonZeroU32>) {
        self.0.max.store(number(max), Ordering::Release);
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::AcqRel);
    }
}

fn number(max: Option<NonZeroU32>) -> u32 {
    max.map_or(u32::MAX, NonZeroU32::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_bound_lets_running_connections_end() {
        let connections = Connections::new(NonZeroU32::new(2));
        let one = connections.begin().unwrap();
        let two = connections.begin().unwrap();
        assert!(connections.begin().is_none());
        connections.set_max(NonZeroU32::new(1));
        drop(one);
        assert!(connections.begin().is_none());
        drop(two);
        let _one = connections.begin().unwrap();
        connections.set_max(None);
        assert!(connections.begin().is_some());
        assert_eq!(connections.count(), 1);
    }

    #[test]
    fn a_number_of_connections_is_digits_or_none() {
        for (text, number) in [("0", None), ("none", None), ("7", NonZeroU32::new(7))] {
            assert_eq!(text.parse(), Ok(ConnectionsSetting(number)), "{text}");
        }
        for text in ["", "-1", "+1", "x", "1.0", "99999999999"] {
            assert_eq!(text.parse::<ConnectionsSetting>(), Err(ConnectionsError), "{text}");
        }
    }

    #[test]
    fn lifting_the_limit_ends_a_wait() {
        let mut limits = SpeedLimits { max_download: Rate::new(1), ..SpeedLimits::default() };
        let throttle = Throttle::new(&limits);
        let debt = throttle.received(1 << 20).unwrap();
        assert_eq!(throttle.wait(debt), Some(LOOK));
        limits.max_download = None;
        throttle.set(&limits);
        assert_eq!((throttle.wait(debt), throttle.received(1)), (None, None));
    }

    #[test]
    fn no_more_than_the_bound_are_connected_at_once() {
        let connections = Connections::new(NonZeroU32::new(3));
        let most = AtomicU32::new(0);
        let refused = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        match connections.begin() {
                            Some(_connected) => drop(most.fetch_max(connections.count(), Ordering::AcqRel)),
                            None => drop(refused.fetch_add(1, Ordering::AcqRel)),
                        }
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()), "{} were refused", refused.into_inner());
        assert_eq!((connections.count(), connections.has_room()), (0, true));
    }

    #[test]
    fn room_is_what_the_bound_leaves() {
        let throttle = Throttle::new(&SpeedLimits::default());
        let held: Vec<_> = (0..3).map(|_| throttle.connections().begin().unwrap()).collect();
        for (max, has_room) in [(1, false), (3, false), (4, true)] {
            throttle.set(&SpeedLimits { max_connections: NonZeroU32::new(max), ..SpeedLimits::default() });
            let found = (throttle.connections().has_room(), throttle.connections().begin().is_some());
            assert_eq!(found, (has_room, has_room), "{max}");
        }
        drop(held);
        assert_eq!(throttle.connections().count(), 0);
    }

    #[test]
    fn received_bytes_are_counted_with_and_without_a_limit() {
        let throttle = Throttle::new(&SpeedLimits::default());
        assert_eq!((throttle.received(5), throttle.received(0)), (None, None));
        throttle.set(&SpeedLimits { max_download: Rate::new(1 << 30), ..SpeedLimits::default() });
        assert!(throttle.received(7).is_some());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert!((0..1_000).all(|_| throttle.received(1).is_some())));
            }
        });
        assert_eq!(throttle.bytes_received(), 4_012);
    }

    #[test]
    fn a_change_of_the_limits_reaches_every_part() {
        let throttle = Throttle::new(&SpeedLimits::default());
        let kept = throttle.memory().kept(peernet_engine::memory::Use::Calls);
        let limits = SpeedLimits { max_memory: MemoryMax::MIN, max_download: Rate::new(1), ..SpeedLimits::default() };
        throttle.set(&limits);
        assert_eq!(throttle.memory().kept(peernet_engine::memory::Use::Calls), kept / 4);
        let debt = throttle.received(1 << 30).expect("there is a limit now");
        assert_eq!(throttle.wait(debt), Some(LOOK), "a long wait is looked at again, because the limit may change");
    }
}
