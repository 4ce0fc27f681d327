//! Bytes that a connection has received and not yet used, in a buffer no larger than a head may be.
//!
//! The bound is back-pressure for clients that pipeline: while one request is answered, the next ones stay in the kernel. Between
//! requests a connection has no buffer. It uses that of the worker that advances it, which stays in that core's cache.

use std::io;

/// A buffer's first size, enough for the head of nearly every request.
const BYTES_INITIAL: usize = 2 * 1024;

/// Received bytes `start..end` of a buffer that grows up to `bytes_max`.
pub(crate) struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    bytes_max: usize,
}

impl Inbox {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { buffer: Vec::new(), start: 0, end: 0, bytes_max }
    }

    /// Takes a worker's buffer to read into, unless this inbox holds bytes in a buffer of its own.
    pub(crate) fn borrow(&mut self, spare: &mut Vec<u8>) {
        if self.bytes().is_empty() {
            self.buffer = std::mem::take(spare);
        }
    }

    /// Gives the buffer back to the worker, unless it holds bytes.
    pub(crate) fn give_back(&mut self, spare: &mut Vec<u8>) {
        if self.bytes().is_empty() {
            *spare = std::mem::take(&mut self.buffer);
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start >= self.bytes_max
    }

    /// Drops the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "only what was received is used");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Calls `read` once with the free part; returns 0 at the end of the stream. The inbox must not be full.
    pub(crate) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
        self.make_room();
        let count = read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count)
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize((2 * self.buffer.len()).clamp(BYTES_INITIAL.min(self.bytes_max), self.bytes_max), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{BYTES_INITIAL, Inbox};

    #[test]
    fn bytes_pass_in_order_through_a_bounded_buffer() {
        let sent: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        for used_at_once in [1, 7, 1_000, 5_000] {
            let mut source = sent.as_slice();
            let mut inbox = Inbox::new(5_000);
            let mut got = Vec::new();
            while got.len() < sent.len() {
                if !inbox.is_full() {
                    inbox.fill(|free| source.read(free)).unwrap();
                }
                let used = inbox.bytes().len().min(used_at_once);
                got.extend_from_slice(&inbox.bytes()[..used]);
                inbox.consume(used);
                assert!(inbox.buffer.len() <= 5_000);
            }
            assert_eq!(got, sent);
        }
    }

    #[test]
    fn connections_share_a_buffer_and_keep_unused_bytes() {
        let mut spare = Vec::new();
        let [mut one, mut other] = [(); 2].map(|()| Inbox::new(5_000));
        let mut turn = |inbox: &mut Inbox, mut came: &[u8], used: usize| {
            inbox.borrow(&mut spare);
            inbox.fill(|free| came.read(free)).unwrap();
            let got = inbox.bytes()[..used].to_vec();
            inbox.consume(used);
            inbox.give_back(&mut spare);
            (got, inbox.buffer.len(), spare.len())
        };
        assert_eq!(turn(&mut one, b"all", 3), (b"all".to_vec(), 0, BYTES_INITIAL));
        assert_eq!(turn(&mut one, b"half", 2), (b"ha".to_vec(), BYTES_INITIAL, 0));
        assert_eq!(turn(&mut other, b"and", 3), (b"and".to_vec(), 0, BYTES_INITIAL));
        assert_eq!(turn(&mut one, b"!", 3), (b"lf!".to_vec(), 0, BYTES_INITIAL));
        assert_eq!(turn(&mut other, b"", 0), (Vec::new(), 0, BYTES_INITIAL));
    }
}
