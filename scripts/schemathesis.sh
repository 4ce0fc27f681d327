#!/usr/bin/env bash
# Tests the tracker against its own OpenAPI file: schemathesis sends requests that the file allows and requests that it forbids, and
# checks every reply. Environment: PEERNET_CI_SKIP_SCHEMATHESIS=1 skips it (say so when you report a green run),
# PEERNET_SCHEMATHESIS_EXAMPLES is the number of requests of each kind for a call (30), PEERNET_SCHEMATHESIS_SEED the seed (1).
# Needs PyPI once; the packages are kept.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. scripts/setup.sh
version=4.32.5
if [ -n "${PEERNET_CI_SKIP_SCHEMATHESIS:-}" ]; then echo "schemathesis: skipped"; exit 0; fi
need schemathesis curl curl
environment=${XDG_CACHE_HOME:-$HOME/.cache}/peernet-schemathesis-$version
schemathesis=$environment/bin/schemathesis
if ! "$schemathesis" --version >/dev/null 2>&1; then
  python3 -c 'import ensurepip' 2>/dev/null || install_packages schemathesis python3 python3-venv
  rm -rf "$environment"; mkdir -p "$(dirname "$environment")"
  log=$(python3 -m venv "$environment" 2>&1 && "$environment/bin/pip" install -q "schemathesis==$version" 2>&1) || {
    rm -rf "$environment"; echo "$log" | tail -n 5 >&2
    die "schemathesis $version cannot be installed from PyPI; PEERNET_CI_SKIP_SCHEMATHESIS=1 skips it"
  }
fi

cargo build --locked -q -p peernet-tracker --bin peernet-tracker
program=$(realpath "${CARGO_TARGET_DIR:-target}")/debug/peernet-tracker
folder=$(mktemp -d); tracker=
finish() { [ -z "$tracker" ] || { kill "$tracker" 2>/dev/null; wait "$tracker" 2>/dev/null; } || true; rm -rf "$folder"; }
trap finish EXIT

# A tracker of its own, on a free port.
mkfifo "$folder/out"
env -u DATABASE_URL "$program" serve --listen 127.0.0.1:0 --data-dir "$folder/data" --bcrypt-cost 4 --dialback false \
  --log-level warn >"$folder/out" 2>"$folder/log" &
tracker=$!
read -r -t 60 line <"$folder/out" || { cat "$folder/log" >&2; die "the tracker did not start"; }
url=${line##* }
# Another address and password than the examples', which register an account of their own: a successful change of the password would
# end the token that all other calls are tested with.
token=$(curl -sf "$url/api/v1/peers/register" -d '{"address":"10.0.0.9:50051","password":"of schemathesis"}' |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["token"])')

"$environment/bin/python" scripts/openapi_examples.py tracker/openapi.json
result=0
# schemathesis writes notes into the current folder.
cd "$folder"
PEERNET_TOKEN=$token "$schemathesis" --config-file "$root/scripts/schemathesis.toml" run "$url/api/v1/openapi.json" \
  --checks all --seed "${PEERNET_SCHEMATHESIS_SEED:-1}" --generation-database none \
  --max-examples "${PEERNET_SCHEMATHESIS_EXAMPLES:-30}" --no-color || result=$?
kill -0 "$tracker" 2>/dev/null || { cat "$folder/log" >&2; die "the tracker died"; }
if grep -E ' error ' "$folder/log" >&2; then die "the tracker's log has errors"; fi
[ "$result" = 0 ] || die "schemathesis found failures; the same seed reproduces them"
