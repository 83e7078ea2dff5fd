/** Surfaces: the room as its agents want it seen. Every view with `render`, in order and groups. */
import type { JsonObject } from "../model.ts";
import { Empty } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { type Group, groupsOf, innerSurfaces, type Surface } from "./infer.ts";
import { SurfaceCard } from "./surface.tsx";

/** The panel. */
export function SurfacesPanel() {
  const { store } = useRoom();
  const views = store.views.value;
  const { groups, isInferred } = groupsOf(views);
  const board = useBoard();
  if (groups.length === 0 && !board) {
    return (
      <Empty title="This room has no surfaces yet.">
        <p>
          Any view becomes one: register it with <code>render</code>, for example{" "}
          <code>{'{"type": "metric", "label": "Score"}'}</code>.
        </p>
      </Empty>
    );
  }
  return (
    <div class="scroll surfaces">
      {board?.title && <h2 class="board-title">{board.title}</h2>}
      {board?.subtitle && <p class="quiet">{board.subtitle}</p>}
      {isInferred && !board && (
        <p class="quiet">
          No view says how it wants to be shown; this is what their values suggest.
        </p>
      )}
      {board && <SurfaceGroup group={{ name: "", surfaces: board.surfaces }} />}
      {(!isInferred || !board) &&
        groups.map((group) => <SurfaceGroup key={group.name} group={group} />)}
    </div>
  );
}

/** The older way to declare surfaces: the entry `_shared._dashboard`. */
function useBoard(): { title: string; subtitle: string; surfaces: readonly Surface[] } | undefined {
  const { store } = useRoom();
  void store.stateVersion.value;
  const value = store.cells.get("_shared\u0000_dashboard")?.entry.value;
  if (value === null || typeof value !== "object" || Array.isArray(value)) return undefined;
  const { title, subtitle, surfaces } = value as JsonObject;
  if (!Array.isArray(surfaces)) return undefined;
  return {
    title: typeof title === "string" ? title : "",
    subtitle: typeof subtitle === "string" ? subtitle : "",
    surfaces: innerSurfaces(surfaces, "_dashboard"),
  };
}

function SurfaceGroup({ group }: { readonly group: Group }) {
  return (
    <section {...(group.name === "" ? {} : { "aria-label": group.name })}>
      {group.name !== "" && <h2 class="group-title">{group.name}</h2>}
      <div class="surface-grid">
        {group.surfaces.map((surface) => (
          <SurfaceCard key={surface.id} level={group.name === "" ? 2 : 3} surface={surface} />
        ))}
      </div>
    </section>
  );
}
