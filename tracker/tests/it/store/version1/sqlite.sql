-- The embedded tables as schema version 1 had them: what the test of the upgrade begins with. Never changed again.
--
-- The embedded store's tables: ../../../../schema.sql in SQLite's dialect, table for table and column for column (a
-- test compares them). What the columns mean is said there.

CREATE TABLE IF NOT EXISTS schema_version (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    version     INTEGER NOT NULL,
    migrated_at INTEGER NOT NULL
) STRICT;

-- Who may take part. Tokens of generations below `generation` are refused, so that a new password ends old sessions.
CREATE TABLE IF NOT EXISTS accounts (
    id            BLOB    PRIMARY KEY,
    -- A login name; several accounts may have none.
    address       TEXT    UNIQUE,
    -- bcrypt's text form.
    password_hash TEXT    NOT NULL,
    generation    INTEGER NOT NULL CHECK (generation >= 0),
    created_at    INTEGER NOT NULL
) STRICT;

-- An account's tokens and score, apart from accounts because it changes with every settlement. `sessions` to `hearsay`
-- are decaying sums as they were at `masses_at`: the sum of the account's rows in pairs, as their target.
CREATE TABLE IF NOT EXISTS ledger (
    peer              BLOB    PRIMARY KEY REFERENCES accounts (id),
    balance_mt        INTEGER NOT NULL CHECK (balance_mt >= 0),
    root              INTEGER NOT NULL,
    established_once  INTEGER NOT NULL,
    created_at        INTEGER NOT NULL,
    sessions          REAL    NOT NULL CHECK (sessions >= 0),
    proofs            REAL    NOT NULL CHECK (proofs >= 0),
    garbage           REAL    NOT NULL CHECK (garbage >= 0),
    root_failures     REAL    NOT NULL CHECK (root_failures >= 0),
    root_successes    REAL    NOT NULL CHECK (root_successes >= 0),
    hearsay           REAL    NOT NULL CHECK (hearsay >= 0),
    masses_at         INTEGER NOT NULL,
    score             REAL    NOT NULL CHECK (score >= 0 AND score <= 1),
    tickets_open      INTEGER NOT NULL CHECK (tickets_open >= 0),
    minute_started_at INTEGER NOT NULL,
    opened_in_minute  INTEGER NOT NULL CHECK (opened_in_minute >= 0)
) STRICT;

-- The other side of every grant and fee: one row. Balances, escrow and treasury add up to the supply at every commit.
CREATE TABLE IF NOT EXISTS treasury (
    id                 INTEGER PRIMARY KEY CHECK (id = 1),
    balance_mt         INTEGER NOT NULL CHECK (balance_mt >= 0),
    hour               INTEGER NOT NULL,
    granted_in_hour_mt INTEGER NOT NULL CHECK (granted_in_hour_mt >= 0),
    fees_day           INTEGER NOT NULL,
    fees_mt            INTEGER NOT NULL CHECK (fees_mt >= 0),
    fees_before_mt     INTEGER NOT NULL CHECK (fees_before_mt >= 0),
    dividend_day       INTEGER NOT NULL
) STRICT;

-- What an account may still pay for one file, and to whom: at most one an (account, file).
CREATE TABLE IF NOT EXISTS tickets (
    account    BLOB    NOT NULL REFERENCES accounts (id),
    file_hash  BLOB    NOT NULL CHECK (length(file_hash) = 32),
    -- Random, so unique by itself.
    id         BLOB    NOT NULL,
    size       INTEGER NOT NULL CHECK (size >= 0),
    chunk_size INTEGER NOT NULL CHECK (chunk_size > 0),
    escrow_mt  INTEGER NOT NULL CHECK (escrow_mt >= 0),
    paid_mt    INTEGER NOT NULL CHECK (paid_mt >= 0),
    fined_mt   INTEGER NOT NULL CHECK (fined_mt >= 0),
    -- One bit a chunk that was settled.
    paid       BLOB    NOT NULL,
    -- 25 bytes a source, as the engine's encode_sources writes them.
    sources    BLOB    NOT NULL,
    opened_at  INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (account, file_hash)
) STRICT;
CREATE INDEX IF NOT EXISTS tickets_by_id ON tickets (id);
CREATE INDEX IF NOT EXISTS tickets_by_expiry ON tickets (expires_at);

-- What one account said of another: one row a pair that ever met.
CREATE TABLE IF NOT EXISTS pairs (
    reporter       BLOB    NOT NULL REFERENCES accounts (id),
    target         BLOB    NOT NULL REFERENCES accounts (id),
    sessions       REAL    NOT NULL CHECK (sessions >= 0),
    proofs         REAL    NOT NULL CHECK (proofs >= 0),
    garbage        REAL    NOT NULL CHECK (garbage >= 0),
    root_failures  REAL    NOT NULL CHECK (root_failures >= 0),
    root_successes REAL    NOT NULL CHECK (root_successes >= 0),
    hearsay        REAL    NOT NULL CHECK (hearsay >= 0),
    masses_at      INTEGER NOT NULL,
    demoted_until  INTEGER NOT NULL,
    PRIMARY KEY (reporter, target),
    CHECK (reporter <> target)
) STRICT;

-- Every file that was ever announced whole, under the name it first came with. `search_name` is that name in lower case
-- as the tracker folds it, so that every store finds the same files.
CREATE TABLE IF NOT EXISTS files (
    file_hash   BLOB    PRIMARY KEY CHECK (length(file_hash) = 32),
    file_name   TEXT    NOT NULL,
    search_name TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;
-- A search walks this index from the newest file and stops when its page is full.
CREATE INDEX IF NOT EXISTS files_by_age ON files (created_at DESC, file_hash DESC);

-- Each distinct manifest announced for a file; the tracker does not decide which is true.
CREATE TABLE IF NOT EXISTS manifests (
    file_hash    BLOB    NOT NULL CHECK (length(file_hash) = 32),
    manifest_id  BLOB    NOT NULL CHECK (length(manifest_id) = 32),
    file_name    TEXT    NOT NULL,
    size         INTEGER NOT NULL CHECK (size >= 0),
    chunk_size   INTEGER NOT NULL CHECK (chunk_size > 0),
    -- 32 bytes a chunk, in order.
    chunk_hashes BLOB    NOT NULL CHECK (length(chunk_hashes) % 32 = 0),
    announced_by BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (file_hash, manifest_id)
) STRICT;
CREATE INDEX IF NOT EXISTS manifests_by_id ON manifests (manifest_id);

-- What of the swarm index survives a restart: who holds which chunks of a manifest, and until when.
CREATE TABLE IF NOT EXISTS leases (
    peer        BLOB    NOT NULL,
    manifest_id BLOB    NOT NULL CHECK (length(manifest_id) = 32),
    file_hash   BLOB    NOT NULL CHECK (length(file_hash) = 32),
    address     TEXT    NOT NULL,
    site        TEXT,
    chunk_count INTEGER NOT NULL CHECK (chunk_count >= 0),
    -- One bit a chunk, bit 7 of byte 0 for chunk 0.
    have        BLOB    NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (peer, manifest_id)
) STRICT;

-- Chunks of a version 1 announce, one request a chunk, until the file is whole.
CREATE TABLE IF NOT EXISTS v1_staged (
    peer         BLOB    NOT NULL,
    file_hash    BLOB    NOT NULL CHECK (length(file_hash) = 32),
    chunk_index  INTEGER NOT NULL CHECK (chunk_index >= 0),
    total_chunks INTEGER NOT NULL CHECK (total_chunks > chunk_index),
    chunk_hash   BLOB    NOT NULL CHECK (length(chunk_hash) = 32),
    file_name    TEXT    NOT NULL,
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (peer, file_hash, chunk_index)
) STRICT;

-- Files that one version 1 peer announced whole; their chunks are 1 MiB, the last one of unknown length.
CREATE TABLE IF NOT EXISTS v1_listings (
    peer         BLOB    NOT NULL,
    file_hash    BLOB    NOT NULL CHECK (length(file_hash) = 32),
    file_name    TEXT    NOT NULL,
    -- 32 bytes a chunk, in order.
    chunk_hashes BLOB    NOT NULL CHECK (length(chunk_hashes) % 32 = 0),
    expires_at   INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (peer, file_hash)
) STRICT;
