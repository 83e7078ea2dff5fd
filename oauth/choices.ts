/**
 * The choices of the consent page: what is preselected, and what the ticked form grants. Exactly
 * that: nothing is widened on the way. Pure.
 */
import { invalid } from "../errors.ts";
import { formatScope, parseScope, type ScopeWord, type TokenScope } from "../scopes.ts";
import type { MemberRoom } from "../store/security.ts";
import { LEVEL, type Level } from "../types.ts";
import { mustHaveAccess, ROLE_REACH } from "../tokens/rights.ts";

/** What a level select offers. */
export type Choice = "" | "read" | "write" | "full" | "agent";

const CHOICE_LEVEL: Readonly<Record<Exclude<Choice, "agent">, Level>> = {
  "": 0,
  read: 1,
  write: 2,
  full: 3,
};
const LEVEL_CHOICE: Readonly<Record<Level, Exclude<Choice, "agent">>> = {
  0: "",
  1: "read",
  2: "write",
  3: "full",
};

/** A room's row on the page. */
export interface RoomChoice {
  readonly room: MemberRoom;
  readonly offered: readonly Choice[];
  readonly preset: Choice;
  /** The agent asked for. */
  readonly agent: string;
}

/** What the whole page offers. */
export interface Choices {
  readonly everyRoom: Choice;
  readonly createRooms: boolean;
  readonly rooms: readonly RoomChoice[];
  /** Rooms the user has, shown or not. */
  readonly total: number;
  /** Rooms asked for in which the user has no role. */
  readonly missing: readonly string[];
}

/** Rooms one page shows; those asked for come first. */
export const ROOMS_SHOWN_MAX = 200;

/**
 * What the page preselects: what was asked for by name and is within the user's role, never
 * more; nothing when the client asked for nothing in particular.
 */
export function offer(
  asked: TokenScope,
  isExplicit: boolean,
  rooms: readonly MemberRoom[],
): Choices {
  const words = isExplicit ? asked.words : [];
  const named = new Set(words.flatMap((word) => word.room ?? []));
  const wild = words.filter((word) => word.room === undefined).map((word) => word.level);
  const ordered = [...rooms].sort((a, b) => Number(named.has(b.id)) - Number(named.has(a.id)));
  return {
    everyRoom: LEVEL_CHOICE[Math.max(LEVEL.none, ...wild) as Level],
    createRooms: isExplicit && asked.createRooms,
    rooms: ordered.slice(0, ROOMS_SHOWN_MAX).map((room) => roomChoice(room, words)),
    total: rooms.length,
    missing: [...named].filter((id) => !rooms.some((room) => room.id === id)),
  };
}

function roomChoice(room: MemberRoom, words: readonly ScopeWord[]): RoomChoice {
  const reach = ROLE_REACH[room.role];
  const mine = words.filter((word) => word.room === room.id);
  const bound = mine.find((word) => word.agent !== undefined);
  const free = Math.max(
    LEVEL.none,
    ...mine.filter((word) => word.agent === undefined).map((word) => word.level),
  );
  const preset = bound && reach >= LEVEL.write
    ? "agent"
    : LEVEL_CHOICE[Math.min(free, reach) as Level];
  return { room, offered: offeredIn(room), preset, agent: bound?.agent ?? "" };
}

/** The levels a room's row offers: up to the user's role. */
export function offeredIn(room: MemberRoom): Choice[] {
  const reach = ROLE_REACH[room.role];
  const offered: Choice[] = ["", "read"];
  if (reach >= LEVEL.write) offered.push("write", "agent");
  if (reach >= LEVEL.admin) offered.push("full");
  return offered;
}

/**
 * The scope a form grants: `all`, `create_rooms`, and per room `level:<id>` with `agent:<id>`.
 * Throws `invalid_argument`, `scope_exceeds_access`.
 */
export function chosenScope(
  form: ReadonlyMap<string, string>,
  user: string,
  rooms: readonly MemberRoom[],
): string {
  const words: ScopeWord[] = [];
  const everyRoom = choiceOf(form.get("all"), "all", false);
  if (everyRoom !== "" && everyRoom !== "agent") words.push({ level: CHOICE_LEVEL[everyRoom] });
  for (const [name, value] of form) {
    if (!name.startsWith("level:")) continue;
    const room = name.slice("level:".length);
    const choice = choiceOf(value, name, true);
    if (choice === "") continue;
    if (choice === "agent") words.push({ room, level: LEVEL.write, agent: boundAgent(form, room) });
    else words.push({ room, level: CHOICE_LEVEL[choice] });
  }
  // Formatted and parsed again, so that the grammar's own rules hold for what was typed.
  const text = formatScope({ words, createRooms: form.get("create_rooms") === "on" });
  mustHaveAccess(parseScope(text), user, rooms);
  return text;
}

function boundAgent(form: ReadonlyMap<string, string>, room: string): string {
  const agent = form.get(`agent:${room}`)?.trim() ?? "";
  if (agent !== "") return agent;
  throw invalid(
    `agent:${room}`,
    `the agent in the room "${room}" is wanted, or another level`,
    "alice",
  );
}

function choiceOf(value: string | undefined, name: string, canBind: boolean): Choice {
  const text = value ?? "";
  if (text === "" || text === "read" || text === "write" || text === "full") return text;
  if (text === "agent" && canBind) return text;
  throw invalid(name.slice(0, 100), "one of read, write, full is wanted, or nothing", "read");
}

/** The level an elevation's form grants. Throws `invalid_argument`. */
export function chosenLevel(form: ReadonlyMap<string, string>): Level {
  const choice = choiceOf(form.get("level"), "level", false);
  if (choice === "" || choice === "agent") {
    throw invalid("level", "one of read, write, full is wanted", "write");
  }
  return CHOICE_LEVEL[choice];
}

/** A level as the forms name it. */
export function choiceFor(level: Level): Exclude<Choice, "agent"> {
  return LEVEL_CHOICE[level];
}
