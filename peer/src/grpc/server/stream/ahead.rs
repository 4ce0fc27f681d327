//! How far a stream is ahead of its caller: what was made and gRPC has not taken yet, and how long the next block is.
//!
//! News of chunks wait behind blocks, and a caller may change its mind about what it wants, so that a slow one has only a
//! moment's worth on its way. Below it the kernel has a little more, which keeps the line busy meanwhile.

use std::collections::VecDeque;
use std::time::Instant;

use peernet_engine::rate::RateMeter;
use peernet_protos::limits::BLOCK_BYTES_MAX;

/// The shortest block, but for a chunk's last: also the first one's length. Half of it costs half as much work again on
/// lines that many share, and twice of it lets news wait longer.
const BLOCK_BYTES_MIN: u32 = 128 << 10;
/// Messages that may be ahead: one that gRPC is taking, one behind it, one being made.
pub(super) const MESSAGES_MAX: usize = 3;
/// How long gRPC shall need to take one block,
const BLOCK_SECS: f64 = 0.02;
/// and all that is ahead, if that is more than one block.
const AHEAD_SECS: f64 = 0.04;

/// Invariant: the meter runs exactly while something is ahead.
pub(super) struct Ahead {
    /// Payload of the messages that gRPC has not taken, in their order.
    lens: VecDeque<u32>,
    /// Of what it takes.
    meter: RateMeter,
}

impl Ahead {
    /// Of a stream that has sent nothing.
    pub(super) fn new(now: Instant) -> Self {
        let mut meter = RateMeter::new(now);
        meter.pause(now);
        Self { lens: VecDeque::new(), meter }
    }

    /// A message with `len` bytes of payload was made.
    pub(super) fn put(&mut self, now: Instant, len: u32) {
        if self.is_bare() {
            self.meter.resume(now);
        }
        self.lens.push_back(len);
    }

    /// gRPC took the oldest message.
    pub(super) fn taken(&mut self, now: Instant) {
        let Some(len) = self.lens.pop_front() else { return };
        self.meter.add(now, len.into());
        if self.is_bare() {
            self.meter.pause(now);
        }
    }

    /// Nothing is ahead.
    pub(super) fn is_bare(&self) -> bool {
        self.lens.is_empty()
    }

    fn bytes(&self) -> u64 {
        self.lens.iter().copied().map(u64::from).sum()
    }

    /// Whether another block may be made.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        let is_little = || (self.bytes() as f64) < self.meter.rate(now) * AHEAD_SECS;
        self.is_bare() || (self.lens.len() < MESSAGES_MAX && is_little())
    }

    /// Whether news may be made: one beside the blocks, so that they need not wait for these.
    pub(super) fn has_room_for_news(&self) -> bool {
        !self.lens.contains(&0)
    }

    /// How long the next block is: a slow caller sees bytes often, and a fast one costs little for each.
    pub(super) fn block_bytes(&self, now: Instant) -> u32 {
        let aim = self.meter.rate(now) * BLOCK_SECS;
        // Saturating, and a block begins at a round place.
        (aim as u32).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX) / BLOCK_BYTES_MIN * BLOCK_BYTES_MIN
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A line that takes `rate` bytes a second; for ten seconds. How long the blocks are in the end, and the most that was
    /// ahead after the first tenth.
    fn over_a_line(rate: f64) -> (u32, u64) {
        let mut now = Instant::now();
        let (begin, mut ahead, mut most) = (now, Ahead::new(now), 0);
        while now < begin + Duration::from_secs(10) {
            while ahead.has_room(now) {
                ahead.put(now, ahead.block_bytes(now));
            }
            if now > begin + Duration::from_millis(100) {
                most = ahead.bytes().max(most);
            }
            now += Duration::from_secs_f64(f64::from(ahead.lens[0]) / rate);
            ahead.taken(now);
        }
        (ahead.block_bytes(now), most)
    }

    #[test]
    fn a_slow_caller_has_one_short_block_on_its_way_and_a_fast_one_several_long_ones() {
        assert_eq!(over_a_line(1e5), (BLOCK_BYTES_MIN, BLOCK_BYTES_MIN.into()));
        assert_eq!(over_a_line(1.5e6), (BLOCK_BYTES_MIN, BLOCK_BYTES_MIN.into()));
        assert_eq!(over_a_line(1e9), (BLOCK_BYTES_MAX, u64::from(BLOCK_BYTES_MAX) * MESSAGES_MAX as u64));
        let (block, most) = over_a_line(12.5e6);
        assert!((128 << 10..=256 << 10).contains(&block), "{block}");
        assert!(most <= 1 << 20, "{most}");
    }

    #[test]
    fn time_without_work_says_nothing_of_the_rate() {
        let mut now = Instant::now();
        let mut ahead = Ahead::new(now);
        for _ in 0..100 {
            ahead.put(now, BLOCK_BYTES_MAX);
            now += Duration::from_millis(1);
            ahead.taken(now);
            now += Duration::from_secs(1);
        }
        assert_eq!(ahead.block_bytes(now), BLOCK_BYTES_MAX);
    }

    #[test]
    fn one_piece_of_news_goes_beside_blocks() {
        let now = Instant::now();
        let mut ahead = Ahead::new(now);
        ahead.put(now, BLOCK_BYTES_MIN);
        assert!(ahead.has_room_for_news() && !ahead.has_room(now));
        ahead.put(now, 0);
        assert!(!ahead.has_room_for_news());
        ahead.taken(now + Duration::from_millis(50));
        ahead.taken(now + Duration::from_millis(50));
        assert!(ahead.is_bare() && ahead.has_room_for_news());
    }
}
