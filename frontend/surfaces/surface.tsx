/** One surface: its frame, and the part that draws its type. */
import { useEffect, useState } from "preact/hooks";
import type { Json, JsonObject, View } from "../model.ts";
import { Tag } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { Tree } from "../tree.tsx";
import { ActionBar, ActionChoice, ActionSurface } from "./act.tsx";
import { FeedSurface, Watch } from "./follow.tsx";
import { inferType, type RenderType } from "../../surfaces.ts";
import { innerSurfaces, type Surface } from "./infer.ts";
import { Metric } from "./metric.tsx";
import { ArrayTable, PairTable, ViewGrid } from "./tables.tsx";
import { MarkdownText } from "./text.tsx";

const WIDE: ReadonlySet<RenderType> = new Set([
  "markdown",
  "feed",
  "array-table",
  "view-grid",
  "section",
  "json",
  "action-form",
  "watch",
]);

/** A surface in its card. One whose `enabled` does not hold is not there. */
export function SurfaceCard(
  { surface, level = 3 }: { readonly surface: Surface; readonly level?: 2 | 3 | 4 },
) {
  const { store } = useRoom();
  const isThere = useTruth(surface.view === undefined ? surface.config["enabled"] : undefined);
  if (!isThere) return null;
  const source = sourceOf(surface, store.views.value);
  const error = source?._meta.error;
  const type = surface.type;
  const Heading = `h${level}` as "h3";
  return (
    <section
      class={`card surface type-${type}${WIDE.has(type) ? " span" : ""}`}
      aria-label={surface.label}
    >
      <Heading class="surface-label">
        <bdi>{surface.label}</bdi>
      </Heading>
      {error
        ? (
          <p>
            <Tag tone="bad">{error.code}</Tag> {error.message}
          </p>
        )
        : <SurfaceBody surface={surface} value={source?.value ?? null} level={level} />}
    </section>
  );
}

/** The view whose value a surface shows: its own, or the one it names. */
function sourceOf(surface: Surface, views: ReadonlyMap<string, View>): View | undefined {
  const named = surface.config["view"];
  return views.get(typeof named === "string" ? named : surface.view ?? "");
}

function SurfaceBody({ surface, value, level }: {
  readonly surface: Surface;
  readonly value: Json;
  readonly level: number;
}) {
  const { config } = surface;
  const named = config["view"];
  const type = config["type"] === undefined && typeof named === "string"
    ? inferType(value)
    : surface.type;
  switch (type) {
    case "metric":
      return (
        <Metric
          value={value}
          config={config}
          view={typeof named === "string" ? named : surface.view}
        />
      );
    case "markdown":
      return <MarkdownText value={value} level={level + 1} />;
    case "feed":
      return <FeedSurface config={config} />;
    case "view-table":
      return <PairTable value={value} config={config} />;
    case "view-grid":
      return <ViewGrid value={value} config={config} />;
    case "array-table":
      return <ArrayTable value={value} config={config} />;
    case "action-bar":
      return <ActionBar value={value} config={config} />;
    case "action-choice":
      return <ActionChoice value={value} config={config} />;
    case "action-form":
      return <ActionSurface value={value} config={config} />;
    case "watch":
      return <Watch value={value} config={config} />;
    case "section":
      return <Section surface={surface} value={value} />;
    case "json":
      return <Tree value={value} open={2} />;
  }
}

function Section({ surface, value }: { readonly surface: Surface; readonly value: Json }) {
  const given = surface.config["surfaces"];
  const list = Array.isArray(given) ? given : Array.isArray(value) ? value : [];
  return (
    <div class="surface-grid inner">
      {innerSurfaces(list, surface.id).map((inner) => (
        <SurfaceCard
          key={inner.id}
          surface={inner}
        />
      ))}
    </div>
  );
}

/** Does an expression hold, as the service sees it? True while there is none. */
function useTruth(expr: Json | undefined): boolean {
  const { api, store } = useRoom();
  const [holds, setHolds] = useState(expr === undefined);
  const seq = store.seq.value;
  useEffect(() => {
    if (typeof expr !== "string") return setHolds(expr === undefined || expr === true);
    const timer = setTimeout(() => {
      api.post<{ value: Json }>("/eval", { expr } as JsonObject).then(
        (reply) => setHolds(reply.value === true),
        () => setHolds(false),
      );
    }, 100);
    return () => clearTimeout(timer);
  }, [expr, seq]);
  return holds;
}
