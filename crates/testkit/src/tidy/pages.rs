//! Tables and lists of the documents that rules compare with the tree.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::arrows::Arrows;

/// The words in the last column of a module that may use every module above it.
const ALL_ABOVE: &str = "all above";
/// The mark of such a module in a set of arrows.
const ANY: &str = "*";

/// Returns the modules of the first table below `heading`, and the modules that each of them may use: the names between
/// back-quotes in the first and the last column, or all modules of the rows above.
#[must_use]
pub fn permitted_arrows(page: &str, heading: &str) -> Arrows {
    let section = page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_default();
    let rows = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let mut found: Arrows = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let (Some(module), Some(uses)) = (cells.first(), cells.last()) else { continue };
        let mut may: BTreeSet<String> = quoted(uses).into_iter().collect();
        if uses.contains(ALL_ABOVE) {
            may.extend(found.keys().cloned());
            may.insert(ANY.to_owned());
        }
        for name in quoted(module) {
            found.insert(name, may.clone());
        }
    }
    found
}

/// Returns what differs between the arrows of the code and those that a table permits.
#[must_use]
pub fn compare_arrows(code: &Arrows, permitted: &Arrows) -> Vec<String> {
    let mut found = Vec::new();
    let empty = BTreeSet::new();
    for (module, uses) in code {
        match permitted.get(module) {
            None => found.push(format!("module {module} has no row")),
            Some(may) => found.extend(
                uses.difference(may).map(|other| format!("{module} uses {other}, which its row does not permit")),
            ),
        }
    }
    for (module, may) in permitted {
        match code.get(module) {
            None => found.push(format!("module {module} has a row and does not exist")),
            Some(_) if may.contains(ANY) => {}
            Some(_) => {
                let unused = may.difference(code.get(module).unwrap_or(&empty));
                found.extend(unused.map(|other| format!("{module} may use {other} and does not")));
            }
        }
    }
    found
}

/// Returns the paths between back-quotes in a section: words with a `/` or a known ending.
#[must_use]
pub fn paths_in_section(page: &str, heading: &str) -> Vec<String> {
    let section = page.split(&format!("\n{heading}\n")).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let is_path =
        |word: &String| !word.contains(' ') && (word.contains('/') || word.ends_with(".rs") || word.ends_with(".sql"));
    quoted(section).into_iter().filter(is_path).collect()
}

/// Returns the names of tests between back-quotes: words of lower-case letters, digits and at least two underscores.
#[must_use]
pub fn test_names(page: &str) -> Vec<String> {
    let is_name = |word: &String| {
        word.matches('_').count() > 2 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    quoted(page).into_iter().filter(is_name).collect()
}

fn quoted(text: &str) -> Vec<String> {
    let lines = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    lines.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n\n## Modules\nText.\n| module | owns | may use |\n|---|---|---|\n| `a` | `x` | `b`, `c` |\n| `b` | | |\n\n\
                        ## Files\nSee `peer/src/a.rs` and `cargo test a/b`, `fast`, `schema.sql`.\n\n## More\n`x/y`\n";

    #[test]
    fn arrows_are_read_and_compared() {
        let permitted = permitted_arrows(PAGE, "## Modules");
        let arrows = |list: &[(&str, &[&str])]| -> Arrows {
            list.iter().map(|(from, to)| ((*from).to_owned(), to.iter().map(|it| (*it).to_owned()).collect())).collect()
        };
        assert_eq!(permitted, arrows(&[("a", &["b", "c"]), ("b", &[])]));
        let cases: [(Arrows, &[&str]); 4] = [
            (arrows(&[("a", &["b", "c"]), ("b", &[])]), &[]),
            (arrows(&[("a", &["b", "c"]), ("b", &["a"])]), &["b uses a, which its row does not permit"]),
            (arrows(&[("a", &["b", "c"])]), &["module b has a row and does not exist"]),
            (arrows(&[("a", &["b"]), ("b", &[]), ("d", &[])]), &["module d has no row", "a may use c and does not"]),
        ];
        for (code, expected) in cases {
            assert_eq!(compare_arrows(&code, &permitted), expected, "{code:?}");
        }
    }

    #[test]
    fn a_row_may_permit_all_rows_above() {
        let page = "\n## M\n| `a` | `x` | |\n| `b` | | `a` |\n| `c` | | all above |\n| `d` | | |\n";
        let permitted = permitted_arrows(page, "## M");
        let code = |c: &[&str]| -> Arrows {
            let mut code: Arrows = ["a", "b", "c", "d"].map(|name| (name.to_owned(), BTreeSet::new())).into();
            code.insert("b".to_owned(), BTreeSet::from(["a".to_owned()]));
            code.insert("c".to_owned(), c.iter().map(|name| (*name).to_owned()).collect());
            code
        };
        for (uses, expected) in
            [(&[][..], &[][..]), (&["a", "b"], &[]), (&["a", "d"], &["c uses d, which its row does not permit"])]
        {
            assert_eq!(compare_arrows(&code(uses), &permitted), expected, "{uses:?}");
        }
    }

    #[test]
    fn paths_are_read_from_one_section() {
        assert_eq!(paths_in_section(PAGE, "## Files"), ["peer/src/a.rs", "schema.sql"]);
    }

    #[test]
    fn names_of_tests_are_told_from_other_code() {
        let page = "`a_call_ends_with_its_grant`, `files_per_account`, `POST /a_b_c_d`, `a_longer_name_with_…`";
        assert_eq!(test_names(page), ["a_call_ends_with_its_grant"]);
    }
}
