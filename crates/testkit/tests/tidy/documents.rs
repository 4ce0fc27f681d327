//! Rules that compare documents with the tree: module arrows, threads, and files that the documents name.

use std::collections::BTreeSet;
use std::fs;

use peernet_testkit::tidy::arrows::{arrows, circles};
use peernet_testkit::tidy::pages::{compare_arrows, paths_in_section, permitted_arrows, test_names};
use peernet_testkit::tidy::report::Place;
use peernet_testkit::tidy::threads::{names_in_table, thread_names};
use peernet_testkit::tidy::tree::Tree;

use crate::exemptions::check;
use crate::{Rule, root};

pub(crate) const RULES: &[Rule] = &[
    ("modules_use_what_architecture_permits", modules_use_what_architecture_permits),
    ("modules_form_no_circle", modules_form_no_circle),
    ("architecture_lists_every_thread", architecture_lists_every_thread),
    ("files_named_in_contributing_exist", files_named_in_contributing_exist),
    ("tests_named_in_security_exist", tests_named_in_security_exist),
];

/// The programs, with the heading of their table in docs/ARCHITECTURE.md.
const PROGRAMS: &[(&str, &str)] = &[("tracker", "### Modules of the tracker"), ("peer", "### Modules of the peer")];

fn page(name: &str) -> Result<String, String> {
    fs::read_to_string(root().join(name)).map_err(|error| format!("cannot read {name}: {error}"))
}

fn outcome(failures: Vec<String>) -> Result<(), String> {
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

fn modules_use_what_architecture_permits(tree: &Tree) -> Result<(), String> {
    let page = page("docs/ARCHITECTURE.md")?;
    let mut places = Vec::new();
    for (folder, heading) in PROGRAMS {
        let permitted = permitted_arrows(&page, heading);
        let differences = if permitted.is_empty() {
            vec![format!("docs/ARCHITECTURE.md has no table \"{heading}\"")]
        } else {
            compare_arrows(&arrows(&tree.modules(folder)), &permitted)
        };
        places.extend(differences.into_iter().map(|text| place(folder, text)));
    }
    check("module arrows", &places)
}

fn place(folder: &str, text: String) -> Place {
    Place { path: format!("{folder}/src"), line: 0, text }
}

fn modules_form_no_circle(tree: &Tree) -> Result<(), String> {
    let mut places = Vec::new();
    for (folder, _) in PROGRAMS {
        let found = circles(&arrows(&tree.modules(folder)));
        places.extend(found.into_iter().map(|circle| place(folder, format!("{circle:?}"))));
    }
    check("module circles", &places)
}

fn architecture_lists_every_thread(tree: &Tree) -> Result<(), String> {
    let listed = names_in_table(&page("docs/ARCHITECTURE.md")?, "## Threads");
    let runs =
        |path: &str| ["tracker/src/", "peer/src/", "crates/door/src/"].iter().any(|folder| path.starts_with(folder));
    let files = tree.sources.iter().filter(|file| !file.test && runs(&file.path));
    let spawned: BTreeSet<String> = files.flat_map(|file| thread_names(&file.text)).collect();
    let missing = spawned.difference(&listed).map(|name| format!("docs/ARCHITECTURE.md lacks the thread {name}"));
    let stale =
        listed.difference(&spawned).map(|name| format!("docs/ARCHITECTURE.md lists {name}, which nothing spawns"));
    outcome(missing.chain(stale).collect())
}

fn files_named_in_contributing_exist(_: &Tree) -> Result<(), String> {
    let paths = paths_in_section(&page("CONTRIBUTING.md")?, "## Where is …?");
    if paths.len() < 10 {
        return Err(format!("CONTRIBUTING.md, \"Where is …?\" names {} files only", paths.len()));
    }
    let missing = paths.iter().filter(|path| !root().join(path).exists());
    outcome(missing.map(|path| format!("CONTRIBUTING.md names {path}, which does not exist")).collect())
}

fn tests_named_in_security_exist(tree: &Tree) -> Result<(), String> {
    let names = test_names(&page("docs/SECURITY.md")?);
    let exists = |name: &str| tree.sources.iter().any(|file| file.text.contains(&format!("fn {name}()")));
    let missing = names.iter().filter(|name| !exists(name));
    outcome(missing.map(|name| format!("docs/SECURITY.md names the test {name}, which does not exist")).collect())
}
