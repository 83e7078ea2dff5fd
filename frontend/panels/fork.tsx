/** A new room that begins where this one stood after a record. */
import { useSignal } from "@preact/signals";
import { Dialog } from "../dialog.tsx";
import { Refusal } from "../parts.tsx";
import { useRoom } from "../room.ts";

interface Forked {
  readonly id: string;
  readonly token: string;
  readonly view_token: string;
}

/** Asks for a name, forks, and leads there. */
export function ForkDialog({ at, onClose }: { readonly at: number; readonly onClose: () => void }) {
  const { api } = useRoom();
  const id = useSignal("");
  const error = useSignal<unknown>(undefined);
  const made = useSignal<Forked | undefined>(undefined);
  const fork = async (): Promise<void> => {
    try {
      made.value = await api.post<Forked>("/fork", {
        at,
        ...(id.value === "" ? {} : { id: id.value }),
      });
      error.value = undefined;
    } catch (failure) {
      error.value = failure;
    }
  };
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    void fork();
  };
  const room = made.value;
  return (
    <Dialog title={`Fork from record ${at}`} onClose={onClose}>
      {room
        ? (
          <p>
            The room{" "}
            <a href={roomLink(room.id, room.token, room.view_token)} target="_blank" rel="noopener">
              {room.id}
            </a>{" "}
            is ready. Its link holds the room's own admin token.
          </p>
        )
        : (
          <form onSubmit={onSubmit} class="action-form">
            <p>
              The new room has this one's state after record{" "}
              {at}, and goes its own way from there. Nobody's tokens come along.
            </p>
            <div class="field">
              <label for="fork-id">
                Name of the new room <span class="quiet">drawn when left empty</span>
              </label>
              <input
                id="fork-id"
                value={id.value}
                onInput={(event) => (id.value = event.currentTarget.value)}
                spellcheck={false}
              />
            </div>
            <button type="submit" class="primary">Fork</button>
          </form>
        )}
      {error.value !== undefined && <Refusal error={error.value} />}
    </Dialog>
  );
}

/** The address of a room's dashboard with its tokens behind the #, where no server sees them. Pure. */
export function roomLink(room: string, token: string, view?: string): string {
  const hash = new URLSearchParams({ token, ...(view === undefined ? {} : { view }) });
  return `/?room=${encodeURIComponent(room)}#${hash}`;
}
