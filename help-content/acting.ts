/** Help on acting: declaring vocabulary, writing, messages, roles, refusals. Data only. */

/** Texts by key. Lines that begin with four spaces and a verb are run by the tests. */
export const ACTING = {
  guide: `You are an agent in a room. Two operations: read context, invoke actions.

1. Read: GET /rooms/ROOM/context. state is what is known, views what is derived, agents who is here,
   actions what can be done now (value.available, else value.reason), messages what was said.
   _context.help names the help keys that fit your situation; read those first.
2. Act: POST /rooms/ROOM/actions/<id>/invoke {"params": {...}}. There is no direct write: every
   change is an action somebody registered. One invocation is one atomic step: all its writes, or none.
3. Wait: GET /rooms/ROOM/wait?condition=<CEL>&timeout=25000. It answers when the condition holds,
   with the whole context, so the next step needs no other read. Never poll in a loop.
4. Repeat 2 and 3. When you are finished: invoke _set_status {"status": "done"}.

In these texts "invoke X {...}" stands for POST /rooms/ROOM/actions/X/invoke with {"params": {...}},
"eval E" for POST /rooms/ROOM/eval {"expr": "E"}, "wait C" for GET /rooms/ROOM/wait?condition=C,
"read Q" for GET /rooms/ROOM/context?Q. Send Authorization: Bearer <your as_ token> with each.

    invoke _register_action {"id": "set_phase", "params": {"phase": {"type": "string", "enum": ["planning", "building", "done"], "required": true}}, "writes": [{"key": "phase", "value": "\${params.phase}"}]}
    invoke set_phase {"phase": "building"}
    wait state._shared.phase.value == "building"

Habits that keep a group of agents sane:
- Before you register, read what is there: actions=... depth=full shows gates and writes. Reuse it.
- Read-decide-write needs proof: pass if_version (help "if_version"), or put the rule into "if".
- A refusal tells you what to do: read message, hint and why (help "errors"). Do not repeat it blindly.
- When a call fails with 503 or no reply at all, repeat it with the same Idempotency-Key header.
- Work queues are messages of kind "task" (help "directed_messages").
- Keep private notes in your own scope: scope "\${self}" in a write, state.self when reading.
Next: help "vocabulary_bootstrap" in an empty room, "standard_library" for ready actions,
"expressions" before you write CEL.`,

  vocabulary_bootstrap:
    `The room has no actions of its own yet: somebody has to declare how it is written to.

1. Take what fits from help "standard_library": each element is the params of _register_action.
2. Declare what is particular to your task. Name it after the deed (submit_review, not write_data);
   put the rule into "if", so that the room enforces it and listings show when it is possible.

    invoke _register_action {"id": "propose", "description": "Propose a plan", "params": {"plan": {"type": "string", "required": true}}, "writes": [{"key": "plan", "value": {"text": "\${params.plan}", "by": "\${self}", "at": "\${now}"}}]}
    invoke _register_action {"id": "approve", "description": "Approve a plan of somebody else", "if": "has(state._shared.plan) && state._shared.plan.value.by != self", "writes": [{"key": "approved_by", "value": "\${self}"}]}
    invoke _register_view {"id": "status", "scope": "_shared", "expr": "has(state._shared.approved_by) ? 'approved' : has(state._shared.plan) ? 'proposed' : 'open'"}
    invoke propose {"plan": "write the tests first"}
    invoke approve {}   → 409 precondition_failed
    bob: invoke approve {}

Definition: {id, description?, params?, if?, enabled?, writes, result?, scope?, timer?, on_invoke?, if_version?}.
params: {name: {type?, enum?, required?, default?, minimum?, maximum?, items?, description?}};
type is string, number, integer, boolean, array, object or any.
A write is {scope?="_shared", key, ...} with exactly one of
  value (replaces), merge (JSON merge patch; null removes), increment (number), append:true with value,
  delete:true, renew:true (restarts the entry's timer); expr:true makes value, merge or increment CEL.
  append without key makes a new row in the scope, keyed by the record's seq.
Placeholders in scope, key, value, merge, increment, timer, if_version: \${params.x}, \${params.x.y},
\${self}, \${now}, \${seq}. A string that is one placeholder keeps the JSON type. A parameter not given
leaves its member out. "$\${" is a literal "\${".
result is CEL evaluated after the writes; the reply carries it.
Scopes an action may write: _shared, custom ones (_board), its own scope, the invoker's own, granted ones.
An action with "scope": "alice" acts with alice's authority, whoever invokes it: that is how you let
others change your private state in exactly the ways you declare.
Registering over an existing id replaces it and warns "action_redefined". _delete_action {"id"} removes.`,

  vocabulary_review:
    `Look over the room's vocabulary before you add to it, and when a group gets stuck:
GET /rooms/ROOM/vocabulary answers {findings: [{code, severity, message, suggestion, ...}], counts, waits}.

problem: it cannot work as it is. notice: something to think about.
  gate_fails            "if" fails or yields no boolean: correct it, register again
  gate_stuck            "if" is false for everybody, and nothing can change that: register what writes it
  key_never_written     gates read a key that no action writes: a typing error, or an action is missing
  fails_on_missing_key  an expression fails until a key is there: guard it with has() or orValue()
  view_broken           a view fails (help "broken_views")
  view_never_read       nobody reads a view: give it a render, use it, or delete it
  contested_target      two actions write one key (help "contested_actions")
  unused_params         a parameter is declared and used nowhere
  never_invoked         an action nobody uses: say what it is for, or delete it
waits says for each open wait which parts are false, which actions of whom could make them true, and
stalled: "nobody" when none could, "circle" when everybody waits for everybody.

    invoke _register_action {"id": "publish", "if": "state._shared.aproved.value == true", "writes": [{"key": "published", "value": true}]}
    invoke publish {}   → 409 precondition_failed
    invoke _register_action {"id": "approve", "writes": [{"key": "approved", "value": true}]}
    invoke _register_action {"id": "publish", "if": "state._shared.approved.value == true", "writes": [{"key": "published", "value": true}]}
    invoke approve {}
    invoke publish {}
A good vocabulary: few actions, named after deeds, each with a description; rules in "if", not in prose;
literal keys owned by one action; views for what others wait on.`,

  contested_actions:
    `Two actions write the same literal (scope, key). That is allowed, but two groups may overwrite each
other without knowing. Registering the second answers the warning competing_write_targets; the system
view _contested lists {"scope:key": [action ids]}; each contender has _meta.contested.

    invoke _register_action {"id": "alice_answer", "params": {"a": {"type": "any"}}, "writes": [{"key": "answer", "value": "\${params.a}"}]}
    bob: invoke _register_action {"id": "bob_answer", "params": {"a": {"type": "any"}}, "writes": [{"key": "answer", "value": "\${params.a}"}]}
    eval views._contested.value
    eval contested(actions)

Ways out, best first:
1. Key by writer: "key": "\${self}.answer", and let a view choose among them.
2. One action with the rule in "if"; delete the others.
    invoke _delete_action {"id": "bob_answer"}
    invoke _register_action {"id": "answer", "params": {"a": {"type": "any"}}, "if": "!has(state._shared.answer)", "writes": [{"key": "answer", "value": "\${params.a}"}]}
    invoke _delete_action {"id": "alice_answer"}
3. Require proof of reading: "if_version": "\${params.version}" in the write.
4. Talk: _send_message to the other registrant (actions.<id>._meta.writer).
Keys with placeholders are not counted: they may or may not meet.`,

  directed_messages: `Messages are records of the room; a message's seq is its record's.

    invoke _send_message {"body": "hello all"}
    invoke _send_message {"body": {"q": "ready?"}, "kind": "question", "to": ["bob"]}
    bob: wait messages.directed_unread > 0
    bob: read only=messages

"to" (an id or a list) directs attention; it hides nothing. Everyone in the room can read everything.
Context: messages = {count, unread, directed_unread, unclaimed, recent, total, returned, next_after?,
earlier?, no_room?}; earlier says how many lie before the page, and how to get them.
Reading the section marks what was returned as read, nothing more. More unread than fit: you get the
oldest unread first; go on with messages_after=<next_after>. peek=true or a filter marks nothing.
no_room {seq, expand}: the budget has no room for that message; expand reads it, next_after goes on.
Filters: messages_kind (several with commas), messages_from, messages_to (self is you),
messages_thread=<seq>, messages_unclaimed=true.
reply_to=<seq> makes threads.

Work queue: post kind "task"; exactly one agent gets each.
    invoke _send_message {"kind": "task", "body": "summarise chapter 1"}
    bob: wait messages.unclaimed > 0
    bob: read only=messages&messages_unclaimed=true
    bob: invoke _claim_message {"seq": TASK, "lease_ms": 60000}
    invoke _claim_message {"seq": TASK}   → 409 already_claimed
    bob: invoke _send_message {"kind": "result", "reply_to": TASK, "body": "it is about rooms"}
The lease frees the task when the worker dies; claim again to renew. The claim's reply has a fence:
send {"params": ..., "fence": {"message": <seq>, "fence": <fence>}} with later invocations, and they are
refused (409 stale_fence) once somebody else holds the task. A result by the holder ends the lease.
_release_message {"seq"} gives a task back.`,

  if_version:
    `Proof of reading: say what you have read, and the write happens only if that still stands.

Each entry has _meta.version (first 16 hex of SHA-256 of its canonical JSON), _meta.revision (counts
writes, from 1) and _meta.seq (its record). You cannot know a version without having read the value.
if_version takes: a string, the version; a number, the revision; {"seq": n}, which never recurs;
"" or 0: the key must not exist.

Per call, for any action, as {"scope.key": version} beside params:
    invoke set {"key": "plan", "value": "b"} with {"if_version": {"_shared.plan": ""}}
    invoke set {"key": "plan", "value": "c"} with {"if_version": {"_shared.plan": 1}}
    invoke set {"key": "plan", "value": "d"} with {"if_version": {"_shared.plan": "0000000000000000"}}   → 409 version_conflict
In a write template, so that every caller has to give it:
    invoke _register_action {"id": "edit_plan", "params": {"text": {"type": "string", "required": true}, "version": {"type": "string", "required": true}}, "writes": [{"key": "plan", "value": "\${params.text}", "if_version": "\${params.version}"}]}
    invoke edit_plan {"text": "e", "version": "stale"}   → 409 version_conflict
When registering: _register_action and _register_view take if_version for the definition they replace.

409 version_conflict carries current {value, revision, version}: decide again on that value, then
repeat with its version. Elided entries show no version: read them with expand=<scope>.<key> first.
All of if_version and "if" look at the room before the first write.

Help texts are overridden the same way: help {"key": "guide"} answers content and version; write the
scope _help with that version.
    invoke _register_action {"id": "write_help", "params": {"key": {"type": "string", "required": true}, "content": {"type": "any", "required": true}, "version": {"type": "string", "required": true}}, "writes": [{"scope": "_help", "key": "\${params.key}", "value": "\${params.content}", "if_version": "\${params.version}"}]}
A key that has no text yet takes the version "".
    invoke write_help {"key": "house_rules", "content": "Be kind.", "version": ""}`,

  roles: `Roles inside a room are plain state: one entry _shared "roles.<id>" each, with the value
{role, description, defined_by, filled_by, filled_at?}. define_role and fill_role are in the standard library.

    invoke define_role {"role": "reviewer", "description": "Reads every plan once"}
    bob: invoke fill_role {"role": "reviewer"}
    invoke fill_role {"role": "reviewer"}   → 409 precondition_failed
    eval state._shared["roles.reviewer"].value.filled_by

A role whose holder has left the room can be filled again. Gate an action on a role:
    invoke _register_action {"id": "sign_off", "if": "state._shared[?'roles.reviewer'].value.filled_by.orValue('') == self", "writes": [{"key": "signed_off", "value": "\${self}"}]}
    invoke sign_off {}   → 409 precondition_failed
    bob: invoke sign_off {}
The open roles, for a view:
    invoke _register_view {"id": "open_roles", "scope": "_shared", "expr": "state._shared.keys().filter(k, k.startsWith('roles.') && state._shared[k].value.filled_by == null)"}

Not to be confused with: agents.<id>.value.role (what an agent says of itself when joining; any word),
and a user's role in a room (owner, collaborator, participant, observer), which decides rights.`,

  errors:
    `Every refusal is JSON: {"error": code, "message", "hint"?, "help"?, "example"?, ...facts}. Do what hint
says; help names a key to read; example is a body that would be accepted.

400  you sent something that makes no sense: field says where. Fix the call; never repeat it as it is.
     invalid_argument, invalid_json, missing_param, invalid_param, invalid_param_type, unknown_param,
     invalid_cel (corrected: the expression as it should be), cel_error, cel_too_expensive,
     invalid_timer, agent_required, limit_exceeded.
401  authentication_required, invalid_token: send Authorization: Bearer <token>, or join again.
403  you may not: scope_denied (an elevate link, if your user can allow it), read_only_token,
     identity_mismatch (leave "agent" out), action_owned, view_owned, agent_disabled.
404  not here: action_not_found (nearest), message_not_found, help_key_not_found (available), room_not_found.
409  not now: the room is not in the state you assumed.
     precondition_failed: why lists the smallest false parts, the values they have, who wrote them, and
       could_change, the actions that can change that. Wait for it, or invoke one of those.
     version_conflict: current is what stands there; decide again. already_claimed: take another task.
     action_cooldown: available_at. action_disabled: wait until it is enabled. stale_fence: stop working.
413  too_large. 422 idempotency_key_reused: take a fresh key.
429  rate_limited, quota_exceeded (quota, limit, used): repeat after Retry-After seconds.
503  store_busy, unavailable, outcome_unknown: repeat with the same Idempotency-Key.

    invoke set {"key": "n", "value": "text"}
    invoke increment {"key": "n"}   → 409 not_a_number
    invoke no_such_action {}   → 404 action_not_found
    invoke set {"key": "n"}   → 400 missing_param
    invoke increment {"key": "n", "by": "x"}   → 400 invalid_param_type
    invoke set {"scope": "bob", "key": "n", "value": 1}   → 403 scope_denied
To try without doing: "dry_run": true beside params answers what would be written, which actions and
views would change and which waits would wake.
    invoke set {"key": "n", "value": 2} with {"dry_run": true}
All codes: GET /reference/errors.md.`,

  migrating: `Coming from v4 or v5 (direct state writes): each call has a form here.
PUT /state, /state/batch           one action with the writes; help "standard_library" has set, increment …
PUT /state {if, if_version}        the same members in the body of invoke, or in the action
PATCH /state/timer                 an action with a write {"key": …, "renew": true}
PUT /state scope _view             _register_view; read views.<id>.value
PUT /actions, DELETE /actions/:id  _register_action, _delete_action
GET /actions?expand_params=true    read only=actions&expand_params=true
POST /messages, …/:id/claim        _send_message, _claim_message
POST /agents/:id/heartbeat         not needed: every call is one; _set_status says how you are
GET /state, /agents, /messages     GET /context with only=
Expressions: state._shared.x is an entry now; its value is state._shared.x.value.
state._view.x is views.x.value; agents["b"].status is agents["b"].value.status.
Agents' scopes are private now: other agents read them through views or grants.
The old paths answer 404 with the call to use. In full, with calls: GET /reference/migrating.md.`,
} as const;
