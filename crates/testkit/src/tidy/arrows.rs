//! Arrows between the top-level modules of a crate, read from `crate::` and `super::` paths, and the circles among
//! them.

use std::collections::{BTreeMap, BTreeSet};

/// The modules that each module uses.
pub type Arrows = BTreeMap<String, BTreeSet<String>>;

/// A source file of a crate: its module path and its code without tests and literals.
#[derive(Debug, Clone)]
pub struct Module {
    /// The names from the crate's root, as `["swarm", "index"]`; empty for the root itself.
    pub path: Vec<String>,
    /// The code, see [`crate::tidy::rust::code_only`].
    pub code: String,
}

/// Returns the arrows between top-level modules. `modules` contains the root, whose re-exports stand for the items that
/// they name.
#[must_use]
pub fn arrows(modules: &[Module]) -> Arrows {
    let names: BTreeSet<String> = modules.iter().filter_map(|module| module.path.first().cloned()).collect();
    let root = modules.iter().filter(|module| module.path.is_empty()).map(|module| module.code.as_str());
    let reexports = reexports(&root.collect::<Vec<_>>().join("\n"), &names);
    let mut found: Arrows = names.iter().map(|name| (name.clone(), BTreeSet::new())).collect();
    for module in modules {
        let Some(from) = module.path.first() else { continue };
        for name in used_names(&module.code, module.path.len()) {
            let to = if names.contains(&name) { Some(&name) } else { reexports.get(&name) };
            if let Some(to) = to.filter(|to| *to != from) {
                found.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    found
}

/// Returns the names that follow `crate::`, or as many `super::` as lead to the root from a module of this depth.
fn used_names(code: &str, depth: usize) -> BTreeSet<String> {
    let tokens = tokens(code);
    let mut found = BTreeSet::new();
    let mut at = 0;
    while at < tokens.len() {
        let supers = tokens[at..].chunks(2).take_while(|pair| **pair == ["super", "::"]).count();
        let starts = at == 0 || tokens[at - 1] != "::";
        if starts && tokens[at..].starts_with(&["crate", "::"]) {
            first_names(&tokens[at + 2..], &mut found);
            at += 2;
        } else if starts && supers > 0 {
            if supers == depth {
                first_names(&tokens[at + 2 * supers..], &mut found);
            }
            at += 2 * supers;
        } else {
            at += 1;
        }
    }
    found
}

/// Collects the first name of a path, or of each path of a group.
fn first_names(tokens: &[&str], found: &mut BTreeSet<String>) {
    if tokens.first() != Some(&"{") {
        found.extend(tokens.first().map(|name| (*name).to_owned()));
        return;
    }
    let mut depth = 0_usize;
    for (index, token) in tokens.iter().enumerate() {
        match *token {
            "{" => depth += 1,
            "}" if depth == 1 => return,
            "}" => depth -= 1,
            name if depth == 1 && matches!(tokens[index - 1], "{" | ",") => {
                found.insert(name.to_owned());
            }
            _ => {}
        }
    }
}

/// Returns, for each name that the root re-exports, the module from which it comes.
fn reexports(root: &str, names: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for statement in root.split(';').filter(|statement| statement.contains("use ")) {
        let Some((_, path)) = statement.rsplit_once("use ") else { continue };
        let tokens = tokens(path);
        let skip = if tokens.starts_with(&["crate", "::"]) || tokens.starts_with(&["self", "::"]) { 2 } else { 0 };
        let Some(module) = tokens.get(skip).filter(|name| names.contains(**name)) else { continue };
        for (index, token) in tokens.iter().enumerate().skip(skip + 1) {
            let ends = matches!(tokens.get(index + 1), None | Some(&"," | &"}"));
            if ends && is_name(token) {
                found.insert((*token).to_owned(), (*module).to_owned());
            }
        }
    }
    found
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Splits code into names, `::`, and single other characters.
fn tokens(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            found.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    found
}

/// Returns the circles: sets of modules each of which reaches all others of its set.
#[must_use]
pub fn circles(arrows: &Arrows) -> Vec<BTreeSet<String>> {
    let reach: BTreeMap<&String, BTreeSet<String>> =
        arrows.keys().map(|name| (name, reachable(arrows, name))).collect();
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for (name, reached) in &reach {
        if found.iter().any(|circle| circle.contains(*name)) {
            continue;
        }
        let back = |other: &&String| reach.get(other).is_some_and(|theirs| theirs.contains(*name));
        let circle: BTreeSet<String> = reached.iter().filter(back).cloned().collect();
        if circle.len() > 1 {
            found.push(circle);
        }
    }
    found
}

fn reachable(arrows: &Arrows, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for next in arrows.get(&name).into_iter().flatten() {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str, code: &str) -> Module {
        Module {
            path: path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            code: code.to_owned(),
        }
    }

    fn shown(arrows: &Arrows) -> Vec<String> {
        arrows.iter().flat_map(|(from, to)| to.iter().map(move |to| format!("{from}>{to}"))).collect()
    }

    #[test]
    fn paths_become_arrows() {
        let cases: [(&str, &str, &[&str]); 8] = [
            ("a", "use crate::b::X;", &["a>b"]),
            ("a", "fn f() -> crate::c::Y { crate::b::g() }", &["a>b", "a>c"]),
            ("a", "use crate::{b::{X, Y as c}, c};", &["a>b", "a>c"]),
            ("a/x", "use super::super::b; use super::y;", &["a>b"]),
            ("a", "use super::b::X;", &["a>b"]),
            ("a/x", "use super::c::X;", &[]),
            ("a", "use other::crate_name; b::f();", &[]),
            ("a", "use crate::Shown;", &["a>c"]),
        ];
        for (path, code, expected) in cases {
            let root = module("", "mod a; mod b; pub use c::{Shown, other::Name};");
            let modules = [root, module(path, code), module("b", ""), module("c", "")];
            assert_eq!(shown(&arrows(&modules)), expected, "{code}");
        }
    }

    #[test]
    fn circles_are_found() {
        let cases: [(&[&str], &[&[&str]]); 4] = [
            (&["a>b", "b>c"], &[]),
            (&["a>b", "b>a", "b>c"], &[&["a", "b"]]),
            (&["a>b", "b>c", "c>a", "d>e", "e>d"], &[&["a", "b", "c"], &["d", "e"]]),
            (&[], &[]),
        ];
        for (pairs, expected) in cases {
            let mut graph = Arrows::new();
            for (from, to) in pairs.iter().filter_map(|pair| pair.split_once('>')) {
                graph.entry(from.to_owned()).or_default().insert(to.to_owned());
                graph.entry(to.to_owned()).or_default();
            }
            let found = circles(&graph);
            let found: Vec<Vec<&str>> =
                found.iter().map(|circle| circle.iter().map(String::as_str).collect()).collect();
            assert_eq!(found, expected, "{pairs:?}");
        }
    }
}
