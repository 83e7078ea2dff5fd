/** Things that live for a time, and every place where a reader may see them. */
import assert from "node:assert/strict";
import type { World } from "./time_world.ts";

/** What takes a timer and an `enabled`. */
export type Kind = "entry" | "action" | "view" | "message";
/** All of them. */
export const KINDS: readonly Kind[] = ["entry", "action", "view", "message"];

/** Brings a thing named `x` about, with a timer or `enabled`; answers a message's seq. */
export async function bring(
  world: World,
  kind: Kind,
  life: Record<string, unknown>,
): Promise<number> {
  if (kind === "entry") {
    await world.register("alice", "put", {
      writes: [{ key: "x", value: 1, ...life }],
    });
    return (await world.must("alice", "put")).body.seq;
  }
  const forms = {
    action: ["_register_action", { id: "x", writes: [{ key: "hit", increment: 1 }], ...life }],
    view: ["_register_view", { id: "x", expr: "1 + 1", scope: "_shared", ...life }],
    message: ["_send_message", { body: "look", kind: "task", ...life }],
  } as const;
  const [action, params] = forms[kind];
  return (await world.must("alice", action, params)).body.seq;
}

/** An expression that holds while the thing is there. */
export const IS_THERE: Record<Kind, string> = {
  entry: "has(state._shared.x)",
  action: '"x" in actions',
  view: '"x" in views',
  message: "messages.count == 1",
};

/** Where a reader sees the thing: every place must say the same. */
async function places(
  world: World,
  kind: Kind,
  seq: number,
  readers: readonly string[],
): Promise<Record<string, boolean>> {
  const found: Record<string, boolean> = {};
  // deno-lint-ignore no-explicit-any -- replies are read by many shapes
  const look = (name: string, body: any): void => {
    if (kind === "entry") found[name] = body.state._shared.x !== undefined;
    if (kind === "action") found[name] = body.actions.x !== undefined;
    if (kind === "view") found[name] = body.views.x !== undefined;
    if (kind !== "message") return;
    // deno-lint-ignore no-explicit-any -- as above
    found[name] = body.messages.recent.some((m: any) => m.seq === seq);
    found[`${name} count`] = body.messages.count === 1;
    found[`${name} unclaimed`] = body.messages.unclaimed === 1;
  };
  for (const who of readers) {
    look(`context of ${who}`, await world.context(who));
    look(`poll of ${who}`, (await world.call("GET", "/poll", who)).body);
    found[`CEL of ${who}`] = await world.eval(who, IS_THERE[kind]) as boolean;
  }
  const [reader = "bob"] = readers;
  const dry = { dry_run: true };
  if (kind === "entry") {
    const { entries } = (await world.call("GET", "/salience", reader)).body;
    // deno-lint-ignore no-explicit-any -- as above
    found["salience"] = entries.some((e: any) => e.key === "x");
    found["whole scope"] = await world.eval(reader, "state._shared.exists(k, k == 'x')") as boolean;
  } else if (kind === "action") {
    found["invoke"] = (await world.invoke(reader, "x", {}, dry)).status === 200;
    found["plain"] = (await world.context(reader, "shape=plain&peek=true")).actions.x !== undefined;
  } else if (kind === "message") {
    found["claim"] = (await world.invoke(reader, "_claim_message", { seq }, dry)).status === 200;
    const answer = await world.invoke(reader, "_send_message", { body: "", reply_to: seq }, dry);
    found["reply"] = answer.status < 300;
    found["open"] = await world.eval(reader, "messages.unclaimed == 1") as boolean;
    found["recent"] = await world.eval(reader, "messages.recent.size() == 1") as boolean;
  }
  return found;
}

/** Every place must say the same. */
export async function mustBe(
  world: World,
  kind: Kind,
  seq: number,
  isThere: boolean,
  readers: readonly string[] = ["bob", "admin", "view"],
): Promise<void> {
  for (const [place, is] of Object.entries(await places(world, kind, seq, readers))) {
    assert.equal(is, isThere, `${kind} in ${place}`);
  }
}
