#!/usr/bin/env bash
# Builds the images peernet-tracker and peernet-peer. The Dockerfile is the only description of both ways:
#   scripts/images.sh                        everything in containers, as on a machine without Rust (compiles gRPC's C core)
#   scripts/images.sh --from FOLDER          the Dockerfile's two last stages around the programs in FOLDER, which this machine built
#   scripts/images.sh --in-containers-once   in containers, unless .ci/images.sha256 says that it was done with this Dockerfile and
#                                            Cargo.lock; writes that file after a build that succeeded
# With --from the programs are tried in their images, because this machine's C library may be newer than the images'.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/setup.sh
record=.ci/images.sha256

in_containers() {
  local target
  for target in tracker peer; do docker build -q --target $target -t peernet-$target . >/dev/null; done
}

# runtime_stages: the Dockerfile without its build stage, with every file that came from there taken from the context instead.
runtime_stages() { sed -n '/^FROM .* AS tracker$/,$p' Dockerfile | sed 's|^COPY --from=build /.*/\([^/ ]*\) |COPY \1 |'; }

from_folder() {
  local folder=$1 target
  context=$(mktemp -d)  # not local: the trap runs after the function
  trap 'rm -rf "$context"' EXIT
  strip -o "$context/peernet-tracker" "$folder/peernet-tracker"
  strip -o "$context/peernet" "$folder/peernet"
  cp /etc/ssl/certs/ca-certificates.crt "$context/"
  runtime_stages >"$context/Dockerfile"
  ! grep -q -e '--from=build' "$context/Dockerfile" || die "a line of the Dockerfile takes a file from the build stage in a new form"
  for target in tracker peer; do docker build -q --target $target -t peernet-$target "$context" >/dev/null; done
  docker run --rm peernet-tracker --version >/dev/null && docker run --rm peernet-peer --version >/dev/null
}

case "${1:-}" in
  "") in_containers ;;
  --from) from_folder "${2:?scripts/images.sh --from FOLDER}" ;;
  --in-containers-once)
    if sha256sum --quiet --check "$record" 2>/dev/null; then
      say "images: built in containers before with this Dockerfile and Cargo.lock ($record)"
    else
      in_containers
      sha256sum Dockerfile Cargo.lock >"$record"
      say "images: built in containers; commit $record"
    fi ;;
  *) die "unknown option $1; the head of this file names the options" ;;
esac
