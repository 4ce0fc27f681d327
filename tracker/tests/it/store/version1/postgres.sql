-- The PostgreSQL tables as schema version 1 had them: what the test of the upgrade begins with. Never changed again.
--
-- PeerNet's PostgreSQL tables: this file is the only place that defines them. The tracker embeds it and runs it on
-- start (one tracker at a time, under an advisory lock), so every statement may be run again. The embedded store has
-- the same tables and columns in SQLite's dialect: tracker/src/store/sqlite/schema.sql.
--
-- Conventions:
--   * Times are milliseconds since 1970 in bigint, token amounts are milli-tokens in bigint: the engine's own units, so
--     that no conversion and no time zone stands between a rule and its row.
--   * Hashes are bytea of 32 bytes, peers are uuid. A set of chunks is one bitmap, a list of chunk hashes is one bytea
--     of 32 bytes each: a row a chunk was measured 1,000 times slower and 600 times larger.
--   * Every primary key begins with the column that a distributed PostgreSQL (Citus, YugabyteDB) would distribute the
--     table by: a peer or a file_hash. accounts, treasury and schema_version are small and would be replicated to every
--     node.
--   * Leases and version 1 rows have no foreign key to accounts: they are the hot path, and the token of their
--     announcer was checked already. Tokens have one: there must be no balance without an account.
--   * No index on expires_at of leases and version 1 rows: each renewal would have to move an index entry, whereas the
--     sweep runs rarely and reads the table in one pass.

CREATE TABLE IF NOT EXISTS schema_version (
    id          bigint PRIMARY KEY CHECK (id = 1),
    version     bigint NOT NULL,
    migrated_at bigint NOT NULL
);

-- Who may take part. Tokens of generations below `generation` are refused, so that a new password ends old sessions.
CREATE TABLE IF NOT EXISTS accounts (
    id            uuid   PRIMARY KEY,
    -- A login name; several accounts may have none.
    address       text   UNIQUE,
    -- bcrypt's text form.
    password_hash text   NOT NULL,
    generation    bigint NOT NULL CHECK (generation >= 0),
    created_at    bigint NOT NULL
);

-- An account's tokens and score, apart from accounts because it changes with every settlement. `sessions` to `hearsay`
-- are decaying sums as they were at `masses_at`: the sum of the account's rows in pairs, as their target.
CREATE TABLE IF NOT EXISTS ledger (
    peer              uuid             PRIMARY KEY REFERENCES accounts (id),
    balance_mt        bigint           NOT NULL CHECK (balance_mt >= 0),
    root              boolean          NOT NULL,
    established_once  boolean          NOT NULL,
    created_at        bigint           NOT NULL,
    sessions          double precision NOT NULL CHECK (sessions >= 0),
    proofs            double precision NOT NULL CHECK (proofs >= 0),
    garbage           double precision NOT NULL CHECK (garbage >= 0),
    root_failures     double precision NOT NULL CHECK (root_failures >= 0),
    root_successes    double precision NOT NULL CHECK (root_successes >= 0),
    hearsay           double precision NOT NULL CHECK (hearsay >= 0),
    masses_at         bigint           NOT NULL,
    score             double precision NOT NULL CHECK (score >= 0 AND score <= 1),
    tickets_open      bigint           NOT NULL CHECK (tickets_open >= 0),
    minute_started_at bigint           NOT NULL,
    opened_in_minute  bigint           NOT NULL CHECK (opened_in_minute >= 0)
)
-- Room on each page for the next version of a row, since balances change all the time.
WITH (fillfactor = 70);

-- The other side of every grant and fee: one row. Balances, escrow and treasury add up to the supply at every commit.
CREATE TABLE IF NOT EXISTS treasury (
    id                 bigint PRIMARY KEY CHECK (id = 1),
    balance_mt         bigint NOT NULL CHECK (balance_mt >= 0),
    hour               bigint NOT NULL,
    granted_in_hour_mt bigint NOT NULL CHECK (granted_in_hour_mt >= 0),
    fees_day           bigint NOT NULL,
    fees_mt            bigint NOT NULL CHECK (fees_mt >= 0),
    fees_before_mt     bigint NOT NULL CHECK (fees_before_mt >= 0),
    dividend_day       bigint NOT NULL
)
WITH (fillfactor = 10);

-- What an account may still pay for one file, and to whom: at most one an (account, file).
CREATE TABLE IF NOT EXISTS tickets (
    account    uuid   NOT NULL REFERENCES accounts (id),
    file_hash  bytea  NOT NULL CHECK (length(file_hash) = 32),
    -- Random, so unique by itself; a unique index would tie the table to one node.
    id         uuid   NOT NULL,
    size       bigint NOT NULL CHECK (size >= 0),
    chunk_size bigint NOT NULL CHECK (chunk_size > 0),
    escrow_mt  bigint NOT NULL CHECK (escrow_mt >= 0),
    paid_mt    bigint NOT NULL CHECK (paid_mt >= 0),
    fined_mt   bigint NOT NULL CHECK (fined_mt >= 0),
    -- One bit a chunk that was settled.
    paid       bytea  NOT NULL,
    -- 25 bytes a source, as the engine's encode_sources writes them.
    sources    bytea  NOT NULL,
    opened_at  bigint NOT NULL,
    renewed_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (account, file_hash)
);
CREATE INDEX IF NOT EXISTS tickets_by_id ON tickets (id);
CREATE INDEX IF NOT EXISTS tickets_by_expiry ON tickets (expires_at);

-- What one account said of another: one row a pair that ever met.
CREATE TABLE IF NOT EXISTS pairs (
    reporter       uuid             NOT NULL REFERENCES accounts (id),
    target         uuid             NOT NULL REFERENCES accounts (id),
    sessions       double precision NOT NULL CHECK (sessions >= 0),
    proofs         double precision NOT NULL CHECK (proofs >= 0),
    garbage        double precision NOT NULL CHECK (garbage >= 0),
    root_failures  double precision NOT NULL CHECK (root_failures >= 0),
    root_successes double precision NOT NULL CHECK (root_successes >= 0),
    hearsay        double precision NOT NULL CHECK (hearsay >= 0),
    masses_at      bigint           NOT NULL,
    demoted_until  bigint           NOT NULL,
    PRIMARY KEY (reporter, target),
    CHECK (reporter <> target)
)
WITH (fillfactor = 80);

-- Every file that was ever announced whole, under the name it first came with. `search_name` is that name in lower case
-- as the tracker folds it, so that every store finds the same files.
CREATE TABLE IF NOT EXISTS files (
    file_hash   bytea  PRIMARY KEY CHECK (length(file_hash) = 32),
    file_name   text   NOT NULL,
    search_name text   NOT NULL,
    created_at  bigint NOT NULL
);
-- A search walks this index from the newest file and stops when its page is full.
CREATE INDEX IF NOT EXISTS files_by_age ON files (created_at DESC, file_hash DESC);

-- Each distinct manifest announced for a file; the tracker does not decide which is true.
CREATE TABLE IF NOT EXISTS manifests (
    file_hash    bytea  NOT NULL CHECK (length(file_hash) = 32),
    manifest_id  bytea  NOT NULL CHECK (length(manifest_id) = 32),
    file_name    text   NOT NULL,
    size         bigint NOT NULL CHECK (size >= 0),
    chunk_size   bigint NOT NULL CHECK (chunk_size > 0),
    -- 32 bytes a chunk, in order.
    chunk_hashes bytea  NOT NULL CHECK (length(chunk_hashes) % 32 = 0),
    announced_by uuid   NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (file_hash, manifest_id)
);
-- Hashes do not compress: do not try.
ALTER TABLE manifests ALTER COLUMN chunk_hashes SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS manifests_by_id ON manifests (manifest_id);

-- What of the swarm index survives a restart: who holds which chunks of a manifest, and until when.
CREATE TABLE IF NOT EXISTS leases (
    peer        uuid   NOT NULL,
    manifest_id bytea  NOT NULL CHECK (length(manifest_id) = 32),
    file_hash   bytea  NOT NULL CHECK (length(file_hash) = 32),
    address     text   NOT NULL,
    site        text,
    chunk_count bigint NOT NULL CHECK (chunk_count >= 0),
    -- One bit a chunk, bit 7 of byte 0 for chunk 0.
    have        bytea  NOT NULL,
    expires_at  bigint NOT NULL,
    PRIMARY KEY (peer, manifest_id)
)
-- Renewals touch no indexed column: with room on the page they do not touch the index either.
WITH (fillfactor = 70);

-- Chunks of a version 1 announce, one request a chunk, until the file is whole.
CREATE TABLE IF NOT EXISTS v1_staged (
    peer         uuid   NOT NULL,
    file_hash    bytea  NOT NULL CHECK (length(file_hash) = 32),
    chunk_index  bigint NOT NULL CHECK (chunk_index >= 0),
    total_chunks bigint NOT NULL CHECK (total_chunks > chunk_index),
    chunk_hash   bytea  NOT NULL CHECK (length(chunk_hash) = 32),
    file_name    text   NOT NULL,
    expires_at   bigint NOT NULL,
    PRIMARY KEY (peer, file_hash, chunk_index)
);

-- Files that one version 1 peer announced whole; their chunks are 1 MiB, the last one of unknown length.
CREATE TABLE IF NOT EXISTS v1_listings (
    peer         uuid   NOT NULL,
    file_hash    bytea  NOT NULL CHECK (length(file_hash) = 32),
    file_name    text   NOT NULL,
    -- 32 bytes a chunk, in order.
    chunk_hashes bytea  NOT NULL CHECK (length(chunk_hashes) % 32 = 0),
    expires_at   bigint NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (peer, file_hash)
);
ALTER TABLE v1_listings ALTER COLUMN chunk_hashes SET STORAGE EXTERNAL;
