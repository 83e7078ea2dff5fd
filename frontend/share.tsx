/** A link for others that reads and does nothing else. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Dialog } from "./dialog.tsx";
import { CopyButton, Refusal } from "./parts.tsx";
import { isAdmin, type RoomContext, useRoom } from "./room.ts";
import { keep, recall } from "./session.ts";

/** A year, in seconds: how long a link lasts that a person's token made. */
const LINK_LIFE_S = 31_536_000;

/** Shows the link, making it first where that costs nobody anything. */
export function ShareDialog({ onClose }: { readonly onClose: () => void }) {
  const room = useRoom();
  const { api, store } = room;
  const token = useSignal<string | undefined>(knownReader(room));
  const error = useSignal<unknown>(undefined);
  const isPublic = store.room.value?.public === "read";
  const isPersonal = api.token?.startsWith("tok_") ?? false;
  useEffect(() => {
    if (token.value !== undefined || isPublic || !isPersonal) return;
    mintReader(room).then((made) => (token.value = made), (failure) => (error.value = failure));
  }, []);
  const rotate = async (): Promise<void> => {
    try {
      const { view_token } = await api.post<{ view_token: string }>("/rotate-view-token", {});
      keep(`view:${api.room}`, view_token);
      token.value = view_token;
    } catch (failure) {
      error.value = failure;
    }
  };
  const hasLink = token.value !== undefined || isPublic;
  return (
    <Dialog title="Share, read-only" onClose={onClose}>
      {hasLink && <LinkBox address={addressOf(api.room, isPublic ? undefined : token.value)} />}
      {!hasLink && isAdmin(room) && !isPersonal && (
        <>
          <p>
            Make a link that shows this room live to anyone who has it. Read-only links made before
            stop working.
          </p>
          <p class="row">
            <button type="button" class="primary" onClick={() => void rotate()}>
              Make a read-only link
            </button>
          </p>
        </>
      )}
      {!hasLink && !isAdmin(room) && !isPersonal && (
        <p>
          An agent's token cannot make links. Ask the room's owner for one, or open this page with
          the room's own token.
        </p>
      )}
      {error.value !== undefined && <Refusal error={error.value} />}
    </Dialog>
  );
}

function LinkBox({ address }: { readonly address: string }) {
  return (
    <>
      <p>
        Anyone with this link sees the room live: what is shared, no agent's private state, and
        nothing to invoke.
      </p>
      <div class="row">
        <input
          class="grow mono"
          readOnly
          value={address}
          aria-label="Read-only link"
          onFocus={(event) => event.currentTarget.select()}
        />
        <CopyButton text={address} label="Copy link" />
      </div>
    </>
  );
}

/** A read-only token that this tab has already. */
function knownReader({ api }: RoomContext): string | undefined {
  return api.token?.startsWith("view_") ? api.token : recall(`view:${api.room}`);
}

async function mintReader({ api }: RoomContext): Promise<string> {
  const body = { scope: `rooms:${api.room}:read`, label: "share link", expires_in: LINK_LIFE_S };
  const { token } = await api.call<{ token: string }>("POST", "/tokens", body);
  keep(`view:${api.room}`, token);
  return token;
}

function addressOf(room: string, token: string | undefined): string {
  const hash = token === undefined ? "" : `#${new URLSearchParams({ token })}`;
  return `${location.origin}/?room=${encodeURIComponent(room)}${hash}`;
}
