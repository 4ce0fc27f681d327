#!/bin/sh
# Installs the programs the scenarios compare with, as far as this machine allows. Debian or Ubuntu, as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends nginx-light curl aria2 transmission-cli iproute2 wrk python3-pip
pip install libtorrent || pip install --break-system-packages libtorrent
# A few minutes of building; what is missing afterwards is left out by the scenarios, which say so.
cargo install rqbit --locked --no-default-features --features rust-tls --root "${RQBIT_ROOT:-/usr/local}" || echo "rqbit does not build here" >&2
cargo install aquatic_http --version 0.9.0 --no-default-features --features mimalloc --root /usr/local || echo "aquatic_http does not build here" >&2
cargo install torrust-tracker --version 3.0.0 --locked --root /usr/local || echo "torrust-tracker does not build here" >&2
