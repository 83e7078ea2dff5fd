/** The vocabulary's review by the service: advice beside actions and views, never orders. */
import { useEffect, useState } from "preact/hooks";
import type { JsonObject } from "../model.ts";
import { Tag } from "../parts.tsx";
import { useRoom } from "../room.ts";

interface Finding extends JsonObject {
  readonly code: string;
  readonly severity: string;
  readonly message: string;
  readonly suggestion: string;
}

/** Is a finding about views? All others stand beside the actions. Pure. */
export function isAboutViews(finding: JsonObject): boolean {
  return finding["view"] !== undefined || finding["views"] !== undefined;
}

/** The findings; nothing at all when there are none. */
export function Advice({ about }: { readonly about: "actions" | "views" }) {
  const { api, store } = useRoom();
  const [findings, setFindings] = useState<readonly Finding[]>([]);
  const [actions, views] = [store.actions.value.size, store.views.value.size];
  useEffect(() => {
    api.get<{ findings?: readonly Finding[] }>("/vocabulary").then(
      (review) => setFindings(review.findings ?? []),
      () => setFindings([]),
    );
  }, [actions, views]);
  const fitting = findings.filter((finding) => isAboutViews(finding) === (about === "views"));
  if (fitting.length === 0) return null;
  return (
    <details class="advice">
      <summary>Advice about this vocabulary ({fitting.length})</summary>
      <ul>
        {fitting.map((finding, i) => (
          <li key={i}>
            <Tag tone={finding.severity === "problem" ? "bad" : ""}>
              {finding.code.replaceAll("_", " ")}
            </Tag>{" "}
            {finding.message} {finding.suggestion}
          </li>
        ))}
      </ul>
    </details>
  );
}
