//! A checkout on disk: its source files and pages, each with its path from the root.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::tidy::arrows::Module;
use crate::tidy::rust::{code_only, test_lines, test_modules};

/// The folders of our crates.
pub const MEMBERS: &[&str] = &["protos", "crates", "tracker", "peer", "bench", "fuzz"];

/// A text file of the checkout.
#[derive(Debug, Clone)]
pub struct File {
    /// The path from the root, with `/`.
    pub path: String,
    /// The contents.
    pub text: String,
    /// Whether the whole file is a test: in a `tests` folder, named `tests.rs`, or declared under `#[cfg(test)]`.
    pub test: bool,
}

/// The files of a checkout that the measures read.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Rust files of all members, sorted by path.
    pub sources: Vec<File>,
    /// Markdown files, sorted by path.
    pub pages: Vec<File>,
    /// Other texts that users read: the OpenAPI file.
    pub texts: Vec<File>,
}

impl Tree {
    /// Reads the checkout at `root`.
    ///
    /// # Panics
    /// When a file cannot be read.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut files = Vec::new();
        collect(root, "", &mut files);
        let by_ending =
            |ending: &str| files.iter().filter(|file| file.path.ends_with(ending)).cloned().collect::<Vec<_>>();
        let member = |file: &File| MEMBERS.iter().any(|member| file.path.starts_with(&format!("{member}/")));
        let mut sources: Vec<File> = by_ending(".rs").into_iter().filter(member).collect();
        mark_tests(&mut sources);
        Self { sources, pages: by_ending(".md"), texts: by_ending("openapi.json") }
    }

    /// Returns the modules of the crate at `folder`, without tests. The program's own files are not among them.
    #[must_use]
    pub fn modules(&self, folder: &str) -> Vec<Module> {
        let prefix = format!("{folder}/src/");
        let files = self.sources.iter().filter(|file| !file.test && file.path.starts_with(&prefix));
        let programs = |path: &[String]| matches!(path.first().map(String::as_str), Some("main" | "bin"));
        files
            .map(|file| Module { path: module_path(&file.path[prefix.len()..]), code: code_only(&file.text) })
            .filter(|module| !programs(&module.path))
            .collect()
    }
}

fn module_path(path: &str) -> Vec<String> {
    let names = path.trim_end_matches(".rs").split('/').map(str::to_owned);
    names.filter(|name| name != "lib" && name != "mod").collect()
}

fn collect(folder: &Path, shown: &str, found: &mut Vec<File>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let shown = if shown.is_empty() { name.clone() } else { format!("{shown}/{name}") };
        if path.is_dir() && !matches!(name.as_str(), "target" | "runs" | "corpus" | "artifacts") {
            collect(&path, &shown, found);
        } else if name.ends_with(".rs") || name.ends_with(".md") || name == "openapi.json" {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
            found.push(File { path: shown, text, test: false });
        }
    }
}

/// Marks whole files as tests.
fn mark_tests(sources: &mut [File]) {
    let mut declared = BTreeSet::new();
    for file in sources.iter() {
        let stem = file.path.trim_end_matches("/lib.rs").trim_end_matches("/main.rs").trim_end_matches(".rs");
        declared.extend(test_modules(&file.text).iter().map(|name| format!("{stem}/{name}")));
    }
    for file in sources {
        let stem = file.path.trim_end_matches(".rs");
        let by_name = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
        let below = declared.iter().any(|module| stem == module || stem.starts_with(&format!("{module}/")));
        file.test = by_name || below || test_lines(&file.text).iter().all(|test| *test);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned(), test: false }
    }

    #[test]
    fn whole_files_are_tests_by_place_name_or_declaration() {
        let mut files = [
            file("peer/src/a.rs", "#[cfg(test)]\nmod worlds;\nfn f() {}"),
            file("peer/src/a/worlds.rs", "fn w() {}"),
            file("peer/src/a/worlds/deep.rs", "fn w() {}"),
            file("peer/src/a/other.rs", "fn o() {}"),
            file("peer/src/a/tests.rs", "fn t() {}"),
            file("peer/tests/it/main.rs", "fn m() {}"),
        ];
        mark_tests(&mut files);
        assert_eq!(files.map(|file| file.test), [false, true, true, false, true, true]);
    }

    #[test]
    fn files_become_modules() {
        let cases: [(&str, &[&str]); 3] =
            [("lib.rs", &[]), ("swarm.rs", &["swarm"]), ("swarm/index.rs", &["swarm", "index"])];
        for (path, expected) in cases {
            assert_eq!(module_path(path), expected, "{path}");
        }
    }

    #[test]
    fn the_tree_is_read_from_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("peer/src/target")).unwrap();
        fs::write(root.join("peer/src/lib.rs"), "mod a;").unwrap();
        fs::write(root.join("peer/src/target/no.rs"), "").unwrap();
        fs::write(root.join("README.md"), "# A").unwrap();
        fs::write(root.join("other.rs"), "").unwrap();
        let tree = Tree::read(root);
        let paths = |files: &[File]| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        assert_eq!(
            (paths(&tree.sources), paths(&tree.pages)),
            (vec!["peer/src/lib.rs".into()], vec!["README.md".into()])
        );
        assert_eq!(tree.modules("peer").len(), 1);
    }
}
