//! Rules of language and shape. The measures are `peernet_testkit::tidy`; parts of the tree that do not keep a rule yet are in
//! [`crate::exemptions`].

use peernet_testkit::tidy::report;
use peernet_testkit::tidy::tree::Tree;

use crate::exemptions::{check, the_exemptions_only_shrink};
use crate::{Rule, SUBJECTS_SINCE, root, subjects};

pub(crate) const RULES: &[Rule] = &[
    ("exemptions_only_shrink", |_| the_exemptions_only_shrink()),
    ("no_doc_comment_opens_with_a_pronoun", |tree| check("pronouns", &report::pronouns(tree))),
    ("no_doc_comment_is_one_word", |tree| check("one-word docs", &report::single_words(tree))),
    ("functions_take_few_parameters", |tree| check("parameters", &report::wide_functions(tree))),
    ("no_line_packs_several_values", |tree| check("packed", &report::packed(tree))),
    ("test_names_are_short", |tree| check("test names", &report::long_test_names(tree))),
    ("markdown_lines_are_narrow", |tree| check("wide lines", &report::wide_lines(tree))),
    ("sentences_are_short", |tree| check("long sentences", &report::long_sentences(tree))),
    ("no_text_for_users_has_banned_words", |tree| check("banned words", &report::banned(tree))),
    ("commit_subjects_are_short", commit_subjects_are_short),
];

/// Passes where git does not know the base, as in an archive or a shallow clone.
fn commit_subjects_are_short(_: &Tree) -> Result<(), String> {
    let subjects = subjects(&root(), SUBJECTS_SINCE).unwrap_or_default();
    check("commit subjects", &report::long_subjects(&subjects))
}
