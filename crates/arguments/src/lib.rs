//! The form of options on the command lines of `peernet` and `peernet-tracker`.
//!
//! argh reads `--name value` and not `--name=value`. [`Options::separate`] turns the second form into the first before
//! argh sees the words. Which options take a value comes from argh's own description of a program ([`argh::ArgsInfo`]),
//! so that a new option needs no second place. [`commands`] and [`equal_forms`] walk the same description for tests.

use std::collections::BTreeSet;

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality};

/// A value that every option of our programs takes: numbers as well as text.
const SAMPLE_VALUE: &str = "1";

/// The options of a program that take a value, of all its commands together.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    with_value: BTreeSet<String>,
}

impl Options {
    /// Collects the options of a program and of every command below it.
    pub fn of(program: &CommandInfoWithArgs) -> Self {
        let commands = commands(program);
        let flags = commands.iter().flat_map(|(_, command)| command.flags.iter());
        let names = flags.filter(|flag| takes_value(flag)).flat_map(|flag| {
            let short = flag.short.map(|letter| format!("-{letter}"));
            short.into_iter().chain([flag.long.to_owned()])
        });
        Self { with_value: names.collect() }
    }

    /// Adds options that argh's description does not list, written with their dashes.
    #[must_use]
    pub fn with(mut self, options: impl IntoIterator<Item = String>) -> Self {
        self.with_value.extend(options);
        self
    }

    /// Reports whether this option takes a value. `option` is written with its dashes.
    pub fn take_value(&self, option: &str) -> bool {
        self.with_value.contains(option)
    }

    /// Separates `--name=value` into two words, for options that take a value.
    ///
    /// A word that is itself the value of an option stays whole, so that the password `--address=x` can be given after
    /// `--password`. So do all words after `--`.
    pub fn separate<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let mut separated = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.split_once('=') {
                Some((option, value)) if option.starts_with("--") && self.take_value(option) => {
                    separated.extend([option.to_owned(), value.to_owned()]);
                }
                _ => separated.push(word.to_owned()),
            }
            if self.take_value(word) {
                separated.extend(words.next().map(str::to_owned));
            } else if word == "--" {
                separated.extend(words.by_ref().map(str::to_owned));
            }
        }
        separated
    }
}

/// Lists a program and every command below it, each with the words that name it.
pub fn commands(program: &CommandInfoWithArgs) -> Vec<(Vec<&str>, &CommandInfoWithArgs)> {
    let mut found = vec![(Vec::new(), program)];
    let mut next = 0;
    while let Some((path, command)) = found.get(next).cloned() {
        found.extend(command.commands.iter().map(|below| ([path.as_slice(), &[below.name]].concat(), &below.command)));
        next += 1;
    }
    found
}

/// Lists pairs of command lines that must mean the same: `--name value` and `--name=value`, for every option that takes
/// a value, with what else its command requires.
pub fn equal_forms(program: &CommandInfoWithArgs) -> Vec<[Vec<String>; 2]> {
    let mut pairs = Vec::new();
    for (path, command) in commands(program) {
        // A command that has only subcommands of its own is not complete without one of them.
        let command_line = |form: Vec<String>, option: &FlagInfo<'_>| {
            let words = path.iter().map(ToString::to_string).chain(form);
            words.chain(required(command, option)).collect::<Vec<_>>()
        };
        for option in command.flags.iter().filter(|flag| takes_value(flag)) {
            let spaced = vec![option.long.to_owned(), SAMPLE_VALUE.to_owned()];
            let joined = vec![format!("{}={SAMPLE_VALUE}", option.long)];
            pairs.push([command_line(spaced, option), command_line(joined, option)]);
        }
    }
    pairs
}

/// The words without which a command is refused, apart from one option that is there already.
fn required(command: &CommandInfoWithArgs, but: &FlagInfo<'_>) -> Vec<String> {
    let options = command.flags.iter().filter(|flag| takes_value(flag) && flag.optionality == Optionality::Required);
    let options = options.filter(|flag| flag.long != but.long);
    let positionals = command.positionals.iter().filter(|argument| argument.optionality == Optionality::Required);
    let options = options.flat_map(|flag| [flag.long.to_owned(), SAMPLE_VALUE.to_owned()]);
    options.chain(positionals.map(|_| SAMPLE_VALUE.to_owned())).collect()
}

fn takes_value(flag: &FlagInfo<'_>) -> bool {
    matches!(flag.kind, FlagInfoKind::Option { .. })
}

#[cfg(test)]
mod tests {
    use argh::{ArgsInfo, FromArgs};

    use super::*;

    /// A program.
    #[derive(FromArgs, ArgsInfo, Debug, PartialEq)]
    struct Program {
        /// a switch
        #[argh(switch)]
        quiet: bool,
        #[argh(subcommand)]
        command: Command,
    }

    #[derive(FromArgs, ArgsInfo, Debug, PartialEq)]
    #[argh(subcommand)]
    enum Command {
        Copy(Copy),
        Remote(Remote),
    }

    /// A command with a positional argument and an option.
    #[derive(FromArgs, ArgsInfo, Debug, PartialEq)]
    #[argh(subcommand, name = "copy")]
    struct Copy {
        /// a path
        #[argh(option, short = 'o')]
        output: Option<String>,
        /// a secret
        #[argh(option)]
        password: String,
        /// a file
        #[argh(positional)]
        file: String,
    }

    /// Has a command below it.
    #[derive(FromArgs, ArgsInfo, Debug, PartialEq)]
    #[argh(subcommand, name = "remote")]
    struct Remote {
        #[argh(subcommand)]
        command: Below,
    }

    #[derive(FromArgs, ArgsInfo, Debug, PartialEq)]
    #[argh(subcommand)]
    enum Below {
        Add(Add),
    }

    /// A command with repeated options.
    #[derive(FromArgs, ArgsInfo, Debug, PartialEq)]
    #[argh(subcommand, name = "add")]
    struct Add {
        /// how many
        #[argh(option)]
        count: Vec<u16>,
    }

    fn check(typed: &str, expected: &str) {
        let options = Options::of(&Program::get_args_info());
        assert_eq!(options.separate(typed.split(' ')).join(" "), expected, "{typed}");
    }

    #[test]
    fn only_options_with_a_value_are_separated() {
        check("copy --output=a b", "copy --output a b");
        check("copy --output= b", "copy --output  b");
        check("copy --output=a=b", "copy --output a=b");
        check("remote add --count=3", "remote add --count 3");
        for whole in ["--quiet=1", "copy a=b", "copy --unknown=1", "-o=a", "output=a", "=", ""] {
            check(whole, whole);
        }
    }

    #[test]
    fn values_and_words_after_two_dashes_stay_whole() {
        check("copy --password --output=x --output=y", "copy --password --output=x --output y");
        check("copy -o --output=x --output=y", "copy -o --output=x --output y");
        check("copy --output=y -- --output=x --count=1", "copy --output y -- --output=x --count=1");
        check("copy --password", "copy --password");
    }

    #[test]
    fn every_command_is_found_with_the_words_that_name_it() {
        let program = Program::get_args_info();
        let names: Vec<String> = commands(&program).into_iter().map(|(path, _)| path.join(" ")).collect();
        assert_eq!(names, ["", "copy", "remote", "remote add"]);
    }

    #[test]
    fn equal_forms_are_whole_command_lines_of_every_option() {
        let program = Program::get_args_info();
        let options = Options::of(&program);
        let forms = equal_forms(&program);
        assert_eq!(forms.len(), 3);
        for [spaced, joined] in forms {
            assert_eq!(options.separate(joined.iter().map(String::as_str)), spaced);
            let words: Vec<&str> = spaced.iter().map(String::as_str).collect();
            assert!(Program::from_args(&["program"], &words).is_ok(), "{spaced:?}");
        }
    }

    #[test]
    fn both_forms_give_the_same_command() {
        let options = Options::of(&Program::get_args_info());
        let parse = |words: &[&str]| {
            let separated = options.separate(words.iter().copied());
            let words: Vec<&str> = separated.iter().map(String::as_str).collect();
            Program::from_args(&["program"], &words).map_err(|exit| exit.output)
        };
        for (joined, spaced) in [
            (&["copy", "--password=p", "f"][..], &["copy", "--password", "p", "f"][..]),
            (&["copy", "--password=", "f"], &["copy", "--password", "", "f"]),
            (
                &["--quiet", "copy", "--output=o", "--password=p=q", "f"],
                &["--quiet", "copy", "-o", "o", "--password", "p=q", "f"],
            ),
            (&["remote", "add", "--count=1", "--count=2"], &["remote", "add", "--count", "1", "--count", "2"]),
        ] {
            assert_eq!(parse(joined), parse(spaced), "{joined:?}");
            assert!(parse(joined).is_ok(), "{joined:?}");
        }
    }

    #[test]
    fn options_beyond_argh_s_description_can_be_added() {
        let options = Options::of(&Program::get_args_info()).with(["--setting".to_owned()]);
        for (option, takes_value) in [
            ("--setting", true),
            ("--output", true),
            ("-o", true),
            ("--count", true),
            ("--quiet", false),
            ("output", false),
            ("--outpu", false),
            ("--", false),
        ] {
            assert_eq!(options.take_value(option), takes_value, "{option}");
        }
        assert_eq!(options.separate(["--setting=a", "--other=b"]), ["--setting", "a", "--other=b"]);
    }

    #[test]
    fn no_words_are_no_words() {
        assert!(Options::default().separate([]).is_empty());
        assert_eq!(Options::default().separate(["--a=b", ""]), ["--a=b", ""]);
    }
}
