//! Normalisation of texts before they reach a database, so that both stores answer alike.

use std::borrow::Cow;

/// The most words that a search looks for. Further words are ignored.
pub(super) const SEARCH_WORDS_MAX: usize = 8;

/// Returns the text without NUL, which PostgreSQL cannot store: one such name must not fail the batch it came in.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) }
}

/// Returns the form in which names and words are compared: Unicode's lower case, which databases disagree about.
pub(super) fn folded(text: &str) -> String {
    storable(text).to_lowercase()
}

/// Returns the words of a search, folded, without empty ones.
pub(super) fn search_words(words: &[String]) -> Vec<String> {
    words.iter().filter(|word| !word.is_empty()).take(SEARCH_WORDS_MAX).map(|word| folded(word)).collect()
}

/// Returns one LIKE pattern for each word of a search, and one that matches everything for each word that is missing.
///
/// So every search has the same number of parameters, and one prepared statement serves all.
pub(super) fn search_patterns(words: &[String]) -> [String; SEARCH_WORDS_MAX] {
    let words = search_words(words);
    std::array::from_fn(|at| words.get(at).map_or_else(|| "%".into(), |word| pattern(word)))
}

/// Returns a LIKE pattern that finds `word` anywhere and takes `%`, `_` and `\` literally.
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
        for (word, expected) in [("a", "%a%"), ("50%", "%50\\%%"), ("a_b", "%a\\_b%"), ("\\", "%\\\\%"), ("", "%%")] {
            assert_eq!(pattern(word), expected);
        }
    }

    #[test]
    fn names_are_folded_beyond_ascii_and_lose_nul() {
        assert_eq!(folded("ÄB\0c"), "äb\u{fffd}c");
        assert_eq!(storable("plain"), "plain");
    }

    #[test]
    fn a_search_skips_empty_words_and_ignores_the_ninth() {
        assert_eq!(search_words(&["".into(), "X".into()]), ["x"]);
        let words: Vec<String> = (0..12).map(|n| format!("w{n}")).collect();
        assert_eq!(search_words(&words).len(), SEARCH_WORDS_MAX);
    }

    #[test]
    fn missing_words_of_a_search_match_everything() {
        let patterns = search_patterns(&["One".into(), "t%o".into()]);
        assert_eq!(patterns[..3], ["%one%", "%t\\%o%", "%"]);
        assert!(patterns[2..].iter().all(|pattern| pattern == "%"));
    }
}
