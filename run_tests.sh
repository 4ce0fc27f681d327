#!/usr/bin/env bash
# Sets this machine up as far as needed, then runs every test of every crate and adds the results up. The tests start a throwaway
# PostgreSQL themselves. A failure in one crate does not skip the crates after it.
# Usage: ./run_tests.sh [arguments for cargo test]        e.g. ./run_tests.sh -p peernet-engine
# Environment: CARGO_TARGET_DIR (default target/), PEERNET_TEST_DATABASE_URL (a PostgreSQL to use instead of a throwaway one).
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh
need_build_tools
need_postgres
[ $# -gt 0 ] || set -- --workspace
log=$(mktemp); trap 'rm -f "$log"' EXIT
code=0
cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log" || code=$?
say ""
sed -n 's/^test \(.*\) \.\.\. FAILED.*/failed: \1/p' "$log"
awk '/^test result:/ { passed += $4; failed += $6; ignored += $8 }
     END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$log"
exit $code
