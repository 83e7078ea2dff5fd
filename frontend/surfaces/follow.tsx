/** Surfaces that follow something else than a view: messages of some kinds, and entries. */
import { preview } from "../format.ts";
import type { Json, JsonObject } from "../model.ts";
import { Compose } from "../panels/compose.tsx";
import { MessageText } from "../panels/messages.tsx";
import { Ago, Countdown, More, Tag, Who } from "../parts.tsx";
import { canWrite, useRoom } from "../room.ts";
import { cellId } from "../store.ts";
import { textsOf } from "./infer.ts";

const FEED_SHOWN = 20;

/** The newest messages of the kinds it names, newest last; with `compose` a box to answer in. */
export function FeedSurface({ config }: { readonly config: JsonObject }) {
  const room = useRoom();
  const kinds = textsOf(config["kinds"] ?? config["kind"]);
  const max = typeof config["max_rows"] === "number" ? config["max_rows"] : FEED_SHOWN;
  const fitting = room.store.messages.value.filter((message) =>
    kinds.length === 0 || kinds.includes(message.kind)
  );
  const messages = fitting.slice(-Math.max(1, max));
  return (
    <>
      {messages.length === 0 && <p class="quiet">No messages yet.</p>}
      <More
        rest={fitting.length - messages.length}
        one="older message"
        onMore={() => (room.panel.value = "Messages")}
      />
      <ol class="mini-feed" tabIndex={0} aria-label="Newest messages">
        {messages.map((message) => (
          <li key={message.seq}>
            <span class="message-head">
              <Who id={message.from} />{" "}
              {message.kind !== "chat" && kinds.length !== 1 && <Tag>{message.kind}</Tag>}
              <span class="quiet seq">
                <Ago at={message.ts} />
              </span>
            </span>
            <MessageText body={message.body} />
          </li>
        ))}
      </ol>
      {config["compose"] === true && canWrite(room) && (
        <Compose kinds={kinds.length > 0 ? kinds : ["chat"]} />
      )}
    </>
  );
}

/** Entries with who wrote them and when. */
export function Watch({ value, config }: { readonly value: Json; readonly config: JsonObject }) {
  const { store, opened } = useRoom();
  void store.stateVersion.value;
  const given = config["keys"] ?? value;
  const keys = (Array.isArray(given) ? given : []).map(placeOf).filter((place) =>
    place !== undefined
  );
  return (
    <table class="plain-table pairs">
      <tbody>
        {keys.map(([scope, key]) => {
          const id = cellId(scope, key);
          const cell = store.cells.get(id);
          const entry = cell?.entry;
          const isRecent = cell !== undefined && cell.changedAt > 0 &&
            performance.now() - cell.changedAt < 1_500;
          return (
            <tr key={id}>
              <th scope="row">
                <button type="button" class="link" onClick={() => (opened.value = id)}>
                  <bdi>{scope === "_shared" ? key : `${scope}.${key}`}</bdi>
                </button>
              </th>
              <td>
                {entry
                  ? (
                    <code key={entry._meta.seq} class={isRecent ? "flash" : ""}>
                      <bdi>{preview(entry.value, 80)}</bdi>
                    </code>
                  )
                  : <span class="quiet">not there</span>}
                {entry?._meta.timer && <Countdown timer={entry._meta.timer} />}
              </td>
              <td class="quiet num">
                {entry && (
                  <>
                    <Who id={entry._meta.writer ?? ""} /> <Ago at={entry._meta.updated_at} />
                  </>
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

/** `key`, `scope.key` or `{scope, key}`: a bare key is a shared one. Pure. */
export function placeOf(item: Json): [scope: string, key: string] | undefined {
  if (typeof item === "string") {
    const path = item.replace(/^state\./, "");
    const dot = path.indexOf(".");
    const scope = path.slice(0, Math.max(0, dot));
    return dot > 0 ? [scope, path.slice(dot + 1)] : ["_shared", path];
  }
  if (item === null || typeof item !== "object" || Array.isArray(item)) return undefined;
  return typeof item["key"] === "string"
    ? [String(item["scope"] ?? "_shared"), item["key"]]
    : undefined;
}
