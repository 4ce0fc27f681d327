#!/usr/bin/env bash
# Sets this machine up as far as it must, then runs every test. PostgreSQL is started by the tests themselves and thrown away.
# Usage: ./run_tests.sh [arguments for cargo test]        e.g. ./run_tests.sh -p peernet-engine
# Environment: CARGO_TARGET_DIR (default target/), PEERNET_TEST_DATABASE_URL (a PostgreSQL to use instead of a throwaway one).
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh
need_build_tools
need_postgres
[ $# -gt 0 ] || set -- --workspace
exec cargo test --locked "$@"
