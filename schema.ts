/**
 * The tables, as ordered migrations. Each runs once and is recorded in `migration`; none is
 * ever edited after it has shipped. Portable SQL: no user_version, and triggers only where a count
 * must not be forgotten. Every database of a service has all of them, whichever rooms it holds.
 */

/** One step of the schema: its name is its identity. */
export interface Migration {
  readonly name: string;
  readonly statements: readonly string[];
}

/** What may change what a token opens, whoever does it and from which process. */
const RIGHTS_CHANGES = [
  {
    name: "rights_grant",
    on: "AFTER UPDATE OF scope, revoked_at, expires_at ON token_grant",
  },
  { name: "rights_secret", on: "AFTER UPDATE OF expires_at ON token_secret" },
  { name: "rights_secret_gone", on: "AFTER DELETE ON token_secret" },
  { name: "rights_role", on: "AFTER INSERT ON role" },
  { name: "rights_role_changed", on: "AFTER UPDATE ON role" },
  { name: "rights_role_gone", on: "AFTER DELETE ON role" },
  { name: "rights_embodiment", on: "AFTER INSERT ON embodiment" },
  { name: "rights_embodiment_gone", on: "AFTER DELETE ON embodiment" },
  { name: "rights_service", on: "AFTER UPDATE ON service_account" },
] as const;

/** Every migration, oldest first. */
export const MIGRATIONS: readonly Migration[] = [
  {
    name: "0001_rooms",
    statements: [
      // A room's rows are keyed by uid, so that a later room of the same id shares nothing.
      `CREATE TABLE room (
        uid TEXT PRIMARY KEY,
        id TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        head INTEGER NOT NULL,
        hash TEXT NOT NULL,
        ts INTEGER NOT NULL,
        label TEXT,
        meta TEXT,
        agents INTEGER NOT NULL,
        -- where the log begins: JSON of its base, NULL for nothing
        base TEXT,
        forked_from TEXT,
        deleted_at INTEGER
      ) STRICT`,
      // serves: find a living room by its name; makes names unique among the living
      `CREATE UNIQUE INDEX room_by_id ON room (id) WHERE deleted_at IS NULL`,
      // The fold: what the log has come to.
      `CREATE TABLE entry (
        room TEXT NOT NULL,
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        -- revision, version, writers, timers: everything of the entry beside its value
        meta TEXT NOT NULL,
        PRIMARY KEY (room, scope, key)
      ) STRICT`,
      // The primary key is the lock: of two processes that decide at one head, one commits.
      `CREATE TABLE log (
        room TEXT NOT NULL,
        seq INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        kind TEXT NOT NULL,
        agent TEXT NOT NULL,
        actor TEXT NOT NULL,
        action TEXT,
        -- JSON of what else the record holds
        body TEXT NOT NULL,
        nonce TEXT NOT NULL,
        hash TEXT NOT NULL,
        -- of requests with an Idempotency-Key: who and key, the body's digest, the reply
        idem TEXT,
        digest TEXT,
        reply TEXT,
        PRIMARY KEY (room, seq)
      ) STRICT`,
      // serves: the idempotency keys of a room when it is loaded
      `CREATE INDEX log_idem ON log (room, ts) WHERE idem IS NOT NULL`,
      `CREATE TABLE log_key (
        room TEXT NOT NULL,
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        seq INTEGER NOT NULL,
        -- serves: the history of a key and of a prefix
        PRIMARY KEY (room, scope, key, seq)
      ) STRICT, WITHOUT ROWID`,
      // Live data of agents; may lag by some seconds after a crash.
      `CREATE TABLE presence (
        room TEXT NOT NULL,
        agent TEXT NOT NULL,
        data TEXT NOT NULL,
        PRIMARY KEY (room, agent)
      ) STRICT`,
      `CREATE TABLE role (
        room TEXT NOT NULL,
        user TEXT NOT NULL,
        role TEXT NOT NULL,
        label TEXT,
        PRIMARY KEY (room, user)
      ) STRICT`,
      // serves: the rooms of a user
      `CREATE INDEX role_by_user ON role (user)`,
    ],
  },
  {
    name: "0002_identity",
    statements: [
      `CREATE TABLE user (
        id TEXT PRIMARY KEY,
        username TEXT NOT NULL UNIQUE,
        created_at INTEGER NOT NULL
      ) STRICT`,
      // What a token stands for. Its scope is the grant's, so a refresh keeps what PATCH made of it.
      `CREATE TABLE token_grant (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        user TEXT,
        -- the grant it was minted from: it never reaches further than that one now does
        parent TEXT,
        scope TEXT NOT NULL,
        label TEXT,
        -- of room_, view_ and as_ tokens: the one room they are about
        room TEXT,
        agent TEXT,
        client TEXT,
        -- the resource an OAuth token is bound to (RFC 8707)
        resource TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        revoked_at INTEGER,
        last_used_at INTEGER
      ) STRICT`,
      // serves: revoking what was minted from a grant
      `CREATE INDEX token_grant_by_parent ON token_grant (parent)`,
      // serves: a user's list of tokens
      `CREATE INDEX token_grant_by_user ON token_grant (user)`,
      // serves: the tokens of a room and of an agent in it
      `CREATE INDEX token_grant_by_room ON token_grant (room, agent)`,
      // Only hashes are stored; the secret itself is shown once.
      `CREATE TABLE token_secret (
        hash TEXT PRIMARY KEY,
        grant_id TEXT NOT NULL,
        kind TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        -- a refresh token's one use; a second one revokes the family
        used_at INTEGER
      ) STRICT`,
      // serves: ending the secrets of a grant
      `CREATE INDEX token_secret_by_grant ON token_secret (grant_id)`,
      // Agents that a user's grant has joined or embodied.
      `CREATE TABLE embodiment (
        grant_id TEXT NOT NULL,
        room TEXT NOT NULL,
        agent TEXT NOT NULL,
        since INTEGER NOT NULL,
        PRIMARY KEY (grant_id, room, agent)
      ) STRICT`,
      // serves: who drives an agent
      `CREATE INDEX embodiment_by_agent ON embodiment (room, agent)`,
    ],
  },
  {
    name: "0003_passkeys_and_oauth",
    statements: [
      // What the service signs its own links with; drawn once.
      `CREATE TABLE server_key (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
      ) STRICT`,
      `CREATE TABLE passkey (
        -- the credential id, base64url
        id TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        -- the COSE public key, base64url
        public_key TEXT NOT NULL,
        counter INTEGER NOT NULL,
        -- JSON list of words such as internal or hybrid
        transports TEXT NOT NULL,
        name TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        last_used_at INTEGER
      ) STRICT`,
      // serves: a user's passkeys
      `CREATE INDEX passkey_by_user ON passkey (user)`,
      // One ceremony: consumed by the DELETE that reads it.
      `CREATE TABLE challenge (
        -- SHA-256 of the challenge_id that the browser holds
        hash TEXT PRIMARY KEY,
        purpose TEXT NOT NULL,
        -- SHA-256 of the challenge itself
        challenge TEXT NOT NULL,
        user TEXT,
        username TEXT,
        expires_at INTEGER NOT NULL
      ) STRICT`,
      `CREATE TABLE session (
        hash TEXT PRIMARY KEY,
        -- what lists name it by
        id TEXT NOT NULL,
        user TEXT NOT NULL,
        -- full, or recovery: good for adding a passkey only
        kind TEXT NOT NULL,
        passkey TEXT,
        -- the browser, as it named itself
        label TEXT,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
      ) STRICT`,
      // serves: a user's sessions, and ending them
      `CREATE INDEX session_by_user ON session (user)`,
      `CREATE TABLE recovery_code (
        hash TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        used_at INTEGER
      ) STRICT`,
      // serves: replacing and counting a user's codes
      `CREATE INDEX recovery_code_by_user ON recovery_code (user)`,
      `CREATE TABLE device_code (
        hash TEXT PRIMARY KEY,
        user_hash TEXT NOT NULL UNIQUE,
        client TEXT,
        client_name TEXT NOT NULL,
        -- what the device asked for, and whether it named it itself
        asked TEXT NOT NULL,
        explicit INTEGER NOT NULL,
        resource TEXT,
        -- pending, approved, denied, used
        status TEXT NOT NULL,
        user TEXT,
        granted TEXT,
        interval_ms INTEGER NOT NULL,
        polled_at INTEGER,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
      ) STRICT`,
      `CREATE TABLE oauth_client (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        -- JSON list
        redirect_uris TEXT NOT NULL,
        -- none, client_secret_post or client_secret_basic
        auth_method TEXT NOT NULL,
        secret_hash TEXT,
        created_at INTEGER NOT NULL
      ) STRICT`,
      `CREATE TABLE oauth_code (
        hash TEXT PRIMARY KEY,
        client TEXT NOT NULL,
        client_name TEXT NOT NULL,
        redirect_uri TEXT NOT NULL,
        user TEXT NOT NULL,
        scope TEXT NOT NULL,
        code_challenge TEXT NOT NULL,
        resource TEXT,
        expires_at INTEGER NOT NULL,
        used_at INTEGER,
        -- the family that a replay revokes
        grant_id TEXT
      ) STRICT`,
      // Signed requests (consent, elevation) that were answered: each is good once.
      `CREATE TABLE used_request (
        id TEXT PRIMARY KEY,
        expires_at INTEGER NOT NULL
      ) STRICT`,
      // What happened to a user's credentials; never a secret.
      `CREATE TABLE security_event (
        id INTEGER PRIMARY KEY,
        user TEXT NOT NULL,
        at INTEGER NOT NULL,
        kind TEXT NOT NULL,
        detail TEXT NOT NULL
      ) STRICT`,
      // serves: a user's newest events
      `CREATE INDEX security_event_by_user ON security_event (user, id)`,
    ],
  },
  {
    name: "0005_memory",
    statements: [
      // Rooms as they were: where a log begins, and places to fold from.
      `CREATE TABLE snapshot (
        room TEXT NOT NULL,
        seq INTEGER NOT NULL,
        -- base: the log begins here; cache: may be dropped at any time
        kind TEXT NOT NULL,
        ts INTEGER NOT NULL,
        hash TEXT NOT NULL,
        parts INTEGER NOT NULL,
        -- serves: the newest snapshot at or before a record
        PRIMARY KEY (room, seq, kind)
      ) STRICT`,
      `CREATE TABLE snapshot_part (
        room TEXT NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        part INTEGER NOT NULL,
        -- gzipped lines of JSON: [scope, key, entry]
        body BLOB NOT NULL,
        PRIMARY KEY (room, seq, kind, part)
      ) STRICT`,
      // serves: the forks of a room
      `CREATE INDEX room_by_origin ON room (json_extract(base, '$.origin')) WHERE base IS NOT NULL`,
      // Rooms that an import or a fork prepares: rows to purge, should it not come to its end.
      `CREATE TABLE prepared (
        room TEXT PRIMARY KEY,
        at INTEGER NOT NULL
      ) STRICT`,
      // Values of rendered views over time.
      `CREATE TABLE sample (
        room TEXT NOT NULL,
        view TEXT NOT NULL,
        seq INTEGER NOT NULL,
        ts INTEGER NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (room, view, seq)
      ) STRICT`,
    ],
  },
  {
    name: "0007_actors",
    statements: [
      `CREATE TABLE actor (
        did TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        display_name TEXT,
        -- the user that registered it
        owner TEXT,
        -- JSON: model, version, adapter
        substrate TEXT,
        -- Ed25519, multibase: what its signatures are checked with
        public_key TEXT,
        manual TEXT,
        created_at INTEGER NOT NULL,
        ended_at INTEGER,
        head INTEGER NOT NULL,
        hash TEXT NOT NULL
      ) STRICT`,
      // serves: a user's actors
      `CREATE INDEX actor_by_owner ON actor (owner)`,
      // An actor's own log: registration, changes, memory. The key is the lock.
      `CREATE TABLE actor_record (
        actor TEXT NOT NULL,
        seq INTEGER NOT NULL,
        ts TEXT NOT NULL,
        kind TEXT NOT NULL,
        by_actor TEXT NOT NULL,
        body TEXT NOT NULL,
        nonce TEXT NOT NULL,
        prev TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (actor, seq)
      ) STRICT`,
      // Verdicts that count, replaced ones included: trust at a past instant needs them.
      `CREATE TABLE observation (
        id INTEGER PRIMARY KEY,
        actor TEXT NOT NULL,
        domain TEXT NOT NULL,
        -- the room's uid, and in it the verdict's record and the judged one
        room TEXT NOT NULL,
        seq INTEGER NOT NULL,
        subject INTEGER NOT NULL,
        -- the judge's root user, or the judge itself where it has none
        judge TEXT NOT NULL,
        judge_actor TEXT NOT NULL,
        accept INTEGER NOT NULL,
        at INTEGER NOT NULL,
        UNIQUE (room, seq)
      ) STRICT`,
      // serves: an actor's evidence, and what has come to it since
      `CREATE INDEX observation_by_actor ON observation (actor, id)`,
      `CREATE TABLE actor_reset (
        actor TEXT NOT NULL,
        -- NULL for every domain
        domain TEXT,
        at INTEGER NOT NULL
      ) STRICT`,
      // serves: an actor's reset markers
      `CREATE INDEX actor_reset_by_actor ON actor_reset (actor)`,
      `CREATE TABLE actor_memory (
        id INTEGER PRIMARY KEY,
        actor TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        description TEXT NOT NULL,
        -- JSON
        body TEXT NOT NULL,
        room TEXT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        uses INTEGER NOT NULL,
        UNIQUE (actor, name)
      ) STRICT`,
      // One use each: consumed by the DELETE that finds it.
      `CREATE TABLE actor_challenge (
        hash TEXT PRIMARY KEY,
        did TEXT NOT NULL,
        expires_at INTEGER NOT NULL
      ) STRICT`,
      // Nonces of signatures, as long as their created could still be taken.
      `CREATE TABLE signature_nonce (
        key TEXT NOT NULL,
        nonce TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        PRIMARY KEY (key, nonce)
      ) STRICT`,
      `CREATE TABLE service_account (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        user TEXT NOT NULL,
        grant_id TEXT NOT NULL UNIQUE,
        -- JSON list of the DIDs that it may speak for
        actors TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        revoked_at INTEGER
      ) STRICT`,
      // serves: a user's service accounts
      `CREATE INDEX service_account_by_user ON service_account (user)`,
      // serves: what an actor did in all rooms; actors of one room are found through their room
      `CREATE INDEX log_by_actor ON log (actor, ts)
        WHERE substr(actor, 1, 16) <> 'did:sync:agent:~' AND actor <> 'did:sync:system:engine'`,
    ],
  },
  {
    name: "0008_shards",
    statements: [
      // Counts of this database: `g`, raised by every commit of a room, and `rights`, raised by
      // whatever may change what a token opens; which shard of how many this is.
      `CREATE TABLE meta (
        k TEXT PRIMARY KEY,
        v INTEGER NOT NULL
      ) STRICT`,
      `INSERT INTO meta (k, v) VALUES ('g', 0), ('rights', 0)`,
      // The count at the room's last commit.
      `ALTER TABLE room ADD COLUMN g INTEGER NOT NULL DEFAULT 0`,
      // A process that lost a race for this room: who wins the next lets it have its turn.
      `ALTER TABLE room ADD COLUMN wanted TEXT`,
      // serves: the rooms that were written since a count
      `CREATE INDEX room_by_g ON room (g)`,
      // The same of agents' live data.
      `ALTER TABLE presence ADD COLUMN g INTEGER NOT NULL DEFAULT 0`,
      // serves: the live data that was written since a count
      `CREATE INDEX presence_by_g ON presence (g)`,
      // Groups on their way. Whoever gives one up unanswered takes its place here first, so that
      // it cannot come true any more; or finds that it has.
      `CREATE TABLE ticket (
        id TEXT PRIMARY KEY,
        at INTEGER NOT NULL
      ) STRICT`,
      // What a commit in this database still has to do in the first one.
      `CREATE TABLE errand (
        id TEXT PRIMARY KEY,
        sql TEXT NOT NULL,
        -- JSON of the named parameters
        args TEXT NOT NULL
      ) STRICT`,
      ...RIGHTS_CHANGES.map(({ name, on }) =>
        `CREATE TRIGGER ${name} ${on} BEGIN UPDATE meta SET v = v + 1 WHERE k = 'rights'; END`
      ),
    ],
  },
  {
    name: "0009_what_is_left",
    statements: [
      // Records after this one may not be in log_key yet.
      `ALTER TABLE room ADD COLUMN keyed INTEGER NOT NULL DEFAULT 0`,
      `UPDATE room SET keyed = head`,
      // serves: the next deleted room whose rows are to be purged
      `CREATE INDEX room_to_purge ON room (uid) WHERE deleted_at IS NOT NULL AND hash <> ''`,
      // serves: the rows of purged rooms, kept for a day so that other processes learn of their end
      `CREATE INDEX room_purged ON room (deleted_at) WHERE deleted_at IS NOT NULL AND hash = ''`,
    ],
  },
  {
    name: "0010_fold_behind",
    statements: [
      // Under its old name a version that knows nothing of this would take it for the whole.
      `ALTER TABLE entry RENAME TO fold`,
      // What is in the index by key and what is in the fold's rows is one thing from now on.
      `INSERT OR IGNORE INTO log_key (room, scope, key, seq)
        SELECT l.room, w.value->>'scope', w.value->>'key', l.seq
        FROM room AS r JOIN log AS l ON l.room = r.uid AND l.seq > r.keyed
          JOIN json_each(l.body, '$.writes') AS w`,
      // Records after this one have not come to fold and log_key yet.
      `ALTER TABLE room RENAME COLUMN keyed TO folded`,
      `UPDATE room SET folded = head`,
    ],
  },
];
