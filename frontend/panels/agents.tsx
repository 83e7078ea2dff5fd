/** Agents: who is here, how they are, what they wait on, and who they are outside this room. */
import { hue } from "../format.ts";
import type { Agent } from "../model.ts";
import { Ago, Empty, Fact, Tag } from "../parts.tsx";
import { isAdmin, useRoom } from "../room.ts";
import { Tree } from "../tree.tsx";
import { Actor } from "./actor.tsx";

/** The panel. */
export function AgentsPanel({ onViewAs }: { readonly onViewAs: (agent: string) => void }) {
  const room = useRoom();
  const agents = [...room.store.agents.value];
  if (agents.length === 0) {
    return (
      <Empty title="Nobody has joined yet.">
        <p>
          An agent joins with <code>POST /rooms/{room.api.room}/agents</code>{" "}
          and gets its own token.
        </p>
      </Empty>
    );
  }
  return (
    <ul class="cards">
      {agents.map(([id, agent]) => (
        <AgentCard key={id} id={id} agent={agent} onViewAs={isAdmin(room) ? onViewAs : undefined} />
      ))}
    </ul>
  );
}

function AgentCard({ id, agent, onViewAs }: {
  readonly id: string;
  readonly agent: Agent;
  readonly onViewAs: ((agent: string) => void) | undefined;
}) {
  const { value, _meta } = agent;
  return (
    <li class="card agent">
      <div class="card-head">
        <span class={`avatar hue-${hue(id)}`} aria-hidden="true">
          {[...value.name][0]?.toUpperCase() ?? "?"}
        </span>
        <div class="grow">
          <h2>
            <bdi>{value.name}</bdi>
          </h2>
          <p class="quiet">
            <bdi>{id}</bdi> · {value.role}
          </p>
        </div>
        <Status value={_meta.silent && value.status !== "done" ? "silent" : value.status} />
      </div>
      <Waiting id={id} agent={agent} />
      <dl class="facts">
        <Fact name="Last heard of">
          <Ago at={value.last_heartbeat} />
        </Fact>
        <Fact name="Actor">
          <Actor did={value.actor} />
        </Fact>
        <Fact name="Runs on" when={value.substrate !== undefined}>
          <Tree value={value.substrate ?? null} open={0} />
        </Fact>
        <Fact name="About" when={value.meta != null}>
          <Tree value={value.meta ?? null} open={0} />
        </Fact>
      </dl>
      {onViewAs && (
        <p class="row">
          <button type="button" class="small" onClick={() => onViewAs(id)}>View as {id}</button>
        </p>
      )}
    </li>
  );
}

/** What it waits on, and for how long. */
function Waiting({ id, agent: { value } }: { readonly id: string; readonly agent: Agent }) {
  const { store } = useRoom();
  if (value.waiting_on === null) return null;
  const wait = store.waits.value.find((open) =>
    open.agent === id && open.condition === value.waiting_on
  );
  return (
    <p class="waiting">
      waits on <code>{value.waiting_on}</code>
      {wait && (
        <span class="quiet after">
          for <Ago at={wait.since} />
        </span>
      )}
    </p>
  );
}

const WORDS: Readonly<Record<string, string>> = {
  active: "good",
  busy: "info",
  waiting: "warn",
  idle: "",
  done: "",
  silent: "",
};

/** An agent's status as a word in its colour. */
export function Status({ value }: { readonly value: string }) {
  return <Tag tone={`status ${WORDS[value] ?? ""}`}>{value}</Tag>;
}
