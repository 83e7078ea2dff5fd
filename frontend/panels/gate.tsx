/** Why an action cannot be invoked now, in words: its gate, and what each part of it reads. */
import { useEffect, useState } from "preact/hooks";
import { Refused } from "../api.ts";
import type { Action, JsonObject } from "../model.ts";
import { Why } from "../parts.tsx";
import { useRoom } from "../room.ts";

type WhyParts = Parameters<typeof Why>[0]["parts"];

/** Explains a shut gate with the reader's own eyes, anew whenever the room changes. */
export function ShutGate({ action }: { readonly action: Action["value"] }) {
  const { api, store } = useRoom();
  const [parts, setParts] = useState<WhyParts>([]);
  const seq = store.seq.value;
  useEffect(() => {
    if (action.if === undefined) return;
    const agent = api.agent === undefined ? {} : { agent: api.agent };
    api.post<{ explain?: WhyParts }>(
      "/eval",
      { expr: action.if, explain: true, ...agent } as JsonObject,
    ).then(
      ({ explain }) => setParts(explain ?? []),
      (error) => {
        if (error instanceof Refused) {
          setParts([{ expression: action.if ?? "", operands: [{ path: error.message }] }]);
        }
      },
    );
  }, [action.if, Math.floor(seq / 5)]);
  if (action.reason === "cooldown") {
    return <p>It was invoked a moment ago and rests until its timer has run out.</p>;
  }
  if (action.reason === "admin_only") return <p>Only admins of the room may do this.</p>;
  if (action.if === undefined) return <p>It is not available: {action.reason}.</p>;
  return (
    <div class="gate">
      <p>
        It waits until <code>{action.if}</code>.
      </p>
      <Why parts={parts.map(readable)} />
    </div>
  );
}

/** A part about which nothing is known says only what it is. */
function readable(part: WhyParts[number]): WhyParts[number] {
  return part.operands?.length === 0 ? { expression: part.expression ?? "" } : part;
}
