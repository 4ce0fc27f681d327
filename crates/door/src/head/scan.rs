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
