/** A scope in words, and widened by a room. Pure. */
import type { TokenScope } from "../scopes.ts";
import { LEVEL, type Level } from "../types.ts";

/** Levels as people read them. */
export const LEVEL_WORDS: Readonly<Record<Level, string>> = {
  0: "nothing",
  1: "read",
  2: "read and write",
  3: "full access",
};

/** A scope with one room added at a level; its other words stay, a binding included. */
export function withRoom(scope: TokenScope, room: string, level: Level): TokenScope {
  const kept = scope.words.filter((word) =>
    word.room !== room || word.agent !== undefined || word.level > level
  );
  const has = kept.some((word) => word.room === room && word.agent === undefined);
  return { ...scope, words: has ? kept : [...kept, { room, level }] };
}

/** A scope in words, one line each. */
export function scopeInWords(scope: TokenScope): string[] {
  const lines = scope.words.map((word) => {
    if (word.agent !== undefined) return `Act as the agent ${word.agent} in the room ${word.room}`;
    const where = word.room === undefined
      ? "every room of yours, also later ones"
      : `the room ${word.room}`;
    if (word.level === LEVEL.read) return `Read ${where}`;
    return word.level === LEVEL.write ? `Read and write in ${where}` : `Full access to ${where}`;
  });
  if (scope.createRooms) lines.push("Create rooms");
  return lines.length === 0 ? ["Nothing: it reaches no room"] : lines;
}
