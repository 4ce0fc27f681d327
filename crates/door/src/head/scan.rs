//! The search for a head's end while its bytes trickle in. Each byte is looked at once, however slowly it comes.
//!
//! Parsing again after every read would let a client that sends single bytes cause quadratic work. The scan also refuses at once a
//! byte that no head may contain, so a TLS greeting on a plaintext port is answered and not waited for.

use super::HeadError;

/// Empty lines allowed before the request line; RFC 9112 2.2 asks servers to ignore one.
const LEADING_EMPTY_LINES_MAX: usize = 1;

/// The state of the scan of one head.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    seen_bytes: usize,
    line_bytes: usize,
    after_cr: bool,
    lines: usize,
    leading_empty_lines: usize,
}

impl HeadScan {
    /// Scans the new part of `bytes`, which starts with everything that was scanned before. Returns the head's length once its
    /// empty line is there.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        loop {
            if !self.after_cr {
                let plain = plain_bytes(bytes.get(self.seen_bytes..).unwrap_or_default());
                self.line_bytes += plain;
                self.seen_bytes += plain;
            }
            let Some(byte) = bytes.get(self.seen_bytes) else { return Ok(None) };
            self.seen_bytes += 1;
            if self.takes_end(*byte)? {
                return Ok(Some(self.seen_bytes));
            }
        }
    }

    /// Takes a byte that is not plain, or stands where no plain byte may; true if it ends the head.
    fn takes_end(&mut self, byte: u8) -> Result<bool, HeadError> {
        match (self.after_cr, byte) {
            (false, b'\r') => self.after_cr = true,
            (true, b'\n') => return self.line_ends(),
            _ => return Err(HeadError::Malformed("byte not allowed in a request head")),
        }
        Ok(false)
    }

    fn line_ends(&mut self) -> Result<bool, HeadError> {
        self.after_cr = false;
        let empty = std::mem::take(&mut self.line_bytes) == 0;
        if !empty {
            self.lines += 1;
        } else if self.lines > 0 {
            return Ok(true);
        } else {
            self.leading_empty_lines += 1;
        }
        if self.leading_empty_lines > LEADING_EMPTY_LINES_MAX {
            return Err(HeadError::Malformed("empty lines where a request was expected"));
        }
        Ok(false)
    }
}

/// The number of bytes at the beginning that may stand within a line. It goes by blocks, because a machine compares all bytes of a
/// block at once.
fn plain_bytes(bytes: &[u8]) -> usize {
    let large = plain_blocks::<32>(bytes);
    let small = large + plain_blocks::<8>(&bytes[large..]);
    small + bytes[small..].iter().take_while(|byte| is_plain(**byte)).count()
}

/// Does the same for whole blocks only.
fn plain_blocks<const BLOCK: usize>(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    let is_plain_block = |block: &&[u8; BLOCK]| block.iter().fold(true, |plain, byte| plain & is_plain(*byte));
    blocks.iter().take_while(is_plain_block).count() * BLOCK
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADS: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\nbehind",
        "POST /a?b HTTP/1.1\r\nHost: t\r\nX: \ty \r\nContent-Length: 3\r\n\r\nabc",
        "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\nHost: t\n\n",
        "GET / HTTP/1.1\r\rHost: t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: \u{7f}\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}",
        "GET /without-an-end",
        "",
    ];

    /// Scans a head that arrives in pieces of these lengths, used in turns.
    fn scan(text: &str, pieces: &[usize]) -> Result<Option<usize>, HeadError> {
        let bytes = text.as_bytes();
        let mut scan = HeadScan::default();
        let mut arrived = 0;
        let mut turns = pieces.iter().cycle();
        loop {
            if let Some(end) = scan.advance(&bytes[..arrived])? {
                return Ok(Some(end));
            }
            if arrived == bytes.len() {
                return Ok(None);
            }
            arrived = bytes.len().min(arrived + turns.next().copied().unwrap_or(1));
        }
    }

    #[test]
    fn pieces_of_any_length_give_the_same_end() {
        for head in HEADS {
            let whole = HeadScan::default().advance(head.as_bytes());
            for pieces in [&[1][..], &[2], &[3], &[7, 1], &[1, 0, 5], &[8], &[32], &[33, 2], &[1_000]] {
                assert_eq!(scan(head, pieces), whole, "{head:?} in pieces of {pieces:?}");
            }
        }
    }

    #[test]
    fn the_end_is_right_behind_the_empty_line() {
        let ends: Vec<Option<usize>> =
            HEADS.iter().map(|head| HeadScan::default().advance(head.as_bytes()).ok().flatten()).collect();
        assert_eq!(ends[..3], [Some(27), Some(29), Some(58)]);
        assert!(ends[3..].iter().all(Option::is_none), "{ends:?}");
    }

    #[test]
    fn blocks_of_bytes_are_scanned_like_single_ones() {
        for length in 0..100 {
            let plain = "y".repeat(length);
            assert_eq!(plain_bytes(plain.as_bytes()), length);
            for bad in ["\r", "\n", "\0", "\u{7f}", "\u{1f}", "ü"] {
                let text = format!("{plain}{bad}{plain}");
                assert_eq!(plain_bytes(text.as_bytes()), length, "{text:?}");
            }
        }
        let all: Vec<u8> = (0..=255).filter(|byte| plain_bytes(&[*byte]) == 1).collect();
        let expected: Vec<u8> = (b' '..=b'~').chain([b'\t']).collect();
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>(), expected.iter().collect());
    }
}
