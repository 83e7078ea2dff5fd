/** Who acted when: a bar per stretch of records for how busy the room was, and a lane per agent. */
import { hue, plural } from "../format.ts";
import type { LogRecord } from "../model.ts";

const COLUMNS = 120;
const LANES = 8;
const BARS = 36;
const LANE = 12;
const WIDTH = 600;

/** What happened in one stretch of records. */
export interface Stretch {
  /** Records a second, while the stretch lasted. */
  readonly rate: number;
  readonly agents: ReadonlySet<string>;
}

/** The records in stretches of equal count, from record 1 to the head. Pure. */
export function stretches(records: readonly LogRecord[], head: number, columns: number): Stretch[] {
  const count = Math.min(columns, Math.max(1, head));
  const found = Array.from(
    { length: count },
    () => ({ from: Infinity, to: -Infinity, n: 0, agents: new Set<string>() }),
  );
  for (const record of records) {
    const stretch = found[Math.min(count - 1, Math.floor(((record.seq - 1) * count) / head))]!;
    const at = Date.parse(record.ts);
    stretch.from = Math.min(stretch.from, at);
    stretch.to = Math.max(stretch.to, at);
    stretch.n++;
    stretch.agents.add(record.agent);
  }
  return found.map((stretch, i) => {
    const before = found[i - 1]?.to;
    const from = before !== undefined && Number.isFinite(before) ? before : stretch.from;
    const seconds = Math.max(0.2, (stretch.to - from) / 1_000);
    return { rate: stretch.n === 0 ? 0 : stretch.n / seconds, agents: stretch.agents };
  });
}

/** The drawing; a click goes to the record. */
export function Activity({ records, head, at, onPick }: {
  readonly records: readonly LogRecord[];
  readonly head: number;
  readonly at: number;
  readonly onPick: (seq: number) => void;
}) {
  const columns = stretches(records, head, COLUMNS);
  const everybody = busiestAgents(records);
  const agents = everybody.slice(0, LANES);
  const height = BARS + agents.length * LANE;
  const needle = ((at - 0.5) / head) * WIDTH;
  const pick = (event: MouseEvent): void => {
    const box = (event.currentTarget as SVGElement).getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    onPick(Math.max(1, Math.min(head, Math.ceil(share * head))));
  };
  return (
    <div class="activity">
      <svg
        viewBox={`0 0 ${WIDTH} ${height}`}
        preserveAspectRatio="none"
        style={{ height: `${height}px` }}
        role="img"
        aria-label={`${plural(head, "record")} by ${plural(everybody.length, "agent")}`}
        onClick={pick}
      >
        <Rates columns={columns} />
        {agents.map((agent, lane) => (
          <Lane key={agent} columns={columns} agent={agent} lane={lane} />
        ))}
        <line class="needle" x1={needle} x2={needle} y1={0} y2={height} />
      </svg>
      <ul class="legend">
        {agents.map((agent) => (
          <li key={agent}>
            <span class={`dot hue-${hue(agent)}`} aria-hidden="true" /> <bdi>{agent}</bdi>
          </li>
        ))}
        {everybody.length > LANES && (
          <li>and {plural(everybody.length - LANES, "quieter agent")}</li>
        )}
      </ul>
    </div>
  );
}

/** A bar per stretch: how busy the room was. */
function Rates({ columns }: { readonly columns: readonly Stretch[] }) {
  const busiest = Math.max(...columns.map(({ rate }) => Math.log1p(rate)), 0.1);
  const step = WIDTH / columns.length;
  return (
    <>
      {columns.map(({ rate }, i) => {
        const bar = (Math.log1p(rate) / busiest) * (BARS - 4);
        return (
          <rect
            key={i}
            class="bar"
            x={(i + 0.1) * step}
            y={BARS - bar}
            width={step * 0.8}
            height={bar}
          />
        );
      })}
    </>
  );
}

/** Where an agent acted. */
function Lane({ columns, agent, lane }: {
  readonly columns: readonly Stretch[];
  readonly agent: string;
  readonly lane: number;
}) {
  const step = WIDTH / columns.length;
  const [y, width] = [BARS + lane * LANE + 3, Math.max(1.5, step - 0.5)];
  return (
    <>
      {columns.map((column, i) =>
        column.agents.has(agent) && (
          <rect
            key={i}
            class={`lane hue-${hue(agent)}`}
            x={i * step}
            y={y}
            width={width}
            height={LANE - 5}
          />
        )
      )}
    </>
  );
}

function busiestAgents(records: readonly LogRecord[]): string[] {
  const counts = new Map<string, number>();
  for (const { agent } of records) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([agent]) => agent);
}
