//! Markdown as prose: its sentences, their lengths, and lines that are too wide.

/// A sentence of running text, with the line on which its paragraph begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The line of its paragraph, counted from 1.
    pub line: usize,
    /// The number of words; code between back-quotes counts as one.
    pub words: usize,
    /// The text as it is counted.
    pub text: String,
    /// Whether it stands in a table, where fragments are usual.
    pub table: bool,
}

/// Returns the sentences of a page. Headings and fenced code have none.
#[must_use]
pub fn sentences(page: &str) -> Vec<Sentence> {
    let mut found = Vec::new();
    for block in blocks(page) {
        for text in split_sentences(&plain(&block.text)) {
            let words = text.split_whitespace().filter(|word| word.contains(|c: char| c.is_alphanumeric())).count();
            if words > 0 {
                found.push(Sentence { line: block.line, words, text, table: block.table });
            }
        }
    }
    found
}

/// Returns the lines of a page that are longer than `max` characters, with their lengths.
#[must_use]
pub fn wide_lines(page: &str, max: usize) -> Vec<(usize, usize)> {
    let lengths = page.lines().enumerate().map(|(index, line)| (index + 1, line.chars().count()));
    lengths.filter(|(_, length)| *length > max).collect()
}

/// A paragraph, a list item or a cell of a table.
struct Block {
    line: usize,
    text: String,
    table: bool,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut open = false;
    let mut fenced = false;
    for (index, line) in page.lines().enumerate() {
        let trimmed = line.trim();
        let fence = trimmed.starts_with("```");
        fenced ^= fence;
        if fence || fenced || trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with("<!--") {
            open = false;
        } else if trimmed.starts_with('|') {
            open = false;
            let cells = cells(trimmed).into_iter().filter(|cell| !cell.chars().all(|c| "-: ".contains(c)));
            found.extend(cells.map(|text| Block { line: index + 1, text, table: true }));
        } else if let (Some(item), false) = (list_item(trimmed), trimmed.is_empty()) {
            found.push(Block { line: index + 1, text: item.to_owned(), table: false });
            open = true;
        } else if let (true, Some(block)) = (open, found.last_mut()) {
            block.text.push(' ');
            block.text.push_str(trimmed);
        } else {
            found.push(Block { line: index + 1, text: trimmed.to_owned(), table: false });
            open = true;
        }
    }
    found
}

/// Returns the cells of a table's row; a bar behind a backslash or between back-quotes divides nothing.
fn cells(row: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut code = false;
    let mut before = ' ';
    for char in row.trim_matches('|').chars() {
        code ^= char == '`';
        if char == '|' && !code && before != '\\' {
            cells.push(String::new());
        } else if let Some(cell) = cells.last_mut() {
            cell.push(char);
        }
        before = char;
    }
    cells.iter().map(|cell| cell.trim().to_owned()).collect()
}

fn list_item(line: &str) -> Option<&str> {
    let bullet = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
    let digits = line.chars().take_while(char::is_ascii_digit).count();
    let numbered = || line.get(digits..)?.strip_prefix(". ").filter(|_| digits > 0);
    bullet.or_else(numbered)
}

/// Replaces code by a word, links by their text, and drops emphasis.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let skipped = match char {
            '`' => {
                let end = rest[1..].find('`').map_or(rest.len(), |end| end + 2);
                out.push_str("code");
                end
            }
            ']' if rest.starts_with("](") => rest.find(')').map_or(1, |end| end + 1),
            '*' | '[' | ']' => 1,
            other => {
                out.push(other);
                other.len_utf8()
            }
        };
        rest = &rest[skipped.min(rest.len())..];
    }
    out
}

/// Splits at `.`, `!` and `?` before a blank, and at the end. Dots inside numbers and names divide nothing.
fn split_sentences(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let chars: Vec<char> = text.chars().collect();
    for (index, char) in chars.iter().enumerate() {
        if let Some(sentence) = found.last_mut() {
            sentence.push(*char);
        }
        let closing = chars.get(index + 1).is_some_and(|next| ")\"".contains(*next));
        let next = chars.get(index + 1 + usize::from(closing));
        if ".!?".contains(*char) && next.is_none_or(|next| next.is_whitespace()) {
            found.push(String::new());
        }
    }
    let trimmed = found.iter().map(|text| text.trim().to_owned());
    trimmed.filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_counted() {
        let page = "# Heading of a page\n\nOne two three. Four `five six`\nseven!\n\n- an item\n  of two lines\n1. a step\n\n\
                    ```sh\nrun this. now\n```\n| a | b c. d |\n|---|---|\n";
        let found: Vec<_> = sentences(page).into_iter().map(|it| (it.line, it.words, it.table)).collect();
        let expected =
            [(3, 3, false), (3, 3, false), (6, 5, false), (8, 2, false), (13, 1, true), (13, 2, true), (13, 1, true)];
        assert_eq!(found, expected);
    }

    #[test]
    fn only_the_end_of_a_sentence_divides() {
        let cases = [
            ("Takes 0.5 s in config.toml. Then ends.", 2),
            ("Ends (or not.) Then goes on.", 2),
            ("A [link](docs/A.md) to x", 1),
            ("", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(sentences(text).len(), expected, "{text}");
        }
    }

    #[test]
    fn bars_in_code_do_not_divide_cells() {
        assert_eq!(cells(r"| a `x|y` | b \| c |"), ["a `x|y`", r"b \| c"]);
    }

    #[test]
    fn wide_lines_are_found_by_characters() {
        assert_eq!(wide_lines("ab\nabc\nüü\n", 2), [(2, 3)]);
    }
}
