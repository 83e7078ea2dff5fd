/**
 * Token scopes: parse, reach, narrow. Pure; the one place that knows the grammar.
 *
 *   rooms:* | rooms:*:read | rooms:*:write | rooms:R | rooms:R:read | rooms:R:write
 *   | rooms:R:agent:A | create_rooms
 */
import { SyncError } from "./errors.ts";
import { LEVEL, type Level } from "./types.ts";

/** One word of a token scope. */
export interface ScopeWord {
  /** The room's id; undefined stands for every room. */
  readonly room?: string;
  readonly level: Level;
  readonly agent?: string;
}

/** A token scope, parsed. */
export interface TokenScope {
  readonly words: readonly ScopeWord[];
  readonly createRooms: boolean;
}

const ROOM_ID = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}";
const AGENT_ID = "[A-Za-z0-9][A-Za-z0-9_:@-]{0,127}";
const WORD = new RegExp(`^rooms:(\\*|${ROOM_ID})(?::(read|write)|:agent:(${AGENT_ID}))?$`);

/** Parses a scope text; unknown words are `400 invalid_scope`. */
export function parseScope(text: string): TokenScope {
  const words: ScopeWord[] = [];
  let createRooms = false;
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    if (word === "create_rooms") {
      createRooms = true;
      continue;
    }
    words.push(parseWord(word));
  }
  for (const word of words) {
    if (word.agent === undefined) continue;
    const others = words.filter((other) => other.room === word.room && other.agent !== undefined);
    if (others.some((other) => other.agent !== word.agent)) {
      throw badWord(`rooms:${word.room}:agent:${word.agent}`, "a token binds one agent per room");
    }
  }
  return { words, createRooms };
}

function parseWord(word: string): ScopeWord {
  const match = WORD.exec(word);
  if (!match || (match[1] === "*" && match[3] !== undefined)) {
    throw badWord(word, "it is no word of the scope grammar");
  }
  const level = match[3] !== undefined || match[2] === "write"
    ? LEVEL.write
    : match[2] === "read"
    ? LEVEL.read
    : LEVEL.admin;
  return {
    level,
    ...(match[1] === "*" ? {} : { room: match[1]! }),
    ...(match[3] === undefined ? {} : { agent: match[3] }),
  };
}

function badWord(word: string, why: string): SyncError {
  return new SyncError("invalid_scope", `The scope "${word}" is not valid: ${why}.`, {
    scope: word,
    hint: "Words: rooms:*, rooms:*:read, rooms:*:write, rooms:R, rooms:R:read, rooms:R:write, " +
      "rooms:R:agent:A, create_rooms; separate them with spaces.",
    example: "rooms:my-room:write create_rooms",
  });
}

/** The text form of a scope, words in a fixed order. */
export function formatScope(scope: TokenScope): string {
  const words = scope.words.map((word) => {
    const room = `rooms:${word.room ?? "*"}`;
    if (word.agent !== undefined) return `${room}:agent:${word.agent}`;
    return word.level === LEVEL.admin
      ? room
      : `${room}:${word.level === LEVEL.write ? "write" : "read"}`;
  });
  if (scope.createRooms) words.push("create_rooms");
  return [...new Set(words)].join(" ");
}

/** How far a scope reaches into one room, and the agent it is bound to there. */
export interface Reach {
  readonly level: Level;
  readonly agent?: string;
}

/** The reach of a scope into a room: words about the room itself go before wildcards when they reach further. */
export function reachInto(scope: TokenScope, room: string): Reach {
  let free: Level = LEVEL.none;
  let bound: ScopeWord | undefined;
  for (const word of scope.words) {
    if (word.room !== undefined && word.room !== room) continue;
    if (word.agent !== undefined) bound = word;
    else if (word.level > free) free = word.level;
  }
  if (bound && free < LEVEL.write) return { level: LEVEL.write, agent: bound.agent! };
  if (bound) return { level: free, agent: bound.agent! };
  return { level: free };
}

/** The smaller of two reaches; a binding of either stays. Two different bindings leave reading only. */
export function minReach(a: Reach, b: Reach): Reach {
  const level = Math.min(a.level, b.level) as Level;
  if (a.agent !== undefined && b.agent !== undefined && a.agent !== b.agent) {
    return { level: Math.min(level, LEVEL.read) as Level };
  }
  const agent = a.agent ?? b.agent;
  return agent === undefined ? { level } : { level, agent };
}

/** Does `wider` grant everything that `narrower` does? */
export function covers(wider: TokenScope, narrower: TokenScope): boolean {
  if (narrower.createRooms && !wider.createRooms) return false;
  return narrower.words.every((word) => {
    if (word.room === undefined) {
      return wider.words.some((w) => w.room === undefined && w.level >= word.level);
    }
    const reach = reachInto(wider, word.room);
    if (reach.agent !== undefined && word.level >= LEVEL.write) {
      return word.agent === reach.agent && reach.level >= word.level;
    }
    return reach.level >= word.level;
  });
}
