#!/usr/bin/env bash
# Licences, sources, forbidden crates and known vulnerabilities of every dependency (deny.toml).
# The vulnerabilities come from a git repository. Where it cannot be reached, an older copy is used; without a copy that check is
# skipped with a message. Environment: PEERNET_CI_SKIP_DENY=1 skips everything (say so when you report a green run).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
version=0.20.2
if [ -n "${PEERNET_CI_SKIP_DENY:-}" ]; then say "cargo-deny: skipped"; exit 0; fi
need_build_tools
root=${XDG_CACHE_HOME:-$HOME/.cache}/peernet-cargo-deny
deny=$root/bin/cargo-deny
if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
  say "installing cargo-deny $version (once, some minutes)"
  # In a target folder of its own, because its dependencies have other features than ours.
  CARGO_TARGET_DIR=$(mktemp -d) && export CARGO_TARGET_DIR
  trap 'rm -rf "$CARGO_TARGET_DIR"' EXIT
  cargo install cargo-deny --version "$version" --locked --quiet --root "$root" || die "cargo-deny cannot be installed; PEERNET_CI_SKIP_DENY=1 skips it"
fi
# cargo-deny reads the crates of all platforms, offline; this machine's builds have fetched only its own platform's.
cargo fetch --locked --quiet || die "the dependencies cannot be fetched; PEERNET_CI_SKIP_DENY=1 skips this step"
check() { "$deny" --log-level error "$@"; }
check --offline check --hide-inclusion-graph bans licenses sources
database=https://github.com/RustSec/advisory-db
known=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
if git ls-remote "$database" HEAD >/dev/null 2>&1; then check check --hide-inclusion-graph advisories
elif [ -d "$known" ] && [ -n "$(find "$known" -name crates -print -quit)" ]; then
  say "advisories: $database cannot be reached; checked against the older copy on this machine"
  check --offline check --hide-inclusion-graph advisories
else say "advisories: NOT checked, $database cannot be reached"; fi
