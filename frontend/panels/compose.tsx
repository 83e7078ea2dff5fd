/** The box to write a message in. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { JsonObject } from "../model.ts";
import { Refusal } from "../parts.tsx";
import { useRoom } from "../room.ts";

/** Writes a message as whoever looks; Ctrl+Enter sends. */
export function Compose({ replyTo, onSent, kinds = ["chat", "task"] }: {
  readonly replyTo?: number | undefined;
  readonly onSent?: () => void;
  readonly kinds?: readonly string[];
}) {
  const { api, store, refresh } = useRoom();
  const body = useSignal("");
  const kind = useSignal(kinds[0] ?? "chat");
  const to = useSignal("");
  const error = useSignal<unknown>(undefined);
  const box = useRef<HTMLTextAreaElement>(null);
  const people = [...store.agents.value.keys()].map((id): [string, string] => [id, id]);
  useEffect(() => {
    if (replyTo !== undefined) box.current?.focus();
  }, [replyTo]);
  const send = async (): Promise<void> => {
    if (body.value.trim() === "") return;
    const params: JsonObject = { body: body.value, kind: kind.value };
    if (to.value !== "") params["to"] = to.value;
    if (replyTo !== undefined) params["reply_to"] = replyTo;
    try {
      await api.invoke("_send_message", params);
      body.value = "";
      error.value = undefined;
      onSent?.();
      refresh();
    } catch (failure) {
      error.value = failure;
    }
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    void send();
  };
  const onSubmit = (event: Event): void => {
    event.preventDefault();
    void send();
  };
  return (
    <form class="compose" onSubmit={onSubmit} aria-label="Write a message">
      {replyTo !== undefined && (
        <p class="quiet">
          In reply to #{replyTo}{" "}
          <button type="button" class="link" onClick={onSent}>not any more</button>
        </p>
      )}
      <textarea
        ref={box}
        rows={2}
        aria-label="Message"
        placeholder={`Message as ${store.self.value}`}
        value={body.value}
        onInput={(event) => (body.value = event.currentTarget.value)}
        onKeyDown={onKeyDown}
      />
      <div class="row">
        <Pick label="Kind" options={kinds.map((name) => [name, name])} chosen={kind} />
        <Pick label="To" options={[["", "everyone"], ...people]} chosen={to} />
        <button type="submit" class="primary">Send</button>
      </div>
      {error.value !== undefined && <Refusal error={error.value} />}
    </form>
  );
}

function Pick({ label, options, chosen }: {
  readonly label: string;
  readonly options: readonly (readonly [value: string, words: string])[];
  readonly chosen: Signal<string>;
}) {
  return (
    <label>
      <span class="label">{label}</span>
      <select value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
        {options.map(([value, words]) => <option key={value} value={value}>{words}</option>)}
      </select>
    </label>
  );
}
