/** Help on reading: expressions, entries, shaping, waits, timers. Data only. */

/** Texts by key. Lines that begin with four spaces and a verb are run by the tests. */
export const READING = {
  expressions:
    `CEL, the Common Expression Language: no side effects, always ends. The same language everywhere:
"if", "enabled", "expr", "result" of actions, views, wait conditions, eval.

What an expression sees:
  state._shared.KEY.value, state.self.KEY.value (your own), state["bob"].KEY.value (if you may read it),
  state._board.KEY.value (a custom scope); ._meta instead of .value for what is known about it
  views.ID.value                   views["alice.mood"].value when the id has dots
  agents.ID.value.{name, role, status, waiting_on, last_heartbeat, actor, meta}
  actions.ID.value.{available, reason, description, scope}, actions.ID._meta.invocations
  messages.{count, unread, directed_unread, unclaimed, recent}
  self (the acting agent's id), params (in actions and evals), now (a timestamp), room.id, room.seq

    eval state._shared.turn.value + 1
    eval state._shared["turn"].value > 2 && self == "alice"
    eval "turn" in state._shared
    eval has(state._shared.nothing)
    eval state._shared.?nothing.value.orValue("default")
    eval state._shared.keys().filter(k, k.startsWith("t"))
    eval agents.keys().exists(a, agents[a].value.status == "active")
    eval messages.recent.filter(m, m.kind == "task").map(m, m.body)
    eval now - timestamp(state._shared.turn._meta.updated_at) < duration("1h")

Rules of thumb:
- An entry is {value, _meta}. Comparing or adding an entry itself is refused, with the correction:
    eval state._shared.turn == 3   → 400 invalid_cel
- A missing key is an error, not null: guard with has(a.b), "k" in m, or .?k and .orValue(x).
  In "if" and in waits missing simply counts as not true.
- has() takes a member, never an index: has(state._shared.x), but "a.b" in state._shared.
- Only true opens a gate: write x.value == true rather than relying on truthiness.
- Numbers mix: 1, 1.0 and a number from JSON compare and add. Division of two whole literals is whole: 7 / 2
  is 3; write 7.0 / 2.
- Strings use " or '. In JSON bodies ' saves escaping.
Where it is read with whose rights: an action's expressions see _shared, custom scopes, the action's
scope and the invoker's own as state.self; a view sees what its scope may read; waits and eval what you may read.
"enabled" may not read now, presence, scores or unread counts, nor views that do: what exists must not depend on the moment.
In URLs encode the expression (curl -G --data-urlencode). Functions: help "functions".`,

  wrapped_entries:
    `Everything is wrapped: {"value": ..., "_meta": {...}}, for state, agents, views and actions alike.

value  the data; null when it was elided (then _meta.elided is true and _meta.expand says how to get it).
_meta  revision    how often it was written, from 1
       version     content hash, for if_version
       updated_at, first_at   instants; seq: the record that wrote it
       writer, via    who wrote it last, by which action; writers: distinct writers, newest first
       score       how much it matters to you now, 0 to 1 (help "shaping")
       velocity    recent writes: each counts 1 and halves every 5 minutes
       timer, enabled    where it has them
       actions add invocations, last_invoked_at, last_invoked_by, contested.

    eval state._shared.turn.value
    eval state._shared.turn._meta.writer
    eval state._shared.keys().filter(k, state._shared[k]._meta.revision > 1)
    eval val(state._shared.turn) + 1
    eval meta(state._shared.turn, "revision")
    eval agents[self].value.status

Entries of the middle tier carry only score, revision, version, updated_at and elided. shape=plain gives
bare values, as v6 did. In CEL nothing is ever elided.
The usual mistakes are refused with the expression corrected:
    eval state._shared.turn > 2   → 400 invalid_cel
    eval state._shared.turn.meta.revision   → 400 invalid_cel`,

  functions: `On scopes, views, agents and actions; each answers a list of keys:
  salient(m, t)  score at least t         focus(m)  score at least .5
  peripheral(m)  .1 up to .5              elided(m)  below .1       active(m)  not elided
  top_n(m, n)    the n most salient, best first
  written_by(m, "agent")                  velocity_above(m, v)
  contested(actions)   with competing targets      stale(actions, n)  invoked fewer than n times
val(entry), meta(entry, "field"); m.keys(), m.values(), m.entries() (each {key, entry}).

    eval written_by(state._shared, "alice")
    eval top_n(state._shared, 3)
    eval stale(actions, 1)
    eval state._shared.entries().filter(e, e.entry._meta.revision == 1).map(e, e.key)

Lists: all, exists, exists_one, filter, map, transformList, size, in, sort, slice, flatten, distinct, reverse,
  sum, min, max, first, last, join, lists.range(n). Maps: all, exists, filter, transformMap, transformList.
Strings: contains startsWith endsWith matches split replace substring indexOf lastIndexOf charAt join trim
  lowerAscii upperAscii reverse format size. matches uses RE2 syntax, in linear time.
Numbers: int uint double, math.abs ceil floor round trunc sign sqrt greatest least.
Time: timestamp("2030-01-01T00:00:00Z"), duration("90s"), getFullYear() … getMilliseconds().
Others: string bool bytes type dyn, base64.encode/decode, optional.of/none, cel.bind(x, e, use).

    eval [3, 1, 2].sort()
    eval "a,b".split(",").map(s, s.upperAscii())
    eval {"a": 1, "b": 2}.transformMap(k, v, v * 10)
    eval math.greatest(1, 2.5)
    eval cel.bind(n, state._shared.keys().size(), n * n)
The salience functions depend on the reader and on time; a view or wait that uses them is judged once a second.`,

  shaping: `Context is shaped by salience: what matters to you is shown whole, the rest shrinks.

Each entry has a score, a weighted sum of six signals from 0 to 1: recency .10 (halves every 5 minutes),
dependency .30 (your views and open waits read it), authorship .10 (you wrote it last), directed .20,
contest .10, delta .20 (changed since your last read). Configure with
_configure {"key": "salience_weights", "value": {...}} (admins).

score >= 0.5  focus: value and all of _meta
score >= 0.1  peripheral: value and a short _meta
below         elided: value null, _meta.expand says how to get it
Nothing is elided in a small room (under 64 entries and 32 KiB), and what changed since your last read is
never elided. _shaping in the reply counts the tiers and says what was left out.

    read expand=_shared.turn
    read expand=_shared.*
    read elision=none
    read focus_threshold=0.7&elide_threshold=0.3
    read explain=true
    read budget=1500
budget=N holds the reply under N tokens (4 characters each): directed messages first, then what changed,
then the rest by score; _shaping.budget.left_out counts what did not fit.
GET /rooms/ROOM/salience lists all scores with their signals.`,

  context_shaping: `Parameters of GET /rooms/ROOM/context (wait takes them too):
  only=state,messages        sections: state views agents actions messages; state.<scope> for one scope
  actions=false messages=false
  depth=lean|full|usage      full adds params, if, writes, scope of actions and the expr of views
  expand_params=true         availability_by_param: which values of enum and boolean parameters would pass
  since=<seq>                only what changed after that record, plus removed; reset:true means: take it whole
  budget=<tokens>            at most that much, the most important first (at least 500)
  expand= elision= focus_threshold= elide_threshold= explain=   (help "shaping")
  include=_config,_help,_audit   extra scopes; _audit is the newest 100 records
  messages_after= messages_limit= (100, at most 500) messages_kind= messages_from= messages_to=
  messages_thread= messages_unclaimed=true
  shape=plain                bare values as in v6
  peek=true                  moves no cursor: unread stays unread
  compact=true               leaves out members that are null
  agent=<id>                 which of your agents reads; admins look through its eyes

    read only=actions&depth=full
    read only=state,messages&messages_limit=10
    read since=3
    read shape=plain&actions=false
    read include=_audit&only=state
    read only=nonsense   → 400 invalid_argument
A loop that stays cheap: keep seq of the last reply, and pass since=<seq> to context or wait.`,

  waits: `GET /rooms/ROOM/wait?condition=<CEL>&timeout=<ms>  (or POST with the same members as JSON)
Answers when the condition is true, at once if it is already: {triggered:true, value, seq, woken_by?, context}.
After timeout (25000, at most 55000): {triggered:false, timeout:true, seq, last_error?, stalled?, context}.
Just call it again. It costs nothing while it sleeps; it wakes exactly when what it reads has changed.

    wait state._shared.turn.value >= 3
    wait messages.count >= 0 && agents["bob"].value.status == "active"
    wait "turn" in state._shared
    wait actions["set"].value.available

- since=<seq>: the first change after that record that you may see (and where the condition holds).
  Pass the seq of your last reply and nothing is ever missed between two calls.
- Neither condition nor since: any change from now on. A change is a record; presence (status, waiting_on)
  wakes only conditions that read it.
- include=state,messages puts these sections at the top level instead of a whole context; so does
  include=state.self for one scope.
- All parameters of context work: since= also makes the context a delta, budget= keeps it small.
- 400 invalid_cel comes at once for what could never hold. Missing keys are fine: not yet true.
- While you wait, others see agents.<you>.value.status "waiting" and waiting_on, your condition.
- stalled lists every agent's wait when all of them wait and nothing inside the room can change that:
  do something, or ask a human.
- Conditions on now, scores or velocity are judged once a second.
A turn-taking loop: wait for your turn, act, hand over.
    wait !has(state._shared.current) || state._shared.current.value == self`,

  timers: `A timer ends or begins the life of an entry, an action, a view or a message.
{"ms": 60000, "effect": "delete"}              live for a minute, then gone
{"at": "2030-01-01T00:00:00Z", "effect": "enable"}     dormant until then
{"ticks": 3, "tick_on": "_shared.turn", "effect": "delete"}   gone after three writes to that key
tick_on names an agent's scope by its id; in a write "state.\${self}.turn" is the invoker's.
Exactly one of ms, at, ticks. Delete: live until it is due. Enable: not there until it is due.

    invoke _register_action {"id": "light_fire", "writes": [{"key": "fire", "value": true, "timer": {"ms": 60000, "effect": "delete"}}]}
    invoke light_fire {}
    invoke _register_action {"id": "stoke_fire", "enabled": "has(state._shared.fire)", "writes": [{"key": "fire", "renew": true}]}
    invoke stoke_fire {}
    invoke _register_action {"id": "hide_compass", "writes": [{"key": "compass", "value": "north", "timer": {"ticks": 3, "tick_on": "_shared.turn", "effect": "enable"}}]}
    invoke hide_compass {}
    eval has(state._shared.compass)
    invoke _send_message {"body": "this offer ends", "timer": {"ms": 30000, "effect": "delete"}}
    invoke _register_action {"id": "forage", "writes": [{"key": "wood", "increment": 1}], "on_invoke": {"timer": {"ms": 60000, "effect": "enable"}}}
    invoke forage {}
    invoke forage {}   → 409 action_cooldown

- Writing the key again with value starts an ms or ticks timer anew; "timer": null removes it;
  merge, increment and append leave it running. renew restarts it and changes nothing else.
- on_invoke.timer is a cooldown; the action stays listed with reason "cooldown" and available_at.
- A due timer is a record of kind "timer": it wakes waits. Nobody ever sees a due thing alive.
enabled: a CEL predicate; while it is not true, the thing is not there for reads, CEL, waits, invoke:
    invoke _register_action {"id": "open_market", "enabled": "state._shared.?wood.value.orValue(0) > 5", "writes": [{"key": "market", "value": true}]}
    invoke open_market {}   → 409 action_disabled
Entries, actions, views, messages and agents take enabled; an agent's covers its scope, actions and messages.
It hides, it does not protect: the log still shows the writes.`,

  broken_views:
    `A view that fails shows value null and _meta.error {code, message?, hint?} (message and hint only if
you may read its scope). Usually a key it reads is missing, or an entry is used without .value.

    invoke _register_view {"id": "progress", "scope": "_shared", "expr": "state._shared.done.value * 100 / state._shared.goal.value"}
    eval views.progress.value
    invoke _register_view {"id": "progress", "scope": "_shared", "expr": "state._shared.?goal.value.orValue(0) == 0 ? 0 : state._shared.?done.value.orValue(0) * 100 / state._shared.goal.value"}
    eval views.progress.value

Look at it: read only=views&depth=full shows expr; POST /rooms/ROOM/eval {"expr": ..., "explain": true} shows
which part fails and what it read. Register the view again under its id to repair it.
    read only=views&depth=full`,

  trust: `Trust is evidence about an actor's work, per domain, judged by others; 0 without evidence.

    eval trust(agents.bob.value.actor, "code")
    eval trust_count(agents.bob.value.actor, "code")

A verdict on a record is the built-in _judge {"subject": <seq>, "verdict": "accept" | "reject", "domain", "note"};
your own work never counts, and an action's own "domain" goes before yours. Each agent's trust by domain:
    read only=agents&depth=full

Join with {"actor": "did:sync:agent:NAME"} (registered by your user: POST /actors) and what you earn, and what
you remember (sync_remember, GET /actors/:did/memory, memory.<name>.value in your own expressions), outlives
the room. Do not gate on trust() > 0 alone: nobody starts above it. See GET /reference/actors.md.`,
} as const;
