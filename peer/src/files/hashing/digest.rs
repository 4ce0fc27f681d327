//! SHA-256 of the same bytes into two digests at once: a chunk's and the whole file's.
//!
//! One digest leaves most of a core's SHA instructions idle, because each round waits for the one before. Two digests
//! of the same bytes share the message schedule and fill each other's gaps. So both cost hardly more than one: on one
//! core 1.57 GB/s for both were measured, and 1.58 GB/s for one. No published crate does this. So the block function
//! for processors with SHA instructions is here. Other processors use the `sha2` crate, and the tests compare every
//! result with it.

#[cfg(target_arch = "x86_64")]
mod sha_ni;

use sha2::{Digest as _, Sha256};

/// The length of a block in bytes (FIPS 180-4, section 5.2.1).
const BLOCK: usize = 64;
/// The bytes that [`Digest::of_range`] reads at once: few enough to stay in the cache between reading and hashing.
const PIECE_BYTES: usize = 256 << 10;
/// The initial state (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// A SHA-256 computation. A clone continues independently from the same state.
#[derive(Clone)]
pub(crate) struct Digest(Inner);

#[derive(Clone)]
enum Inner {
    Plain(Sha256),
    Fast(Fast),
}

/// Invariant: the first `bytes % BLOCK` bytes of `carry` are seen and not yet in `words`.
#[derive(Clone)]
struct Fast {
    words: [u32; 8],
    bytes: u64,
    carry: [u8; BLOCK],
}

impl Digest {
    /// Begins the digest of an empty input.
    pub(crate) fn new() -> Self {
        if is_fast() { Self(Inner::Fast(Fast::new())) } else { Self::plain() }
    }

    fn plain() -> Self {
        Self(Inner::Plain(Sha256::new()))
    }

    /// Appends bytes to the input.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Inner::Plain(hasher) => hasher.update(bytes),
            Inner::Fast(fast) => take([fast], bytes),
        }
    }

    /// Appends bytes to the inputs of two digests. It is fast if both are equally far from a block's boundary.
    pub(crate) fn update_both(&mut self, other: &mut Self, bytes: &[u8]) {
        match (&mut self.0, &mut other.0) {
            (Inner::Fast(a), Inner::Fast(b)) if a.carried() == b.carried() => take([a, b], bytes),
            _ => {
                self.update(bytes);
                other.update(bytes);
            }
        }
    }

    /// Returns the digest of `len` bytes from `offset` on, read in pieces.
    pub(crate) fn of_range<E>(
        offset: u64,
        len: u64,
        mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
    ) -> Result<[u8; 32], E> {
        let mut digest = Self::new();
        let mut buffer = vec![0; (PIECE_BYTES as u64).min(len) as usize];
        for at in (0..len).step_by(PIECE_BYTES) {
            let piece = &mut buffer[..(PIECE_BYTES as u64).min(len - at) as usize];
            read(offset + at, piece)?;
            digest.update(piece);
        }
        Ok(digest.finish())
    }

    /// Returns the digest and begins a new one.
    pub(crate) fn take(&mut self) -> [u8; 32] {
        std::mem::replace(self, Self::new()).finish()
    }

    /// Returns the digest.
    pub(crate) fn finish(self) -> [u8; 32] {
        match self.0 {
            Inner::Plain(hasher) => hasher.finalize().into(),
            Inner::Fast(fast) => fast.finish(),
        }
    }
}

/// Tells whether this processor computes two digests at about the cost of one.
pub(crate) fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return sha_ni::is_there();
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

impl Fast {
    fn new() -> Self {
        Self { words: INITIAL, bytes: 0, carry: [0; BLOCK] }
    }

    fn carried(&self) -> usize {
        (self.bytes % BLOCK as u64) as usize
    }

    /// Appends the padding (FIPS 180-4, section 5.1.1): a one bit, zeros, and the length in bits.
    fn finish(mut self) -> [u8; 32] {
        let bits = self.bytes.wrapping_mul(8);
        let zeros = (2 * BLOCK - 9 - self.carried()) % BLOCK;
        let mut padding = [0; 2 * BLOCK];
        padding[0] = 0x80;
        padding[1 + zeros..][..8].copy_from_slice(&bits.to_be_bytes());
        take([&mut self], &padding[..zeros + 9]);
        let mut out = [0; 32];
        for (place, word) in out.chunks_exact_mut(4).zip(self.words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        out
    }
}

/// Appends the same bytes to several digests, which carry equally many bytes.
fn take<const N: usize>(digests: [&mut Fast; N], bytes: &[u8]) {
    let carried = digests.first().map_or(0, |digest| digest.carried());
    let fill = if carried == 0 { 0 } else { bytes.len().min(BLOCK - carried) };
    let (head, rest) = bytes.split_at(fill);
    let (blocks, tail) = rest.split_at(rest.len() - rest.len() % BLOCK);
    let mut digests = digests;
    if !head.is_empty() {
        // The carried bytes may differ, because the digests may have begun at different places.
        for digest in &mut digests {
            digest.carry[carried..][..fill].copy_from_slice(head);
            if carried + fill == BLOCK {
                let block = digest.carry;
                compress([&mut digest.words], &block);
            }
        }
    }
    if !blocks.is_empty() {
        compress(digests.each_mut().map(|digest| &mut digest.words), blocks);
    }
    for digest in digests {
        digest.carry[..tail.len()].copy_from_slice(tail);
        digest.bytes += bytes.len() as u64;
    }
}

#[cfg(target_arch = "x86_64")]
fn compress<const N: usize>(states: [&mut [u32; 8]; N], blocks: &[u8]) {
    sha_ni::compress(states, blocks);
}

#[cfg(not(target_arch = "x86_64"))]
fn compress<const N: usize>(_states: [&mut [u32; 8]; N], _blocks: &[u8]) {
    unreachable!("without SHA instructions there is no fast digest");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect()
    }

    /// Checks both digests of `len` bytes in pieces. The second digest has `ahead` other bytes before them.
    fn check(len: usize, piece: usize, ahead: usize) {
        let before = bytes(ahead);
        let both = bytes(len);
        let mut a = Digest::new();
        let mut b = Digest::new();
        b.update(&before);
        for piece in both.chunks(piece) {
            a.update_both(&mut b, piece);
        }
        let of_all: Vec<u8> = before.iter().chain(&both).copied().collect();
        let expected: [[u8; 32]; 2] = [Sha256::digest(&both).into(), Sha256::digest(&of_all).into()];
        assert_eq!([a.finish(), b.finish()], expected, "{len} bytes in pieces of {piece}, {ahead} ahead");
    }

    #[test]
    fn every_length_and_piece_agrees_with_sha2() {
        for len in (0..200).chain([1_000, 4_096, 65_537]) {
            for piece in [1, 3, 63, 64, 65, 128, 1_000, 70_000] {
                for ahead in [0, 64, 5, 1 << 12] {
                    check(len, piece, ahead);
                }
            }
        }
    }

    #[test]
    fn a_clone_continues_independently() {
        let mut first = Digest::new();
        first.update(b"abc");
        let mut second = first.clone();
        second.update(b"d");
        assert_eq!(first.finish(), <[u8; 32]>::from(Sha256::digest(b"abc")));
        assert_eq!(second.finish(), <[u8; 32]>::from(Sha256::digest(b"abcd")));
    }

    #[test]
    fn a_range_is_read_once_and_in_order() {
        for len in [0, 1, PIECE_BYTES, 2 * PIECE_BYTES + 5] {
            let all = bytes(7 + len);
            let mut next = 7;
            let hash = Digest::of_range(7, len as u64, |at, piece| {
                assert_eq!(at, next);
                next += piece.len() as u64;
                piece.copy_from_slice(&all[at as usize..][..piece.len()]);
                Ok::<(), ()>(())
            });
            assert_eq!(hash, Ok(Sha256::digest(&all[7..]).into()), "{len} bytes");
        }
        assert_eq!(Digest::of_range(0, 1, |_, _| Err("no")), Err("no"));
    }

    #[test]
    fn a_digest_without_sha_instructions_agrees() {
        let mut a = Digest::plain();
        let mut b = Digest::new();
        a.update_both(&mut b, &bytes(777));
        assert_eq!(a.finish(), b.finish());
    }
}
