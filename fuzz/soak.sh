#!/usr/bin/env bash
# Fuzzes every target in turn, with coverage, until it is stopped or each had its rounds, and notes down what every turn came to.
# Usage: fuzz/soak.sh [-j JOBS] [-s SECONDS A TURN] [-r ROUNDS] [-b] [TARGET…]      e.g. nice -n 19 fuzz/soak.sh -s 600
#        fuzz/soak.sh -t            what all noted turns add up to, by target
# -b builds without the peer's targets, which need gRPC's C core built once more. Needs cargo-fuzz and a nightly compiler.
# Corpora and findings are kept in FUZZ_DIR (default ~/.cache/peernet-fuzz); turns are noted in fuzz/turns.jsonl, one line each.
set -euo pipefail
cd "$(dirname "$0")/.."
notes=fuzz/turns.jsonl
jobs=2 seconds=600 rounds=1 features=libfuzzer,peer
while getopts j:s:r:bt option; do
  case $option in
    j) jobs=$OPTARG ;; s) seconds=$OPTARG ;; r) rounds=$OPTARG ;; b) features=libfuzzer ;;
    t) exec python3 - "$notes" <<'PY'
import collections, json, sys
total = collections.defaultdict(lambda: [0.0, 0.0, 0, 0])
turns = [json.loads(line) for line in open(sys.argv[1])]
for turn in turns:
    cpu = turn["cpu_s"]
    for at, more in enumerate((turn.get("wall_s", cpu), cpu, turn["runs"], turn["found"])):
        total[turn["target"]][at] += more
for target, (wall, cpu, runs, found) in sorted(total.items(), key=lambda item: item[1][1]):
    print(f"{target:20} {wall / 60:6.1f} minutes {cpu / 60:6.1f} of a core {runs:>14,} runs {found} findings")
# What became of a finding is added to its line by hand.
for turn in turns:
    if turn["found"]:
        print(f"{turn['target']}, {turn['commit']}: {turn.get('why', 'not looked at yet')}")
PY
      ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
export FUZZ_DIR=${FUZZ_DIR:-$HOME/.cache/peernet-fuzz} seconds notes
export programs=$FUZZ_DIR/target/x86_64-unknown-linux-gnu/release
cargo +nightly fuzz build --no-default-features --features "$features" --target-dir "$FUZZ_DIR/target" --sanitizer none
commit=$(git rev-parse --short HEAD); export commit
[ $# -gt 0 ] || set -- $(cd fuzz/fuzz_targets && ls -- *.rs | sed 's/\.rs$//')

turn() {
  local target=$1 folder=$FUZZ_DIR/$1 log status=0 took
  [ -x "$programs/$target" ] || return 0
  # Several may run of one target.
  mkdir -p "$folder/corpus" "$folder/found"; log=$folder/$BASHPID.log
  TIMEFORMAT='%U %S %R'
  took=$({ time "$programs/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$folder/found/" "$folder/corpus" >"$log" 2>&1; } 2>&1) || status=$?
  printf '{"target":"%s","commit":"%s","wall_s":%s,"cpu_s":%s,"runs":%s,"coverage":%s,"found":%s}\n' "$target" "$commit" \
    "${took##* }" "$(awk '{print $1 + $2}' <<<"$took")" "$(awk '/number_of_executed_units/ {print $2}' "$log" | tail -n 1 | grep . || echo 0)" \
    "$(grep -o 'cov: [0-9]*' "$log" | tail -n 1 | grep -o '[0-9]*' || echo 0)" "$((status != 0))" >>"$notes"
  mv "$log" "$folder/last.log"
}
export -f turn
for ((round = 0; round < rounds; round++)); do
  printf '%s\n' "$@" | xargs -P "$jobs" -I{} bash -c 'turn {}'
done
