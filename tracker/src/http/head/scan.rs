//! Where a head ends, found while its bytes trickle in: each byte is looked at once, however slowly it comes.
//!
//! Parsing again after every read would let a client that sends single bytes buy quadratic work. The scan also refuses a
//! byte that no head may contain at once, so that a TLS greeting on a plaintext port is not waited for.

use super::HeadError;

/// Empty lines allowed before the request line; RFC 9112 2.2 asks servers to forgive one.
const LEADING_EMPTY_LINES_MAX: usize = 1;

/// How far a head was looked at.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    seen_bytes: usize,
    line_bytes: usize,
    after_cr: bool,
    lines: usize,
    leading_empty_lines: usize,
}

impl HeadScan {
    /// Looks at what is new in `bytes`, which holds all that was shown before. The head's length once its empty line is
    /// there.
    pub(crate) fn advance(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        while let Some(byte) = bytes.get(self.seen_bytes) {
            self.seen_bytes += 1;
            if self.takes_end(*byte)? {
                return Ok(Some(self.seen_bytes));
            }
        }
        Ok(None)
    }

    /// Takes one byte; true where it ends the head.
    fn takes_end(&mut self, byte: u8) -> Result<bool, HeadError> {
        match (self.after_cr, byte) {
            (false, b' '..=b'~' | b'\t') => self.line_bytes += 1,
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
