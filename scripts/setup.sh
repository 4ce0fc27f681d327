# Sourced by run_tests.sh, run_demo.sh, .ci/run and the scripts beside it. Finds the programs that are missing on this machine and
# installs them from Debian's packages, as root or with sudo. Where neither works, it names the packages to install and stops.

say() { printf '%s\n' "$*"; }
die() { printf '%s: error: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# as_root COMMAND…: runs the command as root, through sudo where needed; fails where neither is possible.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo "$@"
  else return 1; fi
}

# install_packages WHY PACKAGE…: installs Debian packages, or stops and says what to install.
install_packages() {
  local why=$1; shift
  say "setup: installing $* ($why)"
  if ! command -v apt-get >/dev/null || ! as_root true; then
    die "$why needs: $*. Install them (Debian: apt-get install $*) and start again."
  fi
  as_root env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"' sh "$@" \
    >/dev/null || die "apt-get could not install: $*"
}

# need WHY COMMAND PACKAGE…: installs the packages when the command is missing.
need() {
  local why=$1 command=$2; shift 2
  command -v "$command" >/dev/null || install_packages "$why" "$@"
}

# find_compose: sets compose_command to the form of Compose that this machine has; fails where it is missing.
find_compose() {
  if docker compose version >/dev/null 2>&1; then compose_command=(docker compose)
  elif command -v docker-compose >/dev/null; then compose_command=(docker-compose)
  else return 1; fi
}

# find_cargo: puts rustup's folder on the PATH if cargo is only there; fails where Rust is missing.
find_cargo() {
  if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
  command -v cargo >/dev/null
}

need_build_tools() {
  find_cargo || die "Rust is missing: install it with rustup (1.95 or newer), then start again."
  local missing=()
  command -v cc >/dev/null || missing+=(gcc libc6-dev)
  command -v c++ >/dev/null || missing+=(g++)
  command -v make >/dev/null || missing+=(make)
  command -v cmake >/dev/null || missing+=(cmake)
  [ ${#missing[@]} = 0 ] || install_packages "building gRPC's C core" "${missing[@]}" ca-certificates
  # CMake 4 refuses an old policy of one part of the C core; older versions ignore this.
  export CMAKE_POLICY_VERSION_MINIMUM=${CMAKE_POLICY_VERSION_MINIMUM:-3.5}
}

# The tests start PostgreSQL servers of their own; only the programs are needed.
need_postgres() {
  [ -n "${PEERNET_TEST_DATABASE_URL:-}" ] && return
  command -v initdb >/dev/null && return
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && return
  install_packages "the tests' throwaway PostgreSQL" postgresql postgresql-client
}
