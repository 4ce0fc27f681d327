//! Percent escapes (RFC 3986) in paths, queries and database URLs.

/// Decodes RFC 3986 percent escapes; `None` for a broken escape or bytes that are not UTF-8.
pub fn percent_decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = hex_digit(bytes.next()?)?;
            let low = hex_digit(bytes.next()?)?;
            out.push(high << 4 | low);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_once() {
        for (text, expected) in [
            ("", ""),
            ("plain-text_1.~", "plain-text_1.~"),
            ("a%20b", "a b"),
            ("%41%42c", "ABc"),
            ("%2f%2F", "//"),
            ("%25", "%"),
            ("%2541", "%41"),
            ("%C3%A9", "é"),
            ("é%C3%A9", "éé"),
            ("%00", "\0"),
            ("a+b", "a+b"),
        ] {
            assert_eq!(percent_decode(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn broken_escapes_and_other_encodings_are_refused() {
        for text in ["%", "%4", "a%", "%g0", "%0g", "%%41", "% 41", "%é1", "%ff", "%C3", "%C3%28", "%ED%A0%80"] {
            assert_eq!(percent_decode(text), None, "{text}");
        }
    }

    #[test]
    fn every_byte_of_ascii_decodes_from_its_escape() {
        for byte in 0..=127_u8 {
            let expected = char::from(byte).to_string();
            assert_eq!(percent_decode(&format!("%{byte:02x}")).as_deref(), Some(expected.as_str()));
            assert_eq!(percent_decode(&format!("%{byte:02X}")).as_deref(), Some(expected.as_str()));
        }
    }
}
