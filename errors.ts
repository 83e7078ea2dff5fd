/**
 * The closed list of failures, and the one class that carries them. Every door renders a
 * `SyncError` in its own way; nothing else is ever shown to a caller.
 */

/** HTTP status by error code: the closed list. `reference/errors.md` explains each one. */
export const ERROR_STATUS = {
  invalid_json: 400,
  invalid_argument: 400,
  invalid_scope: 400,
  invalid_cel: 400,
  cel_error: 400,
  cel_too_expensive: 400,
  invalid_timer: 400,
  invalid_param: 400,
  invalid_param_type: 400,
  missing_param: 400,
  unknown_param: 400,
  invalid_role: 400,
  agent_required: 400,
  export_incomplete: 400,
  export_invalid: 400,
  limit_exceeded: 400,
  invalid_request: 400,
  invalid_grant: 400,
  invalid_challenge: 400,
  verification_failed: 400,
  authentication_required: 401,
  invalid_token: 401,
  invalid_session: 401,
  invalid_room_token: 401,
  invalid_code: 401,
  bad_signature: 401,
  access_denied: 403,
  scope_denied: 403,
  identity_mismatch: 403,
  read_only_token: 403,
  room_token_required: 403,
  owner_required: 403,
  creation_closed: 403,
  action_owned: 403,
  view_owned: 403,
  agent_disabled: 403,
  scope_exceeds_access: 403,
  scope_exceeds_token: 403,
  actor_denied: 403,
  csrf_failed: 403,
  not_found: 404,
  room_not_found: 404,
  agent_not_found: 404,
  action_not_found: 404,
  action_expired: 404,
  view_not_found: 404,
  message_not_found: 404,
  record_not_found: 404,
  help_key_not_found: 404,
  user_not_found: 404,
  token_not_found: 404,
  actor_not_found: 404,
  memory_not_found: 404,
  method_not_allowed: 405,
  room_exists: 409,
  agent_exists: 409,
  agent_embodied: 409,
  username_taken: 409,
  actor_exists: 409,
  action_disabled: 409,
  action_cooldown: 409,
  precondition_failed: 409,
  version_conflict: 409,
  not_a_number: 409,
  not_an_array: 409,
  no_timer: 409,
  stale_fence: 409,
  already_claimed: 409,
  not_claimed: 409,
  enabled_cycle: 409,
  view_cycle: 409,
  last_owner: 409,
  already_owned: 409,
  token_revoked: 409,
  too_large: 413,
  idempotency_key_reused: 422,
  rate_limited: 429,
  quota_exceeded: 429,
  internal: 500,
  unavailable: 503,
  store_busy: 503,
  outcome_unknown: 503,
} as const satisfies Record<string, number>;

/** One word of the closed list of failures. */
export type ErrorCode = keyof typeof ERROR_STATUS;

/** What a refusal may carry beside its code and message: always plain JSON. */
export interface ErrorFacts {
  readonly hint?: string;
  readonly help?: string;
  readonly example?: unknown;
  readonly [fact: string]: unknown;
}

/** A refusal that the caller is meant to read: what failed, what is wanted, and facts to act on. */
export class SyncError extends Error {
  override readonly name = "SyncError";
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly facts: ErrorFacts = {},
    /** Headers the HTTP door adds, such as `Retry-After`. */
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
  get status(): number {
    return ERROR_STATUS[this.code];
  }
  /** The refusal as every JSON door shows it. */
  toJSON(): Record<string, unknown> {
    const { hint, help, example, ...facts } = this.facts;
    const body: Record<string, unknown> = { error: this.code, message: this.message };
    if (hint !== undefined) body["hint"] = hint;
    if (help !== undefined) body["help"] = help;
    if (example !== undefined) body["example"] = example;
    // No fact passes for the code or the message.
    return Object.assign(body, facts, { error: this.code, message: this.message });
  }
}

/** `400 invalid_argument` that names the field, what is wanted and an example. */
export function invalid(
  field: string,
  wanted: string,
  example?: unknown,
  facts: ErrorFacts = {},
): SyncError {
  return new SyncError("invalid_argument", `"${field}" is not valid: ${wanted}.`, {
    field,
    ...(example === undefined ? {} : { example }),
    ...facts,
  });
}

/** The value, or the failure when it is missing. */
export function must<T>(value: T | undefined | null, otherwise: () => Error): T {
  if (value === undefined || value === null) throw otherwise();
  return value;
}

/** Marks a branch that the types rule out; reaching it is a bug, never a caller's fault. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}

/** Is this a failure that passes, such as a database that does not answer just now? */
export function isAway(error: unknown): boolean {
  return error instanceof SyncError && error.status === 503;
}
