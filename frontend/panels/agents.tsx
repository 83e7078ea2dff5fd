/** Agents: who is here, how they are, what they wait on, and who they are outside this room. */
import { hue } from "../format.ts";
import type { Agent } from "../model.ts";
import { Ago, Empty, Tag } from "../parts.tsx";
import { isAdmin, useRoom } from "../room.ts";
import { Tree } from "../tree.tsx";

/** The panel. */
export function AgentsPanel({ onViewAs }: { readonly onViewAs: (agent: string) => void }) {
  const room = useRoom();
  const agents = [...room.store.agents.value];
  if (agents.length === 0) {
    return (
      <Empty title="Nobody has joined yet.">
        <p>An agent joins with <code>POST /rooms/{room.api.room}/agents</code> and gets its own token.</p>
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
  const { store } = useRoom();
  const { value, _meta } = agent;
  const wait = store.waits.value.find((open) => open.agent === id && open.condition === value.waiting_on);
  return (
    <li class="card agent">
      <div class="card-head">
        <span class={`avatar hue-${hue(id)}`} aria-hidden="true">{[...value.name][0]?.toUpperCase() ?? "?"}</span>
        <div class="grow">
          <h3><bdi>{value.name}</bdi></h3>
          <p class="quiet"><bdi>{id}</bdi> · {value.role}</p>
        </div>
        <Status value={_meta.silent && value.status !== "done" ? "silent" : value.status} />
      </div>
      {value.waiting_on !== null && (
        <p class="waiting">
          waits on <code>{value.waiting_on}</code>
          {wait && <span class="quiet">{" "}for <Ago at={wait.since} /></span>}
        </p>
      )}
      <dl class="facts">
        <dt>Last heard of</dt>
        <dd><Ago at={value.last_heartbeat} /></dd>
        <dt>Actor</dt>
        <dd><code class="did">{value.actor}</code></dd>
        {value.substrate !== undefined && <><dt>Runs on</dt><dd><Tree value={value.substrate} open={0} /></dd></>}
        {value.meta !== undefined && value.meta !== null && <><dt>About</dt><dd><Tree value={value.meta} open={0} /></dd></>}
      </dl>
      {onViewAs && (
        <p class="row">
          <button type="button" class="small" onClick={() => onViewAs(id)} aria-label={`View as ${id}`}>View as this agent</button>
        </p>
      )}
    </li>
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

