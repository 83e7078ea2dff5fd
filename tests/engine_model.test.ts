/**
 * The engine against a small reference model: random histories of actions in every write mode,
 * one after the other and all at once. The model knows nothing of the code it judges.
 */
import "./seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import {
  makeRoom,
  mustVerify,
  type Reply,
  startService,
  SYSTEM_CLOCK,
  type TestRoom,
  type TestService,
} from "./harness.ts";

type Value = null | boolean | number | string | Value[] | { [key: string]: Value };

/** One write of an action, as the test declares it. */
interface Step {
  readonly mode: "value" | "merge" | "increment" | "append" | "delete" | "row";
  readonly scope: "_shared" | "_board" | "${self}";
  readonly key: string;
  readonly operand: Value;
  readonly ifRevision?: number;
}

/** One invocation. */
interface Command {
  readonly agent: "a" | "b" | "c";
  readonly steps: readonly Step[];
}

interface Cell {
  value: Value;
  revision: number;
}

type Refusal = "version_conflict" | "not_a_number";

/** The reference: a map of cells, and what each write does to it. */
class Model {
  cells = new Map<string, Cell>();

  /** Applies a command as the record `seq`: what it wrote, or why not. */
  apply(command: Command, seq: number): Refusal | (Cell | null)[] {
    const next = new Map([...this.cells].map(([name, cell]) => [name, { ...cell }]));
    const before = this.cells;
    const touched = new Set<string>();
    const wrote: string[] = [];
    let rows = 0;
    for (const step of command.steps) {
      const scope = step.scope === "${self}" ? command.agent : step.scope;
      const name = `${scope}/${
        step.mode === "row" ? rows++ === 0 ? seq : `${seq}.${rows - 1}` : step.key
      }`;
      if (step.ifRevision !== undefined && (before.get(name)?.revision ?? 0) !== step.ifRevision) {
        return "version_conflict";
      }
      const cell = next.get(name);
      if (step.mode === "delete") {
        if (!cell) continue;
        next.delete(name);
        touched.delete(name);
        wrote.push(name);
        continue;
      }
      const value = result(step, cell?.value);
      if (value === undefined) return "not_a_number";
      const revision = touched.has(name) ? cell!.revision : (cell?.revision ?? 0) + 1;
      next.set(name, { value, revision });
      touched.add(name);
      wrote.push(name);
    }
    this.cells = next;
    return wrote.map((name) => next.get(name) ?? null);
  }

  /** The cells of a scope, as a context shows them. */
  scope(scope: string): Record<string, Cell> {
    const prefix = `${scope}/`;
    return Object.fromEntries(
      [...this.cells].filter(([name]) => name.startsWith(prefix)).map((
        [name, cell],
      ) => [name.slice(prefix.length), cell]),
    );
  }
}

function result(step: Step, current: Value | undefined): Value | undefined {
  switch (step.mode) {
    case "value":
    case "row":
      return step.operand;
    case "append":
      return [
        ...current === undefined ? [] : Array.isArray(current) ? current : [current],
        step.operand,
      ];
    case "merge":
      return merged(current, step.operand);
    case "increment": {
      const base = current ?? 0;
      return typeof base === "number" ? base + (step.operand as number) : undefined;
    }
    case "delete":
      return undefined;
  }
}

/** RFC 7396, written again. */
function merged(target: Value | undefined, patch: Value): Value {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const isObject = target !== null && typeof target === "object" && !Array.isArray(target);
  const out: { [key: string]: Value } = isObject ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else out[key] = merged(out[key], value);
  }
  return out;
}

const json = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.integer({ min: -1000, max: 1000 }),
    fc.constantFrom("", "text", "ünï", "0", "$${x}", "a.b"),
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom("x", "y", "z", "value"), tie("value"), {
      maxKeys: 3,
      noNullPrototype: true,
    }),
  ),
})).value;

const step: fc.Arbitrary<Step> = fc.record({
  mode: fc.constantFrom("value", "value", "merge", "increment", "append", "delete", "row"),
  scope: fc.constantFrom("_shared", "_shared", "_board", "${self}"),
  key: fc.constantFrom("p", "q", "r.s"),
  operand: json,
  ifRevision: fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined, freq: 5 }),
}).map(({ ifRevision, ...rest }) => {
  const operand = rest.mode === "increment" ? fcNumber(rest.operand) : rest.operand;
  const isChecked = ifRevision !== undefined && rest.mode !== "row";
  return { ...rest, operand, ...(isChecked ? { ifRevision } : {}) } as Step;
});

function fcNumber(value: Value): number {
  return typeof value === "number" ? value : 1;
}

const command: fc.Arbitrary<Command> = fc.record({
  agent: fc.constantFrom("a", "b", "c"),
  steps: fc.array(step, { minLength: 1, maxLength: 4 }),
});

/** The templates of a command. Operands are parameters, so that nothing in them is filled again. */
function definitionOf(id: string, { steps }: Command): Record<string, unknown> {
  const writes = steps.map(({ mode, scope, key, ifRevision }, i) => {
    const param = `\${params.v${i}}`;
    const named = {
      scope,
      ...(mode === "row" ? {} : { key }),
      ...(ifRevision === undefined ? {} : { if_version: ifRevision }),
    };
    switch (mode) {
      case "value":
        return { ...named, value: param };
      case "row":
      case "append":
        return { ...named, append: true, value: param };
      case "merge":
        return { ...named, merge: param };
      case "increment":
        return { ...named, increment: param };
      case "delete":
        return { ...named, delete: true };
    }
  });
  return { id, writes };
}

function paramsOf({ steps }: Command): Record<string, Value> {
  return Object.fromEntries(steps.map(({ operand }, i) => [`v${i}`, operand]));
}

async function registered(on: TestService, commands: readonly Command[]): Promise<TestRoom> {
  const room = await makeRoom(on, ["a", "b", "c"]);
  await Promise.all(commands.map(async (each, i) => {
    const { status, text } = await on.invoke(
      room.id,
      "_register_action",
      definitionOf(`c${i}`, each),
      room.admin,
    );
    assert.equal(status, 201, text);
  }));
  return room;
}

function mustAgree(reply: Reply, command: Command, model: Model, what: string): void {
  const expected = model.apply(command, reply.body.seq ?? 0);
  if (typeof expected === "string") {
    assert.equal(reply.body.error, expected, `${what}: ${reply.text}`);
    return;
  }
  assert.equal(reply.status, 200, `${what}: ${reply.text}`);
  const wrote = reply.body.writes.map((
    w: { deleted?: true; value: Value; _meta: { revision: number } },
  ) => w.deleted ? null : { value: w.value, revision: w._meta.revision });
  assert.deepEqual(wrote, expected, what);
}

async function mustMatchModel(on: TestService, room: TestRoom, model: Model): Promise<void> {
  const { body } = await on.call(
    "GET",
    `/rooms/${room.id}/context?only=state&elision=none&focus_threshold=0`,
    { token: room.admin },
  );
  for (const scope of ["_shared", "_board", "a", "b", "c"]) {
    const shown = Object.entries(
      (body.state[scope] ?? {}) as Record<string, { value: Value; _meta: { revision: number } }>,
    )
      .map(([key, { value, _meta }]) => [key, { value, revision: _meta.revision }]);
    assert.deepEqual(Object.fromEntries(shown), model.scope(scope), scope);
  }
}

const RUNS = {
  numRuns: 25,
  ...(Deno.env.get("FC_SEED") ? { seed: Number(Deno.env.get("FC_SEED")) } : {}),
};

Deno.test("One after the other: every reply, every value and every revision is the model's", async () => {
  const on = await startService();
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 25 }), async (commands) => {
      const room = await registered(on, commands);
      const model = new Model();
      for (const [i, each] of commands.entries()) {
        const reply = await on.invoke(room.id, `c${i}`, paramsOf(each), room.agents[each.agent]);
        mustAgree(reply, each, model, `c${i} ${JSON.stringify(each)}`);
      }
      await mustMatchModel(on, room, model);
      await mustVerify(on, room);
    }),
    RUNS,
  );
  await on.close();
});

Deno.test("All at once: the order of the log explains every reply", async () => {
  const on = await startService({ clock: SYSTEM_CLOCK });
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 2, maxLength: 40 }), async (commands) => {
      const room = await registered(on, commands);
      const replies = await Promise.all(commands.map(async (each, i) => {
        const reply = await on.invoke(room.id, `c${i}`, paramsOf(each), room.agents[each.agent]);
        return { reply, each, i };
      }));
      const model = new Model();
      const done = replies.filter(({ reply }) => reply.status === 200).sort((a, b) =>
        a.reply.body.seq - b.reply.body.seq
      );
      for (const { reply, each, i } of done) mustAgree(reply, each, model, `c${i}`);
      for (const { reply } of replies) assert.ok([200, 409].includes(reply.status), reply.text);
      await mustMatchModel(on, room, model);
      await mustVerify(on, room);
    }),
    RUNS,
  );
  await on.close();
});

/** An operation as its caller saw it: when it was asked for and answered, and what it says. */
interface Seen {
  readonly from: number;
  readonly to: number;
  readonly seq: number;
  readonly isRead: boolean;
  readonly cells: Record<string, Record<string, Cell>>;
}

Deno.test("Reads among writes: each is one cut of the log, and none is older than what was answered before", async () => {
  const on = await startService({ clock: SYSTEM_CLOCK });
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 4, maxLength: 30 }), async (commands) => {
      const room = await registered(on, commands);
      let tick = 0;
      const seen: Seen[] = [];
      const read = async (): Promise<void> => {
        const from = tick++;
        const path = `/rooms/${room.id}/context?only=state&elision=none&focus_threshold=0`;
        const { body } = await on.call("GET", path, { token: room.admin });
        seen.push({ from, to: tick++, seq: body.seq, isRead: true, cells: cellsOf(body.state) });
      };
      const done: { seq: number; each: Command }[] = [];
      const write = async (each: Command, i: number): Promise<void> => {
        const from = tick++;
        const { status, body } = await on.invoke(
          room.id,
          `c${i}`,
          paramsOf(each),
          room.agents[each.agent],
        );
        if (status !== 200) return;
        done.push({ seq: body.seq, each });
        seen.push({ from, to: tick++, seq: body.seq, isRead: false, cells: {} });
      };
      const lanes = [0, 1, 2, 3].map(async (lane) => {
        for (let i = lane; i < commands.length; i += 4) {
          await Promise.all([write(commands[i]!, i), read()]);
        }
      });
      await Promise.all(lanes);
      mustBeInOrder(seen);
      const start = (await on.service.engine.find(room.id)).room.head - done.length;
      const cuts = new Map<number, Record<string, Record<string, Cell>>>([[start, {}]]);
      const model = new Model();
      for (const { seq, each } of done.sort((a, b) => a.seq - b.seq)) {
        assert.notEqual(typeof model.apply(each, seq), "string");
        cuts.set(seq, Object.fromEntries(SCOPES.map((scope) => [scope, model.scope(scope)])));
      }
      for (const { isRead, seq, cells } of seen) {
        if (!isRead) continue;
        for (const scope of SCOPES) {
          assert.deepEqual(cells[scope] ?? {}, cuts.get(seq)?.[scope] ?? {}, `${scope} at ${seq}`);
        }
      }
    }),
    RUNS,
  );
  await on.close();
});

const SCOPES = ["_shared", "_board", "a", "b", "c"];

function cellsOf(
  state: Record<string, Record<string, { value: Value; _meta: { revision: number } }>>,
) {
  return Object.fromEntries(
    Object.entries(state).map(([scope, entries]) => [
      scope,
      Object.fromEntries(
        Object.entries(entries).map((
          [key, { value, _meta }],
        ) => [key, { value, revision: _meta.revision }]),
      ),
    ]),
  );
}

/** What was answered before another was asked for comes before it, or with it, in the log. */
function mustBeInOrder(seen: readonly Seen[]): void {
  for (const early of seen) {
    for (const late of seen) {
      if (early.to >= late.from) continue;
      assert.ok(
        early.seq <= late.seq,
        `record ${early.seq} was answered before ${late.seq} was asked for`,
      );
      if (!late.isRead) assert.ok(early.seq < late.seq);
    }
  }
}

Deno.test("After a restart the room is what it was, entry by entry, and goes on", async () => {
  let on = await startService();
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 2, maxLength: 12 }), async (commands) => {
      const room = await registered(on, commands);
      const model = new Model();
      for (const [i, each] of commands.entries()) {
        if (i === commands.length >> 1) on = await on.restart();
        const reply = await on.invoke(room.id, `c${i}`, paramsOf(each), room.agents[each.agent]);
        mustAgree(reply, each, model, `c${i}`);
      }
      await mustMatchModel(on, room, model);
      await mustVerify(on, room);
    }),
    { ...RUNS, numRuns: 8 },
  );
  await on.close();
});
