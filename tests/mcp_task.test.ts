/** A task that three agents do together, each with a client of its own: a coordinator and two workers. */
import assert from "node:assert/strict";
import { mustVerify, startService, SYSTEM_CLOCK, userToken } from "./harness.ts";
import { Agent, ERAS } from "./mcp_world.ts";

const PIECES = ["alpha", "beta", "gamma", "delta"];

/** Claims what is open, answers it in upper case, until the coordinator says done. */
async function work(worker: Agent, room: string, id: string): Promise<number> {
  await worker.do("sync_embody", { room, agent: id });
  let done = 0;
  let since = 0;
  for (;;) {
    const woken = await worker.do("sync_wait", {
      room,
      condition: "messages.unclaimed > 0 || state._shared.?phase.?value.orValue('') == 'done'",
      timeout: 10_000,
      ...(since > 0 ? { since } : {}),
    });
    assert.equal(woken.triggered, true, "a worker waited in vain");
    const context = await worker.do("sync_read_context", {
      room,
      messages_unclaimed: true,
      budget: 8_000,
    });
    if (context.state._shared.phase?.value === "done") break;
    const [task] = context.messages.recent;
    if (!task) continue;
    const claimed = await worker.tell("sync_claim_message", {
      room,
      seq: task.seq,
      lease_ms: 60_000,
    });
    if (claimed.isError) {
      assert.equal(claimed.body.error, "already_claimed");
      continue;
    }
    const result = { piece: task.body, done: String(task.body).toUpperCase() };
    await worker.do("sync_invoke_action", {
      room,
      action: "submit",
      params: result,
      fence: { message: task.seq, fence: claimed.body.fence },
    });
    await worker.do("sync_send_message", {
      room,
      kind: "result",
      reply_to: task.seq,
      body: result.done,
    });
    done++;
    since = 0;
  }
  await worker.do("sync_disembody", { room });
  return done;
}

for (const era of ERAS) {
  Deno.test(`${era}: a coordinator and two workers complete a task`, async () => {
    const on = await startService({ clock: SYSTEM_CLOCK });
    const coordinator = await Agent.connect(
      on,
      await userToken(on, "boss", "rooms:* create_rooms"),
      era,
    );
    await coordinator.do("sync_create_room", { id: "task", join: "token" });
    const tokens = [];
    for (const name of ["ann", "ben"]) {
      const token = await userToken(on, name, "rooms:*:write");
      const owner = await userToken(on, "boss", "rooms:*");
      const invited = await on.call("POST", "/rooms/task/invite", {
        token: owner,
        body: { username: name, role: "collaborator" },
      });
      assert.equal(invited.status, 200, invited.text);
      tokens.push(token);
    }
    await coordinator.do("sync_embody", { room: "task", agent: "boss" });
    await coordinator.do("sync_register_action", {
      room: "task",
      id: "submit",
      params: { piece: { type: "string" }, done: { type: "string" } },
      writes: [{ key: "result.${params.piece}", value: "${params.done}", if_version: "" }],
    });
    await coordinator.do("sync_register_action", {
      room: "task",
      id: "finish",
      if: "state._shared.keys().filter(k, k.startsWith('result.')).size() == 4",
      writes: [{ key: "phase", value: "done" }],
    });
    const workers = await Promise.all(tokens.map((token) => Agent.connect(on, token, era)));
    const working = Promise.all([
      work(workers[0]!, "task", "ann"),
      work(workers[1]!, "task", "ben"),
    ]);
    for (const body of PIECES) {
      await coordinator.do("sync_send_message", { room: "task", kind: "task", body });
    }
    const early = await coordinator.tell("sync_invoke_action", {
      room: "task",
      action: "finish",
      dry_run: true,
    });
    if (early.isError) assert.equal(early.body.error, "precondition_failed");
    const ready = await coordinator.do("sync_wait", {
      room: "task",
      condition: "actions.finish.value.available",
      timeout: 20_000,
    });
    assert.equal(ready.triggered, true);
    await coordinator.do("sync_invoke_action", { room: "task", action: "finish" });
    const counts = await working;
    assert.equal(counts[0]! + counts[1]!, PIECES.length);
    const end = await coordinator.do("sync_read_context", {
      room: "task",
      only: "state",
      shape: "plain",
    });
    for (const piece of PIECES) {
      assert.equal(end.state._shared[`result.${piece}`], piece.toUpperCase());
    }
    await mustVerify(on, { id: "task", admin: await userToken(on, "boss", "rooms:*") });
    await Promise.all([coordinator, ...workers].map((agent) => agent.close()));
    await on.close();
  });
}
