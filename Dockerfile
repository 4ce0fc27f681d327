# Two images from one file: `--target tracker` and `--target peer`. The first layer that takes long (gRPC's C core, ten minutes
# on two cores) depends on the manifests and the lock file only.
FROM rust:1-bookworm AS build
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends cmake g++ make \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# Dependencies: the manifests with empty sources. Benchmarks and fuzzing are no part of the images, and a change of theirs
# need not rebuild this layer; the lock file still decides every version.
COPY Cargo.toml Cargo.lock ./
COPY protos/Cargo.toml protos/
COPY crates/engine/Cargo.toml crates/engine/
COPY crates/arguments/Cargo.toml crates/arguments/
COPY crates/threads/Cargo.toml crates/threads/
COPY crates/door/Cargo.toml crates/door/
COPY crates/testkit/Cargo.toml crates/testkit/
COPY tracker/Cargo.toml tracker/
COPY peer/Cargo.toml peer/
RUN sed -i 's/, "bench", "fuzz"//' Cargo.toml && for member in protos crates/arguments crates/engine crates/threads crates/door crates/testkit tracker peer; do \
      mkdir -p "$member/src" && echo > "$member/src/lib.rs"; done \
 && mkdir -p peer/src/bin && echo 'fn main() {}' | tee tracker/src/main.rs peer/src/bin/peernet.rs protos/build.rs > /dev/null \
 && cargo build --release -p peernet-tracker -p peernet

COPY . .
# Copied files keep their old times; cargo must see them as newer than the empty ones.
RUN find . -name '*.rs' -exec touch {} + \
 && cargo build --release --locked -p peernet-tracker -p peernet \
 && mkdir /out && cp target/release/peernet-tracker target/release/peernet /out/

FROM debian:bookworm-slim AS tracker
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/peernet peernet
COPY --from=build /out/peernet-tracker /usr/local/bin/
# For a PostgreSQL on another machine that has a public certificate.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
USER peernet
ENV TRACKER_PORT=8080 PEERNET_TRACKER_DATA_DIR=/var/lib/peernet/tracker PEERNET_TRACKER_AUTHORITY_DIR=/var/lib/peernet/authority
RUN mkdir -p -m 0700 /var/lib/peernet/tracker /var/lib/peernet/authority
VOLUME /var/lib/peernet
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=2s --timeout=3s --start-period=30s --retries=15 CMD ["peernet-tracker", "health"]
ENTRYPOINT ["peernet-tracker"]

FROM debian:bookworm-slim AS peer
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/peernet peernet
COPY --from=build /out/peernet /usr/local/bin/
USER peernet
WORKDIR /var/lib/peernet
ENV PEERNET_HOME=/var/lib/peernet/home
RUN mkdir -p -m 0700 /var/lib/peernet/home && mkdir -p /var/lib/peernet/files
VOLUME /var/lib/peernet
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=2s --timeout=3s --start-period=10s --retries=15 CMD ["peernet", "status", "--daemon", "--quiet"]
ENTRYPOINT ["peernet"]
CMD ["daemon", "--listen", "0.0.0.0:50051"]
