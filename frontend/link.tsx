/** How the page is connected: a word in the header, and a banner where something has to be done. */
import { useSignal } from "@preact/signals";
import { useRoom } from "./room.ts";
import type { Link } from "./store.ts";

const WORDS: Readonly<Record<Link, string>> = {
  connecting: "connecting",
  live: "live",
  polling: "live, once a second",
  offline: "offline",
  paused: "paused",
  expired: "signed out",
  denied: "no access",
  missing: "not found",
  ended: "ended",
};

/** A dot and a word; the record the page stands at. */
export function LinkState() {
  const { store } = useRoom();
  const link = store.link.value;
  return (
    <span class="link-state">
      <span class={`link-dot ${link}`} aria-hidden="true" />
      <span role="status">{WORDS[link]}</span>
      {store.seq.value > 0 && <span class="quiet num">#{store.seq.value}</span>}
    </span>
  );
}

/** What is wrong, in words, with the way out. */
export function LinkBanner({ signIn }: { readonly signIn: (token: string) => void }) {
  const { store, api } = useRoom();
  const link = store.link.value;
  if (link === "live" || link === "polling" || link === "connecting" || link === "paused") {
    return null;
  }
  return (
    <div class={`banner ${link}`} role="alert">
      <p>{sentence(link, store.seq.value, api.token !== undefined)}</p>
      {store.linkNote.value !== "" && link !== "offline" && api.token !== undefined && (
        <p class="quiet">{store.linkNote.value}</p>
      )}
      {(link === "expired" || link === "denied" || link === "missing") && <WayIn signIn={signIn} />}
    </div>
  );
}

/** The state of the connection as a sentence. Pure. */
export function sentence(link: Link, seq: number, hadToken: boolean): string {
  switch (link) {
    case "offline":
      return seq === 0
        ? "The service cannot be reached. Trying again."
        : `Offline: what you see is the room as of record ${seq}. Trying again; nothing gets lost.`;
    case "expired":
      return hadToken
        ? "Your token has expired or was revoked."
        : "This room opens with a token, or for people who belong to it.";
    case "denied":
      return "Your token does not reach that far.";
    case "missing":
      return "There is no such room, or you have no part in it.";
    case "ended":
      return "This room was deleted. What you see is how it stood at the end.";
    default:
      return "";
  }
}

/** Signing in comes back to this very place; a token can be pasted. */
function WayIn({ signIn }: { readonly signIn: (token: string) => void }) {
  const token = useSignal("");
  const next = location.pathname + location.search;
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    if (token.value.trim() !== "") signIn(token.value.trim());
  };
  return (
    <form class="way-in" onSubmit={onSubmit}>
      <a class="button" href={`/auth/signin?next=${encodeURIComponent(next)}`}>Sign in</a>
      <label class="grow">
        <span class="label">or paste a token</span>
        <input
          type="password"
          autocomplete="off"
          placeholder="room_… view_… as_… tok_…"
          value={token.value}
          onInput={(event) => (token.value = event.currentTarget.value)}
        />
      </label>
      <button type="submit">Open</button>
    </form>
  );
}
