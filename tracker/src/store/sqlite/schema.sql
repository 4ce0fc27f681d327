-- The tables of the SQLite store: those of ../../../../schema.sql in SQLite's dialect, table for table and column for column. A test
-- compares them. The meaning of the columns is described there.

CREATE TABLE IF NOT EXISTS schema_version (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    version     INTEGER NOT NULL,
    migrated_at INTEGER NOT NULL
) STRICT;

-- The accounts that may take part. Tokens of a generation below `generation` are refused, so a new password ends old sessions.
CREATE TABLE IF NOT EXISTS accounts (
    id            BLOB    PRIMARY KEY,
    -- A login name; several accounts may have none.
    address       TEXT    UNIQUE,
    -- bcrypt's text form.
    password_hash TEXT    NOT NULL,
    generation    INTEGER NOT NULL CHECK (generation >= 0),
    created_at    INTEGER NOT NULL,
    -- The time and the reason of a suspension; NULL where the account may take part.
    suspended_at     INTEGER,
    suspended_reason TEXT
) STRICT;
-- The tracker reads the suspended accounts every few seconds.
CREATE INDEX IF NOT EXISTS accounts_suspended ON accounts (suspended_at) WHERE suspended_at IS NOT NULL;

-- Tokens and score of an account. A table of its own, because it changes with every settlement. `sessions` to `hearsay` are decaying
-- sums as of `masses_at`: the sums of the rows in pairs that have the account as their target.
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

-- The counterpart of every grant and fee: one row. Balances, escrow and treasury add up to the supply at every commit.
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

-- Tickets: the tokens that an account may still pay for one file, and the sources it may pay. At most one per (account, file).
CREATE TABLE IF NOT EXISTS tickets (
    account    BLOB    NOT NULL REFERENCES accounts (id),
    file_hash  BLOB    NOT NULL CHECK (length(file_hash) = 32),
    -- Random, so unique without an index.
    id         BLOB    NOT NULL,
    size       INTEGER NOT NULL CHECK (size >= 0),
    chunk_size INTEGER NOT NULL CHECK (chunk_size > 0),
    escrow_mt  INTEGER NOT NULL CHECK (escrow_mt >= 0),
    paid_mt    INTEGER NOT NULL CHECK (paid_mt >= 0),
    fined_mt   INTEGER NOT NULL CHECK (fined_mt >= 0),
    -- One bit for each settled chunk.
    paid       BLOB    NOT NULL,
    -- 25 bytes for each source, written by the engine's encode_sources.
    sources    BLOB    NOT NULL,
    opened_at  INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (account, file_hash)
) STRICT;
CREATE INDEX IF NOT EXISTS tickets_by_id ON tickets (id);
CREATE INDEX IF NOT EXISTS tickets_by_expiry ON tickets (expires_at);

-- The reports of one account about another: one row for each pair that ever met.
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

-- Every file of which all chunks were ever announced, with the name of its first announce. `search_name` is that name in lower case.
-- The tracker folds it itself, so that both stores find the same files.
CREATE TABLE IF NOT EXISTS files (
    file_hash   BLOB    PRIMARY KEY CHECK (length(file_hash) = 32),
    file_name   TEXT    NOT NULL,
    search_name TEXT    NOT NULL,
    created_at  INTEGER NOT NULL
) STRICT;
-- A search reads this index from the newest file on, and stops when its page is full.
CREATE INDEX IF NOT EXISTS files_by_age ON files (created_at DESC, file_hash DESC);

-- Each distinct manifest that was announced for a file. The tracker does not decide which one is true.
CREATE TABLE IF NOT EXISTS manifests (
    file_hash    BLOB    NOT NULL CHECK (length(file_hash) = 32),
    manifest_id  BLOB    NOT NULL CHECK (length(manifest_id) = 32),
    file_name    TEXT    NOT NULL,
    size         INTEGER NOT NULL CHECK (size >= 0),
    chunk_size   INTEGER NOT NULL CHECK (chunk_size > 0),
    -- 32 bytes for each chunk, in order.
    chunk_hashes BLOB    NOT NULL CHECK (length(chunk_hashes) % 32 = 0),
    announced_by BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (file_hash, manifest_id)
) STRICT;
CREATE INDEX IF NOT EXISTS manifests_by_id ON manifests (manifest_id);

-- Signatures of manifests by the accounts that publish them: at most one per (account, manifest). Verified before they are stored.
CREATE TABLE IF NOT EXISTS manifest_signatures (
    manifest_id BLOB    NOT NULL CHECK (length(manifest_id) = 32),
    peer        BLOB    NOT NULL REFERENCES accounts (id),
    -- Ed25519.
    public_key  BLOB    NOT NULL CHECK (length(public_key) = 32),
    signature   BLOB    NOT NULL CHECK (length(signature) = 64),
    -- The time of the account's first signature of the manifest. Signing again does not change the order.
    signed_at   INTEGER NOT NULL,
    PRIMARY KEY (manifest_id, peer)
) STRICT;
CREATE INDEX IF NOT EXISTS manifest_signatures_by_time ON manifest_signatures (manifest_id, signed_at, peer);

-- Files whose every chunk one version 1 peer announced. Chunks have 1 MiB; the length of the last one is unknown.
CREATE TABLE IF NOT EXISTS v1_listings (
    peer         BLOB    NOT NULL,
    file_hash    BLOB    NOT NULL CHECK (length(file_hash) = 32),
    file_name    TEXT    NOT NULL,
    -- 32 bytes for each chunk, in order.
    chunk_hashes BLOB    NOT NULL CHECK (length(chunk_hashes) % 32 = 0),
    expires_at   INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (peer, file_hash)
) STRICT;

-- Bytes of metadata that an account has stored. Rows count for the account that stored them first. Each write updates the count, so a
-- quota needs no scan. No foreign key, like the manifests it counts.
CREATE TABLE IF NOT EXISTS account_usage (
    account        BLOB    PRIMARY KEY,
    metadata_bytes INTEGER NOT NULL CHECK (metadata_bytes >= 0)
) STRICT;

-- Invites: the right to register, where registration is by invitation.
CREATE TABLE IF NOT EXISTS invites (
    -- SHA-256 of the code. The code is shown once and stored nowhere.
    code_hash  BLOB    PRIMARY KEY CHECK (length(code_hash) = 32),
    uses       INTEGER NOT NULL CHECK (uses > 0),
    uses_left  INTEGER NOT NULL CHECK (uses_left >= 0 AND uses_left <= uses),
    note       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- Devices: logins that last. Each has one refresh token at a time, and each use exchanges it for the next one. Only SHA-256 hashes of
-- tokens are stored. An ended device is kept for as long as its certificate may be valid.
CREATE TABLE IF NOT EXISTS devices (
    id             BLOB    PRIMARY KEY,
    account        BLOB    NOT NULL REFERENCES accounts (id),
    -- The name that people know the device by.
    label          TEXT    NOT NULL,
    -- Words, separated by spaces.
    scopes         TEXT    NOT NULL,
    -- The hash of the first half of its refresh tokens, which never changes. So each of them is recognised, even long after it was replaced.
    family_hash    BLOB    NOT NULL UNIQUE CHECK (length(family_hash) = 32),
    -- The hash of the valid token.
    refresh_hash   BLOB    NOT NULL CHECK (length(refresh_hash) = 32),
    -- The hash of the token before it. A client that did not get the reply may present that token again until previous_until.
    previous_hash  BLOB    CHECK (length(previous_hash) = 32),
    previous_until INTEGER,
    created_at     INTEGER NOT NULL,
    -- The time of the last renewal.
    seen_at        INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    revoked_at     INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS devices_by_account ON devices (account);
-- The tracker reads the ended devices every few seconds.
CREATE INDEX IF NOT EXISTS devices_revoked ON devices (revoked_at) WHERE revoked_at IS NOT NULL;

-- Access policies that owners have set. A file without a row is public. Its owner is the account that announced it first, or that set
-- its access before any announce. The row stays when the file becomes public again, because the other trackers must read that too.
CREATE TABLE IF NOT EXISTS file_access (
    file_hash BLOB    PRIMARY KEY CHECK (length(file_hash) = 32),
    owner     BLOB    NOT NULL REFERENCES accounts (id),
    -- public, shared, private or withdrawn.
    access    TEXT    NOT NULL,
    -- The number of its last change, see access_changes.
    changed   INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS file_access_by_owner ON file_access (owner);
-- Every tracker reads the changes every few seconds.
CREATE INDEX IF NOT EXISTS file_access_by_change ON file_access (changed, file_hash);

-- Accounts that a file is shared with.
CREATE TABLE IF NOT EXISTS file_access_accounts (
    file_hash BLOB    NOT NULL REFERENCES file_access (file_hash),
    account   BLOB    NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (file_hash, account)
) STRICT;

-- Named sets of accounts, for sharing with all of them.
CREATE TABLE IF NOT EXISTS groups (
    id      BLOB    PRIMARY KEY,
    owner   BLOB    NOT NULL REFERENCES accounts (id),
    name    TEXT    NOT NULL,
    -- The number of its last change, see access_changes.
    changed INTEGER NOT NULL,
    UNIQUE (owner, name)
) STRICT;
CREATE INDEX IF NOT EXISTS groups_by_change ON groups (changed, id);

CREATE TABLE IF NOT EXISTS group_members (
    group_id BLOB    NOT NULL REFERENCES groups (id),
    account  BLOB    NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (group_id, account)
) STRICT;

-- Groups that a file is shared with.
CREATE TABLE IF NOT EXISTS file_access_groups (
    file_hash BLOB    NOT NULL REFERENCES file_access (file_hash),
    group_id  BLOB    NOT NULL REFERENCES groups (id),
    PRIMARY KEY (file_hash, group_id)
) STRICT;
CREATE INDEX IF NOT EXISTS file_access_groups_by_group ON file_access_groups (group_id);

-- The number of the last change of the access tables above: one row. A change locks it until its transaction ends, so numbers become
-- visible in their order.
CREATE TABLE IF NOT EXISTS access_changes (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL
) STRICT;
INSERT INTO access_changes (id, sequence) VALUES (1, 0) ON CONFLICT DO NOTHING;

-- The audit log: each change of an account and its actor, written in the transaction of the change. Rows are only added, and deleted
-- when they are older than the setting audit_days. They never contain a secret.
CREATE TABLE IF NOT EXISTS audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    -- client or operator.
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    account BLOB,
    detail  TEXT    NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_by_account ON audit (account, id);
CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at);
