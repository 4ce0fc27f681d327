#!/usr/bin/env bash
# Licences, sources, forbidden crates and known vulnerabilities of every dependency (deny.toml).
# The vulnerabilities are a git repository of their own, which must be reachable once a day; where it is not, that part is left out and said so
# (an older copy is used if there is one). Environment: PEERNET_CI_SKIP_DENY=1 leaves all of it out (say so when you report a green run).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
version=0.20.2
if [ -n "${PEERNET_CI_SKIP_DENY:-}" ]; then say "cargo-deny: left out"; exit 0; fi
need_build_tools
root=${XDG_CACHE_HOME:-$HOME/.cache}/peernet-cargo-deny
deny=$root/bin/cargo-deny
if [ "$("$deny" --version 2>/dev/null)" != "cargo-deny $version" ]; then
  say "installing cargo-deny $version: some minutes, once"
  # In a target folder of its own: its features are not ours.
  CARGO_TARGET_DIR=$(mktemp -d) && export CARGO_TARGET_DIR
  trap 'rm -rf "$CARGO_TARGET_DIR"' EXIT
  cargo install cargo-deny --version "$version" --locked --quiet --root "$root" || die "cargo-deny cannot be installed; PEERNET_CI_SKIP_DENY=1 leaves it out"
fi
# cargo-deny looks at all platforms' crates, and does so offline: this machine's builds have fetched its own only.
cargo fetch --locked --quiet || die "the dependencies cannot be fetched; PEERNET_CI_SKIP_DENY=1 leaves this out"
check() { "$deny" --log-level error "$@"; }
check --offline check --hide-inclusion-graph bans licenses sources
database=https://github.com/RustSec/advisory-db
known=${CARGO_HOME:-$HOME/.cargo}/advisory-dbs
if git ls-remote "$database" HEAD >/dev/null 2>&1; then check check --hide-inclusion-graph advisories
elif [ -d "$known" ] && [ -n "$(find "$known" -name crates -print -quit)" ]; then
  say "advisories: $database cannot be reached; checked against the copy that is here"
  check --offline check --hide-inclusion-graph advisories
else say "advisories: NOT checked, $database cannot be reached"; fi
