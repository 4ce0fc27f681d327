//! Bounds on what an embedding program compiles.
// Clippy knows functions marked #[test] only, not the functions that they share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::process::Command;

/// Crates in the build of the library `peernet` without its default features, itself included. It had 108 when the
/// bound was set; raise it only with a reason in docs/ARCHITECTURE.md's table of dependencies.
const LIBRARY_CRATES_MAX: usize = 110;
/// Crates that must not come back into that build: `jsonwebtoken` brings them with cryptography that no token uses.
const LEFT_OUT: &[&str] = &["rsa", "p256", "p384", "aws-lc-rs", "openssl-sys"];

/// Name and version of every crate in a build, for this machine's platform.
fn crates(package: &str) -> BTreeSet<String> {
    let arguments = ["tree", "--locked", "--offline", "--no-default-features", "--edges", "normal", "--prefix", "none"];
    let output = Command::new(env!("CARGO")).args(arguments).args(["-p", package]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn the_library_without_default_features_stays_small() {
    let crates = crates("peernet");
    let names: Vec<&str> = crates.iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"peernet") && names.contains(&"protobuf"), "cargo tree must list the build: {names:?}");
    assert!(
        crates.len() <= LIBRARY_CRATES_MAX,
        "{} crates; the bound is {LIBRARY_CRATES_MAX}: {names:?}",
        crates.len()
    );
    let back: Vec<_> = LEFT_OUT.iter().filter(|name| names.contains(name)).collect();
    assert!(back.is_empty(), "these crates are back: {back:?}");
}
