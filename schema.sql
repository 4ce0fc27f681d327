-- The PostgreSQL tables of PeerNet, defined in this file only. Each tracker runs the file at start, one tracker at a time under an
-- advisory lock. So every statement can be run again. The SQLite store has the same tables and columns in its own dialect:
-- tracker/src/store/sqlite/schema.sql.
--
-- Conventions:
--   * Times are milliseconds since 1970 in bigint, and token amounts are milli-tokens in bigint. These are the engine's own units, so
--     no conversion and no time zone stands between a rule and its row.
--   * Hashes are bytea of 32 bytes, and peers are uuid. A set of chunks is one bitmap; a list of chunk hashes is one bytea with 32
--     bytes for each chunk. One row per chunk was measured 1,000 times slower and 600 times larger.
--   * Every primary key begins with the column by which a distributed PostgreSQL (Citus, YugabyteDB) would distribute the table: a
--     peer, a file_hash or a manifest_id. These tables are small and would be copied to every node: accounts, devices, groups,
--     group_members, access_changes, treasury, invites, audit, trackers and schema_version.
--   * Leases are not stored here: each tracker has its own write-ahead log of them (tracker/src/replication), and publishes it to the
--     other trackers through swarm_news.
--   * Version 1 listings have no foreign key to accounts, because the token of their announcer was checked already. Ledger rows have
--     one: there must be no balance without an account. Listings have no index on expires_at. Each renewal would have to move an
--     entry, whereas pruning runs rarely and reads the table in one pass.

CREATE TABLE IF NOT EXISTS schema_version (
    id          bigint PRIMARY KEY CHECK (id = 1),
    version     bigint NOT NULL,
    migrated_at bigint NOT NULL
);

-- The accounts that may take part. Tokens of a generation below `generation` are refused, so a new password ends old sessions.
CREATE TABLE IF NOT EXISTS accounts (
    id            uuid   PRIMARY KEY,
    -- A login name; several accounts may have none.
    address       text   UNIQUE,
    -- bcrypt's text form.
    password_hash text   NOT NULL,
    generation    bigint NOT NULL CHECK (generation >= 0),
    created_at    bigint NOT NULL,
    -- The time and the reason of a suspension; NULL where the account may take part.
    suspended_at     bigint,
    suspended_reason text
);
-- Every tracker reads the suspended accounts every few seconds.
CREATE INDEX IF NOT EXISTS accounts_suspended ON accounts (suspended_at) WHERE suspended_at IS NOT NULL;

-- Tokens and score of an account. A table of its own, because it changes with every settlement. `sessions` to `hearsay` are decaying
-- sums as of `masses_at`: the sums of the rows in pairs that have the account as their target.
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
-- Leaves room on each page for the next version of a row, because balances change all the time.
WITH (fillfactor = 70);

-- The counterpart of every grant and fee: one row. Balances, escrow and treasury add up to the supply at every commit.
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

-- Tickets: the tokens that an account may still pay for one file, and the sources it may pay. At most one per (account, file).
CREATE TABLE IF NOT EXISTS tickets (
    account    uuid   NOT NULL REFERENCES accounts (id),
    file_hash  bytea  NOT NULL CHECK (length(file_hash) = 32),
    -- Random, so unique without an index. A unique index would tie the table to one node.
    id         uuid   NOT NULL,
    size       bigint NOT NULL CHECK (size >= 0),
    chunk_size bigint NOT NULL CHECK (chunk_size > 0),
    escrow_mt  bigint NOT NULL CHECK (escrow_mt >= 0),
    paid_mt    bigint NOT NULL CHECK (paid_mt >= 0),
    fined_mt   bigint NOT NULL CHECK (fined_mt >= 0),
    -- One bit for each settled chunk.
    paid       bytea  NOT NULL,
    -- 25 bytes for each source, written by the engine's encode_sources.
    sources    bytea  NOT NULL,
    opened_at  bigint NOT NULL,
    renewed_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (account, file_hash)
);
CREATE INDEX IF NOT EXISTS tickets_by_id ON tickets (id);
CREATE INDEX IF NOT EXISTS tickets_by_expiry ON tickets (expires_at);

-- The reports of one account about another: one row for each pair that ever met.
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

-- Every file of which all chunks were ever announced, with the name of its first announce. `search_name` is that name in lower case.
-- The tracker folds it itself, so that both stores find the same files.
CREATE TABLE IF NOT EXISTS files (
    file_hash   bytea  PRIMARY KEY CHECK (length(file_hash) = 32),
    file_name   text   NOT NULL,
    search_name text   NOT NULL,
    created_at  bigint NOT NULL
);
-- A search reads this index from the newest file on, and stops when its page is full.
CREATE INDEX IF NOT EXISTS files_by_age ON files (created_at DESC, file_hash DESC);

-- Each distinct manifest that was announced for a file. The tracker does not decide which one is true.
CREATE TABLE IF NOT EXISTS manifests (
    file_hash    bytea  NOT NULL CHECK (length(file_hash) = 32),
    manifest_id  bytea  NOT NULL CHECK (length(manifest_id) = 32),
    file_name    text   NOT NULL,
    size         bigint NOT NULL CHECK (size >= 0),
    chunk_size   bigint NOT NULL CHECK (chunk_size > 0),
    -- 32 bytes for each chunk, in order.
    chunk_hashes bytea  NOT NULL CHECK (length(chunk_hashes) % 32 = 0),
    announced_by uuid   NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (file_hash, manifest_id)
);
-- Hashes do not compress, so compression would only cost time.
ALTER TABLE manifests ALTER COLUMN chunk_hashes SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS manifests_by_id ON manifests (manifest_id);

-- Signatures of manifests by the accounts that publish them: at most one per (account, manifest). Verified before they are stored.
CREATE TABLE IF NOT EXISTS manifest_signatures (
    manifest_id bytea  NOT NULL CHECK (length(manifest_id) = 32),
    peer        uuid   NOT NULL REFERENCES accounts (id),
    -- Ed25519.
    public_key  bytea  NOT NULL CHECK (length(public_key) = 32),
    signature   bytea  NOT NULL CHECK (length(signature) = 64),
    -- The time of the account's first signature of the manifest. Signing again does not change the order.
    signed_at   bigint NOT NULL,
    PRIMARY KEY (manifest_id, peer)
);
CREATE INDEX IF NOT EXISTS manifest_signatures_by_time ON manifest_signatures (manifest_id, signed_at, peer);

-- Files whose every chunk one version 1 peer announced. Chunks have 1 MiB; the length of the last one is unknown.
CREATE TABLE IF NOT EXISTS v1_listings (
    peer         uuid   NOT NULL,
    file_hash    bytea  NOT NULL CHECK (length(file_hash) = 32),
    file_name    text   NOT NULL,
    -- 32 bytes for each chunk, in order.
    chunk_hashes bytea  NOT NULL CHECK (length(chunk_hashes) % 32 = 0),
    expires_at   bigint NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (peer, file_hash)
);
ALTER TABLE v1_listings ALTER COLUMN chunk_hashes SET STORAGE EXTERNAL;

-- The trackers that use this database, each with the key that verifies its tokens.
CREATE TABLE IF NOT EXISTS trackers (
    id         uuid   PRIMARY KEY,
    public_key bytea  NOT NULL CHECK (length(public_key) = 32),
    seen_at    bigint NOT NULL
);

-- The lease updates of each tracker, for the other trackers to read. They are kept for minutes. A tracker writes its rows one after the
-- other, so a reader that has read up to a `seq` has missed none before it.
CREATE TABLE IF NOT EXISTS swarm_news (
    tracker    uuid   NOT NULL,
    seq        bigint NOT NULL,
    expires_at bigint NOT NULL,
    body       bytea  NOT NULL,
    PRIMARY KEY (tracker, seq)
);

-- Bytes of metadata that an account has stored. Rows count for the account that stored them first. Each write updates the count, so a
-- quota needs no scan. No foreign key, like the manifests it counts.
CREATE TABLE IF NOT EXISTS account_usage (
    account        uuid   PRIMARY KEY,
    metadata_bytes bigint NOT NULL CHECK (metadata_bytes >= 0)
);

-- Invites: the right to register, where registration is by invitation.
CREATE TABLE IF NOT EXISTS invites (
    -- SHA-256 of the code. The code is shown once and stored nowhere.
    code_hash  bytea  PRIMARY KEY CHECK (length(code_hash) = 32),
    uses       bigint NOT NULL CHECK (uses > 0),
    uses_left  bigint NOT NULL CHECK (uses_left >= 0 AND uses_left <= uses),
    note       text   NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint
);

-- Devices: logins that last. Each has one refresh token at a time, and each use exchanges it for the next one. Only SHA-256 hashes of
-- tokens are stored. An ended device is kept for as long as its certificate may be valid.
CREATE TABLE IF NOT EXISTS devices (
    id             uuid   PRIMARY KEY,
    account        uuid   NOT NULL REFERENCES accounts (id),
    -- The name that people know the device by.
    label          text   NOT NULL,
    -- Words, separated by spaces.
    scopes         text   NOT NULL,
    -- The hash of the first half of its refresh tokens, which never changes. So each of them is recognised, even long after it was replaced.
    family_hash    bytea  NOT NULL UNIQUE CHECK (length(family_hash) = 32),
    -- The hash of the valid token.
    refresh_hash   bytea  NOT NULL CHECK (length(refresh_hash) = 32),
    -- The hash of the token before it. A client that did not get the reply may present that token again until previous_until.
    previous_hash  bytea  CHECK (length(previous_hash) = 32),
    previous_until bigint,
    created_at     bigint NOT NULL,
    -- The time of the last renewal.
    seen_at        bigint NOT NULL,
    expires_at     bigint NOT NULL,
    revoked_at     bigint
);
CREATE INDEX IF NOT EXISTS devices_by_account ON devices (account);
-- Every tracker reads the ended devices every few seconds.
CREATE INDEX IF NOT EXISTS devices_revoked ON devices (revoked_at) WHERE revoked_at IS NOT NULL;

-- Access policies that owners have set. A file without a row is public. Its owner is the account that announced it first, or that set
-- its access before any announce. The row stays when the file becomes public again, because the other trackers must read that too.
CREATE TABLE IF NOT EXISTS file_access (
    file_hash bytea  PRIMARY KEY CHECK (length(file_hash) = 32),
    owner     uuid   NOT NULL REFERENCES accounts (id),
    -- public, shared, private or withdrawn.
    access    text   NOT NULL,
    -- The number of its last change, see access_changes.
    changed   bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS file_access_by_owner ON file_access (owner);
-- Every tracker reads the changes every few seconds.
CREATE INDEX IF NOT EXISTS file_access_by_change ON file_access (changed, file_hash);

-- Accounts that a file is shared with.
CREATE TABLE IF NOT EXISTS file_access_accounts (
    file_hash bytea  NOT NULL REFERENCES file_access (file_hash),
    account   uuid   NOT NULL REFERENCES accounts (id),
    PRIMARY KEY (file_hash, account)
);

-- Named sets of accounts, for sharing with all of them.
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

-- The number of the last change of the access tables above: one row. A change locks it until its transaction ends, so numbers become
-- visible in their order.
CREATE TABLE IF NOT EXISTS access_changes (
    id       bigint PRIMARY KEY CHECK (id = 1),
    sequence bigint NOT NULL
);
INSERT INTO access_changes (id, sequence) VALUES (1, 0) ON CONFLICT DO NOTHING;

-- The audit log: each change of an account and its actor, written in the transaction of the change. Rows are only added, and deleted
-- when they are older than the setting audit_days. They never contain a secret.
CREATE TABLE IF NOT EXISTS audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      bigint NOT NULL,
    -- client or operator.
    actor   text   NOT NULL,
    action  text   NOT NULL,
    account uuid,
    detail  text   NOT NULL
);
CREATE INDEX IF NOT EXISTS audit_by_account ON audit (account, id);
CREATE INDEX IF NOT EXISTS audit_by_time ON audit (at);
