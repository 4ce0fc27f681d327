//! Limits on everything that a client could make grow or wait.

use std::time::Duration;

use crate::head::HeadLimits;

/// Open files kept for everything that is not a connection: database, store, logs, the operations listener.
pub const FDS_RESERVED: u64 = 256;
/// Connections allowed however few open files the process may have. An accept then fails now and then, which is
/// harmless.
const CONNECTIONS_MIN: u64 = 16;

/// The door's limits. Deadlines are totals for a whole head, body or reply, however many reads or writes it takes.
#[derive(Debug, Clone)]
pub struct DoorLimits {
    /// Connections at once; further ones are answered 503. Also bounded by the open-file limit less [`FDS_RESERVED`].
    pub connections_max: usize,
    /// Connections at once from one client: an IPv4 address, or the /64 that an IPv6 address is in, because one
    /// machine usually has all of a /64. Raise it where many clients share an address behind NAT.
    pub connections_per_address_max: usize,
    /// The time for which a further connection of that client waits for one of its others to end, before it gets 503.
    /// Up to 16 for each open one wait, in places that no other client needs. Zero turns them away at once.
    pub address_wait: Duration,
    /// The open-file limit to assume. `None` asks the system; if it does not say, only `connections_max` counts.
    pub fds_max: Option<u64>,
    /// From a head's first byte to its last; for a connection's first head, from accept.
    pub head_deadline: Duration,
    /// From the end of the head to the last byte of the body.
    pub body_deadline: Duration,
    /// From a reply to the next request's first byte.
    pub idle_deadline: Duration,
    /// From a reply's first byte to its last. Streamed replies have [`StreamLimits`] instead.
    pub write_deadline: Duration,
    /// The time for which a closing connection continues to read, so that a reset does not lose its last reply.
    pub linger: Duration,
    /// Sizes of a request's head.
    pub head: HeadLimits,
    /// Bytes that bodies larger than 64 KiB may announce together, over all connections; beyond it 503.
    pub large_bodies_bytes_max: usize,
    /// Bytes that replies larger than 64 KiB may have together while they are written, over all connections; beyond it
    /// 503. More than one address can claim with the largest lookups.
    pub large_answers_bytes_max: usize,
    /// Bounds of streamed replies.
    pub streams: StreamLimits,
    /// Workers that are active at once, at least 2. `None` is one for each core.
    pub workers: Option<usize>,
    /// Stack of a worker, which handlers run on, in bytes.
    pub stack_bytes: usize,
}

/// Bounds of streamed replies. They last as long as their producer likes, so no total deadline applies.
#[derive(Debug, Clone)]
pub struct StreamLimits {
    /// Streams at once, over all clients; beyond it 503.
    pub total_max: usize,
    /// Streams at once from one client, counted as for connections; beyond it 503.
    pub per_address_max: usize,
    /// Bytes that one stream buffers. A push beyond it is refused with [`crate::PushError::Full`].
    pub buffer_bytes_max: usize,
    /// The longest time without a push before a stream is cut. A producer without events sends a heartbeat.
    pub silence_max: Duration,
    /// The longest time in which a client takes no buffered byte before its stream is cut.
    pub stall_max: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            total_max: 1_024,
            per_address_max: 16,
            buffer_bytes_max: 64 * 1024,
            silence_max: Duration::from_secs(60),
            stall_max: Duration::from_secs(20),
        }
    }
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            connections_per_address_max: 64,
            address_wait: Duration::from_secs(10),
            fds_max: None,
            head_deadline: Duration::from_secs(10),
            body_deadline: Duration::from_secs(20),
            idle_deadline: Duration::from_secs(30),
            write_deadline: Duration::from_secs(20),
            linger: Duration::from_millis(500),
            head: HeadLimits::default(),
            large_bodies_bytes_max: 256 * 1024 * 1024,
            large_answers_bytes_max: 512 * 1024 * 1024,
            streams: StreamLimits::default(),
            workers: None,
            stack_bytes: 256 * 1024,
        }
    }
}

impl DoorLimits {
    /// Limits of a listener for a few clients of this machine.
    pub fn local() -> Self {
        Self {
            connections_max: 64,
            connections_per_address_max: 64,
            large_bodies_bytes_max: 16 * 1024 * 1024,
            large_answers_bytes_max: 64 * 1024 * 1024,
            workers: Some(2),
            ..Self::default()
        }
    }

    /// The number of connections that these limits and the open-file limit allow.
    pub fn connections(&self) -> usize {
        let Some(fds) = self.fds_max.or_else(system_fds_max) else { return self.connections_max };
        let affordable = fds.saturating_sub(FDS_RESERVED).max(CONNECTIONS_MIN);
        self.connections_max.min(usize::try_from(affordable).unwrap_or(usize::MAX))
    }

    /// The shortest deadline, which decides how often deadlines are looked at.
    pub(crate) fn shortest_deadline(&self) -> Duration {
        let Self { head_deadline, idle_deadline, linger, streams, .. } = self;
        let all = [*head_deadline, *idle_deadline, *linger, streams.silence_max, streams.stall_max];
        all.into_iter().min().unwrap_or_default()
    }
}

/// The process's soft limit of open files (RLIMIT_NOFILE), if the system writes it down.
fn system_fds_max() -> Option<u64> {
    fds_max_in(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn fds_max_in(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DoorLimits, StreamLimits, fds_max_in};

    #[test]
    fn open_files_bound_the_connections() {
        let check = |fds_max, expected| {
            assert_eq!(DoorLimits { fds_max: Some(fds_max), ..DoorLimits::default() }.connections(), expected);
        };
        check(1_000_000, 4_096);
        check(1_024, 768);
        check(260, 16);
        check(0, 16);
    }

    #[test]
    fn the_soft_limit_is_read() {
        let text = "Limit      Soft Limit   Hard Limit   Units\nMax open files            1024      524288   files\n";
        assert_eq!(fds_max_in(text), Some(1024));
        assert_eq!(fds_max_in("Max open files   unlimited unlimited files\n"), None);
        assert_eq!(fds_max_in(""), None);
    }

    #[test]
    fn the_shortest_deadline_is_found_among_all() {
        let seconds = Duration::from_secs;
        let long = StreamLimits { silence_max: seconds(900), stall_max: seconds(900), ..StreamLimits::default() };
        let base = DoorLimits {
            head_deadline: seconds(900),
            idle_deadline: seconds(900),
            linger: seconds(900),
            streams: long.clone(),
            ..DoorLimits::default()
        };
        assert_eq!(base.shortest_deadline(), seconds(900));
        for (name, limits) in [
            ("head", DoorLimits { head_deadline: seconds(1), ..base.clone() }),
            ("idle", DoorLimits { idle_deadline: seconds(1), ..base.clone() }),
            ("linger", DoorLimits { linger: seconds(1), ..base.clone() }),
            (
                "silence",
                DoorLimits { streams: StreamLimits { silence_max: seconds(1), ..long.clone() }, ..base.clone() },
            ),
            ("stall", DoorLimits { streams: StreamLimits { stall_max: seconds(1), ..long }, ..base.clone() }),
        ] {
            assert_eq!(limits.shortest_deadline(), seconds(1), "{name}");
        }
    }

    #[test]
    fn a_local_listener_needs_little() {
        let local = DoorLimits::local();
        let public = DoorLimits::default();
        assert!(local.connections_max < public.connections_max);
        assert!(local.large_bodies_bytes_max < public.large_bodies_bytes_max);
        assert!(local.large_answers_bytes_max < public.large_answers_bytes_max);
        assert_eq!(local.workers, Some(2));
        assert_eq!((local.head_deadline, local.body_deadline), (public.head_deadline, public.body_deadline));
    }
}
