//! What a connection has received and not yet used: one buffer for its whole life, never larger than a head may be.
//!
//! A client that pipelines is held back by it: while one request is answered, the next ones stay in the kernel.

use std::io;

/// What a connection starts with; enough for the head of nearly every request.
const BYTES_INITIAL: usize = 2 * 1024;

/// Received bytes `start..end` of a buffer that grows up to `bytes_max`.
pub(super) struct Inbox {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    bytes_max: usize,
}

impl Inbox {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { buffer: vec![0; BYTES_INITIAL.min(bytes_max)], start: 0, end: 0, bytes_max }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn is_full(&self) -> bool {
        self.end - self.start >= self.bytes_max
    }

    /// Drops the first `count` bytes.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "only what was received is used");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// One `read` into the free part; 0 at the end of the stream. The inbox must not be full.
    pub(super) fn fill(&mut self, read: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<usize> {
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
            self.buffer.resize((2 * self.buffer.len()).min(self.bytes_max), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::Inbox;

    #[test]
    fn bytes_pass_in_order_through_a_bounded_buffer() {
        let sent: Vec<u8> = (0..20_000_u32).map(|i| (i % 251) as u8).collect();
        for used_at_once in [1, 7, 1_000, 5_000] {
            let (mut source, mut inbox, mut got) = (sent.as_slice(), Inbox::new(5_000), Vec::new());
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
}
