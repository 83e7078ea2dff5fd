/**
 * JSON text of replies. What goes to many readers alike (the context of a wake-up) is turned
 * into text once, and the replies are put together from it.
 */
import type { Json, JsonObject } from "../types.ts";

/** Shared objects and their text; "" until it is asked for. */
const texts = new WeakMap<JsonObject, string>();

/** Marks an object that stands in several replies. It must not change any more. */
export function share(json: JsonObject): void {
  if (!texts.has(json)) texts.set(json, "");
}

function sharedText(json: JsonObject): string {
  let text = texts.get(json)!;
  if (text === "") {
    text = JSON.stringify(json);
    texts.set(json, text);
  }
  return text;
}

function isShared(json: Json | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && texts.has(json as JsonObject);
}

/** A reply's body as JSON text; members that are shared are not turned into text again. */
export function replyText(body: Json): string {
  if (body === null || typeof body !== "object" || Array.isArray(body)) return JSON.stringify(body);
  if (!Object.values(body).some(isShared)) return JSON.stringify(body);
  const members: string[] = [];
  for (const [name, value] of Object.entries(body)) {
    const text = isShared(value) ? sharedText(value) : JSON.stringify(value);
    if (text !== undefined) members.push(`${JSON.stringify(name)}:${text}`);
  }
  return `{${members.join(",")}}`;
}
