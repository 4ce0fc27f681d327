#!/usr/bin/env bash
# Shows PeerNet's whole job on this machine: a tracker and two peers. One peer shares two public files, the other downloads them; a
# third file is private. The demo compares hashes, and shows reputation and tokens before and after.
# Usage: ./run_demo.sh [--docker | --native]
#   --docker  PostgreSQL, tracker and peers in containers (docker-compose.yml); the default where Docker answers
#   --native  the binaries with the embedded store in a temporary folder; the default elsewhere
# Environment: CARGO_TARGET_DIR (default target/); PEERNET_DEMO_PROFILE (dev or release; dev is the default because ./run_tests.sh
#   uses the same compiled dependencies); PEERNET_DEMO_IMAGES=containers compiles the images' programs in containers, which is the
#   default only where Rust is missing.
# Exits with 0 only when every step succeeded.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh

step_number=0
step() { step_number=$((step_number + 1)); printf '\n[%d] %s\n' "$step_number" "$*"; }
show() { printf '    $ %s\n' "$*"; }

compose() { "${compose_command[@]}" -p peernet-demo "$@"; }
docker_answers() { command -v docker >/dev/null && docker info >/dev/null 2>&1 && find_compose; }

mode=
case "${1:-}" in
  "") if docker_answers; then mode=docker; else mode=native; fi ;;
  --docker) docker_answers || die "Docker does not answer, or Compose is missing (docker compose or docker-compose); ./run_demo.sh --native needs neither"
    mode=docker ;;
  --native) mode=native ;;
  -h|--help) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 0 ;;
  *) die "unknown option $1; see ./run_demo.sh --help" ;;
esac

# Only for this run; the containers and their volumes are removed at the end. Compose wants it for every command.
POSTGRES_PASSWORD=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
export POSTGRES_PASSWORD TRACKER_PUBLISH_PORT=${TRACKER_PUBLISH_PORT:-0}

work=$(mktemp -d "${TMPDIR:-/tmp}/peernet-demo.XXXXXX")
pids=()
finish() {
  local code=$?
  trap - EXIT INT TERM
  if [ $code != 0 ]; then
    printf '\nThe demo FAILED (exit %d). The last lines of the logs:\n' "$code"
    if [ $mode = docker ]; then compose logs --tail 30 2>&1 | tail -n 120 || true
    else tail -n 30 "$work"/*.log 2>/dev/null || true; fi
  fi
  [ ${#pids[@]} = 0 ] || { kill "${pids[@]}" 2>/dev/null || true; wait "${pids[@]}" 2>/dev/null || true; }
  [ $mode = native ] || compose down -v --remove-orphans >/dev/null 2>&1 || true
  rm -rf "$work"
  exit $code
}
trap finish EXIT
trap 'exit 130' INT TERM

# wait_for_line FILE TEXT: prints the first line of FILE that has TEXT, once it is there; at most 30 s.
wait_for_line() {
  for _ in $(seq 300); do
    grep -m 1 -F -- "$2" "$1" 2>/dev/null && return
    sleep 0.1
  done
  die "no line with '$2' in ${1##*/} within 30 s"
}

# field JSON NAME: a top-level field of a JSON document on one line, text or number.
field() { sed -n "s/.*\"$2\":\"\{0,1\}\([^\",}]*\).*/\1/p" <<<"$1" | head -n 1; }

# --- The two ways to run the parts: start_tracker, register, start_peers, peernet PEER ARG…, put_files, file_of PEER NAME ---

native_start_tracker() {
  PEERNET_TRACKER_DATA_DIR=$work/tracker "$bin/peernet-tracker" serve --listen 127.0.0.1:0 >"$work/tracker.log" 2>&1 &
  pids+=($!)
  tracker_url=$(wait_for_line "$work/tracker.log" "listening on http://" | sed 's/.*http:\([^ ]*\).*/https:\1/')
  fingerprint=$(PEERNET_TRACKER_DATA_DIR=$work/tracker "$bin/peernet-tracker" admin authority show)
  say "    tracker: $tracker_url, embedded store in a temporary folder"
}
native_peernet() { local peer=$1; shift; (cd "$work" && PEERNET_HOME=$work/$peer PEERNET_TRACKER=$tracker_url "$bin/peernet" "$@"); }
native_register() { PEERNET_PASSWORD=$2 native_peernet "$1" register --tracker "$tracker_url" --ca-fingerprint "$fingerprint"; }
native_start_peers() {
  local peer
  for peer in alice bob; do
    PEERNET_HOME=$work/$peer PEERNET_TRACKER=$tracker_url "$bin/peernet" daemon --listen 127.0.0.1:0 >"$work/$peer.log" 2>&1 &
    pids+=($!)
  done
  for peer in alice bob; do wait_for_line "$work/$peer.log" "daemon listening on" | sed "s/^/    $peer: /"; done
}
native_put_files() { mkdir -p "$work/files"; cp "$work/make"/* "$work/files/"; share_folder=$work/files output_folder=$work/downloads; }
native_hash() { sha256sum "$2" | cut -d ' ' -f 1; }
native_build() {
  need_build_tools
  local profile=${PEERNET_DEMO_PROFILE:-dev} folder
  show "cargo build --profile $profile -p peernet-tracker -p peernet"
  say "    (the first build compiles gRPC's C core: about fifteen minutes on two cores)"
  cargo build --quiet --locked --profile "$profile" -p peernet-tracker -p peernet
  [ "$profile" = dev ] && folder=debug || folder=$profile
  bin=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/$folder
}
native_clean() { :; }

docker_clean() { compose down -v --remove-orphans >/dev/null 2>&1 || true; }
docker_build() {
  if [ "${PEERNET_DEMO_IMAGES:-}" != containers ] && find_cargo; then
    native_build
    show "scripts/images.sh --from ${bin##"$PWD"/}"
    if scripts/images.sh --from "$bin" >"$work/build.log" 2>&1; then return; fi
    say "    this machine's programs do not run in the images; compiling them in containers instead"
  fi
  show scripts/images.sh
  say "    (the first build compiles gRPC's C core: about fifteen minutes on two cores)"
  scripts/images.sh >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log"; die "the images did not build"; }
}
docker_start_tracker() {
  show "${compose_command[*]} up -d postgres tracker"
  compose up -d postgres tracker >"$work/up.log" 2>&1 || { cat "$work/up.log"; die "the tracker did not start"; }
  wait_healthy tracker
  fingerprint=$(compose exec -T tracker peernet-tracker admin authority show)
  say "    PostgreSQL and the tracker are healthy"
}
wait_healthy() {
  local id; id=$(compose ps -q "$1")
  for _ in $(seq 600); do
    [ "$(docker inspect -f '{{.State.Health.Status}}' "$id" 2>/dev/null)" = healthy ] && return
    sleep 0.2
  done
  die "$1 did not become healthy within two minutes"
}
docker_register() { compose run --rm -T --no-deps -e PEERNET_PASSWORD="$2" "$1" register --tracker https://tracker:8080 --ca-fingerprint "$fingerprint" 2>>"$work/run.log"; }
docker_start_peers() {
  compose up -d alice bob >>"$work/up.log" 2>&1 || { cat "$work/up.log"; die "the peers did not start"; }
  wait_healthy alice; wait_healthy bob
  say "    alice and bob serve in containers of their own"
}
docker_peernet() { local peer=$1; shift; compose exec -T "$peer" peernet "$@"; }
docker_put_files() {
  share_folder=/var/lib/peernet/files output_folder=/var/lib/peernet/downloads
  for file in "$work/make"/*; do docker cp "$file" "$(compose ps -q alice):$share_folder/" >/dev/null; done
}
docker_hash() { compose exec -T "$1" sha256sum "$2" | cut -d ' ' -f 1; }

account() {
  local json; json=$("${mode}_peernet" "$1" status --json)
  printf '    %-6s reputation %-5s tokens %s\n' "$1" "$(field "$json" reputation_score)" \
    "$(tokens "$(field "$json" token_balance_mt)")"
}
# tokens MILLI: as 18.999 or 0.000.
tokens() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }
balance_mt() { field "$("${mode}_peernet" "$1" status --json)" token_balance_mt; }

# --- The story ---

say "PeerNet demo ($mode)"
step "Clean up what an earlier run may have left, and prepare three sample files"
"${mode}_clean"
mkdir -p "$work/make"
{ say "Hello from PeerNet."; say "This text went from peer to peer; the tracker never saw it."; } >"$work/make/hello.txt"
# A real archive of this machine's programs and libraries, cut at 80 MiB (tar is stopped by head, which is no failure).
{ tar -C /usr -cf - bin lib 2>/dev/null || true; } | head -c $((80 << 20)) >"$work/make/programs.tar"
[ "$(stat -c %s "$work/make/programs.tar")" -ge $((64 << 20)) ] || die "this machine has too little under /usr for a 64 MiB sample"
say "For Bob's eyes." >"$work/make/letter.txt"
chmod a+r "$work/make"/*
(cd "$work/make" && sha256sum hello.txt letter.txt programs.tar | sed 's/^/    /')

step "Build"
"${mode}_build"
step "Start the tracker"
"${mode}_start_tracker"

step "Register two peers"
for peer in alice bob; do
  show "peernet register                 # as $peer"
  "${mode}_register" "$peer" "$peer-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')" | sed 's/^/    /'
done
step "Start both peers' daemons"
"${mode}_start_peers"

step "Reputation and tokens before"
account alice; account bob
before=$(balance_mt alice)

step "Alice shares two files"
"${mode}_put_files"
declare -A hashes
for file in hello.txt programs.tar; do
  show "peernet share $file              # as alice"
  shared=$("${mode}_peernet" alice share "$share_folder/$file" --json --quiet | tail -n 1)
  hashes[$file]=$(field "$shared" file_hash)
  [ "${hashes[$file]}" = "$(sha256sum "$work/make/$file" | cut -d ' ' -f 1)" ] || die "share reported another hash for $file: $shared"
  say "    File Hash: ${hashes[$file]}"
done

step "Bob finds them by name, and downloads them by hash, straight from Alice"
show "peernet search programs          # as bob"
"${mode}_peernet" bob search programs | sed 's/^/    /'
for file in hello.txt programs.tar; do
  show "peernet download ${hashes[$file]:0:12}… --output $file   # as bob"
  "${mode}_peernet" bob download "${hashes[$file]}" --output "$output_folder/$file" 2>&1 | sed 's/^/    /'
done

step "Alice keeps a letter to herself, and then shares it with Bob alone"
show "peernet share letter.txt --private   # as alice"
shared=$("${mode}_peernet" alice share "$share_folder/letter.txt" --private --json --quiet | tail -n 1)
hashes[letter.txt]=$(field "$shared" file_hash)
show "peernet download ${hashes[letter.txt]:0:12}…   # as bob"
code=0; "${mode}_peernet" bob download "${hashes[letter.txt]}" --output "$output_folder/letter.txt" >"$work/refused" 2>&1 || code=$?
sed 's/^/    /' "$work/refused"
[ "$code" = 4 ] || die "Bob's download of a private file ended with $code, not with 4"
bob_id=$(field "$("${mode}_peernet" bob status --json)" peer_id)
show "peernet access letter.txt --with $bob_id   # as alice"
"${mode}_peernet" alice access "${hashes[letter.txt]}" --with "$bob_id" | sed 's/^/    /'
show "peernet download ${hashes[letter.txt]:0:12}…   # as bob"
"${mode}_peernet" bob download "${hashes[letter.txt]}" --output "$output_folder/letter.txt" 2>&1 | sed 's/^/    /'

step "Compare the hashes of what Bob has with what Alice shared"
for file in hello.txt programs.tar letter.txt; do
  got=$("${mode}_hash" bob "$output_folder/$file")
  [ "$got" = "${hashes[$file]}" ] || die "$file differs: $got instead of ${hashes[$file]}"
  say "    $file: $got  same"
done

step "Reputation and tokens after: the uploads earned Alice both, and Bob paid (5 % of it goes to the treasury)"
account alice; account bob
after=$(balance_mt alice)
[ "$after" -gt "$before" ] || die "alice's upload earned nothing: $before mt before, $after mt after"

printf '\nThe demo passed: three files, two peers, equal hashes, %d milli-tokens earned.\n' $((after - before))
