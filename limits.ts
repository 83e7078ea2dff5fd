/**
 * Every bound of the service, one name each. Past one is a clear 4xx; `reference/limits.md`
 * lists them and a test stands at each limit and one past it.
 */

/** Bytes of a request body. */
export const BODY_BYTES_MAX = 1_048_576;
/** A body that stands still is given up after half of this to all of it. */
export const BODY_MS_MAX = 120_000;
/** Bytes of one entry's value as JSON. */
export const VALUE_BYTES_MAX = 262_144;
/** Bytes of all values that one record writes. */
export const RECORD_BYTES_MAX = 1_048_576;
/** Members of an object that names things: what a join brings along, `if_version`. */
export const MEMBERS_MAX = 1_000;
/** Entries a room may hold, all scopes together. */
export const ROOM_KEYS_MAX = 100_000;
/** Bytes of values a room may hold. */
export const ROOM_BYTES_MAX = 268_435_456;
/** Characters of a key. */
export const KEY_LENGTH_MAX = 256;
/** Nesting of a JSON body. */
export const JSON_DEPTH_MAX = 64;

/** Bytes of an expression's source. */
export const CEL_SOURCE_BYTES_MAX = 8_192;
/** Steps an `enabled` may take: every read may judge all of them. */
export const ENABLED_STEPS_MAX = 10_000;
/** Things of a room that may have an `enabled`. */
export const ROOM_ENABLED_MAX = 1_000;
/** Steps over which `enabled` expressions and views may build on each other. */
export const ENABLED_DEPTH_MAX = 32;
/** AST nodes of an expression. */
export const CEL_NODES_MAX = 2_000;
/** Nesting of an expression. */
export const CEL_DEPTH_MAX = 64;
/** Steps an evaluation may take: a node, a macro's element, 64 bytes copied. */
export const CEL_STEPS_MAX = 400_000;

/** Milliseconds of a timer: ten years. */
export const TIMER_MS_MAX = 315_360_000_000;
/** Ticks of a timer. */
export const TIMER_TICKS_MAX = 1_000_000_000;
/** Writes of one action. */
export const ACTION_WRITES_MAX = 64;
/** Parameters of one action. */
export const ACTION_PARAMS_MAX = 64;
/** Actions of a room. */
export const ROOM_ACTIONS_MAX = 2_000;
/** Views of a room. */
export const ROOM_VIEWS_MAX = 1_000;
/** Agents of a room. */
export const ROOM_AGENTS_MAX = 10_000;
/** Messages a room keeps. */
export const ROOM_MESSAGES_MAX = 100_000;
/** Characters of a description or label. */
export const TEXT_LENGTH_MAX = 2_000;
/** Distinct writers remembered per entry. */
export const WRITERS_MAX = 16;
/** Recipients of a message. */
export const RECIPIENTS_MAX = 100;
/** Grants of an agent. */
export const GRANTS_MAX = 1_000;
/** Refused invocations a room remembers. */
export const REFUSALS_MAX = 1_000;
/** Bytes of the refused invocations that a room remembers: 1 MiB. */
export const REFUSALS_BYTES_MAX = 1_048_576;
/** Removals a room remembers for `since` reads. */
export const REMOVALS_MAX = 4_000;

/** Open waits of a room. */
export const ROOM_WAITERS_MAX = 20_000;
/** Open waits on volatile conditions of a room. */
export const ROOM_VOLATILE_WAITERS_MAX = 1_000;
/** Event streams of a room. */
export const ROOM_STREAMS_MAX = 5_000;
/** Bytes a slow event reader may lag behind. */
export const STREAM_BACKLOG_BYTES_MAX = 1_048_576;
/** Milliseconds of a wait. */
export const WAIT_MS_MAX = 55_000;
/** Milliseconds of a wait that names none. */
export const WAIT_MS_DEFAULT = 25_000;

/** Messages of one reply unless asked otherwise. */
export const MESSAGES_LIMIT_DEFAULT = 100;
/** Messages of one reply. */
export const MESSAGES_LIMIT_MAX = 500;
/** Records of one reply unless asked otherwise. */
export const LOG_LIMIT_DEFAULT = 100;
/** Records of one reply. */
export const LOG_LIMIT_MAX = 1_000;
/** Records that `include=_audit` adds. */
export const AUDIT_RECORDS = 100;
/** Bytes of records that are read together, about: a page of a log or of differences ends there, too. */
export const LOG_BYTES_MAX = 4_194_304;
/** Rooms of one reply unless asked otherwise. */
export const ROOMS_LIMIT_DEFAULT = 100;
/** Rooms of one reply. */
export const ROOMS_LIMIT_MAX = 500;
/** Rooms that narrowing a token with a wildcard spells out. */
export const NARROWED_ROOMS_MAX = 200;
/** The smallest context budget, in tokens. */
export const BUDGET_TOKENS_MIN = 500;
/** Combinations that `expand_params` judges per action. */
export const EXPAND_PARAMS_MAX = 200;

/** Characters of an Idempotency-Key. */
export const IDEMPOTENCY_KEY_LENGTH_MAX = 255;
/** How long an Idempotency-Key is kept: 24 hours. */
export const IDEMPOTENCY_MS = 86_400_000;
/** A message's lease: at most a day. */
export const LEASE_MS_MAX = 86_400_000;
/** Entries up to this many are shown whole unless thresholds are named. */
export const WHOLE_ENTRIES_MAX = 64;
/** Bytes of values up to which state is shown whole unless thresholds are named. */
export const WHOLE_BYTES_MAX = 32_768;

/** An agent silent for this long counts as gone when a stall is judged, and shows `stale`. */
export const AGENT_SILENT_MS = 120_000;
/** How long a wait that timed out still counts as waiting. */
export const WAIT_GRACE_MS = 5_000;
/** An agent's presence is written at most once in this time. */
export const PRESENCE_WRITE_MS = 10_000;

/** How often a database that other processes write to is asked for news while somebody waits. */
export const FOLLOW_MS = 40;
/** How often what commits left to do in the first database is looked for, as after a crash. */
export const ERRANDS_MS = 10_000;
/** How long another instance has to take a hint. */
export const PEER_TIMEOUT_MS = 2_000;
/** How long an instance that took no hint is sent none. */
export const PEER_PAUSE_MS = 1_000;
/** Records of others that a room takes in one turn of the event loop. */
export const FOLLOW_RECORDS = 1_000;
/** A room without readers or writers leaves memory after this. */
export const ROOM_IDLE_MS = 300_000;
/** Rooms kept in memory. */
export const HOT_ROOMS_MAX = 10_000;
/** A call to the database is repeated while it is busy, and given up, after this. */
export const DB_CALL_MS_MAX = 5_000;
/** Bytes of one SQL parameter; groups are cut there. */
export const SQL_PARAM_BYTES_MAX = 2_000_000;

/** Views, presence and availability are gathered this long before a stream tells of them. */
export const EVENT_GATHER_MS = 50;
/** A stream gives a sign of life this often. */
export const EVENT_HEARTBEAT_MS = 15_000;
/** Bytes of values kept in memory before idle rooms are let go early: 1 GiB. */
export const HOT_BYTES_MAX = 1_073_741_824;

/** Records after which a room is snapshot, unless it has more keys than that. */
export const SNAPSHOT_RECORDS = 1_000;
/** Characters of one part of a snapshot. */
export const SNAPSHOT_PART_CHARS = 262_144;
/** Differences of one reply unless asked otherwise. */
export const DIFF_LIMIT_DEFAULT = 1_000;
/** Differences of one reply. */
export const DIFF_LIMIT_MAX = 10_000;
/** Bytes of an imported log. */
export const IMPORT_BYTES_MAX = 268_435_456;
/** Characters of one line of an imported log. */
export const IMPORT_LINE_CHARS_MAX = 33_554_432;
/** Steps of one simulation. */
export const SIMULATE_STEPS_MAX = 50;
/** A view is sampled at most once in this time. */
export const SAMPLE_EVERY_MS = 1_000;
/** Samples kept of a view. */
export const SAMPLES_KEPT = 1_000;
/** Characters of a sampled value; larger ones are not kept. */
export const SAMPLE_BYTES_MAX = 4_096;
/** The fewest records that a retention may keep. */
export const RETENTION_RECORDS_MIN = 10;
/** The shortest time that a retention may keep: a minute. */
export const RETENTION_MS_MIN = 60_000;

/** Actors whose evidence, owner and memory are kept at hand. */
export const STANDING_ACTORS_MAX = 10_000;
/** Judged records kept at hand. */
export const STANDING_RECORDS_MAX = 2_000;
/** With a shared database, what is at hand of actors is at most this old. */
export const STANDING_FRESH_MS = 5_000;
/** Actors that one user may have. */
export const USER_ACTORS_MAX = 1_000;
/** Actors, verdicts and memories of one reply unless asked otherwise. */
export const ACTORS_LIMIT_DEFAULT = 100;
/** Actors, verdicts and memories of one reply. */
export const ACTORS_LIMIT_MAX = 1_000;
/** Memories of an actor. */
export const MEMORIES_MAX = 1_000;
/** Bytes of a memory's body as JSON. */
export const MEMORY_BYTES_MAX = 65_536;
/** Characters of an actor's manual. */
export const MANUAL_LENGTH_MAX = 65_536;
/** Tokens of manual and memories that embodying answers with. */
export const EMBODY_MEMORY_TOKENS = 2_000;
/** How long a challenge for speaking as an actor can be answered. */
export const CHALLENGE_MS = 300_000;
/** How far the `created` of a signature may lie from now. */
export const SIGNATURE_AGE_MS = 300_000;
/** How long a DID document that was fetched is relied on. */
export const DID_DOCUMENT_MS = 300_000;
/** Service accounts that one user may have. */
export const SERVICE_ACCOUNTS_MAX = 100;
/** Actors that a service account may speak for. */
export const SERVICE_ACTORS_MAX = 100;
/** How long a service account's old token is good beside the new one. */
export const SERVICE_OVERLAP_MS_MAX = 86_400_000;
