/** Markdown on a surface; its code is loaded when the first one is shown. */
import { useEffect, useState } from "preact/hooks";
import type { Json } from "../model.ts";
import { Tree } from "../tree.tsx";

type MarkdownModule = typeof import("../markdown.tsx");
let loaded: MarkdownModule | undefined;

/** A text as Markdown; anything else as it is. */
export function MarkdownText({ value, level }: { readonly value: Json; readonly level: number }) {
  const [module, setModule] = useState<MarkdownModule | undefined>(loaded);
  useEffect(() => {
    if (loaded) return;
    import("../markdown.tsx").then((found) => {
      loaded = found;
      setModule(found);
    }, () => undefined);
  }, []);
  if (typeof value !== "string") return <Tree value={value} open={2} />;
  if (!module) {
    return (
      <p class="text">
        <bdi>{value.slice(0, 2_000)}</bdi>
      </p>
    );
  }
  return (
    <div class="prose" tabIndex={0} role="group" aria-label="Text">
      <module.Markdown text={value} options={{ level, effort: module.EFFORT }} />
    </div>
  );
}
