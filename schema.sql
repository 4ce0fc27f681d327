-- PeerNet's PostgreSQL tables: this file is the only place that defines them. The tracker embeds it and runs it on
-- start (one tracker at a time, under an advisory lock), so every statement may be run again. The embedded store has
-- the same tables and columns in SQLite's dialect: tracker/src/store/embedded/schema.sql.
--
-- Conventions:
--   * Times are milliseconds since 1970 in bigint, token amounts are milli-tokens in bigint: the engine's own units, so
--     that no conversion and no time zone stands between a rule and its row.
--   * Hashes are bytea of 32 bytes, peers are uuid. A set of chunks is one bitmap, a list of chunk hashes is one bytea
--     of 32 bytes each: a row a chunk was measured 1,000 times slower and 600 times larger.
--   * Every primary key begins with the column that a distributed PostgreSQL (Citus, YugabyteDB) would distribute the
--     table by: a peer, a file_hash or a manifest_id. accounts, devices, groups, group_members, access_changes, treasury, invites, audit, trackers and
--     schema_version are small and would be replicated to every node.
--   * Leases are not here: each tracker keeps its own log of them (tracker/src/store/swarm_log.rs) and tells the others.
--   * Version 1 rows have no foreign key to accounts: the token of their announcer was checked already. Tokens have one:
--     there must be no balance without an account. No index on their expires_at: each renewal would have to move an entry,
--     whereas the sweep runs rarely and reads the table in one pass.

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
    created_at    bigint NOT NULL,
    -- Since when it may not take part, and why; nothing where it may.
    suspended_at     bigint,
    suspended_reason text
);
-- Every tracker asks every few seconds who is suspended.
CREATE INDEX IF NOT EXISTS accounts_suspended ON accounts (suspended_at) WHERE suspended_at IS NOT NULL;

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

-- Who says that he publishes a manifest: at most one an (account, manifest), verified before it came here.
CREATE TABLE IF NOT EXISTS manifest_signatures (
    manifest_id bytea  NOT NULL CHECK (length(manifest_id) = 32),
    peer        uuid   NOT NULL REFERENCES accounts (id),
    -- Ed25519.
    public_key  bytea  NOT NULL CHECK (length(public_key) = 32),
    signature   bytea  NOT NULL CHECK (length(signature) = 64),
    -- When the account signed the manifest first: signing it again is no way to the front or the back.
    signed_at   bigint NOT NULL,
    PRIMARY KEY (manifest_id, peer)
);
CREATE INDEX IF NOT EXISTS manifest_signatures_by_time ON manifest_signatures (manifest_id, signed_at, peer);

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

-- The trackers that use this database, each with the key that checks its tokens.
CREATE TABLE IF NOT EXISTS trackers (
    id         uuid   PRIMARY KEY,
    public_key bytea  NOT NULL CHECK (length(public_key) = 32),
    seen_at    bigint NOT NULL
);

-- What each of them heard of the swarm, for the others to read: kept for minutes. A tracker writes its rows one after the
-- other, so that `seq` tells what somebody has read already.
CREATE TABLE IF NOT EXISTS swarm_news (
    tracker    uuid   NOT NULL,
    seq        bigint NOT NULL,
    expires_at bigint NOT NULL,
    body       bytea  NOT NULL,
    PRIMARY KEY (tracker, seq)
);

-- Bytes of metadata that an account has stored: what it put first, never what others put. Counted with each write, so that
-- no quota needs a scan. Without a foreign key, like the manifests it counts.
CREATE TABLE IF NOT EXISTS account_usage (
    account        uuid   PRIMARY KEY,
    metadata_bytes bigint NOT NULL CHECK (metadata_bytes >= 0)
);

-- Leave to register, where registration is by invitation.
CREATE TABLE IF NOT EXISTS invites (
    -- SHA-256 of the code, which is shown once and kept nowhere.
    code_hash  bytea  PRIMARY KEY CHECK (length(code_hash) = 32),
    uses       bigint NOT NULL CHECK (uses > 0),
    uses_left  bigint NOT NULL CHECK (uses_left >= 0 AND uses_left <= uses),
    note       text   NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint
);

-- Logins that last: each has one refresh token at a time, which is exchanged for the next one with each use. Kept are only
-- hashes (SHA-256). A device that has ended stays for as long as its certificate might.
CREATE TABLE IF NOT EXISTS devices (
    id             uuid   PRIMARY KEY,
    account        uuid   NOT NULL REFERENCES accounts (id),
    -- What people know it by.
    label          text   NOT NULL,
    -- Words with spaces between them.
    scopes         text   NOT NULL,
    -- Of the first half of its refresh tokens, which stays: so any of them is known to be its, also long after it was replaced.
    family_hash    bytea  NOT NULL UNIQUE CHECK (length(family_hash) = 32),
    -- Of the token that is good.
    refresh_hash   bytea  NOT NULL CHECK (length(refresh_hash) = 32),
    -- Of the one before, which may be shown again until then by who did not get the answer.
    previous_hash  bytea  CHECK (length(previous_hash) = 32),
    previous_until bigint,
    created_at     bigint NOT NULL,
    -- When its token was last renewed.
    seen_at        bigint NOT NULL,
    expires_at     bigint NOT NULL,
    revoked_at     bigint
);
CREATE INDEX IF NOT EXISTS devices_by_account ON devices (account);
-- Every tracker asks every few seconds which have been ended.
CREATE INDEX IF NOT EXISTS devices_revoked ON devices (revoked_at) WHERE revoked_at IS NOT NULL;

-- Who may have a file, where its owner has said so; a file without a row is public. Its owner is who said so first, before anyone
-- announced it, or who announced it first. A row stays when the file is public again, as the other trackers must hear of that.
CREATE TABLE IF NOT EXISTS file_access (
    file_hash bytea  PRIMARY KEY CHECK (length(file_hash) = 32),
    owner     uuid   NOT NULL REFERENCES accounts (id),
    -- public, shared, private or withdrawn.
    access    text   NOT NULL,
    -- The number of its last change, see access_changes.
    changed   bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS file_access_by_owner ON file_access (owner);
-- Every tracker asks every few seconds what has changed.
CREATE INDEX IF NOT EXISTS file_access_by_change ON file_access (changed, file_hash);

-- Accounts that a file is shared with by name.
CREATE TABLE IF NOT EXISTS file_access_accounts (
    file_hash bytea  NOT NULL REFERENCES file_access (file_hash),
    account   uuid   NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (file_hash, account)
);

-- Accounts under one name, for sharing with all of them.
CREATE TABLE IF NOT EXISTS groups (
    id      uuid   PRIMARY KEY,
    owner   uuid   NOT NULL REFERENCES accounts (id),
    name    text   NOT NULL,
    -- The number of its last change, see access_changes.
    changed bigint NOT NULL,
    UNIQUE (owner, name)
);
CREATE INDEX IF NOT EXISTS groups_by_change ON groups (changed, id);

CREATE TABLE IF NOT EXISTS group_members (
    group_id uuid   NOT NULL REFERENCES groups (id),
    account  uuid   NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (group_id, account)
);

-- Groups that a file is shared with.
CREATE TABLE IF NOT EXISTS file_access_groups (
    file_hash bytea  NOT NULL REFERENCES file_access (file_hash),
    group_id  uuid   NOT NULL REFERENCES groups (id),
    PRIMARY KEY (file_hash, group_id)
);
CREATE INDEX IF NOT EXISTS file_access_groups_by_group ON file_access_groups (group_id);

-- The number of the last change of the tables above: one row. A change locks it until its transaction ends, so that numbers become
-- visible in their order.
CREATE TABLE IF NOT EXISTS access_changes (
    id       bigint PRIMARY KEY CHECK (id = 1),
    sequence bigint NOT NULL
);
INSERT INTO access_changes (id, sequence) VALUES (1, 0) ON CONFLICT DO NOTHING;

-- What was done to accounts and by whom, written in the transaction that did it. Rows are only ever added, and deleted when
-- they are older than the setting audit_days. Never a secret.
CREATE TABLE IF NOT EXISTS audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      bigint NOT NULL,
    -- client, or operator.
    actor   text   NOT NULL,
    action  text   NOT NULL,
    account uuid,
    detail  text   NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_by_account ON audit (account, id);
CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at);
