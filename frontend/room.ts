/** What every panel gets: the calls, the store, and the few things one can do to the page. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { Signal } from "@preact/signals";
import type { Api } from "./api.ts";
import type { RoomStore } from "./store.ts";

/** The panels, in order. */
export const PANELS = [
  "Surfaces",
  "State",
  "Agents",
  "Messages",
  "Actions",
  "Views",
  "Log",
  "Console",
  "Timeline",
] as const;
/** The name of a panel. */
export type PanelName = typeof PANELS[number];

/** The page's room. */
export interface RoomContext {
  readonly api: Api;
  readonly store: RoomStore;
  /** The panel that is shown. */
  readonly panel: Signal<PanelName | undefined>;
  /** The state entry whose details are open, as the store's cell id. */
  readonly opened: Signal<string | undefined>;
  /** An expression on its way to the console. */
  readonly asked: Signal<string | undefined>;
  /** Asks for what changed. */
  refresh(): void;
}

const Room = createContext<RoomContext | undefined>(undefined);
/** Hands the room to the panels. */
export const RoomProvider = Room.Provider;

/** The room of this page. */
export function useRoom(): RoomContext {
  const room = useContext(Room);
  if (!room) throw new Error("there is no room around this component");
  return room;
}

/** May this reader write? Judged by what is listed as available, and by the token's kind. */
export function canWrite({ api, store }: Pick<RoomContext, "api" | "store">): boolean {
  if (api.token === undefined || api.token.startsWith("view_")) return false;
  return store.self.value !== "" && store.room.value?.role !== "observer";
}

/** Is the reader an admin, that is, may it look through others' eyes? */
export function isAdmin({ api, store }: Pick<RoomContext, "api" | "store">): boolean {
  return api.agent !== undefined || store.self.value === "admin";
}
