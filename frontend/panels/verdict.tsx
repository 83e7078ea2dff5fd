/** A verdict on a record, and whether it counts as evidence about its actor. */
import type { ComponentChildren } from "preact";
import { useSignal } from "@preact/signals";
import type { JsonObject } from "../model.ts";
import { Refusal } from "../parts.tsx";
import { canWrite, useRoom } from "../room.ts";

const WHY: Readonly<Record<string, string>> = {
  self: "it is your own work",
  anonymous: "no user stands behind you",
  on_behalf: "an admin acted in an agent's name",
  system: "the service did it",
};

/** Accepts or rejects a record. */
export function Verdict({ subject }: { readonly subject: number }) {
  const room = useRoom();
  const said = useSignal<ComponentChildren>(
    canWrite(room) ? "" : "This link reads only.",
  );
  const judge = async (verdict: string, form: HTMLFormElement): Promise<void> => {
    const texts = [...new FormData(form)].filter(([, text]) => text !== "");
    try {
      const { domain, counted, why } = await room.api.invoke("_judge", {
        subject,
        verdict,
        ...Object.fromEntries(texts) as JsonObject,
      });
      said.value = `${verdict} in ${domain}: ` +
        (counted ? "it counts." : `it does not count, as ${WHY[String(why)]}.`);
      room.refresh();
    } catch (error) {
      said.value = <Refusal error={error} />;
    }
  };
  return (
    <form class="verdict" aria-label={`Verdict on record ${subject}`}>
      <fieldset class="row" disabled={!canWrite(room)}>
        {["Domain", "Note"].map((name) => (
          <label key={name}>
            <span class="label">{name}</span>
            <input name={name.toLowerCase()} />
          </label>
        ))}
        {["Accept", "Reject"].map((verdict) => (
          <button
            key={verdict}
            type="button"
            onClick={(event) => void judge(verdict.toLowerCase(), event.currentTarget.form!)}
          >
            {verdict}
          </button>
        ))}
      </fieldset>
      <div role="status">{said.value}</div>
    </form>
  );
}
