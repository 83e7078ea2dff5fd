/** The dashboard's empty frame, and pages that say what went wrong. */
import { Frame, respondPage, type Visitor } from "./layout.tsx";

/** `/?room=ID`: the frame that the browser's code fills. */
export function dashboardPage(room: string, visitor: Visitor, script: string): Response {
  return respondPage({
    title: `${room} · sync`,
    visitor,
    style: "dashboard.css",
    scripts: [script],
    children: (
      <>
        <div id="app">
          <p class="loading">Opening the room…</p>
        </div>
        <noscript>
          <p class="loading">
            The dashboard needs JavaScript. Everything it shows can be read as JSON: GET
            /rooms/{room}/poll.
          </p>
        </noscript>
      </>
    ),
  });
}

/** A page that says one thing. */
export function noticePage(
  visitor: Visitor,
  status: number,
  title: string,
  words: readonly string[],
): Response {
  return respondPage({
    title: `${title} · sync`,
    visitor,
    children: (
      <Frame visitor={visitor}>
        <div class="notice">
          <h1>{title}</h1>
          {words.map((text) => <p key={text}>{text}</p>)}
          <p>
            <a href="/">To the start</a>, or <a href="/docs">to the documents</a>.
          </p>
        </div>
      </Frame>
    ),
  }, status);
}
