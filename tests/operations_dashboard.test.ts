/** The example dashboard and the alert rules: queries that parse, and name only what is measured. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { parser } from "@prometheus-io/lezer-promql";
import { parse as parseYaml } from "yaml";
import { makeRoom, startService, userToken } from "./harness.ts";
import { call } from "./mcp_world.ts";
import { scrape } from "./operations_world.ts";

const text = (path: string): Promise<string> =>
  readFile(new URL(`../${path}`, import.meta.url), "utf8");

interface Query {
  readonly where: string;
  readonly expr: string;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: {
    readonly h: number;
    readonly w: number;
    readonly x: number;
    readonly y: number;
  };
  readonly targets?: readonly { readonly expr: string; readonly refId: string }[];
}

interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly __inputs: readonly { readonly name: string; readonly pluginId: string }[];
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly query: unknown }[];
  };
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}

const dashboard = JSON.parse(await text("deploy/grafana-dashboard.json")) as Dashboard;
const rules = (parseYaml(await text("deploy/prometheus-rules.yml")) as {
  groups: { name: string; rules: Rule[] }[];
}).groups.flatMap((group) => group.rules);

const QUERIES: readonly Query[] = [
  ...dashboard.panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ expr }) => ({ where: panel.title, expr }))
  ),
  ...rules.map(({ alert, expr }) => ({ where: alert, expr })),
];

/** What a query names: its metrics, and the labels it matches and groups by. */
function namesIn({ where, expr }: Query): { metrics: string[]; labels: string[] } {
  const source = expr.replaceAll("$__rate_interval", "5m");
  const metrics: string[] = [], labels: string[] = [];
  const cursor = parser.parse(source).cursor();
  do {
    const word = source.slice(cursor.from, cursor.to);
    assert.ok(!cursor.type.isError, `${where}: no PromQL at "${source.slice(cursor.from)}"`);
    if (cursor.name === "Identifier") metrics.push(word);
    if (cursor.name === "LabelName") labels.push(word);
  } while (cursor.next());
  return { metrics, labels };
}

/** Metrics by name as a service shows them that has seen some of everything, with their labels. */
async function measured(): Promise<Map<string, Set<string>>> {
  const on = await startService();
  const room = await makeRoom(on, ["alice"]);
  await on.call("GET", `/rooms/${room.id}/context`);
  await call(on, await userToken(on, "pat", "rooms:*"), "sync_lobby", {});
  const { families } = await scrape(on);
  await on.close();
  const labels = new Map<string, Set<string>>([["up", new Set()]]);
  for (const { samples } of families.values()) {
    for (const sample of samples) {
      const known = labels.get(sample.name) ?? new Set();
      labels.set(sample.name, known);
      for (const label of Object.keys(sample.labels)) known.add(label);
    }
  }
  return labels;
}

/** What Prometheus adds to everything it scrapes. */
const ADDED = ["job", "instance"];

Deno.test("Every query of the dashboard and the alerts is PromQL and names metrics and labels that there are", async () => {
  const known = await measured();
  const named = new Set<string>();
  assert.ok(QUERIES.length > 50);
  for (const query of QUERIES) {
    const { metrics, labels } = namesIn(query);
    assert.ok(metrics.length > 0, query.where);
    for (const metric of metrics) {
      assert.ok(known.has(metric), `${query.where}: there is no ${metric}`);
      named.add(metric.replace(/_(bucket|sum|count)$/, ""));
    }
    const there = new Set([...ADDED, ...metrics.flatMap((metric) => [...known.get(metric)!])]);
    for (const label of labels) assert.ok(there.has(label), `${query.where}: no label ${label}`);
  }
  const families = new Set(
    [...known.keys()].map((name) => name.replace(/_(bucket|sum|count)$/, "")),
  );
  const unseen = [...families].filter((name) => !named.has(name));
  assert.deepEqual(unseen.sort(), [
    // Beside the panels: what a look at a single instance shows.
    "process_start_time_seconds",
    "sync_auth_cached",
    "sync_build_info",
    "sync_external_memory_bytes",
    "sync_heap_total_bytes",
    "sync_rate_limit_per_minute",
    "sync_streams_total",
    "sync_timers_open",
  ]);
});

Deno.test("The dashboard can be imported: its data source is asked for, ids are one each, panels lie beside each other", () => {
  assert.deepEqual(dashboard.__inputs.map(({ name, pluginId }) => [name, pluginId]), [
    ["DS_PROMETHEUS", "prometheus"],
  ]);
  assert.ok(dashboard.uid !== "" && dashboard.schemaVersion >= 36);
  assert.deepEqual(dashboard.templating.list.map(({ name }) => name), [
    "datasource",
    "job",
    "instance",
  ]);
  const ids = dashboard.panels.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  const taken = new Set<string>();
  for (const { title, type, gridPos: { x, y, w, h }, targets } of dashboard.panels) {
    assert.ok(x + w <= 24, title);
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        const place = `${column},${line}`;
        assert.ok(!taken.has(place), `${title} lies over another panel`);
        taken.add(place);
      }
    }
    if (type !== "row") assert.ok((targets ?? []).length > 0, title);
  }
});

Deno.test("Every alert has a severity and a summary, and the page for the person on call says what to do", async () => {
  const page = await text("reference/operations.md");
  for (const { alert, labels, annotations } of rules) {
    assert.match(labels.severity, /^(critical|warning)$/);
    assert.ok(annotations.summary.length > 10, alert);
    assert.ok(page.includes(`\`${alert}\``), `reference/operations.md says nothing of ${alert}`);
  }
});
