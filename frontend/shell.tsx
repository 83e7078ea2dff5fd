/** The frame of the dashboard: header, tabs, what is wrong if something is, and the panel. */
import type { ComponentChildren } from "preact";
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Icon, type IconName } from "./icons.tsx";
import { ActionsPanel } from "./panels/actions.tsx";
import { AgentsPanel } from "./panels/agents.tsx";
import { ConsolePanel } from "./panels/console.tsx";
import { EntryDialog } from "./panels/entry.tsx";
import { LogPanel } from "./panels/log.tsx";
import { MessagesPanel } from "./panels/messages.tsx";
import { StatePanel } from "./panels/state.tsx";
import { TimelinePanel } from "./panels/timeline.tsx";
import { ViewsPanel } from "./panels/views.tsx";
import { IconButton } from "./parts.tsx";
import { isAdmin, type PanelName, PANELS, useRoom } from "./room.ts";
import { ShareDialog } from "./share.tsx";
import { Side } from "./side.tsx";
import { LinkBanner, LinkState } from "./link.tsx";
import { SurfacesPanel } from "./surfaces/panel.tsx";
import { ThemeSelect } from "./theme.tsx";

/** What the page can do beyond its room. */
export interface ShellActions {
  readonly viewAs: (agent: string | undefined) => void;
  readonly signIn: (token: string) => void;
  readonly note?: ComponentChildren;
}

/** The dashboard. */
export function Shell({ viewAs, signIn, note }: ShellActions) {
  const { panel, store } = useRoom();
  const current = store.room.value ? panel.value : undefined;
  return (
    <div class={store.room.value ? "shell" : "shell closed"}>
      {current !== undefined && <a class="skip" href="#panel">Skip to the panel</a>}
      <Header viewAs={viewAs} />
      {store.room.value && <Tabs />}
      <main>
        <LinkBanner signIn={signIn} />
        {note}
        {current !== undefined && (
          <section
            id="panel"
            class={`panel ${current.toLowerCase()}`}
            role="tabpanel"
            aria-labelledby={`tab-${current}`}
            tabIndex={-1}
          >
            <Panel name={current} viewAs={viewAs} />
          </section>
        )}
      </main>
      <Side />
      <EntryDialog />
    </div>
  );
}

function Panel(
  { name, viewAs }: { readonly name: PanelName; readonly viewAs: (agent: string) => void },
) {
  switch (name) {
    case "Surfaces":
      return <SurfacesPanel />;
    case "State":
      return <StatePanel />;
    case "Agents":
      return <AgentsPanel onViewAs={viewAs} />;
    case "Messages":
      return <MessagesPanel />;
    case "Actions":
      return <ActionsPanel />;
    case "Views":
      return <ViewsPanel />;
    case "Log":
      return <LogPanel />;
    case "Console":
      return <ConsolePanel />;
    case "Timeline":
      return <TimelinePanel />;
  }
}

function Header({ viewAs }: { readonly viewAs: (agent: string | undefined) => void }) {
  const room = useRoom();
  const { api, store } = room;
  const isSharing = useSignal(false);
  const info = store.room.value;
  return (
    <header class="top">
      <a class="brand" href="/">sync</a>
      <h1>
        <bdi>{api.room}</bdi>
        {info?.label && (
          <span class="quiet">
            {" "}
            <bdi>{info.label}</bdi>
          </span>
        )}
      </h1>
      <LinkState />
      <span class="grow" />
      {info && <Viewer />}
      {info && isAdmin(room) && (
        <label class="view-as">
          <span class="label">View as</span>
          <select
            value={api.agent ?? ""}
            onChange={(event) =>
              viewAs(event.currentTarget.value === "" ? undefined : event.currentTarget.value)}
          >
            <option value="">admin</option>
            {[...store.agents.value.keys()].map((id) => <option key={id} value={id}>{id}</option>)}
          </select>
        </label>
      )}
      <ThemeSelect />
      {info && (
        <span class="share">
          <IconButton
            icon="share"
            label="Share"
            showLabel
            onClick={() => (isSharing.value = true)}
          />
        </span>
      )}
      {isSharing.value && <ShareDialog onClose={() => (isSharing.value = false)} />}
    </header>
  );
}

/** Through whose eyes the page looks: those whose reading is shown, not those asked for. */
function Viewer() {
  const { api, store } = useRoom();
  const self = store.self.value;
  if (self === "admin") return null;
  if (self === "") return <span class="viewer">reading only</span>;
  return (
    <span class="viewer">
      {api.agent === undefined ? "as" : "through the eyes of"} <bdi>{self}</bdi>
    </span>
  );
}

const ICONS: Readonly<Record<PanelName, IconName>> = {
  Surfaces: "surfaces",
  State: "state",
  Agents: "agents",
  Messages: "messages",
  Actions: "actions",
  Views: "views",
  Log: "log",
  Console: "console",
  Timeline: "timeline",
};

function Tabs() {
  const { panel } = useRoom();
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // On a small screen the tabs scroll: the one that is shown is in sight.
    const tab = list.current?.querySelector('[aria-selected="true"]');
    tab?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [panel.value]);
  const onKeyDown = (event: KeyboardEvent): void => {
    const at = PANELS.indexOf(panel.value ?? "State");
    const to = tabFor(event.key, at);
    if (to === undefined) return;
    event.preventDefault();
    panel.value = PANELS[to];
    list.current?.querySelector<HTMLElement>(`#tab-${PANELS[to]}`)?.focus();
  };
  return (
    <nav aria-label="Panels">
      <div class="tabs" role="tablist" ref={list} onKeyDown={onKeyDown}>
        {PANELS.map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={panel.value === name}
            aria-controls={panel.value === name ? "panel" : undefined}
            tabIndex={panel.value === name || (panel.value === undefined && name === "State")
              ? 0
              : -1}
            onClick={() => (panel.value = name)}
          >
            <Icon name={ICONS[name]} />
            <span>{name}</span>
            <Count name={name} />
          </button>
        ))}
      </div>
    </nav>
  );
}

function tabFor(key: string, at: number): number | undefined {
  if (key === "ArrowRight" || key === "ArrowDown") return (at + 1) % PANELS.length;
  if (key === "ArrowLeft" || key === "ArrowUp") return (at + PANELS.length - 1) % PANELS.length;
  if (key === "Home") return 0;
  return key === "End" ? PANELS.length - 1 : undefined;
}

/** How much there is behind a tab; for the eye only. */
function Count({ name }: { readonly name: PanelName }) {
  const { store } = useRoom();
  const count = ((): number | undefined => {
    switch (name) {
      case "Surfaces":
        return [...store.views.value.values()].filter((view) => view.render).length;
      case "State":
        void store.stateVersion.value;
        return store.cells.size;
      case "Agents":
        return store.agents.value.size;
      case "Messages":
        return store.counters.value?.count;
      case "Actions":
        return [...store.actions.value.values()].filter((action) => !action.value.builtin).length;
      case "Views":
        return store.views.value.size;
      case "Log":
        return store.seq.value;
      default:
        return undefined;
    }
  })();
  return count === undefined || count === 0
    ? null
    : <span class="tab-count" aria-hidden="true">{count > 9_999 ? "9999+" : count}</span>;
}
