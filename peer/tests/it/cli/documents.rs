//! docs/OPERATING.md has every exit code, environment variable and configuration key.

use peernet::cli::{CONFIG_KEYS, ENVIRONMENT, EXIT_CODES};

#[test]
fn operating_md_lists_every_code_variable_and_key() {
    let text = include_str!("../../../../docs/OPERATING.md");
    let peers = text.split("\n## Peers\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let mut missing = Vec::new();
    let codes = EXIT_CODES.iter().map(|(code, word, meaning)| format!("| {code} | `{word}` | {meaning} |"));
    let named =
        |rows: &[(&str, &str)]| rows.iter().map(|(name, what)| format!("| `{name}` | {what} |")).collect::<Vec<_>>();
    for row in codes.chain(named(ENVIRONMENT)).chain(named(CONFIG_KEYS)) {
        if !peers.lines().any(|line| line == row) {
            missing.push(row);
        }
    }
    assert!(missing.is_empty(), "put these rows into docs/OPERATING.md:\n{}", missing.join("\n"));
}
