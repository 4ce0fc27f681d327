//! The prose of comments and messages: how doc comments open, and words that STYLE's plain English does without.

use crate::tidy::rust::strings;

/// Words that open no doc comment: each leaves open which thing is meant, or makes a question of a statement.
const OPENINGS: &[&str] = &[
    "What",
    "Who",
    "Whom",
    "Whose",
    "Whoever",
    "Whomever",
    "Whatever",
    "Whichever",
    "Which",
    "Of",
    "How",
    "Where",
    "Why",
    "It",
    "He",
    "She",
    "They",
    "This",
    "That",
    "These",
    "Those",
    "Its",
    "His",
    "Somebody",
    "Someone",
    "Nobody",
    "Everybody",
    "Everyone",
    "Anybody",
    "Anyone",
    "Something",
    "Nothing",
    "Everything",
    "Anything",
];
/// Words that open the doc comment of a struct field only.
const FIELD_OPENINGS: &[&str] = &["Whether", "When"];
/// Words that open no line of a doc comment at all.
const LINE_OPENINGS: &[&str] = &["What", "Who", "Whom", "Of"];
/// Words and phrases that no text for a user contains; `docs/GLOSSARY.md` has the words to use.
pub const BANNED: &[&str] = &[
    "whoever",
    "whomever",
    "whom",
    "somebody",
    "nobody else",
    "everybody",
    "anybody",
    "is wanted",
    "are wanted",
    "wants leave",
    "shows leave",
    "show leave",
    "asks for leave",
    "ask for leave",
    "has leave",
    "have leave",
    "without leave",
    "forsaken",
    "gives way",
    "the books",
    "the called one",
    "the asker",
    "an asker",
];

/// A doc comment: the `///` or `//!` lines that stand together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doc {
    /// The line of its first line, counted from 1.
    pub line: usize,
    /// The text without its markers.
    pub lines: Vec<String>,
    /// Whether the documented item is a field of a struct.
    pub field: bool,
}

/// Returns the doc comments of `text`.
#[must_use]
pub fn docs(text: &str) -> Vec<Doc> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let start = at;
        let mut block = Vec::new();
        while let Some(text) = lines.get(at).and_then(|line| doc_text(line)) {
            block.push(text.to_owned());
            at += 1;
        }
        if block.is_empty() {
            at += 1;
        } else {
            found.push(Doc { line: start + 1, lines: block, field: is_field(&lines[at..]) });
        }
    }
    found
}

fn doc_text(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///").filter(|rest| !rest.starts_with('/')))?;
    Some(text.strip_prefix(' ').unwrap_or(text))
}

/// Returns whether the first line behind the attributes declares a field: `name: Type,`.
fn is_field(behind: &[&str]) -> bool {
    let Some(item) = behind.iter().map(|line| line.trim()).find(|line| !line.starts_with('#')) else { return false };
    let item = item.strip_prefix("pub").map_or(item, |rest| rest.trim_start_matches("(crate)").trim_start());
    let name: String = item.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    !name.is_empty() && item[name.len()..].starts_with(": ")
}

/// Returns the lines of `text` that carry words of a doc comment.
#[must_use]
pub fn doc_line_count(text: &str) -> usize {
    docs(text).iter().flat_map(|doc| &doc.lines).filter(|line| !line.trim().is_empty()).count()
}

/// Returns each doc comment that opens with a pronoun or a free relative, and each line in one that opens with the
/// worst of them, as line number and text.
#[must_use]
pub fn pronoun_openings(text: &str) -> Vec<Offence> {
    let mut found = Vec::new();
    for doc in docs(text) {
        let mut code = false;
        for (index, line) in doc.lines.iter().enumerate() {
            code ^= line.trim_start().starts_with("```");
            let word = first_word(line);
            let opens = index == 0 && (OPENINGS.contains(&word) || (!doc.field && FIELD_OPENINGS.contains(&word)));
            if !code && (opens || opens_worst(line)) {
                found.push(Offence { line: doc.line + index, text: line.trim().to_owned() });
            }
        }
    }
    found
}

/// Returns whether a line of a doc comment opens with a word that opens none: What, Who, Whom, Of.
#[must_use]
pub fn opens_worst(line: &str) -> bool {
    LINE_OPENINGS.contains(&first_word(line))
}

/// A place in a file, with the text that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offence {
    /// The line, counted from 1.
    pub line: usize,
    /// The offending text.
    pub text: String,
}

fn first_word(line: &str) -> &str {
    line.split(|c: char| !c.is_alphabetic()).next().unwrap_or_default()
}

/// Returns each doc comment that consists of one word.
#[must_use]
pub fn one_word_docs(text: &str) -> Vec<Offence> {
    let one_word = |doc: &Doc| doc.lines.iter().flat_map(|line| line.split_whitespace()).count() == 1;
    let found = docs(text).into_iter().filter(one_word);
    found.map(|doc| Offence { line: doc.line, text: doc.lines.concat().trim().to_owned() }).collect()
}

/// Returns the banned words of a text for users.
#[must_use]
pub fn banned_words(text: &str) -> Vec<&'static str> {
    let words: Vec<String> = text
        .to_lowercase()
        .split(|c: char| !c.is_alphanumeric() && c != '\'')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    let joined = format!(" {} ", words.join(" "));
    BANNED.iter().copied().filter(|word| joined.contains(&format!(" {word} "))).collect()
}

/// Returns the string literals of `text` that are phrases, each with the line on which it begins.
#[must_use]
pub fn messages(text: &str) -> Vec<Offence> {
    let phrases = strings(text).into_iter().filter(|(_, literal)| literal.trim().contains(' '));
    phrases.map(|(line, text)| Offence { line, text }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_are_read_in_blocks() {
        let text = "//! Head.\n\nstruct A {\n    /// Whether it ends.\n    #[x]\n    pub(crate) end: bool,\n}\n/// Is it?\n/// Yes.\nfn f() {}";
        let found: Vec<_> =
            docs(text).into_iter().map(|doc| format!("{} {} {}", doc.line, doc.lines.len(), doc.field)).collect();
        assert_eq!(found, ["1 1 false", "4 1 true", "8 2 false"]);
        assert_eq!(doc_line_count(text), 4);
    }

    #[test]
    fn openings_are_judged() {
        let cases: [(&str, &[usize]); 9] = [
            ("/// What a source has.\nfn f() {}", &[1]),
            ("/// The chunks of a source.\n/// Who asks gets them.\nfn f() {}", &[2]),
            ("/// The chunks.\n/// It is sorted.\nfn f() {}", &[]),
            ("/// It is sorted.\nfn f() {}", &[1]),
            ("/// Whether it ends.\nfn f() {}", &[1]),
            ("    /// Whether it ends.\n    end: bool,", &[]),
            ("    /// How many there are.\n    count: usize,", &[1]),
            ("/// Whatnot.\nfn f() {}", &[]),
            ("/// A list:\n/// ```\n/// What\n/// ```\nfn f() {}", &[]),
        ];
        for (text, expected) in cases {
            let found: Vec<usize> = pronoun_openings(text).into_iter().map(|offence| offence.line).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_doc_has_more_than_one_word() {
        let cases = [("/// Who.\nx: u8,", 1), ("/// The caller.\nx: u8,", 0), ("///\n/// Size\nx: u8,", 1)];
        for (text, expected) in cases {
            assert_eq!(one_word_docs(text).len(), expected, "{text}");
        }
    }

    #[test]
    fn banned_words_are_whole_words() {
        let cases: [(&str, &[&str]); 4] = [
            ("Whoever asks, is served", &["whoever"]),
            ("a number is\nwanted here", &["is wanted"]),
            ("whomsoever", &[]),
            ("the caller leaves", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(banned_words(text), expected, "{text}");
        }
    }

    #[test]
    fn messages_are_the_phrases_in_literals() {
        let text = "fail(\"no such file\", \"word\"); // \"a comment\"\nlet long = \"first line\nsecond line\";\n";
        let found: Vec<_> = messages(text).into_iter().map(|it| format!("{} {}", it.line, it.text)).collect();
        assert_eq!(found, ["1 no such file", "2 first line\nsecond line"]);
    }
}
