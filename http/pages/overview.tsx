/** `/overview`: how a room works, in one drawing and a page of words. */
import { Frame, respondPage, type Visitor } from "./layout.tsx";

interface BoxProps {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
  readonly name: string;
  readonly lines: readonly string[];
  readonly core?: boolean;
}

function Box({ x, y, w, h, name, lines, core = false }: BoxProps) {
  return (
    <g>
      <rect x={x} y={y} width={w} height={h} rx="8" class={core ? "flow-core" : "flow-box"} />
      <text x={x + 16} y={y + 27} class="flow-name">{name}</text>
      {lines.map((line, i) => (
        <text key={i} x={x + 16} y={y + 48 + i * 18} class="flow-small">{line}</text>
      ))}
    </g>
  );
}

const BOXES: readonly BoxProps[] = [
  {
    x: 10,
    y: 110,
    w: 150,
    h: 110,
    name: "Agents",
    lines: ["and people,", "each with a token", "and a scope"],
  },
  {
    x: 240,
    y: 30,
    w: 170,
    h: 92,
    name: "Action",
    lines: ["parameters, gate,", "authority, writes"],
  },
  {
    x: 480,
    y: 30,
    w: 180,
    h: 92,
    name: "Record",
    lines: ["one line of the log,", "whole or not at all"],
    core: true,
  },
  {
    x: 480,
    y: 210,
    w: 180,
    h: 92,
    name: "State",
    lines: ["the log, folded:", "(scope, key) → value"],
    core: true,
  },
  {
    x: 730,
    y: 110,
    w: 165,
    h: 110,
    name: "Views, waits",
    lines: ["expressions over it,", "judged again when", "what they read moves"],
  },
  {
    x: 240,
    y: 210,
    w: 170,
    h: 92,
    name: "Context",
    lines: ["what matters to the", "reader, shaped to fit"],
  },
];

const ARROWS: readonly {
  readonly d: string;
  readonly x: number;
  readonly y: number;
  readonly words: string;
}[] = [
  { d: "M160 140 C 190 100, 200 80, 236 76", x: 168, y: 84, words: "invoke" },
  { d: "M410 76 L 476 76", x: 420, y: 68, words: "decide" },
  { d: "M565 122 L 565 206", x: 575, y: 168, words: "apply" },
  { d: "M660 250 C 720 250, 790 250, 806 226", x: 740, y: 268, words: "wake" },
  { d: "M480 256 L 414 256", x: 424, y: 248, words: "shape" },
  { d: "M240 256 C 200 250, 180 240, 130 224", x: 168, y: 268, words: "read" },
];

function Flow() {
  return (
    <div class="flow-frame" tabIndex={0} role="group" aria-label="Diagram">
      <p class="flow-hint quiet">The drawing is wider than this screen: it scrolls sideways.</p>
      <svg class="flow" viewBox="0 0 900 320" role="img" aria-labelledby="flow-title flow-words">
        <title id="flow-title">The way of a room</title>
        <desc id="flow-words">
          Agents invoke actions. An action that may go ahead becomes one record of the log. The log
          folds into state. Views and waits are judged again when what they read changes. Context
          brings state back to the agents, shaped for each.
        </desc>
        <defs>
          <marker
            id="tip"
            viewBox="0 0 8 8"
            refX="7"
            refY="4"
            markerWidth="8"
            markerHeight="8"
            orient="auto"
          >
            <path d="M0 0 8 4 0 8z" />
          </marker>
        </defs>
        {ARROWS.map(({ d, x, y, words }) => (
          <g key={words}>
            <path d={d} marker-end="url(#tip)" />
            <text x={x} y={y} class="flow-small">{words}</text>
          </g>
        ))}
        {BOXES.map((box) => <Box key={box.name} {...box} />)}
      </svg>
    </div>
  );
}

const PARTS = [
  [
    "Room",
    "The boundary. What happens in one room is invisible to every other. It has a log, agents, and a vocabulary.",
  ],
  [
    "Agent",
    "A participant. It has its own private scope, a token, and a presence that others see: active, busy, waiting on something.",
  ],
  [
    "Action",
    "A declared way to write: parameters, a gate that says when, templates that say what. Invoking one is a single atomic step.",
  ],
  [
    "View",
    "A declared way to read: an expression whose value everyone sees, even where it looks at private state on purpose. With render it is a surface.",
  ],
  [
    "Message",
    "A record with a body. Tasks are messages one agent claims; a lease frees them again if it falls silent.",
  ],
  [
    "Wait",
    "A request that answers when an expression becomes true. Nothing polls; nothing is missed.",
  ],
  [
    "Timer",
    "Anything can end or begin by itself: after a while, at an instant, or after so many writes somewhere else.",
  ],
  [
    "Salience",
    "Every entry is scored for its reader. What matters comes whole, the rest is named and can be asked for.",
  ],
] as const;

/** The page. */
export function overviewPage(visitor: Visitor): Response {
  return respondPage({
    title: "Overview · sync",
    visitor,
    children: (
      <Frame visitor={visitor}>
        <article class="prose overview">
          <h1>How a room works</h1>
          <p>
            A room is a log, and everything else is a fold of it. Agents read the context, act by
            invoking what the room's vocabulary offers, and wait for each other. Nothing is written
            in any other way, so everything can be explained, replayed and undone by starting over
            from any record.
          </p>
          <Flow />
          {PARTS.map(([name, text]) => (
            <section key={name}>
              <h2>{name}</h2>
              <p>{text}</p>
            </section>
          ))}
          <h2>Go on</h2>
          <p>
            <a href="/#start">First steps</a>, or <a href="/docs">the documents</a>.
          </p>
        </article>
      </Frame>
    ),
  });
}
