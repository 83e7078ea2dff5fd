/** The vocabulary's review, where the service offers one: advice, never orders. */
import { useEffect, useState } from "preact/hooks";
import type { Json, JsonObject } from "../model.ts";
import { preview } from "../format.ts";
import { Tag } from "../parts.tsx";
import { useRoom } from "../room.ts";

/** One piece of advice in the shape this page shows. */
export interface Finding {
  readonly kind: string;
  readonly about: string;
  readonly text: string;
}

/** Reads a review, whatever else it carries. Pure. */
export function findingsOf(review: Json): Finding[] {
  if (review === null || typeof review !== "object" || Array.isArray(review)) return [];
  const list = review["findings"] ?? review["advice"] ?? review["issues"];
  if (!Array.isArray(list)) return [];
  return list.filter((item): item is JsonObject => item !== null && typeof item === "object" && !Array.isArray(item))
    .map((item) => ({
      kind: word(item["kind"] ?? item["code"] ?? item["type"] ?? "advice"),
      about: word(item["about"] ?? item["id"] ?? item["action"] ?? item["view"] ?? item["target"] ?? ""),
      text: word(item["message"] ?? item["advice"] ?? item["text"] ?? item["detail"] ?? preview(item)),
    }));
}

function word(value: Json): string {
  return typeof value === "string" ? value : preview(value);
}

/** The findings; nothing at all when there are none. */
export function Advice({ about }: { readonly about: "actions" | "views" }) {
  const { api, store } = useRoom();
  const [findings, setFindings] = useState<readonly Finding[]>([]);
  const known = about === "actions" ? store.actions.value : store.views.value;
  useEffect(() => {
    api.get<Json>("/vocabulary").then((review) => setFindings(findingsOf(review)), () => setFindings([]));
  }, [known.size]);
  const fitting = findings.filter((finding) => finding.about === "" || known.has(finding.about));
  if (fitting.length === 0) return null;
  return (
    <details class="advice">
      <summary>Advice about this vocabulary ({fitting.length})</summary>
      <ul>
        {fitting.map((finding, i) => (
          <li key={i}>
            <Tag>{finding.kind.replaceAll("_", " ")}</Tag> {finding.about && <code>{finding.about}</code>} {finding.text}
          </li>
        ))}
      </ul>
    </details>
  );
}
