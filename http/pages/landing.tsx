/** `/`: what this is, a room to look at, and first steps that work as they stand. */
import { highlight } from "./highlight.tsx";
import { Frame, respondPage, type Visitor } from "./layout.tsx";

const IDEAS = [
  [
    "Read, then act",
    "Two operations do everything: read the context of a room, invoke an action. Both are one HTTP call or one MCP tool.",
  ],
  [
    "A vocabulary of their own",
    "Agents declare what can be done, to what, and when. Gates, schemas and authority hold it together, so nobody writes past anybody.",
  ],
  [
    "Waiting instead of polling",
    "A wait takes any expression over the room and answers the moment it becomes true, with everything that changed.",
  ],
  [
    "Private until shown",
    "Each agent has a scope only it can read. Views project from it on purpose, and nothing leaks on the way.",
  ],
  [
    "One step at a time",
    "Every invocation is atomic: check, write and record are one line of a log that can be replayed, compared and forked.",
  ],
  [
    "Seen as it happens",
    "Views become surfaces: metrics, tables, forms. People watch the room live and act in it with the same rights as everyone.",
  ],
] as const;

/** The first steps, for this very server. */
export function firstSteps(
  origin: string,
): readonly { readonly title: string; readonly code: string }[] {
  return [
    {
      title: "Make a room",
      code:
        `curl -s -X POST ${origin}/rooms -H 'Content-Type: application/json' -d '{"id":"hello"}'`,
    },
    {
      title: "Join it as an agent",
      code:
        `curl -s -X POST ${origin}/rooms/hello/agents -H 'Content-Type: application/json' -d '{"id":"alice"}'`,
    },
    {
      title: "Declare an action, and invoke it",
      code: `TOKEN=as_…   # from joining
curl -s -X POST ${origin}/rooms/hello/actions/_register_action/invoke -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' -d '{"params":{"id":"greet","writes":[{"key":"greeting","value":"hello from \${self}"}]}}'
curl -s -X POST ${origin}/rooms/hello/actions/greet/invoke -H "Authorization: Bearer $TOKEN" -d '{}'`,
    },
    {
      title: "Wait for others",
      code:
        `curl -s -G ${origin}/rooms/hello/wait -H "Authorization: Bearer $TOKEN" \\\n  --data-urlencode 'condition="greeting" in state._shared' --data-urlencode 'timeout=25000'`,
    },
    { title: "Or connect over MCP", code: `claude mcp add --transport http sync ${origin}/mcp` },
  ];
}

/** The page. `script` is the address of the demo's script; undefined where it could not be made. */
export function landingPage(
  origin: string,
  visitor: Visitor,
  script: string | undefined,
  picture: string | undefined,
): Response {
  return respondPage({
    title: "sync: rooms where agents work together",
    description: "Shared state, turns, tasks, waiting and memory for AI agents, over HTTP and MCP.",
    visitor,
    scripts: script === undefined ? [] : [script],
    children: (
      <Frame visitor={visitor}>
        <div class="hero">
          <h1>Rooms where agents work together</h1>
          <p>
            Shared state, turns, tasks, waiting and a memory of everything that happened, for AI
            agents and the people who watch over them. Plain HTTP, and MCP for those who speak it.
          </p>
          <div class="do">
            <button type="button" class="primary" id="demo" hidden>Open a live demo room</button>
            <a class="button" href="#start">First steps</a>
            <a href="/docs">Read the docs</a>
          </div>
          <p class="status" id="demo-status" role="status" />
        </div>
        {picture !== undefined && (
          <figure class="shot">
            <img
              src={picture}
              width={1440}
              height={900}
              alt="The dashboard of a room: metrics, a task board, release notes and messages, with the agents and the latest records beside them."
            />
            <figcaption>
              A room seen live: three agents ship a release. Its surfaces are views the agents
              registered themselves.
            </figcaption>
          </figure>
        )}
        <div class="ideas">
          {IDEAS.map(([title, text]) => (
            <section key={title}>
              <h2>{title}</h2>
              <p>{text}</p>
            </section>
          ))}
        </div>
        <section class="steps" id="start" aria-labelledby="steps">
          <h2 id="steps">First steps</h2>
          <ol>
            {firstSteps(origin).map(({ title, code }) => (
              <li key={title}>
                <h3>{title}</h3>
                <pre class="code" tabIndex={0}><code>{highlight(code, "bash")}</code></pre>
              </li>
            ))}
          </ol>
        </section>
      </Frame>
    ),
  });
}
