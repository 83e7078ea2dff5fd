/** Beside the panel, where there is room: who is here, and what happened last. */
import { Status } from "./panels/agents.tsx";
import { Ago, More, Who } from "./parts.tsx";
import { useRoom } from "./room.ts";

const RECORDS = 14;
const AGENTS = 12;

/** The strip. */
export function Side() {
  const { store, panel } = useRoom();
  if (!store.room.value) return null;
  const agents = [...store.agents.value];
  return (
    <aside class="side" aria-label="At a glance">
      <h2>Here now</h2>
      {agents.length === 0 && <p class="quiet">nobody yet</p>}
      <ul class="plain">
        {agents.slice(0, AGENTS).map(([id, { value, _meta }]) => (
          <li key={id} class="side-agent">
            <Who id={id} />
            <Status value={_meta.silent && value.status !== "done" ? "silent" : value.status} />
            {value.waiting_on !== null && (
              <code class="ellipsis" title={value.waiting_on}>{value.waiting_on}</code>
            )}
          </li>
        ))}
      </ul>
      <More
        rest={agents.length - AGENTS}
        one="more agent"
        onMore={() => (panel.value = "Agents")}
      />
      <h2>Latest</h2>
      <ol class="plain">
        {store.records.value.slice(-RECORDS).reverse().map((record) => (
          <li key={record.seq} class="side-record">
            <Who id={record.agent} />
            <span class="ellipsis">{record.action ?? record.kind}</span>
            <span class="quiet num">
              <Ago at={record.ts} />
            </span>
          </li>
        ))}
      </ol>
    </aside>
  );
}
