//! Patterns by which a user selects files of a collection.
//!
//! | pattern | matches |
//! |---|---|
//! | `?` | one character of a component |
//! | `*` | any run of characters within a component |
//! | `**` | any run of characters, also across components |
//! | `**/` | any number of folders, also none |
//!
//! A pattern is matched against the whole relative path. A pattern that matches a folder selects the folder's content.
//! Time is proportional to pattern length times path length, however many stars there are.

use std::fmt;

/// The longest pattern, in bytes.
pub const PATTERN_LEN_MAX: usize = 1_024;
/// The largest number of patterns in one selection.
pub const PATTERNS_MAX: usize = 256;

/// The reason that a text is not a pattern, or that texts are not a selection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobError {
    /// The pattern is empty, or slashes only.
    Empty,
    /// Longer than [`PATTERN_LEN_MAX`].
    TooLong,
    /// More than [`PATTERNS_MAX`].
    TooMany,
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an empty pattern matches nothing; ** matches everything"),
            Self::TooLong => write!(f, "the pattern is longer than {PATTERN_LEN_MAX} bytes"),
            Self::TooMany => write!(f, "more than {PATTERNS_MAX} patterns"),
        }
    }
}

impl std::error::Error for GlobError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Exactly(char),
    /// `?`: any one character.
    One,
    /// `*`: any characters of one component.
    Run,
    /// `**`: any number of components.
    DeepRun,
    /// `**/` at a component's start
    Folders,
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
}

impl Pattern {
    /// Parses a pattern. Slashes at its ends are ignored.
    pub fn parse(text: &str) -> Result<Self, GlobError> {
        if text.len() > PATTERN_LEN_MAX {
            return Err(GlobError::TooLong);
        }
        let mut rest = text.trim_matches('/');
        if rest.is_empty() {
            return Err(GlobError::Empty);
        }
        let mut tokens = Vec::new();
        let mut at_start = true;
        while let Some(first) = rest.chars().next() {
            let (token, len) = match first {
                '*' if at_start && rest.starts_with("**/") => (Token::Folders, 3),
                '*' if rest.starts_with("**") => (Token::DeepRun, 2),
                '*' => (Token::Run, 1),
                '?' => (Token::One, 1),
                other => (Token::Exactly(other), other.len_utf8()),
            };
            at_start = matches!(token, Token::Folders | Token::Exactly('/'));
            tokens.push(token);
            rest = &rest[len..];
        }
        Ok(Self { tokens })
    }

    /// Tells whether the pattern matches `path`, or a folder that contains `path`.
    pub fn matches(&self, path: &str) -> bool {
        let mut states = States::new(self.tokens.len());
        states.enter(&self.tokens, 0);
        let mut next = States::new(self.tokens.len());
        for c in path.chars() {
            if c == '/' && states.is_at_end() {
                return true;
            }
            next.clear();
            for (at, token) in self.tokens.iter().enumerate().filter(|(at, _)| states.at[*at]) {
                match token {
                    Token::Exactly(wanted) if *wanted == c => next.enter(&self.tokens, at + 1),
                    Token::One if c != '/' => next.enter(&self.tokens, at + 1),
                    Token::Run if c != '/' => next.enter(&self.tokens, at),
                    Token::DeepRun => next.enter(&self.tokens, at),
                    Token::Folders => {
                        // The token after the folders may match only behind a slash.
                        next.at[at] = true;
                        if c == '/' {
                            next.enter(&self.tokens, at + 1);
                        }
                    }
                    _ => {}
                }
            }
            std::mem::swap(&mut states, &mut next);
        }
        states.is_at_end()
    }
}

/// The tokens that may match next. The last place stands for the end of the pattern.
struct States {
    at: Vec<bool>,
}

impl States {
    fn new(tokens: usize) -> Self {
        Self { at: vec![false; tokens + 1] }
    }

    fn clear(&mut self) {
        self.at.fill(false);
    }

    fn is_at_end(&self) -> bool {
        self.at.last().is_some_and(|end| *end)
    }

    /// Adds the token at `at`. If it is a run, which may be empty, adds the token behind it too, and so on.
    fn enter(&mut self, tokens: &[Token], mut at: usize) {
        self.at[at] = true;
        while let Some(Token::Run | Token::DeepRun | Token::Folders) = tokens.get(at) {
            at += 1;
            if self.at[at] {
                return;
            }
            self.at[at] = true;
        }
    }
}

/// The files to select: those that an `include` pattern matches, or all if there is none, without those that an
/// `exclude` pattern matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl Selection {
    /// Parses both lists. An empty `include` selects everything.
    pub fn parse(include: &[String], exclude: &[String]) -> Result<Self, GlobError> {
        if include.len() + exclude.len() > PATTERNS_MAX {
            return Err(GlobError::TooMany);
        }
        let all = |texts: &[String]| texts.iter().map(|text| Pattern::parse(text)).collect::<Result<Vec<_>, _>>();
        Ok(Self { include: all(include)?, exclude: all(exclude)? })
    }

    /// Tells whether the selection has no patterns.
    pub fn is_everything(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Tells whether the file or folder at this relative path is selected.
    pub fn selects(&self, path: &str) -> bool {
        let one_of = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(path));
        (self.include.is_empty() || one_of(&self.include)) && !one_of(&self.exclude)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(pattern: &str, matched: &[&str], not_matched: &[&str]) {
        let parsed = Pattern::parse(pattern).expect("a pattern");
        for path in matched {
            assert!(parsed.matches(path), "{pattern} matches {path}");
        }
        for path in not_matched {
            assert!(!parsed.matches(path), "{pattern} does not match {path}");
        }
    }

    #[test]
    fn stars_and_question_marks_stay_within_a_component() {
        check("*.txt", &["a.txt", ".txt", "größe.txt"], &["a/b.txt", "a.txt.gz", "txt"]);
        check("a?c", &["abc", "aéc"], &["ac", "a/c", "abbc"]);
        check("a/*/c", &["a/b/c", "a//c"], &["a/c", "a/b/d/c"]);
        check("*a*b*", &["ab", "xaxbx", "aab"], &["ba", "a"]);
        check("exact", &["exact"], &["Exact", "exac", "exactly"]);
    }

    #[test]
    fn two_stars_go_over_components() {
        check("**", &["a", "a/b/c"], &[]);
        check("**/*.txt", &["a.txt", "a/b.txt", "a/b/c.txt"], &["a.txt.gz"]);
        check("a/**", &["a/b", "a/b/c"], &["a", "b/a/c", "ab"]);
        check("a/**/z", &["a/z", "a/b/z", "a/b/c/z"], &["a/bz", "az", "a/b/cz"]);
        check("**/x/**/y", &["x/y", "a/x/b/y", "x/x/y/y"], &["ax/y", "x", "y"]);
        check("a**z", &["az", "a/b/z", "abz"], &["a/b"]);
    }

    #[test]
    fn a_pattern_that_matches_a_folder_selects_its_content() {
        check("images", &["images", "images/a/b.png"], &["images2/a", "a/images"]);
        check("images/", &["images/a.png"], &["image"]);
        check("/images", &["images/a.png"], &[]);
        check("**/cache", &["cache/x", "a/cache/x/y"], &["a/cached/x"]);
        check("im*", &["images/a.png", "im"], &["a/images"]);
    }

    #[test]
    fn empty_long_and_too_many_patterns_are_refused() {
        for text in ["", "/", "//"] {
            assert_eq!(Pattern::parse(text), Err(GlobError::Empty), "{text:?}");
        }
        assert_eq!(Pattern::parse(&"a".repeat(PATTERN_LEN_MAX + 1)), Err(GlobError::TooLong));
        let many = vec!["a".to_owned(); PATTERNS_MAX];
        assert!(Selection::parse(&many, &[]).is_ok());
        assert_eq!(Selection::parse(&many, &["b".to_owned()]), Err(GlobError::TooMany));
    }

    #[test]
    fn exclusion_wins_over_inclusion() {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let selected = |include: &[&str], exclude: &[&str]| {
            let selection = Selection::parse(&owned(include), &owned(exclude)).expect("patterns");
            let paths = ["a.txt", "b.bin", "d/a.txt", "d/c.bin"];
            paths.into_iter().filter(|path| selection.selects(path)).collect::<Vec<_>>()
        };
        assert_eq!(selected(&[], &[]), ["a.txt", "b.bin", "d/a.txt", "d/c.bin"]);
        assert_eq!(selected(&["d"], &[]), ["d/a.txt", "d/c.bin"]);
        assert_eq!(selected(&[], &["**/*.txt"]), ["b.bin", "d/c.bin"]);
        assert_eq!(selected(&["d", "b*"], &["**/c.*"]), ["b.bin", "d/a.txt"]);
    }

    #[test]
    fn many_stars_cost_no_time() {
        let pattern = Pattern::parse(&"*a**/".repeat(200)).expect("a pattern");
        assert!(!pattern.matches(&"a".repeat(1_000)));
    }

    /// Matches as the head of the module says, by trying everything.
    fn slowly(pattern: &[char], path: &[char], at_start: bool) -> bool {
        let end = |path: &[char]| path.is_empty() || path[0] == '/';
        match pattern {
            [] => end(path),
            ['*', '*', '/', rest @ ..] if at_start => {
                let behind = (0..path.len()).filter(|at| path[*at] == '/').map(|at| at + 1);
                std::iter::once(0).chain(behind).any(|at| slowly(rest, &path[at..], true))
            }
            ['*', '*', rest @ ..] => (0..=path.len()).any(|at| slowly(rest, &path[at..], false)),
            ['*', rest @ ..] => {
                let longest = path.iter().position(|c| *c == '/').unwrap_or(path.len());
                (0..=longest).any(|at| slowly(rest, &path[at..], false))
            }
            ['?', rest @ ..] => path.first().is_some_and(|c| *c != '/') && slowly(rest, &path[1..], false),
            [c, rest @ ..] => path.first() == Some(c) && slowly(rest, &path[1..], *c == '/'),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_trying_everything(pattern in "[ab*?/]{1,8}", path in "[ab](/?[ab]){0,6}") {
            if let Ok(parsed) = Pattern::parse(&pattern) {
                let trimmed: Vec<char> = pattern.trim_matches('/').chars().collect();
                let chars: Vec<char> = path.chars().collect();
                prop_assert_eq!(parsed.matches(&path), slowly(&trimmed, &chars, true), "{} {}", pattern, path);
            }
        }
    }
}
