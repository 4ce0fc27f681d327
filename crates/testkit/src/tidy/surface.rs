//! The public surface of a crate: the items that a dependent can name.

use std::collections::BTreeSet;

use crate::tidy::arrows::Module;
use crate::tidy::rust::split_top;

/// Returns the paths of items that are public from the root down: types, traits, functions, constants, macros and
/// re-exports, not methods. Hidden items, and items of an optional feature, do not count.
#[must_use]
pub fn public_items(modules: &[Module]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    visit(modules, &[], &mut found);
    let names: BTreeSet<&str> = found.iter().filter(|path| !path.starts_with("use ")).map(|path| last(path)).collect();
    let repeated: Vec<String> =
        found.iter().filter(|path| path.starts_with("use ") && names.contains(last(path))).cloned().collect();
    found.retain(|path| !repeated.contains(path));
    found
}

fn last(path: &str) -> &str {
    path.rsplit([':', ' ']).next().unwrap_or_default()
}

fn visit(modules: &[Module], path: &[String], found: &mut BTreeSet<String>) {
    let Some(module) = modules.iter().find(|module| module.path == path) else { return };
    for item in public_lines(&module.code) {
        let words: Vec<&str> =
            item.split([' ', '(', '<', ':', ';', '{', '!']).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            ["mod", name, ..] => {
                let mut below = path.to_vec();
                below.push((*name).to_owned());
                visit(modules, &below, found);
            }
            ["use", ..] => {
                let tree = item.strip_prefix("use ").unwrap_or_default().trim_end_matches(';');
                found.extend(leaves(tree).iter().map(|leaf| format!("use {leaf}")));
            }
            _ => found.extend(name_of(&words).map(|name| format!("{}::{name}", path.join("::")))),
        }
    }
}

/// Returns the name of a declared item: the word behind its kind.
fn name_of<'a>(words: &[&'a str]) -> Option<&'a str> {
    let kinds = ["struct", "enum", "union", "trait", "fn", "type", "static"];
    let at = words
        .iter()
        .position(|word| kinds.contains(word))
        .or_else(|| words.iter().position(|word| *word == "const"))?;
    words.get(at + 1).copied()
}

/// Returns the items behind `pub ` at the left margin, each up to its `;` or `{` (a re-export up to its `;`), unless an
/// attribute hides it or makes it optional.
fn public_lines(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut optional = false;
    let lines: Vec<&str> = code.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.starts_with("#[") {
            optional |= line.contains("doc(hidden)") || line.contains("feature");
            continue;
        }
        if let Some(item) = line.strip_prefix("pub ").filter(|_| !optional) {
            let end = lines[index..].iter().position(|line| line.contains(';')).map_or(index, |more| index + more);
            found.push(if item.starts_with("use ") {
                let rest = lines[index + 1..=end.max(index)].iter().map(|line| line.trim());
                std::iter::once(item).chain(rest).collect::<Vec<_>>().join(" ")
            } else {
                item.to_owned()
            });
        }
        if !line.trim().is_empty() {
            optional = false;
        }
    }
    found
}

/// Returns the names that a use tree brings.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    match tree.split_once('{') {
        Some((_, group)) => {
            let group = group.trim_end().strip_suffix('}').unwrap_or(group);
            split_top(group, ',').iter().flat_map(|part| leaves(part)).collect()
        }
        None => tree
            .rsplit("::")
            .next()
            .map(|leaf| leaf.rsplit(" as ").next().unwrap_or(leaf).to_owned())
            .into_iter()
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &[&str], code: &str) -> Module {
        Module { path: path.iter().map(|name| (*name).to_owned()).collect(), code: code.to_owned() }
    }

    #[test]
    fn only_what_a_dependent_can_name_counts() {
        let root = "mod a;\npub mod b;\n#[cfg(feature = \"x\")]\npub mod c;\n#[doc(hidden)]\npub mod d;\n\
                    pub use a::{\n    One, two::{Three as Four},\n};\npub use b::Five;\npub(crate) fn no() {}\n";
        let modules = [
            module(&[], root),
            module(&["a"], "pub struct One;\npub struct Hidden;"),
            module(
                &["b"],
                "pub struct Five {\n    pub field: u8,\n}\npub const fn six() {}\npub const SEVEN: u8 = 7;\n",
            ),
            module(&["c"], "pub struct Optional;"),
            module(&["d"], "pub struct Never;"),
        ];
        let found: Vec<_> = public_items(&modules).into_iter().collect();
        assert_eq!(found, ["b::Five", "b::SEVEN", "b::six", "use Four", "use One"]);
    }
}
