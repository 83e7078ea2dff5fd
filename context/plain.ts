/** v6's form: entries are their values, views `{value}`, agents and actions their value objects. */
import type { Json, JsonObject } from "../types.ts";
import type { ContextQuery } from "./query.ts";

/** A section whose members have ids. */
export type Listing = "views" | "agents" | "actions";

/** A context in the shape that was asked for. */
export function inShape(body: JsonObject, shape: ContextQuery["shape"]): JsonObject {
  return shape === "plain" ? plainShape(body) : body;
}

/** The characters of a member in a shape, with what `_shaping` says of it. */
export function memberSize(
  section: Listing,
  id: string,
  shown: JsonObject,
  shape: ContextQuery["shape"],
): number {
  if (shape === "wrapped") return textSize(shown);
  if (section !== "views") return textSize(shown["value"]!);
  const error = errorOf(shown);
  return textSize(plainView(shown)) +
    (error === undefined ? 0 : textSize(id) + textSize(error) + 2);
}

/** The characters of an entry in a shape, with what `_shaping` says of it. */
export function entrySize(
  scope: string,
  key: string,
  shown: JsonObject,
  shape: ContextQuery["shape"],
): number {
  if (shape === "wrapped") return textSize(shown);
  return textSize(shown["value"]!) + (isElided(shown) ? textSize(`${scope}.${key}`) + 1 : 0);
}

function textSize(json: Json): number {
  return JSON.stringify(json).length;
}

function isElided(entry: JsonObject): boolean {
  return (entry["_meta"] as JsonObject | undefined)?.["elided"] === true;
}

function errorOf(view: JsonObject): Json | undefined {
  return (view["_meta"] as JsonObject)["error"];
}

function plainView(view: JsonObject): JsonObject {
  return { value: view["value"]!, ...(view["system"] ? { system: true } : {}) };
}

function plainShape(body: JsonObject): JsonObject {
  const elided: string[] = [];
  const failed: JsonObject = {};
  const state: JsonObject = {};
  const scopes = (body["state"] ?? {}) as Record<string, Record<string, JsonObject>>;
  for (const [scope, entries] of Object.entries(scopes)) {
    const shown: JsonObject = {};
    for (const [key, entry] of Object.entries(entries)) {
      if (isElided(entry)) elided.push(`${scope}.${key}`);
      shown[key] = entry["value"]!;
    }
    state[scope] = shown;
  }
  const views: JsonObject = {};
  for (const [id, view] of Object.entries((body["views"] ?? {}) as Record<string, JsonObject>)) {
    const error = errorOf(view);
    if (error !== undefined) failed[id] = error;
    views[id] = plainView(view);
  }
  const values = (section: "agents" | "actions"): JsonObject =>
    Object.fromEntries(
      Object.entries((body[section] ?? {}) as Record<string, JsonObject>).map((
        [id, item],
      ) => [id, item["value"]!]),
    );
  const shaping = { ...body["_shaping"] as JsonObject, shape: "plain", elided, failed };
  return {
    ...body,
    ...(body["state"] === undefined ? {} : { state }),
    ...(body["views"] === undefined ? {} : { views }),
    ...(body["agents"] === undefined ? {} : { agents: values("agents") }),
    ...(body["actions"] === undefined ? {} : { actions: values("actions") }),
    _shaping: shaping,
  };
}
