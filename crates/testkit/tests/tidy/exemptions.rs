//! Rules that parts of the tree do not keep yet: how many offences each part may still have. The numbers only shrink.

use std::collections::BTreeMap;

use peernet_testkit::tidy::report::Place;

/// The rule, the part of the tree, and the most offences it may have. A part without a row may have none.
const EXEMPTIONS: &[(&str, &str, usize)] =
    &[("one-word docs", "code", 1), ("packed", "code", 1), ("packed", "tools", 34)];

/// The most offences that a failure lists.
const SHOWN_MAX: usize = 60;

/// Fails when a part of the tree has more offences than it may have, or none any more although a row permits some.
pub(crate) fn check(rule: &str, places: &[Place]) -> Result<(), String> {
    compare(rule, places, EXEMPTIONS)
}

fn compare(rule: &str, places: &[Place], exemptions: &[(&str, &str, usize)]) -> Result<(), String> {
    let mut parts: BTreeMap<&str, Vec<&Place>> = BTreeMap::new();
    for place in places {
        parts.entry(part(&place.path)).or_default().push(place);
    }
    let permitted = |name: &str| exemptions.iter().find(|row| row.0 == rule && row.1 == name).map_or(0, |row| row.2);
    let mut failures = Vec::new();
    for (name, found) in &parts {
        let most = permitted(name);
        if found.len() > most {
            let more = if found.len() > SHOWN_MAX { "\n  …" } else { "" };
            let list: Vec<String> = found.iter().take(SHOWN_MAX).map(|place| format!("  {place}")).collect();
            failures.push(format!(
                "{rule}: {name} has {}, at most {most} are permitted:\n{}{more}",
                found.len(),
                list.join("\n")
            ));
        }
    }
    for (_, name, _) in exemptions.iter().filter(|row| row.0 == rule && !parts.contains_key(row.1)) {
        failures.push(format!("{rule}: {name} has none any more; remove its row from EXEMPTIONS"));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// The part of the tree to which a path belongs. Code may move between crates without a change of the numbers.
fn part(path: &str) -> &'static str {
    let starts = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
    if starts(&["crates/testkit/", "bench/", "fuzz/", "protos/"]) {
        "tools"
    } else if starts(&["tracker/", "peer/", "crates/"]) {
        "code"
    } else {
        "documents"
    }
}

/// Tries [`compare`] itself, since this program has no test harness.
pub(crate) fn the_exemptions_only_shrink() -> Result<(), String> {
    let place = |path: &str| Place { path: path.to_owned(), line: 1, text: "an offence".to_owned() };
    let two = [place("peer/src/a.rs"), place("crates/engine/src/a.rs")];
    let cases: [(&[Place], usize, bool); 5] =
        [(&two, 2, true), (&two, 3, true), (&two, 1, false), (&two[..0], 1, false), (&two[..1], 1, true)];
    for (places, most, expected) in cases {
        let outcome = compare("rule", places, &[("rule", "code", most), ("other", "code", 0)]);
        if outcome.is_ok() != expected {
            return Err(format!("{} offences, {most} permitted: {outcome:?}", places.len()));
        }
    }
    Ok(())
}
