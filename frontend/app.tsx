/** The dashboard's start: finds the room and its token, connects, and draws. */
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { effect, signal } from "@preact/signals";
import { render } from "preact";
import { Api, mintFromSession } from "./api.ts";
import { setSkew, startClock } from "./clock.ts";
import { Live } from "./live.ts";
import { type PanelName, PANELS, RoomProvider } from "./room.ts";
import { arrive, keep, notePlace, placedTab, recall } from "./session.ts";
import { Shell } from "./shell.tsx";
import { RoomStore } from "./store.ts";

const place = arrive();
const api = new Api(place.room, recall(`token:${place.room}`), place.agent);
const store = new RoomStore();
let live = new Live(api, store);
const panel = signal<PanelName | undefined>(panelNamed(place.tab));
const opened = signal<string | undefined>(undefined);
const asked = signal<string | undefined>(undefined);
const room = { api, store, panel, opened, asked, refresh: () => live.refresh() };

/** Connects anew: with another token, or through another agent's eyes. */
async function connect(): Promise<void> {
  live.stop();
  live = new Live(api, store);
  store.link.value = "connecting";
  if (api.token === undefined && document.documentElement.dataset["session"] === "1") {
    api.token = await mintFromSession(api.room).catch(() => undefined);
    keep(`token:${api.room}`, api.token);
  }
  await live.start();
  setSkew(api.skew);
}

function viewAs(agent: string | undefined): void {
  api.agent = agent;
  notePlace("as", agent);
  draw();
  void connect();
}

function signIn(token: string): void {
  api.token = token;
  api.agent = undefined;
  keep(`token:${api.room}`, token);
  void connect();
}

let mintedAt = -Infinity;

/** A person's token lasts an hour: while the session does, another is made without a word. */
effect(() => {
  if (store.link.value !== "expired" || !api.token?.startsWith("tok_")) return;
  if (
    document.documentElement.dataset["session"] !== "1" || performance.now() - mintedAt < 60_000
  ) return;
  mintedAt = performance.now();
  api.token = undefined;
  void connect();
});

/** A room with surfaces opens on them, one without on its state; the address says where one is. */
effect(() => {
  if (panel.value === undefined && store.room.value) {
    const hasSurfaces = [...store.views.value.values()].some((view) => view.render) ||
      store.cells.has("_shared\u0000_dashboard");
    panel.value = hasSurfaces ? "Surfaces" : "State";
  }
  if (panel.value !== undefined) {
    notePlace("tab", panel.value.toLowerCase(), panelNamed(placedTab()) !== undefined);
  }
});

/** Back and forward go from panel to panel, through the eyes that look now. */
addEventListener("popstate", () => {
  notePlace("as", api.agent);
  opened.value = undefined;
  panel.value = panelNamed(placedTab()) ?? panel.value;
});

function panelNamed(tab: string | undefined): PanelName | undefined {
  return PANELS.find((name) => name.toLowerCase() === tab);
}

function draw(): void {
  const root = document.getElementById("app");
  if (!root) return;
  render(
    <RoomProvider value={room}>
      <Shell key={api.agent ?? ""} viewAs={viewAs} signIn={signIn} />
    </RoomProvider>,
    root,
  );
}

startClock();
document.getElementById("app")?.replaceChildren();
draw();
void connect();
if (recall(`demo:${api.room}`) !== undefined) {
  void import("./demo-play.ts").then(({ playHere }) => playHere(api.room, store));
}
