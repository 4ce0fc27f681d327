//! What both stores do to a text before it meets a database, so that they answer alike.

use std::borrow::Cow;

/// The most words a search looks for; the ones past it are left out.
pub(super) const SEARCH_WORDS_MAX: usize = 8;

/// A text without NUL, which PostgreSQL cannot store: one such name must not fail the batch it came in.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// The form in which names and words are compared: Unicode's lower case, which databases disagree about.
pub(super) fn folded(text: &str) -> String {
    storable(text).to_lowercase()
}

/// The words of a search, folded, without empty ones.
pub(super) fn search_words(words: &[String]) -> Vec<String> {
    words.iter().filter(|word| !word.is_empty()).take(SEARCH_WORDS_MAX).map(|word| folded(word)).collect()
}

/// A LIKE pattern that finds `word` anywhere and takes `%`, `_` and `\` literally.
pub(super) fn pattern(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    out.push('%');
    for letter in word.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('%');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_wildcards_literally() {
        for (word, wanted) in [("a", "%a%"), ("50%", "%50\\%%"), ("a_b", "%a\\_b%"), ("\\", "%\\\\%")] {
            assert_eq!(pattern(word), wanted);
        }
    }

    #[test]
    fn names_are_folded_beyond_ascii_and_lose_nul() {
        assert_eq!(folded("ÄB\0c"), "äb\u{fffd}c");
        assert_eq!(search_words(&["".into(), "X".into()]), ["x"]);
    }
}
