//! The shape of code: how long functions are, how many parameters they take, and lines that pack several statements.

use crate::tidy::rust::{ends_item, indentation, split_top};

/// A function as its signature and layout show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The name behind `fn`.
    pub name: String,
    /// The line of its `fn`, counted from 1.
    pub line: usize,
    /// Lines from its `fn` to its closing brace.
    pub lines: usize,
    /// Each parameter with its type, without `self`.
    pub parameters: Vec<String>,
}

/// Returns every function with a name in `code`, which has blanked literals.
#[must_use]
pub fn functions(code: &str) -> Vec<Function> {
    let lines: Vec<&str> = code.lines().collect();
    let mut found = Vec::new();
    let mut offset = 0;
    for (index, line) in lines.iter().enumerate() {
        if let Some(at) = declaration(line) {
            let text = &code[offset + at..];
            let name: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let parameters = parameters(&text[name.len()..]);
            found.push(Function { name, line: index + 1, lines: length(&lines, index), parameters });
        }
        offset += line.len() + 1;
    }
    found
}

/// Returns where the name begins in a line that declares a function.
fn declaration(line: &str) -> Option<usize> {
    let at = if line.trim_start().starts_with("fn ") { line.find("fn ")? } else { line.find(" fn ")? + 1 };
    let modifiers = ["pub", "const", "async", "unsafe", "extern", "default", "\"", "\"\""];
    let mut before = line[..at].split_whitespace();
    let declares = before.all(|word| modifiers.contains(&word) || word.starts_with("pub(") || word.starts_with('"'));
    let name = line[at + 3..].chars().next()?;
    (declares && (name.is_alphabetic() || name == '_')).then_some(at + 3)
}

/// Returns the lines from a function's `fn` to the closing brace of the same indentation, which rustfmt guarantees.
fn length(lines: &[&str], start: usize) -> usize {
    let indent = indentation(lines[start]);
    let end = (start..lines.len()).find(|at| indentation(lines[*at]) == indent && ends_item(lines[*at]));
    end.map_or(1, |end| end - start + 1)
}

/// Returns the parameters of a signature that begins behind its function's name.
fn parameters(signature: &str) -> Vec<String> {
    let mut angles = 0_i32;
    let mut before = ' ';
    let open = signature.char_indices().find(|(_, char)| {
        match char {
            '<' => angles += 1,
            '>' if before != '-' => angles -= 1,
            _ => {}
        }
        before = *char;
        *char == '(' && angles == 0
    });
    let Some((open, _)) = open else { return Vec::new() };
    let inner = &signature[open + 1..open + 1 + closing(&signature[open + 1..])];
    let is_self =
        |part: &String| part.split(':').next().is_some_and(|name| name.split([' ', '&']).any(|w| w == "self"));
    split_top(inner, ',').into_iter().filter(|part| !is_self(part)).collect()
}

/// Returns the index of the bracket that closes one opened before `text`.
fn closing(text: &str) -> usize {
    let mut depth = 1_i32;
    for (index, char) in text.char_indices() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    text.len()
}

/// Returns whether a parameter's type is a tuple of two or more.
#[must_use]
pub fn is_tuple_parameter(parameter: &str) -> bool {
    let kind = split_top(parameter, ':').get(1).cloned().unwrap_or_default();
    let kind = kind.trim_start_matches('&').trim_start_matches("mut ").trim();
    kind.starts_with('(') && split_top(&kind[1..closing(&kind[1..]) + 1], ',').len() > 1
}

/// Returns the lines of `code` with a `let` that binds several values computed side by side: `let (a, b) = (x, y);`.
#[must_use]
pub fn packed_lets(code: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("let (").map(|at| at + from) {
        from = at + 5;
        let names = from + closing(&code[from..]);
        let rest = code.get(names + 1..).unwrap_or_default();
        let value = rest.split_once('=').map(|(_, value)| value.trim_start()).unwrap_or_default();
        let between = rest.split('=').next().unwrap_or_default();
        if value.starts_with('(') && !between.contains(';') && !between.contains('{') && is_tuple(value) {
            found.push(code[..at].matches('\n').count() + 1);
        }
    }
    found
}

/// Returns whether `value` begins with a tuple of two or more that is the whole expression.
fn is_tuple(value: &str) -> bool {
    let end = closing(&value[1..]);
    let behind = value.get(end + 2..).unwrap_or_default().trim_start();
    split_top(&value[1..=end], ',').len() > 1 && (behind.starts_with(';') || behind.starts_with("else"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_measured() {
        let code = "fn short() {}\n\npub fn three(\n    a: u8,\n    (b, c): (u8, u8),\n) {\n    body();\n}\n\
                    impl A {\n    pub(crate) const fn of<T: Fn(u8) -> u8>(&self, f: T) -> u8 {\n        f(1)\n    }\n}\n";
        let found: Vec<_> = functions(code)
            .into_iter()
            .map(|it| format!("{} {} {} {:?}", it.name, it.line, it.lines, it.parameters))
            .collect();
        assert_eq!(found, ["short 1 1 []", r#"three 3 6 ["a: u8", "(b, c): (u8, u8)"]"#, r#"of 10 3 ["f: T"]"#]);
    }

    #[test]
    fn pointers_to_functions_are_no_functions() {
        assert!(functions("type F = fn(u8);\nlet f: fn (u8) = g;\nfn_name();\n").is_empty());
    }

    #[test]
    fn tuple_parameters_are_found() {
        let cases = [
            ("a: u8", false),
            ("(a, b): (u8, u16)", true),
            ("range: &mut (u64, u64)", true),
            ("list: &[(u8, u8)]", false),
            ("unit: ()", false),
            ("f: impl Fn(u8, u8)", false),
        ];
        for (parameter, expected) in cases {
            assert_eq!(is_tuple_parameter(parameter), expected, "{parameter}");
        }
    }

    #[test]
    fn packed_lets_are_found() {
        let cases: [(&str, &[usize]); 8] = [
            ("let (a, b) = (x?, y?);", &[1]),
            ("f();\nlet (mut a, b) =\n    (x(1, 2), y);\n", &[2]),
            ("let (a, b): (u8, u8) = (1, 2);", &[1]),
            ("let (a, b) = pair();", &[]),
            ("let (a, b) = (x + y).split();", &[]),
            ("let (Some(a), Some(b)) = (x, y) else { return };", &[1]),
            ("if let (Some(a), Some(b)) = (x, y) { f(); }", &[]),
            ("let (a, b) = if c { (1, 2) } else { (3, 4) };", &[]),
        ];
        for (code, expected) in cases {
            assert_eq!(packed_lets(code), expected, "{code}");
        }
    }
}
