/** The dashboard's parts without a browser: what they compute, and the elements they draw. */
import "./seed.ts";
import assert from "node:assert/strict";
import fc from "fast-check";
import { h } from "preact";
import { renderToString } from "preact-render-to-string";
import { Cel, pieces } from "../frontend/cel-text.tsx";
import { completionsFor, pathBefore } from "../frontend/complete.ts";
import { paramsOf } from "../frontend/form.tsx";
import { preview, span } from "../frontend/format.ts";
import { Markdown, safeHref } from "../frontend/markdown.tsx";
import type {
  Action,
  Context,
  Entry,
  Json,
  LogRecord,
  Message,
  Meta,
  View,
} from "../frontend/model.ts";
import { stretches } from "../frontend/panels/activity.tsx";
import { writeWords } from "../frontend/panels/actions.tsx";
import { type HistoryEntry, joined } from "../frontend/panels/entry.tsx";
import { effectOf } from "../frontend/panels/log.tsx";
import { inThread } from "../frontend/panels/messages.tsx";
import { orderOf } from "../frontend/panels/state-order.ts";
import { RoomStore } from "../frontend/store.ts";
import { EventParser } from "../frontend/stream.ts";
import { optionsOf } from "../frontend/surfaces/act.tsx";
import { placeOf } from "../frontend/surfaces/follow.tsx";
import { columnsOf, groupsOf } from "../frontend/surfaces/infer.ts";
import { inferType } from "../surfaces.ts";
import { linePoints, longestWord } from "../frontend/surfaces/metric.tsx";
import { scrollFor, stretchOf } from "../frontend/window.ts";

/** Texts that become markup, script or a request wherever Markdown is turned into HTML text. */
const HOSTILE = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt&#58;alert(1))",
  "[x](java\tscript:alert(1))",
  "[x](data:text/html,<script>alert(1)</script>)",
  "[x](vbscript:x)",
  "![x](javascript:alert(1))",
  "![x](https://elsewhere.invalid/p.png)",
  "<a href='javascript:alert(1)'>x</a>",
  "<svg/onload=alert(1)>",
  "<iframe srcdoc='<script>alert(1)</script>'>",
  "`<b>x</b>`",
  "```html\n<script>alert(1)</script>\n```",
  "[a]: javascript:alert(1)\n\n[a]",
  "<javascript:alert(1)>",
  "[x](//elsewhere.invalid)",
  '[x](https://a.invalid "onmouseover=alert(1)")',
  "| <b>x</b> |\n|-|\n| <i onclick=x> |",
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "<style>*{display:none}</style>",
  "<form action=/x><button>",
  "# <u onclick=x>h",
];
const ELEMENTS =
  /^<\/?(p|a|strong|em|del|code|pre|ul|ol|li|h[1-6]|blockquote|hr|br|table|thead|tbody|tr|th|td|div|span)\b/;

Deno.test("Markdown of a room becomes known elements, whatever it says", () => {
  for (const text of HOSTILE) {
    const html = renderToString(h(Markdown, { text }));
    for (const tag of html.match(/<\/?[a-z][^>]*>/gi) ?? []) {
      assert.match(tag, ELEMENTS, `${text} → ${html}`);
      assert.doesNotMatch(
        tag,
        /\son\w+=|\bsrc=|style=|href="(?!https?:|mailto:)/i,
        `${text} → ${html}`,
      );
    }
  }
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
    for (const tag of renderToString(h(Markdown, { text })).match(/<\/?[a-z][^>]*>/gi) ?? []) {
      assert.match(tag, ELEMENTS);
    }
  }));
});

Deno.test("Deep Markdown and deep values are cut instead of overflowing the stack", () => {
  renderToString(h(Markdown, { text: `${"> ".repeat(5_000)}x` }));
  let deep: Json = 1;
  for (let i = 0; i < 5_000; i++) deep = [deep];
  assert.ok(preview(deep).length < 200);
});

Deno.test("A paragraph that would take marked too long stays plain text, and so do those after it", () => {
  const options = { effort: 10_000 };
  const html = renderToString(h(Markdown, { text: `*a*\n\n${"_a_".repeat(500)}\n\n*b*`, options }));
  assert.equal(html, `<p><em>a</em></p><p>${"_a_".repeat(500)}</p><p>*b*</p>`);
});

Deno.test("Links lead to http, https and mailto, and nowhere else", () => {
  const rows: [string, string | undefined][] = [
    ["https://a.example/x", "https://a.example/x"],
    ["http://a.example", "http://a.example"],
    ["mailto:a@example.org", "mailto:a@example.org"],
    ["javascript:alert(1)", undefined],
    [" javascript:alert(1)", undefined],
    ["/local", undefined],
    ["//elsewhere.example", undefined],
    ["data:text/html,x", undefined],
  ];
  for (const [href, expected] of rows) assert.equal(safeHref(href), expected, href);
});

Deno.test("An event stream is read the same however it is cut", () => {
  const text =
    ': hello\nretry: 1000\n\nid: 7\nevent: record\ndata: {"seq":7}\n\nevent: heartbeat\ndata: {}\n\n';
  const whole = new EventParser().push(text);
  assert.deepEqual(whole, [
    { event: "record", data: '{"seq":7}', id: "7" },
    { event: "heartbeat", data: "{}", id: undefined },
  ]);
  fc.assert(fc.property(fc.array(fc.nat(text.length), { maxLength: 8 }), (cuts) => {
    const parser = new EventParser();
    const ends = [0, ...cuts.sort((a, b) => a - b), text.length];
    const found = ends.slice(1).flatMap((end, i) => parser.push(text.slice(ends[i], end)));
    assert.deepEqual(found, whole);
  }));
});

Deno.test("The rows on the screen and the space of the others are always the whole list", () => {
  fc.assert(
    fc.property(
      fc.nat(20_000),
      fc.nat(700_000),
      fc.integer({ min: 1, max: 2_000 }),
      (total, top, height) => {
        const { first, last, before, after } = stretchOf(total, 30, top, height);
        assert.ok(first >= 0 && first <= last && last <= total);
        assert.equal(before + (last - first) * 30 + after, total * 30);
      },
    ),
  );
  assert.equal(scrollFor(5, 30, 0, 300, 30), undefined);
  assert.equal(scrollFor(0, 30, 90, 300, 30), 0);
  assert.equal(scrollFor(20, 30, 0, 300, 30), 360);
});

Deno.test("An expression in pieces is the expression", () => {
  fc.assert(fc.property(fc.string(), (source) => {
    assert.equal(pieces(source).map(({ text }) => text).join(""), source);
  }));
  assert.equal(
    renderToString(h(Cel, { text: "state.a < 2" })),
    '<code class="cel"><span class="cel-root">state</span>.a &lt; <span class="cel-number">2</span></code>',
  );
});

const META: Meta = {
  revision: 1,
  version: "v",
  updated_at: "2026-11-20T08:00:00.000Z",
  writer: "bo",
  via: "x",
  seq: 3,
  score: 0.5,
  velocity: 1,
};

function entry(value: Json, meta: Partial<Meta> = {}): Entry {
  return { value, _meta: { ...META, ...meta } };
}

function context(parts: Partial<Context>): Context {
  const messages = {
    count: 0,
    unread: 0,
    directed_unread: 0,
    unclaimed: 0,
    recent: [],
    total: 0,
    returned: 0,
  };
  return {
    seq: 3,
    state: {},
    views: {},
    agents: {},
    actions: {},
    messages,
    self: "admin",
    ...parts,
  };
}

Deno.test("What changed is merged: new, replaced, removed, and all anew after a reset", () => {
  const store = new RoomStore();
  store.merge(
    context({ state: { _shared: { a: entry(1), b: entry(2) } }, views: { v: entry(1) as View } }),
  );
  assert.deepEqual([...store.cells.keys()], ["_shared\u0000a", "_shared\u0000b"]);
  store.merge(
    context({
      seq: 5,
      state: { _shared: { a: entry(9, { seq: 5 }) } },
      removed: [{ scope: "_shared", key: "b" }, { view: "v" }, { message: 7 }],
    }),
    123,
  );
  assert.equal(store.cells.get("_shared\u0000a")?.entry.value, 9);
  assert.equal(store.cells.get("_shared\u0000a")?.changedAt, 123);
  assert.equal(store.cells.size, 1);
  assert.equal(store.views.value.size, 0);
  assert.equal(store.seq.value, 5);
  store.merge(context({ seq: 6, reset: true, state: { self: { c: entry(1) } } }));
  assert.deepEqual([...store.cells.keys()], ["self\u0000c"]);
  store.patchPresence({ gone: { gone: true } });
  assert.equal(
    store.patchPresence({ unknown: { status: "busy" } }),
    false,
    "an agent not known yet asks for a reading",
  );
});

Deno.test("Messages are kept in the order in which they showed, each once", () => {
  const store = new RoomStore();
  const message = (seq: number, shown_at?: number): Message => ({
    seq,
    ts: "",
    from: "a",
    kind: "chat",
    body: String(seq),
    ...(shown_at === undefined ? {} : { shown_at }),
  });
  const messages = (recent: Message[]) => ({
    count: 3,
    unread: 0,
    directed_unread: 0,
    unclaimed: 0,
    recent,
    total: 3,
    returned: 0,
  });
  store.merge(context({ messages: messages([message(1), message(4)]) }));
  store.merge(context({ messages: messages([message(2, 6), { ...message(4), claimed_by: "a" }]) }));
  assert.deepEqual(store.messages.value.map(({ seq }) => seq), [1, 4, 2]);
  assert.equal(store.messages.value[1]?.claimed_by, "a");
  store.addOlderMessages([message(-2), message(1)]);
  assert.deepEqual(store.messages.value.map(({ seq }) => seq), [-2, 1, 4, 2]);
  const thread = [message(1), { ...message(2), reply_to: 1 }, message(3), {
    ...message(4),
    reply_to: 2,
  }];
  assert.deepEqual(inThread(thread, 1).map(({ seq }) => seq), [1, 2, 4]);
});

Deno.test("Older records stay when newer ones come in", () => {
  const store = new RoomStore();
  const records = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => ({ seq: from + i }) as LogRecord);
  store.addRecords(records(501, 2_500));
  store.addOlderRecords(records(1, 600));
  store.addRecords(records(2_501, 2_510));
  assert.deepEqual(store.records.value.map(({ seq }) => seq).slice(0, 2), [11, 12]);
  assert.equal(store.records.value.length, 2_500);
});

Deno.test("Pages of a key's history make one list: older before it, newer after it, no gap unseen", () => {
  const page = (from: number, to: number, next_before?: number) => ({
    entries: Array.from({ length: to - from + 1 }, (_, i) => ({ seq: from + i }) as HistoryEntry),
    total: to,
    ...(next_before === undefined ? {} : { next_before }),
  });
  const shown = (known: ReturnType<typeof page>) =>
    known.entries.length === 0 ? [] : [known.entries[0]!.seq, known.entries.at(-1)!.seq];
  const newest = joined(undefined, page(51, 100, 51));
  const older = joined(newest, page(1, 50));
  assert.deepEqual(shown(older as ReturnType<typeof page>), [1, 100]);
  assert.equal(older.next_before, undefined);
  const newer = joined(newest, page(53, 102, 53));
  assert.deepEqual(shown(newer as ReturnType<typeof page>), [51, 102]);
  assert.deepEqual([newer.total, newer.next_before], [102, 51]);
  const apart = joined(newest, page(151, 200, 151));
  assert.deepEqual(shown(apart as ReturnType<typeof page>), [151, 200]);
});

Deno.test("Entries are filtered by all words and sorted by what is asked", () => {
  const cells = new Map(
    ([["_shared", "b", 0.2], ["_shared", "a", 0.9], ["self", "c", 0.5], ["zed", "d", 0.7]] as const)
      .map(([scope, key, score]) => {
        const id = `${scope}\u0000${key}`;
        return [id, { id, scope, key, entry: entry(`text ${key}`, { score }), changedAt: 0 }];
      }),
  );
  const keys = (...asked: [string, string, "key" | "score"]) =>
    orderOf(cells, ...asked).map((id) => id.split("\u0000")[1]);
  assert.deepEqual(keys("", "", "key"), ["a", "b", "c", "d"]);
  assert.deepEqual(keys("", "", "score"), ["a", "d", "c", "b"]);
  assert.deepEqual(keys("TEXT bo", "", "key"), ["a", "b", "c", "d"]);
  assert.deepEqual(keys("zed", "", "key"), ["d"]);
  assert.deepEqual(keys("", "self", "key"), ["c"]);
});

Deno.test("A value without a declared surface is shown as what suits it", () => {
  const rows: [Json, string][] = [
    [null, "metric"],
    [3, "metric"],
    ["short", "metric"],
    ["two\nlines", "markdown"],
    ["x".repeat(121), "markdown"],
    ["**bold**", "markdown"],
    [[1, 2], "array-table"],
    [[{ a: 1, b: 2 }, { a: 3 }], "array-table"],
    [[{ a: 1 }, { b: 1, c: 2 }], "json"],
    [[[1], 2], "json"],
    [[], "json"],
    [{ a: 1, b: "x" }, "view-table"],
    [{ a: { b: 1 } }, "json"],
    [{}, "json"],
  ];
  for (const [value, type] of rows) assert.equal(inferType(value), type, JSON.stringify(value));
});

Deno.test("Surfaces stand in their order and groups; without any, every view is one", () => {
  const view = (render?: Record<string, Json>): View => ({
    ...entry(1),
    ...(render ? { render } : {}),
  });
  const declared = groupsOf(
    new Map([
      ["b", view({ type: "metric", order: 2, group: "G" })],
      ["plain", view()],
      ["a", view({ type: "gauge", order: 1, label: "A" })],
      ["last", view({ type: "json" })],
    ]),
  );
  assert.deepEqual(
    declared.groups.map(({ name, surfaces }) => [
      name,
      surfaces.map(({ id, type }) => `${id}:${type}`),
    ]),
    [
      ["", ["a:metric", "last:json"]],
      ["G", ["b:metric"]],
    ],
  );
  assert.equal(groupsOf(new Map([["plain", view()]])).isInferred, true);
});

Deno.test("Forms send what their schema means", () => {
  const schema = {
    text: { type: "string", required: true },
    count: { type: "integer" },
    flag: { type: "boolean" },
    list: { type: "array" },
    pick: { enum: [1, "two"] },
    anything: {},
  } as const;
  assert.deepEqual(
    paramsOf(schema, {
      text: "",
      count: "3",
      flag: "false",
      list: "[1]",
      pick: "1",
      anything: "words",
    }),
    {
      text: "",
      count: 3,
      flag: false,
      list: [1],
      pick: 1,
      anything: "words",
    },
  );
  assert.deepEqual(paramsOf(schema, { text: "x", anything: '{"a":1}' }), {
    text: "x",
    anything: { a: 1 },
  });
  assert.throws(() => paramsOf(schema, { text: "x", list: "[1" }), /"list" is not JSON/);
});

Deno.test("Small tables of words: writes, effects, places, options, columns, spans", () => {
  assert.equal(writeWords({ key: "n", increment: 1 }), "_shared.n += 1");
  assert.equal(writeWords({ scope: "_log", append: true, value: "x" }), '_log.<row> gains "x"');
  assert.equal(writeWords({ key: "n", expr: true, value: "1 + 1" }), "_shared.n = 1 + 1");
  assert.equal(effectOf({ scope: "_shared", op: "expire" }), "ran out");
  assert.equal(effectOf({ scope: "_messages", op: "set", value: { body: "hi" } }), '= "hi"');
  assert.deepEqual(placeOf("alice.notes"), ["alice", "notes"]);
  assert.deepEqual(placeOf("phase"), ["_shared", "phase"]);
  assert.deepEqual(placeOf({ scope: "_log", key: "1" }), ["_log", "1"]);
  const action = {
    value: { available: true, params: { n: {}, v: { enum: ["a", "b"] } } },
    _meta: META,
  } as Action;
  assert.deepEqual(optionsOf(action, {}), [{ label: "a", params: { v: "a" } }, {
    label: "b",
    params: { v: "b" },
  }]);
  assert.deepEqual(columnsOf([{ a: 1 }, { b: 2 }], undefined), {
    columns: [{ key: "a", label: "a" }, { key: "b", label: "b" }],
    left: 0,
  });
  const wide = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`c${i}`, i]));
  const { columns, left } = columnsOf([wide], undefined);
  assert.equal(columns.length + left, 20);
  assert.equal(longestWord("all of it"), 3);
  assert.equal(span(3_723_000), "1h 2m");
  assert.equal(span(0), "0s");
  assert.equal(linePoints([1, 3], 10, 10), "0.0,8.0 10.0,2.0");
});

Deno.test("Completions know the room: scopes, keys, members, functions", () => {
  const store = new RoomStore();
  store.merge(
    context({
      state: { _shared: { phase: entry("x"), "odd key": entry(1) } },
      views: { board: entry(1) as View },
    }),
  );
  const after = (text: string) => completionsFor(store, text).map(({ insert }) => insert);
  assert.deepEqual(after("state."), ["_shared"]);
  assert.deepEqual(after("state._shared.ph"), ["phase"]);
  assert.deepEqual(after("state._shared.phase."), ["value", "_meta"]);
  assert.ok(after("state._shared.phase._meta.").includes("writer"));
  assert.deepEqual(after("1 + views.b"), ["board"]);
  assert.deepEqual(after("sal"), ["salient("]);
  assert.deepEqual(after(""), []);
  assert.deepEqual(pathBefore('a && state["x"].y'), {
    start: 16,
    parts: ["state", "x"],
    typed: "y",
  });
});

Deno.test("Activity counts every record once", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 400 }),
      fc.integer({ min: 1, max: 60 }),
      (head, columns) => {
        const records = Array.from({ length: head }, (_, i) => ({
          seq: i + 1,
          ts: new Date(1_000_000 + i * 1_000).toISOString(),
          kind: "invoke",
          agent: i % 2 ? "a" : "b",
          actor: "",
          prev: "",
          hash: "",
        }));
        const found = stretches(records, head, columns);
        assert.equal(found.length, Math.min(columns, head));
        assert.ok(found.every(({ rate }) => rate > 0));
      },
    ),
  );
});
