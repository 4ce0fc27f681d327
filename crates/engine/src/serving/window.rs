//! The send window of one stream: how many messages may be made ahead of the transport, and how long the next block is.
//!
//! Availability updates wait behind blocks, and a caller may come to want other chunks. So a slow caller has
//! only a moment's worth of data on its way. Below the window the kernel holds a little more, which keeps the line busy
//! meanwhile.

use std::collections::VecDeque;
use std::time::Instant;

use crate::rate::RateMeter;

/// The longest block, in bytes: the bound of one reply on the wire.
pub const BLOCK_BYTES_MAX: u32 = 1 << 20;
/// The shortest block, except a chunk's last, and the length of the first. Half of it costs half as much work again on
/// lines that many callers share. Twice of it makes availability updates wait longer.
const BLOCK_BYTES_MIN: u32 = 128 << 10;
/// Messages that may be ahead: one that the transport is taking, one behind it, one being made.
pub const MESSAGES_MAX: usize = 3;
/// The target time of the transport for one block, in seconds.
const BLOCK_SECS: f64 = 0.02;
/// The target time of the transport for all messages ahead of it, where that is more than one block, in seconds.
const WINDOW_SECS: f64 = 0.04;

/// The messages that were made and not yet taken by the transport. Invariant: the meter runs exactly while there are
/// some.
#[derive(Debug)]
pub(super) struct Window {
    /// Payload bytes of each message, oldest first.
    lens: VecDeque<u32>,
    /// The rate at which the transport takes payload.
    meter: RateMeter,
}

impl Window {
    /// The window of a stream that has sent nothing.
    pub(super) fn new(now: Instant) -> Self {
        let mut meter = RateMeter::new(now);
        meter.pause(now);
        Self { lens: VecDeque::with_capacity(MESSAGES_MAX + 1), meter }
    }

    /// Adds a message with `len` bytes of payload.
    pub(super) fn push(&mut self, now: Instant, len: u32) {
        if self.is_empty() {
            self.meter.resume(now);
        }
        self.lens.push_back(len);
    }

    /// Removes the oldest message: the transport took it.
    pub(super) fn taken(&mut self, now: Instant) {
        let Some(len) = self.lens.pop_front() else { return };
        self.meter.add(now, len.into());
        if self.is_empty() {
            self.meter.pause(now);
        }
    }

    /// Returns true if the transport has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.lens.is_empty()
    }

    fn bytes(&self) -> u64 {
        self.lens.iter().copied().map(u64::from).sum()
    }

    /// Returns true if another block may be made.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        let is_little = || (self.bytes() as f64) < self.meter.rate(now) * WINDOW_SECS;
        self.is_empty() || (self.lens.len() < MESSAGES_MAX && is_little())
    }

    /// Returns true if an availability update may be made. One may be ahead beside the blocks, so that it need not wait
    /// for them.
    pub(super) fn has_room_for_update(&self) -> bool {
        !self.lens.contains(&0)
    }

    /// Length of the next block: a slow caller sees bytes often, and a fast one costs little work for each.
    pub(super) fn block_bytes(&self, now: Instant) -> u32 {
        let target = self.meter.rate(now) * BLOCK_SECS;
        // The cast saturates. Rounding down makes every block begin at a multiple of the shortest one.
        (target as u32).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX) / BLOCK_BYTES_MIN * BLOCK_BYTES_MIN
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn start() -> Instant {
        #[allow(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
        Instant::now()
    }

    /// Runs a transport that takes `rate` bytes a second for ten seconds. Returns the last block length, and the most
    /// bytes that were ahead after the first tenth of a second.
    fn over_a_line(rate: f64) -> (u32, u64) {
        let mut now = start();
        let begin = now;
        let mut window = Window::new(now);
        let mut most = 0;
        while now < begin + Duration::from_secs(10) {
            while window.has_room(now) {
                window.push(now, window.block_bytes(now));
            }
            if now > begin + Duration::from_millis(100) {
                most = window.bytes().max(most);
            }
            now += Duration::from_secs_f64(f64::from(window.lens[0]) / rate);
            window.taken(now);
        }
        (window.block_bytes(now), most)
    }

    #[test]
    fn block_length_follows_the_rate_of_the_caller() {
        assert_eq!(over_a_line(1e5), (BLOCK_BYTES_MIN, BLOCK_BYTES_MIN.into()));
        assert_eq!(over_a_line(1.5e6), (BLOCK_BYTES_MIN, BLOCK_BYTES_MIN.into()));
        assert_eq!(over_a_line(1e9), (BLOCK_BYTES_MAX, u64::from(BLOCK_BYTES_MAX) * MESSAGES_MAX as u64));
        let (block, most) = over_a_line(12.5e6);
        assert!((128 << 10..=256 << 10).contains(&block), "{block}");
        assert!(most <= 1 << 20, "{most}");
    }

    #[test]
    fn idle_time_does_not_lower_the_measured_rate() {
        let mut now = start();
        let mut window = Window::new(now);
        for _ in 0..100 {
            window.push(now, BLOCK_BYTES_MAX);
            now += Duration::from_millis(1);
            window.taken(now);
            now += Duration::from_secs(1);
        }
        assert_eq!(window.block_bytes(now), BLOCK_BYTES_MAX);
    }

    #[test]
    fn one_availability_update_goes_beside_the_blocks() {
        let now = start();
        let mut window = Window::new(now);
        window.push(now, BLOCK_BYTES_MIN);
        assert!(window.has_room_for_update() && !window.has_room(now));
        window.push(now, 0);
        assert!(!window.has_room_for_update());
        window.taken(now + Duration::from_millis(50));
        window.taken(now + Duration::from_millis(50));
        assert!(window.is_empty() && window.has_room_for_update());
        window.taken(now);
        assert!(window.is_empty(), "a message too many is ignored");
    }
}
