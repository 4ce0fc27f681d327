//! Rust source as the measures read it: without comments and string contents, and divided into code and tests.

/// Returns `text` with comments and the contents of string and character literals replaced by spaces. Lines keep their
/// numbers and their length in characters.
#[must_use]
pub fn blank_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            blank(&chars[at..end], &mut out);
            at = end;
        }
    }
    out
}

/// Returns the contents of each string literal of `text`, with the line on which it begins.
#[must_use]
pub fn strings(text: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let mut line = 1;
    let mut at = 0;
    while at < chars.len() {
        let end = literal_end(&chars, at).max(at + 1);
        let literal: String = chars[at..end].iter().collect();
        if literal.len() > 1 && literal.ends_with(['"', '#']) && literal.starts_with(['"', 'r', 'b']) {
            let inner = literal.trim_start_matches(['r', 'b']).trim_matches('#');
            found.push((line, inner.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(inner).to_owned()));
        }
        line += literal.matches('\n').count();
        at = end;
    }
    found
}

/// Writes quotes and line ends as they are, and everything else as spaces.
fn blank(literal: &[char], out: &mut String) {
    let last = literal.len() - 1;
    for (index, char) in literal.iter().enumerate() {
        let quote = (index == 0 || index == last) && *char == '"';
        out.push(if *char == '\n' || quote { *char } else { ' ' });
    }
}

/// Returns the index behind the comment or literal that begins at `at`, or `at` when none begins there.
fn literal_end(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let inside_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match rest {
        ['/', '/', ..] => at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
        ['/', '*', ..] => block_comment_end(chars, at),
        ['"', ..] => quoted_end(chars, at, '"'),
        ['\'', '\\', ..] => quoted_end(chars, at, '\''),
        ['\'', _, '\'', ..] => at + 3,
        ['r', '"' | '#', ..] if !inside_word => raw_end(chars, at, at + 1),
        ['b', 'r', '"' | '#', ..] if !inside_word => raw_end(chars, at, at + 2),
        _ => at,
    }
}

fn block_comment_end(chars: &[char], at: usize) -> usize {
    let mut depth = 0_usize;
    let mut index = at;
    while index < chars.len() {
        match &chars[index..] {
            ['/', '*', ..] => {
                depth += 1;
                index += 2;
            }
            ['*', '/', ..] => {
                depth -= 1;
                index += 2;
                if depth == 0 {
                    return index;
                }
            }
            _ => index += 1,
        }
    }
    chars.len()
}

fn quoted_end(chars: &[char], at: usize, quote: char) -> usize {
    let mut index = at + 1;
    while index < chars.len() {
        match chars[index] {
            '\\' => index += 2,
            char if char == quote => return index + 1,
            _ => index += 1,
        }
    }
    chars.len()
}

/// Returns the index behind a raw string whose hashes begin at `hashes`, or `at` for a raw identifier.
fn raw_end(chars: &[char], at: usize, hashes: usize) -> usize {
    let count = chars[hashes..].iter().take_while(|c| **c == '#').count();
    if chars.get(hashes + count) != Some(&'"') {
        return at;
    }
    let mut index = hashes + count + 1;
    while index < chars.len() {
        let closing = &chars[index + 1..];
        if chars[index] == '"' && closing.iter().take(count).filter(|c| **c == '#').count() == count {
            return index + 1 + count;
        }
        index += 1;
    }
    chars.len()
}

/// Marks the lines of `text` that belong to tests: items under `#[cfg(test)]`, or the whole file under `#![cfg(test)]`.
#[must_use]
pub fn test_lines(text: &str) -> Vec<bool> {
    let lines: Vec<&str> = text.lines().collect();
    let mut marks = vec![text.contains("#![cfg(test)]"); lines.len()];
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim_start().starts_with("#[cfg(test)]") {
            let end = item_end(&lines, at);
            marks[at..end].fill(true);
            at = end;
        } else {
            at += 1;
        }
    }
    marks
}

/// Returns the line behind the item whose attributes begin at line `start`.
fn item_end(lines: &[&str], start: usize) -> usize {
    let indent = indentation(lines[start]);
    let head = (start..lines.len()).find(|at| {
        let line = lines[*at].trim_start();
        let rest = line.strip_prefix("#[cfg(test)]").unwrap_or(line).trim();
        !rest.is_empty() && !rest.starts_with('#') && !rest.starts_with("//")
    });
    let Some(head) = head else { return lines.len() };
    let end = (head..lines.len()).find(|at| {
        let line = lines[*at];
        indentation(line) == indent && ends_item(line)
    });
    end.map_or(lines.len(), |end| end + 1)
}

/// Returns whether an item of this line's indentation ends with the line.
#[must_use]
pub fn ends_item(line: &str) -> bool {
    line.trim() == "}" || line.ends_with(';') || line.ends_with("{}") || (line.contains('{') && line.ends_with('}'))
}

/// The number of blanks before the first other character.
#[must_use]
pub fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Returns the code of `text` that is not a test, with literals and test lines blanked.
#[must_use]
pub fn code_only(text: &str) -> String {
    let marks = test_lines(text);
    let blanked = blank_literals(text);
    let kept: Vec<&str> = blanked.lines().zip(marks).map(|(line, test)| if test { "" } else { line }).collect();
    kept.join("\n")
}

/// Returns the modules that `text` declares under `#[cfg(test)]` in a file of their own.
#[must_use]
pub fn test_modules(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let marks = test_lines(text);
    let declared = lines.iter().zip(marks).filter(|(_, test)| *test).filter_map(|(line, _)| {
        let line = line.trim_start().trim_start_matches("#[cfg(test)]").trim_start();
        let name = line.strip_prefix("pub(crate) ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';')?;
        Some(name.to_owned())
    });
    declared.collect()
}

/// Splits `text` at `separator` where no bracket is open. `->` and `=>` close nothing.
#[must_use]
pub fn split_top(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_i32;
    let mut before = ' ';
    for char in text.chars() {
        match char {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if before == '-' || before == '=' => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            _ => {}
        }
        before = char;
        if char == separator && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(char);
        }
    }
    let trimmed = parts.iter().map(|part| part.trim().to_owned());
    trimmed.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked() {
        let cases = [
            ("let a = 1; // fn b()", "let a = 1;          "),
            (r#"say("fn x()", 'y')"#, r#"say("      ",    )"#),
            (r##"r#"a "quoted" b"# + c"##, r##"                  + c"##),
            ("/* a /* b */ c */ d", "                  d"),
            (r#""a\"b" c"#, r#""    " c"#),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("'\\'' + r#type", "     + r#type"),
            ("\"two\nlines\"", "\"   \n     \""),
        ];
        for (text, expected) in cases {
            assert_eq!(blank_literals(text), expected, "{text}");
        }
    }

    #[test]
    fn test_items_are_told_from_code() {
        let text =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\nfn d() {}";
        let marks: String = test_lines(text).iter().map(|test| if *test { 't' } else { '.' }).collect();
        assert_eq!(marks, ".tttt.tt.");
        assert_eq!(test_modules(text), ["more"]);
        assert_eq!(code_only(text).split_whitespace().collect::<Vec<_>>().join(" "), "fn a() {} fn c() {} fn d() {}");
    }

    #[test]
    fn an_attribute_on_the_line_of_its_item_marks_only_that() {
        let text = "#[cfg(test)] mod tests;\nfn a() {}";
        assert_eq!(test_lines(text), [true, false]);
    }

    #[test]
    fn a_file_may_be_a_test_as_a_whole() {
        assert_eq!(test_lines("#![cfg(test)]\nfn a() {}"), [true, true]);
    }

    #[test]
    fn only_separators_outside_brackets_divide() {
        let cases: [(&str, &[&str]); 4] = [
            ("a, b", &["a", "b"]),
            ("a: (u8, u8), b: Map<K, V>,", &["a: (u8, u8)", "b: Map<K, V>"]),
            ("f: impl Fn(u8, u8) -> u8, g: u8", &["f: impl Fn(u8, u8) -> u8", "g: u8"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(split_top(text, ','), expected, "{text}");
        }
    }
}
