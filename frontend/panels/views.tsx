/** Views: what the room shows of itself, with the expression behind it, what it reads, and its errors. */
import { useSignal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { plural, preview } from "../format.ts";
import type { JsonObject, View } from "../model.ts";
import { Ago, Empty, Fact, Tag } from "../parts.tsx";
import { useRoom } from "../room.ts";
import { Cel } from "../cel-text.tsx";
import { Tree } from "../tree.tsx";
import { Advice } from "./advice.tsx";

/** The panel. */
export function ViewsPanel() {
  const { store } = useRoom();
  const views = [...store.views.value];
  const broken = views.filter(([, view]) => view._meta.error).length;
  return (
    <>
      <div class="toolbar">
        <span class="quiet count" role="status">
          {plural(views.length, "view")}
          {broken > 0 && `, ${broken} broken`}
        </span>
      </div>
      <div class="scroll">
        <Advice about="views" />
        {views.length === 0 && (
          <Empty title="No views yet.">
            <p>
              A view is a CEL expression whose value everyone sees: <code>_register_view</code>.
            </p>
          </Empty>
        )}
        <ul class="rows">{views.map(([id, view]) => <ViewRow key={id} id={id} view={view} />)}</ul>
      </div>
    </>
  );
}

function ViewRow({ id, view }: { readonly id: string; readonly view: View }) {
  const isOpen = useSignal(false);
  const { value, _meta } = view;
  const type = view.render?.["type"];
  return (
    <li class="item">
      <details open={isOpen.value} onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
        <summary>
          <span class="item-name">
            <bdi>{id}</bdi>
          </span>
          {_meta.error ? <Tag tone="bad">{_meta.error.code}</Tag> : (
            <code class="grow ellipsis">
              <bdi>{preview(value)}</bdi>
            </code>
          )}
          {view.system && <Tag>system</Tag>}
          {typeof type === "string" && <Tag>{type}</Tag>}
        </summary>
        {isOpen.value && <ViewBody id={id} view={view} />}
      </details>
    </li>
  );
}

function ViewBody({ id, view }: { readonly id: string; readonly view: View }) {
  const { asked, panel } = useRoom();
  const { value, _meta } = view;
  const ask = (): void => {
    asked.value = view.expr ?? `views[${JSON.stringify(id)}].value`;
    panel.value = "Console";
  };
  return (
    <div class="item-body">
      {view.description && <p>{view.description}</p>}
      {_meta.error
        ? (
          <div class="refusal">
            <p>
              <Tag tone="bad">{_meta.error.code}</Tag>{" "}
              {_meta.error.message ?? "Its message is for those who may read its scope."}
            </p>
            {_meta.error.hint && <p class="quiet">{_meta.error.hint}</p>}
          </div>
        )
        : (
          <div class="value-box" tabIndex={0} role="group" aria-label="Value">
            <Tree value={value} open={2} />
          </div>
        )}
      <ViewFacts view={view} />
      {view.expr !== undefined && (
        <p class="row">
          <button type="button" class="small" onClick={ask}>Open in console</button>
        </p>
      )}
    </div>
  );
}

function ViewFacts({ view: { expr, scope, enabled, render, _meta } }: { readonly view: View }) {
  return (
    <dl class="facts">
      <Fact name="Expression" when={expr !== undefined}>
        <Cel text={expr ?? ""} />
      </Fact>
      {expr !== undefined && <Reads expr={expr} />}
      <Fact name="Sees with the rights of" when={scope !== undefined}>
        <code>{scope}</code>
      </Fact>
      <Fact name="Enabled" when={enabled !== undefined}>
        <Cel text={enabled ?? ""} />
      </Fact>
      <Fact name="Shown as" when={render !== undefined}>
        <code>{preview(render ?? null)}</code>
      </Fact>
      <Fact name="Registered" when={_meta.updated_at !== undefined}>
        <Ago at={_meta.updated_at} long />
      </Fact>
    </dl>
  );
}

/** What an expression reads, as the service sees it. */
function Reads({ expr }: { readonly expr: string }) {
  const { api } = useRoom();
  const [reads, setReads] = useState<readonly string[]>([]);
  useEffect(() => {
    api.post<{ reads: string[] }>("/eval", { expr } as JsonObject).then(
      (reply) => setReads(reply.reads),
      () => setReads([]),
    );
  }, [expr]);
  if (reads.length === 0) return null;
  return (
    <>
      <dt>Reads</dt>
      <dd>{reads.map((path) => <code key={path} class="spaced">{path}</code>)}</dd>
    </>
  );
}
