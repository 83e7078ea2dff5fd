/** Actions: what can be done now, what cannot and why not, a form for each, and the vocabulary's review. */
import { useSignal } from "@preact/signals";
import { now } from "../clock.ts";
import { plural, span } from "../format.ts";
import { ActionForm } from "../form.tsx";
import { Icon } from "../icons.tsx";
import type { Action, JsonObject } from "../model.ts";
import { Ago, Empty, Fact, Tag, Who } from "../parts.tsx";
import { Cel } from "../cel-text.tsx";
import { canWrite, useRoom } from "../room.ts";
import { preview } from "../format.ts";
import { Advice } from "./advice.tsx";
import { ShutGate } from "./gate.tsx";

/** The panel. */
export function ActionsPanel() {
  const { store } = useRoom();
  const filter = useSignal("");
  const all = [...store.actions.value];
  const fits = ([id, action]: [string, Action]): boolean =>
    `${id} ${action.value.description ?? ""}`.toLowerCase().includes(filter.value.toLowerCase());
  const vocabulary = all.filter(([, action]) => !action.value.builtin);
  const own = vocabulary.filter(fits);
  const builtin = all.filter(([, action]) => action.value.builtin).filter(fits);
  return (
    <>
      <div class="toolbar">
        <label class="grow">
          <span class="sr">Filter actions</span>
          <input
            type="search"
            placeholder="Filter actions"
            value={filter.value}
            onInput={(event) => (filter.value = event.currentTarget.value)}
          />
        </label>
        <span class="quiet count" role="status">
          {plural(own.length, "action")}
          {own.length !== vocabulary.length && ` of ${vocabulary.length}`},{" "}
          {own.filter(([, action]) => action.value.available).length} available
        </span>
      </div>
      <div class="scroll">
        <Advice about="actions" />
        {own.length === 0 && vocabulary.length > 0 && (
          <Empty title="No action of this room fits the filter." />
        )}
        {vocabulary.length === 0 && (
          <Empty title="This room has no vocabulary of its own yet.">
            <p>
              Agents register what can be done with <code>_register_action</code>, below.
            </p>
          </Empty>
        )}
        <ul class="rows">
          {own.map(([id, action]) => <ActionRow key={id} id={id} action={action} />)}
        </ul>
        <details class="section">
          <summary>Built in ({builtin.length})</summary>
          <ul class="rows">
            {builtin.map(([id, action]) => <ActionRow key={id} id={id} action={action} />)}
          </ul>
        </details>
      </div>
    </>
  );
}

function ActionRow({ id, action }: { readonly id: string; readonly action: Action }) {
  const room = useRoom();
  const isOpen = useSignal(false);
  const { value, _meta } = action;
  return (
    <li class={`item${value.available ? "" : " off"}`}>
      <details open={isOpen.value} onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
        <summary>
          <span class="item-name">
            <bdi>{id}</bdi>
          </span>
          <Availability action={action} />
          <span class="quiet grow ellipsis">{value.description}</span>
          {_meta.contested && _meta.contested.length > 0 && <Tag tone="warn">contested</Tag>}
          {(value.usage?.invocations ?? 0) > 0 && (
            <span class="quiet num" title="invocations">×{value.usage?.invocations}</span>
          )}
        </summary>
        {isOpen.value && (
          <div class="item-body">
            {value.description && <p>{value.description}</p>}
            {!value.available && <ShutGate action={value} />}
            {canWrite(room)
              ? <ActionForm id={id} action={action} />
              : <p class="quiet">This link reads only; invoking takes an agent's token.</p>}
            <ActionFacts action={action} />
          </div>
        )}
      </details>
    </li>
  );
}

/** Can it be invoked now, and if not, why in a word. */
export function Availability({ action: { value } }: { readonly action: Action }) {
  if (value.available) {
    return <Tag tone="good">{value.conditional ? "depends on parameters" : "available"}</Tag>;
  }
  if (value.reason === "cooldown") {
    const left = value.available_at === undefined
      ? undefined
      : Date.parse(value.available_at) - now.value;
    return (
      <Tag tone="warn">
        <Icon name="timer" size={11} />
        {left === undefined
          ? `rests for ${value.ticks_left ?? "some"} ticks`
          : `rests for ${span(left)}`}
      </Tag>
    );
  }
  return <Tag tone="bad">not now</Tag>;
}

function ActionFacts({ action: { value, _meta } }: { readonly action: Action }) {
  const by = Object.entries(value.usage?.by ?? {});
  const { writes = [], usage } = value;
  const contested = _meta.contested ?? [];
  return (
    <dl class="facts">
      <Fact name="If" when={value.if !== undefined}>
        <Cel text={value.if ?? ""} />
      </Fact>
      <Fact name="Enabled" when={value.enabled !== undefined}>
        <Cel text={value.enabled ?? ""} />
      </Fact>
      <Fact name="Writes" when={writes.length > 0}>
        <ul class="writes">
          {writes.map((write, i) => (
            <li key={i}>
              <code>{writeWords(write)}</code>
            </li>
          ))}
        </ul>
      </Fact>
      <Fact name="Result" when={value.result !== undefined}>
        <Cel text={value.result ?? ""} />
      </Fact>
      <Fact name="Authority of" when={value.scope !== undefined}>
        <code>{value.scope}</code> <span class="quiet">registered by</span>{" "}
        <Who id={value.registered_by ?? ""} />
      </Fact>
      <Fact name="Contested with" when={contested.length > 0}>{contested.join(", ")}</Fact>
      <Fact name="Used by" when={by.length > 0}>
        {by.map(([agent, count]) => (
          <span key={agent} class="spaced">
            <Who id={agent} /> ×{count}
          </span>
        ))}
        {_meta.last_invoked_at && (
          <span class="quiet">
            last <Ago at={_meta.last_invoked_at} />
          </span>
        )}
      </Fact>
      <Fact name="Refused" when={(usage?.refused ?? 0) > 0}>
        {plural(usage?.refused ?? 0, "time")}
      </Fact>
    </dl>
  );
}

/** A write template in one line. */
export function writeWords(write: JsonObject): string {
  const target = `${String(write["scope"] ?? "_shared")}.${String(write["key"] ?? "<row>")}`;
  if (write["delete"]) return `delete ${target}`;
  if (write["renew"]) return `renew the timer of ${target}`;
  if (write["increment"] !== undefined) return `${target} += ${preview(write["increment"])}`;
  if (write["merge"] !== undefined) return `${target} merged with ${preview(write["merge"])}`;
  const value = write["expr"] ? String(write["value"]) : preview(write["value"] ?? null);
  return write["append"] ? `${target} gains ${value}` : `${target} = ${value}`;
}
