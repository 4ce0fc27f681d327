//! The figures of a whole checkout, and the places that they count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::tidy::arrows::{arrows, circles};
use crate::tidy::prose::{
    Offence, banned_words, doc_line_count, docs, messages, one_word_docs, opens_worst, pronoun_openings,
};
use crate::tidy::rust::{blank_literals, test_lines};
use crate::tidy::shape::{Function, functions, is_tuple_parameter, packed_lets};
use crate::tidy::tree::{File, Tree};
use crate::tidy::{markdown, surface};

/// The most lines of a function.
pub const FUNCTION_LINES_MAX: usize = 70;
/// The most parameters of a function, without `self`.
pub const PARAMETERS_MAX: usize = 5;
/// The most characters of a Markdown line.
pub const MARKDOWN_COLUMNS_MAX: usize = 120;
/// The most words of a sentence in the documents.
pub const SENTENCE_WORDS_MAX: usize = 30;
/// The most characters of a commit's subject.
pub const SUBJECT_CHARS_MAX: usize = 72;
/// The most characters of a test's name.
pub const TEST_NAME_CHARS_MAX: usize = 60;
/// A source file with fewer lines than this counts as small.
pub const SMALL_FILE_LINES: usize = 60;

/// A place that a measure counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file, from the root.
    pub path: String,
    /// The line, counted from 1; 0 for the file as a whole.
    pub line: usize,
    /// The offence in short.
    pub text: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

fn places(file: &File, found: Vec<Offence>) -> Vec<Place> {
    found.into_iter().map(|it| Place { path: file.path.clone(), line: it.line, text: it.text }).collect()
}

/// Returns doc comments that open with a pronoun or a free relative.
#[must_use]
pub fn pronouns(tree: &Tree) -> Vec<Place> {
    tree.sources.iter().flat_map(|file| places(file, pronoun_openings(&file.text))).collect()
}

/// Returns doc comments of one word.
#[must_use]
pub fn single_words(tree: &Tree) -> Vec<Place> {
    tree.sources.iter().flat_map(|file| places(file, one_word_docs(&file.text))).collect()
}

/// Returns functions with more parameters than [`PARAMETERS_MAX`].
#[must_use]
pub fn wide_functions(tree: &Tree) -> Vec<Place> {
    each_function(
        tree,
        |function| function.parameters.len() > PARAMETERS_MAX,
        |function| format!("{} has {} parameters", function.name, function.parameters.len()),
    )
}

/// Returns functions with more lines than [`FUNCTION_LINES_MAX`].
#[must_use]
pub fn long_functions(tree: &Tree) -> Vec<Place> {
    each_function(
        tree,
        |function| function.lines > FUNCTION_LINES_MAX,
        |function| format!("{} has {} lines", function.name, function.lines),
    )
}

/// Returns tests whose names are longer than [`TEST_NAME_CHARS_MAX`].
#[must_use]
pub fn long_test_names(tree: &Tree) -> Vec<Place> {
    let mut found = Vec::new();
    for file in &tree.sources {
        let lines: Vec<&str> = file.text.lines().collect();
        let is_test = |function: &Function| {
            let before = lines[..function.line - 1].iter().rev().take_while(|line| line.trim_start().starts_with('#'));
            before.into_iter().any(|line| line.trim() == "#[test]")
        };
        for function in functions(&blank_literals(&file.text)) {
            if function.name.len() > TEST_NAME_CHARS_MAX && is_test(&function) {
                let text = format!("{} has {} characters", function.name, function.name.len());
                found.push(Place { path: file.path.clone(), line: function.line, text });
            }
        }
    }
    found
}

fn each_function(tree: &Tree, counts: impl Fn(&Function) -> bool, text: impl Fn(&Function) -> String) -> Vec<Place> {
    let mut found = Vec::new();
    for file in &tree.sources {
        let all = functions(&blank_literals(&file.text));
        let counted = all.iter().filter(|function| counts(function));
        found.extend(counted.map(|it| Place { path: file.path.clone(), line: it.line, text: text(it) }));
    }
    found
}

/// Returns tuple parameters and `let`s that pack several values.
#[must_use]
pub fn packed(tree: &Tree) -> Vec<Place> {
    let mut found = Vec::new();
    for file in &tree.sources {
        let code = blank_literals(&file.text);
        let place = |line, text: String| Place { path: file.path.clone(), line, text };
        found.extend(packed_lets(&code).into_iter().map(|line| place(line, "several values in one let".to_owned())));
        for function in functions(&code) {
            let tuples = function.parameters.iter().filter(|parameter| is_tuple_parameter(parameter));
            found.extend(tuples.map(|parameter| place(function.line, format!("{}: {parameter}", function.name))));
        }
    }
    found
}

/// Returns source folders that hold one file and nothing else.
#[must_use]
pub fn single_file_folders(tree: &Tree) -> Vec<Place> {
    let mut entries: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in &tree.sources {
        let mut path = file.path.as_str();
        while let Some((folder, name)) = path.rsplit_once('/') {
            entries.entry(folder).or_default().insert(name);
            path = folder;
        }
    }
    let inside = |folder: &&str| (folder.contains("/src/") || folder.contains("/tests/")) && !folder.ends_with("/bin");
    let single = entries.into_iter().filter(|(folder, names)| names.len() == 1 && inside(folder));
    single.map(|(folder, _)| Place { path: folder.to_owned(), line: 0, text: "one file".to_owned() }).collect()
}

/// Returns source files below [`SMALL_FILE_LINES`]; a crate's root and tests do not count.
#[must_use]
pub fn small_files(tree: &Tree) -> Vec<Place> {
    let roots = ["/lib.rs", "/main.rs", "/build.rs"];
    let counted =
        |file: &&File| !file.test && file.path.contains("/src/") && !roots.iter().any(|root| file.path.ends_with(root));
    let files = tree.sources.iter().filter(counted).map(|file| (file, file.text.lines().count()));
    let small = files.filter(|(_, lines)| *lines < SMALL_FILE_LINES);
    small.map(|(file, lines)| Place { path: file.path.clone(), line: 0, text: format!("{lines} lines") }).collect()
}

/// Returns banned words in documents, the OpenAPI file, and string literals outside tests.
#[must_use]
pub fn banned(tree: &Tree) -> Vec<Place> {
    let mut found = Vec::new();
    let place = |file: &File, line, word: &str| Place { path: file.path.clone(), line, text: format!("\"{word}\"") };
    for file in tree.pages.iter().filter(|file| is_document(&file.path)).chain(&tree.texts) {
        for (index, line) in file.text.lines().enumerate() {
            found.extend(banned_words(&without_code(line)).into_iter().map(|word| place(file, index + 1, word)));
        }
    }
    for file in tree.sources.iter().filter(|file| shows_text(file)) {
        let tests = test_lines(&file.text);
        for message in messages(&file.text).iter().filter(|message| !tests[message.line - 1]) {
            found.extend(banned_words(&message.text).into_iter().map(|word| place(file, message.line, word)));
        }
        if file.path.contains("/cli") {
            // argh makes the help of these comments.
            for doc in docs(&file.text).iter().filter(|doc| doc.field) {
                found.extend(banned_words(&doc.lines.join(" ")).into_iter().map(|word| place(file, doc.line, word)));
            }
        }
    }
    found
}

/// Drops the text between back-quotes: names of tests and fields are not prose.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

fn shows_text(file: &File) -> bool {
    !file.test
        && ["protos/", "crates/engine", "crates/door", "crates/threads", "tracker/", "peer/"]
            .iter()
            .any(|member| file.path.starts_with(member))
}

/// Returns whether a Markdown file is a document of the project. The glossary lists banned words, and the changelog is
/// history.
fn is_document(path: &str) -> bool {
    path != "docs/GLOSSARY.md"
}

/// Returns Markdown lines that are wider than [`MARKDOWN_COLUMNS_MAX`].
#[must_use]
pub fn wide_lines(tree: &Tree) -> Vec<Place> {
    let found = tree.pages.iter().flat_map(|page| {
        let wide = markdown::wide_lines(&page.text, MARKDOWN_COLUMNS_MAX);
        wide.into_iter().map(|(line, length)| Place {
            path: page.path.clone(),
            line,
            text: format!("{length} columns"),
        })
    });
    found.collect()
}

/// Returns sentences of the documents that have more than [`SENTENCE_WORDS_MAX`] words.
#[must_use]
pub fn long_sentences(tree: &Tree) -> Vec<Place> {
    let found = tree.pages.iter().flat_map(|page| {
        let long = markdown::sentences(&page.text).into_iter().filter(|it| it.words > SENTENCE_WORDS_MAX);
        long.map(|it| Place {
            path: page.path.clone(),
            line: it.line,
            text: format!("{} words: {}", it.words, it.text),
        })
    });
    found.collect()
}

/// Returns commit subjects that are longer than [`SUBJECT_CHARS_MAX`].
#[must_use]
pub fn long_subjects(subjects: &[String]) -> Vec<Place> {
    let long = subjects.iter().map(|subject| (subject, subject.chars().count()));
    let long = long.filter(|(_, length)| *length > SUBJECT_CHARS_MAX);
    long.map(|(subject, _)| Place { path: "commit".to_owned(), line: 0, text: subject.clone() }).collect()
}

/// Lines that are neither blank nor comments, in tests and in code. bench/, fuzz/ and the testkit count for neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lines {
    /// Lines of code.
    pub code: usize,
    /// Lines of tests.
    pub test: usize,
}

impl Lines {
    /// Counts the lines of `tree`.
    #[must_use]
    pub fn of(tree: &Tree) -> Self {
        let mut counted = Self { code: 0, test: 0 };
        let apart = ["bench/", "fuzz/", "crates/testkit/"];
        for file in tree.sources.iter().filter(|file| !apart.iter().any(|member| file.path.starts_with(member))) {
            let marks = test_lines(&file.text);
            for (line, marked) in file.text.lines().zip(marks) {
                let line = line.trim();
                if line.is_empty() || line.starts_with("//") {
                    continue;
                }
                if file.test || marked {
                    counted.test += 1;
                } else {
                    counted.code += 1;
                }
            }
        }
        counted
    }

    /// Test lines for each line of code.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "line counts are small")]
    pub fn ratio(self) -> f64 {
        self.test as f64 / self.code.max(1) as f64
    }
}

/// A figure with the places that it counts.
#[derive(Debug, Clone)]
pub struct Figure {
    /// The name of the measure.
    pub name: &'static str,
    /// The value as it is shown.
    pub value: String,
    /// The places, for `--report -v`.
    pub places: Vec<Place>,
}

fn counted(name: &'static str, places: Vec<Place>) -> Figure {
    Figure { name, value: places.len().to_string(), places }
}

fn shown(name: &'static str, value: String) -> Figure {
    Figure { name, value, places: Vec::new() }
}

/// Measures a checkout. `subjects` are the subjects of the commits to look at.
#[must_use]
pub fn figures(tree: &Tree, subjects: &[String]) -> Vec<Figure> {
    let lines = Lines::of(tree);
    let mut found = vec![circle_figure("import circles of the tracker's modules", tree, "tracker")];
    found.push(circle_figure("import circles of the peer's modules", tree, "peer"));
    found.extend(prose_figures(tree));
    found.push(counted("single-file folders", single_file_folders(tree)));
    found.push(counted("source files under 60 lines", small_files(tree)));
    found.push(surface_figure(tree));
    found.extend(packed_figures(tree, lines));
    found.push(counted("functions over 70 lines", long_functions(tree)));
    found.push(counted("functions with over 5 parameters", wide_functions(tree)));
    found.push(shown("lines of code", lines.code.to_string()));
    found.push(shown("test lines per line of code", format!("{:.2}", lines.ratio())));
    found.push(counted("test names over 60 characters", long_test_names(tree)));
    found.extend(document_figures(tree));
    found.push(counted("commit subjects over 72 characters", long_subjects(subjects)));
    found
}

fn circle_figure(name: &'static str, tree: &Tree, folder: &str) -> Figure {
    let circles = circles(&arrows(&tree.modules(folder)));
    let in_circles: usize = circles.iter().map(BTreeSet::len).sum();
    let places = circles.iter().map(|circle| Place {
        path: folder.to_owned(),
        line: 0,
        text: circle.iter().cloned().collect::<Vec<_>>().join(" "),
    });
    Figure { name, value: format!("{} ({in_circles} modules)", circles.len()), places: places.collect() }
}

fn prose_figures(tree: &Tree) -> [Figure; 3] {
    let lines: usize = tree.sources.iter().map(|file| doc_line_count(&file.text)).sum();
    let share_of = |name, places: Vec<Place>| {
        let value = format!("{} ({})", share(places.len(), lines), places.len());
        Figure { name, value, places }
    };
    let pronouns = pronouns(tree);
    let worst = pronouns.iter().filter(|place| opens_worst(&place.text)).cloned().collect();
    [
        share_of("doc lines that open with a pronoun or free relative", pronouns),
        share_of("doc lines that open with What, Who, Whom or Of", worst),
        counted("doc comments of one word", single_words(tree)),
    ]
}

fn surface_figure(tree: &Tree) -> Figure {
    let items = surface::public_items(&tree.modules("peer"));
    let places = items.iter().map(|item| Place { path: "peer".to_owned(), line: 0, text: item.clone() });
    counted("public items of the library peernet", places.collect())
}

#[expect(clippy::cast_precision_loss, reason = "line counts are small")]
fn packed_figures(tree: &Tree, lines: Lines) -> [Figure; 1] {
    let packed = packed(tree);
    let rate = packed.len() as f64 * 1000.0 / (lines.code + lines.test).max(1) as f64;
    [Figure {
        name: "packed lets and tuple parameters per 1,000 lines",
        value: format!("{rate:.2} ({})", packed.len()),
        places: packed,
    }]
}

#[expect(clippy::cast_precision_loss, reason = "word counts are small")]
fn document_figures(tree: &Tree) -> [Figure; 4] {
    let measured = tree.pages.iter().filter(|page| page.path == "README.md" || page.path.starts_with("docs/"));
    let lengths: Vec<usize> = measured
        .flat_map(|page| markdown::sentences(&page.text))
        .filter(|sentence| !sentence.table)
        .map(|sentence| sentence.words)
        .collect();
    let mean = lengths.iter().sum::<usize>() as f64 / lengths.len().max(1) as f64;
    [
        shown("words in a sentence of README and docs/, mean", format!("{mean:.1}")),
        counted("sentences over 30 words in Markdown", long_sentences(tree)),
        counted("Markdown lines over 120 columns", wide_lines(tree)),
        counted("banned words in texts for users", banned(tree)),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn share(part: usize, whole: usize) -> String {
    format!("{:.2} %", part as f64 * 100.0 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        let test = path.contains("/tests/");
        File { path: path.to_owned(), text: text.to_owned(), test }
    }

    fn tree(sources: &[(&str, &str)], pages: &[(&str, &str)]) -> Tree {
        let files = |list: &[(&str, &str)]| list.iter().map(|(path, text)| file(path, text)).collect();
        Tree { sources: files(sources), pages: files(pages), texts: Vec::new() }
    }

    fn lines(places: &[Place]) -> Vec<String> {
        places.iter().map(|place| format!("{}:{}", place.path, place.line)).collect()
    }

    #[test]
    fn folders_with_one_file_are_found() {
        let tree = tree(
            &[("peer/src/a.rs", ""), ("peer/src/a/b.rs", ""), ("peer/src/c/d.rs", ""), ("peer/src/c/e.rs", "")],
            &[],
        );
        assert_eq!(lines(&single_file_folders(&tree)), ["peer/src/a:0"]);
    }

    #[test]
    fn small_files_are_found_outside_tests_and_roots() {
        let long = "\n".repeat(SMALL_FILE_LINES);
        let tree = tree(
            &[("peer/src/lib.rs", ""), ("peer/src/a.rs", ""), ("peer/src/b.rs", &long), ("peer/tests/c.rs", "")],
            &[],
        );
        assert_eq!(lines(&small_files(&tree)), ["peer/src/a.rs:0"]);
    }

    #[test]
    fn lines_of_tests_and_code_are_divided() {
        let inside = "// a comment\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n}\n";
        let tree =
            tree(&[("peer/src/a.rs", inside), ("peer/tests/it.rs", "fn t() {}"), ("fuzz/src/a.rs", "fn f() {}")], &[]);
        assert_eq!(Lines::of(&tree), Lines { code: 1, test: 4 });
    }

    #[test]
    fn banned_words_count_only_where_users_read() {
        let source = "// whoever\nfn f() {\n    fail(\"refused to whoever asks\");\n}\n#[cfg(test)]\nmod tests {\n    // \"for whoever\"\n}\n";
        let help = "struct A {\n    /// trusted by everybody here\n    trust: bool,\n}\n";
        let pages = [("docs/A.md", "Is\nserved to whoever"), ("docs/GLOSSARY.md", "whoever")];
        let tree = tree(&[("peer/src/a.rs", source), ("peer/src/cli/args.rs", help)], &pages);
        assert_eq!(lines(&banned(&tree)), ["docs/A.md:2", "peer/src/a.rs:3", "peer/src/cli/args.rs:2"]);
    }

    #[test]
    fn names_of_tests_are_told_from_other_names() {
        let name = "n".repeat(TEST_NAME_CHARS_MAX + 1);
        let source = format!("#[test]\nfn {name}() {{}}\nfn {name}() {{}}\n");
        assert_eq!(lines(&long_test_names(&tree(&[("peer/src/a.rs", &source)], &[]))), ["peer/src/a.rs:2"]);
    }

    #[test]
    fn parameters_and_lines_of_functions_are_bounded() {
        let long = format!("fn long() {{\n{}}}\n", "    f();\n".repeat(FUNCTION_LINES_MAX));
        let source = format!(
            "fn wide(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8) {{}}\nfn five(&self, a: u8, b: u8, c: u8, d: u8, e: u8) {{}}\n{long}"
        );
        let tree = tree(&[("peer/src/a.rs", &source)], &[]);
        assert_eq!(lines(&wide_functions(&tree)), ["peer/src/a.rs:1"]);
        assert_eq!(lines(&long_functions(&tree)), ["peer/src/a.rs:3"]);
    }

    #[test]
    fn every_figure_has_a_value() {
        let tree = tree(&[("peer/src/lib.rs", "pub fn f((a, b): (u8, u8)) {}\n")], &[("README.md", "One two.")]);
        let found = figures(&tree, &["s".repeat(73)]);
        let value = |name: &str| found.iter().find(|figure| figure.name.contains(name)).unwrap().value.clone();
        assert_eq!(value("public items"), "1");
        assert_eq!(value("packed"), "1000.00 (1)");
        assert_eq!(value("mean"), "2.0");
        assert_eq!(value("commit subjects"), "1");
        assert_eq!(value("circles of the peer"), "0 (0 modules)");
    }
}
