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
    created_at    INTEGER NOT NULL,
    -- Since when it may not take part, and why; nothing where it may.
    suspended_at     INTEGER,
    suspended_reason TEXT
) STRICT;
-- The tracker asks every few seconds who is suspended.
CREATE INDEX IF NOT EXISTS accounts_suspended ON accounts (suspended_at) WHERE suspended_at IS NOT NULL;

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

-- Who says that he publishes a manifest: at most one an (account, manifest), verified before it came here.
CREATE TABLE IF NOT EXISTS manifest_signatures (
    manifest_id BLOB    NOT NULL CHECK (length(manifest_id) = 32),
    peer        BLOB    NOT NULL REFERENCES accounts (id),
    -- Ed25519.
    public_key  BLOB    NOT NULL CHECK (length(public_key) = 32),
    signature   BLOB    NOT NULL CHECK (length(signature) = 64),
    -- When the account signed the manifest first: signing it again is no way to the front or the back.
    signed_at   INTEGER NOT NULL,
    PRIMARY KEY (manifest_id, peer)
) STRICT;
CREATE INDEX IF NOT EXISTS manifest_signatures_by_time ON manifest_signatures (manifest_id, signed_at, peer);

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

-- Bytes of metadata that an account has stored: what it put first, never what others put. Counted with each write, so that
-- no quota needs a scan. Without a foreign key, like the manifests it counts.
CREATE TABLE IF NOT EXISTS account_usage (
    account        BLOB    PRIMARY KEY,
    metadata_bytes INTEGER NOT NULL CHECK (metadata_bytes >= 0)
) STRICT;

-- Leave to register, where registration is by invitation.
CREATE TABLE IF NOT EXISTS invites (
    -- SHA-256 of the code, which is shown once and kept nowhere.
    code_hash  BLOB    PRIMARY KEY CHECK (length(code_hash) = 32),
    uses       INTEGER NOT NULL CHECK (uses > 0),
    uses_left  INTEGER NOT NULL CHECK (uses_left >= 0 AND uses_left <= uses),
    note       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

-- Logins that last: each has one refresh token at a time, which is exchanged for the next one with each use. Kept are only
-- hashes (SHA-256). A device that has ended stays for as long as its certificate might.
CREATE TABLE IF NOT EXISTS devices (
    id             BLOB    PRIMARY KEY,
    account        BLOB    NOT NULL REFERENCES accounts (id),
    -- What people know it by.
    label          TEXT    NOT NULL,
    -- Words with spaces between them.
    scopes         TEXT    NOT NULL,
    -- Of the first half of its refresh tokens, which stays: so any of them is known to be its, also long after it was replaced.
    family_hash    BLOB    NOT NULL UNIQUE CHECK (length(family_hash) = 32),
    -- Of the token that is good.
    refresh_hash   BLOB    NOT NULL CHECK (length(refresh_hash) = 32),
    -- Of the one before, which may be shown again until then by who did not get the answer.
    previous_hash  BLOB    CHECK (length(previous_hash) = 32),
    previous_until INTEGER,
    created_at     INTEGER NOT NULL,
    -- When its token was last renewed.
    seen_at        INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    revoked_at     INTEGER
) STRICT;
CREATE INDEX IF NOT EXISTS devices_by_account ON devices (account);
-- The tracker asks every few seconds which have been ended.
CREATE INDEX IF NOT EXISTS devices_revoked ON devices (revoked_at) WHERE revoked_at IS NOT NULL;

-- Who may have a file, where its owner has said so; a file without a row is public. Its owner is who said so first, before anyone
-- announced it, or who announced it first. A row stays when the file is public again, as the other trackers must hear of that.
CREATE TABLE IF NOT EXISTS file_access (
    file_hash BLOB    PRIMARY KEY CHECK (length(file_hash) = 32),
    owner     BLOB    NOT NULL REFERENCES accounts (id),
    -- public, shared, private or withdrawn.
    access    TEXT    NOT NULL,
    -- The number of its last change, see access_changes.
    changed   INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS file_access_by_owner ON file_access (owner);
-- Every tracker asks every few seconds what has changed.
CREATE INDEX IF NOT EXISTS file_access_by_change ON file_access (changed, file_hash);

-- Accounts that a file is shared with by name.
CREATE TABLE IF NOT EXISTS file_access_accounts (
    file_hash BLOB    NOT NULL REFERENCES file_access (file_hash),
    account   BLOB    NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (file_hash, account)
) STRICT;

-- Accounts under one name, for sharing with all of them.
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

-- The number of the last change of the tables above: one row. A change locks it until its transaction ends, so that numbers become
-- visible in their order.
CREATE TABLE IF NOT EXISTS access_changes (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL
) STRICT;
INSERT INTO access_changes (id, sequence) VALUES (1, 0) ON CONFLICT DO NOTHING;

-- What was done to accounts and by whom, written in the transaction that did it. Rows are only ever added, and deleted when
-- they are older than the setting audit_days. Never a secret.
CREATE TABLE IF NOT EXISTS audit (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    -- client, or operator.
    actor   TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    account BLOB,
    detail  TEXT    NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS audit_by_account ON audit (account, id);
CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at);
