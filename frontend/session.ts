/** Which room this page shows and with which token: kept for this tab only, never in the address bar. */

const memory = new Map<string, string>();

/** Reads a value kept for this tab. */
export function recall(name: string): string | undefined {
  try {
    return sessionStorage.getItem(name) ?? undefined;
  } catch {
    // A browser that forbids storage still gets a page that works until it is closed.
    return memory.get(name);
  }
}

/** Keeps a value for this tab; undefined forgets it. */
export function keep(name: string, value: string | undefined): void {
  try {
    if (value === undefined) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, value);
  } catch {
    if (value === undefined) memory.delete(name);
    else memory.set(name, value);
  }
}

/** What the address says. */
export interface Place {
  readonly room: string;
  readonly tab: string | undefined;
  readonly agent: string | undefined;
}

/** Takes the room from the address, and the token out of it at once. */
export function arrive(): Place {
  const url = new URL(location.href);
  const room = url.searchParams.get("room") ?? "";
  const hash = new URLSearchParams(url.hash.slice(1));
  const token = hash.get("token");
  const view = hash.get("view");
  if (token !== null || view !== null) {
    if (token) keep(`token:${room}`, token);
    if (view) keep(`view:${room}`, view);
    url.hash = "";
    history.replaceState(null, "", url.pathname + url.search);
  }
  return {
    room,
    tab: url.searchParams.get("tab") ?? undefined,
    agent: url.searchParams.get("as") ?? undefined,
  };
}

/**
 * Notes in the address where in the room one is, so that a reload or a sign-in comes back here.
 * `isStep` leaves a way back to where one was.
 */
export function notePlace(name: "tab" | "as", value: string | undefined, isStep = false): void {
  const url = new URL(location.href);
  if (value === undefined) url.searchParams.delete(name);
  else url.searchParams.set(name, value);
  const path = url.pathname + url.search;
  if (path === location.pathname + location.search) return;
  if (isStep) history.pushState(null, "", path);
  else history.replaceState(null, "", path);
}

/** The panel that the address names. */
export function placedTab(): string | undefined {
  return new URL(location.href).searchParams.get("tab") ?? undefined;
}
