#!/usr/bin/env bash
# Tests the Compose profile `ha`: two trackers on one PostgreSQL behind a proxy. Two peers know only the proxy's address. A file is
# shared and downloaded; one tracker is killed and started again; then both are restarted in turn. Lookups must succeed throughout.
# Usage: scripts/test_ha.sh        (needs Docker and Compose; builds the images that are missing)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
need "asking the proxy" curl curl

find_compose || die "Compose is missing (docker compose or docker-compose)"
compose() { "${compose_command[@]}" -p peernet-ha --profile ha "$@"; }
POSTGRES_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export POSTGRES_PASSWORD TRACKER_PUBLISH_PORT=0 PROXY_PUBLISH_PORT=0 PEERNET_TRACKER=https://proxy:8080
work=$(mktemp -d)
finish() {
  local code=$?
  trap - EXIT
  [ $code = 0 ] || compose logs --tail 25 2>&1 | tail -n 150
  compose down -v --remove-orphans >/dev/null 2>&1 || true
  rm -rf "$work"
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

# until_true SECONDS COMMAND…: repeats it until it succeeds.
until_true() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || die "still not: $*"
    sleep 0.2
  done
}
healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(compose ps -q "$1")")" = healthy ]; }
peernet() { local peer=$1; shift; compose exec -T "$peer" peernet "$@"; }
# The address at which clients outside the containers reach the proxy.
proxy() { docker port "$(compose ps -q proxy)" 8080/tcp | head -n 1; }
ready() { curl -fsS --noproxy '*' --cacert "$work/authorities.pem" --max-time 5 "https://$(proxy)/ready"; }
# failures: the number of requests, of 200, that the proxy does not answer.
failures() {
  local failed=0
  for _ in $(seq 200); do ready >/dev/null 2>&1 || failed=$((failed + 1)); done
  say "$failed"
}

compose build proxy
compose up -d postgres tracker tracker2 proxy
until_true 120 healthy tracker
until_true 120 healthy tracker2
# The authority's fingerprint or, with --pem, its certificate: an operator hands these to members and programs.
authority() { compose exec -T tracker peernet-tracker admin authority show "$@"; }
authority --pem >"$work/authorities.pem"
fingerprint=$(authority)
[ "$(compose exec -T tracker2 peernet-tracker admin authority show)" = "$fingerprint" ] || die "the trackers do not have the same authority"
until_true 60 ready
say "two trackers are healthy, the proxy answers over TLS"

for peer in alice bob; do
  compose run --rm -T --no-deps -e PEERNET_PASSWORD="$peer-password" -e PEERNET_CA_FINGERPRINT="$fingerprint" "$peer" register --tracker "$PEERNET_TRACKER" >/dev/null
done
compose up -d alice bob
until_true 60 healthy alice
until_true 60 healthy bob
compose exec -T alice sh -c 'head -c 20000000 /dev/urandom > files/sample.bin'
hash=$(peernet alice share files/sample.bin --json | tail -n 1 | sed -n 's/.*"file_hash":"\([0-9a-f]*\)".*/\1/p')
peernet bob download "$hash" --output downloads/one.bin --quiet
[ "$(compose exec -T bob sha256sum downloads/one.bin | cut -d ' ' -f 1)" = "$hash" ] || die "the downloaded file has another hash"
say "peers that know only the proxy's address transferred a file"

# Killed without a shutdown: the other tracker has the leases that were announced to this one, and the proxy uses it.
docker kill -s KILL "$(compose ps -q tracker)" >/dev/null
peernet bob download "$hash" --output downloads/two.bin --quiet
say "one tracker is killed: downloads go on"
compose up -d tracker
until_true 60 healthy tracker

# Restarted one after the other, as in an upgrade.
failures >"$work/failures" &
counting=$!
for tracker in tracker tracker2; do
  compose restart -t 20 "$tracker"
  until_true 60 healthy "$tracker"
done
wait $counting
failed=$(cat "$work/failures")
say "a rolling restart: $failed of 200 requests failed"
[ "$failed" -le 2 ] || die "too many requests failed"
peernet bob download "$hash" --output downloads/three.bin --quiet
[ "$(compose exec -T bob sha256sum downloads/three.bin | cut -d ' ' -f 1)" = "$hash" ] || die "the downloaded file has another hash"
say "The ha test passed."
