/** The server's pages over HTTP: who gets what, what they may load, where their links lead. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { gunzipSync, gzipSync } from "node:zlib";
import { documentHref } from "../http/pages/docs.tsx";
import { idOf, indexDocuments, searchDocuments } from "../http/pages/doc-index.ts";
import { type Reply, startService, type TestService } from "./harness.ts";

const HTML = { Accept: "text/html,application/xhtml+xml,*/*;q=0.8" };
const PICTURE = "/reference/pictures/dashboard.png";
const PAGES = [
  "/",
  "/?room=any",
  "/docs",
  "/docs?q=wait",
  "/docs/api",
  "/docs/skill",
  "/overview",
  "/nothing",
];

async function withService(run: (on: TestService) => Promise<void>): Promise<void> {
  const on = await startService();
  try {
    await run(on);
  } finally {
    await on.close();
  }
}

function open(on: TestService, path: string, headers: Record<string, string> = {}): Promise<Reply> {
  return on.call("GET", path, { headers: { ...HTML, ...headers } });
}

Deno.test("Browsers get pages where everybody else gets the skill text or JSON", () =>
  withService(async (on) => {
    assert.match((await open(on, "/")).text, /^<!doctype html>/);
    assert.match((await open(on, "/?room=x")).text, /<div id="app">/);
    for (const headers of [{}, { Accept: "*/*" }, { Accept: "application/json" }]) {
      const skill = await on.call("GET", "/", { headers });
      assert.match(skill.headers.get("Content-Type") ?? "", /text\/markdown/);
    }
    const missing = await open(on, "/no/such/page");
    assert.equal(missing.status, 404);
    assert.match(missing.text, /There is nothing here/);
    const json = await on.call("GET", "/no/such/page");
    assert.equal(json.status, 404);
    assert.equal(json.body.error, "not_found");
    assert.equal((await open(on, "/docs/no-such-document")).status, 404);
  }));

Deno.test("No page carries script or style of its own, and its policy would refuse them", () =>
  withService(async (on) => {
    for (const path of PAGES) {
      const page = await open(on, path);
      assert.doesNotMatch(
        page.text,
        /<script(?![^>]*\ssrc="\/static\/)|<style|\sstyle=|\son[a-z]+=/i,
        path,
      );
      const policy = page.headers.get("Content-Security-Policy") ?? "";
      for (
        const part of [
          "default-src 'none'",
          "script-src 'self'",
          "trusted-types 'none'",
          "frame-ancestors 'none'",
        ]
      ) {
        assert.ok(policy.includes(part), `${path}: ${part}`);
      }
      assert.doesNotMatch(policy, /unsafe|\*|https?:/, path);
      const loaded = [...page.text.matchAll(/<(?:script|link|img)[^>]*\s(?:src|href)="([^"]+)"/g)];
      assert.ok(loaded.length >= 2, path);
      for (const [, address] of loaded) {
        const file = await on.call("GET", address!);
        assert.equal(file.status, 200, `${path} loads ${address}`);
        assert.match(file.headers.get("Cache-Control") ?? "", /max-age/);
      }
    }
  }));

Deno.test("Room names and searches come back as text, whatever is in them", () =>
  withService(async (on) => {
    const markup = '"><img src=x onerror=alert(1)>';
    for (
      const path of [
        `/?room=${encodeURIComponent(markup)}`,
        `/docs?q=${encodeURIComponent(markup)}`,
        `/${encodeURIComponent(markup)}`,
      ]
    ) {
      assert.ok(!(await open(on, path)).text.includes("<img src=x"), path);
    }
  }));

Deno.test("Static files come from a list: nothing else is served by path", () =>
  withService(async (on) => {
    const paths = [
      "/static/app/",
      "/static/app/x/app.js",
      "/static/app/../../deno.json",
      "/static/app/%2e%2e/main.ts",
      "/static/app/pictures/..%2f..%2fmain.ts",
      "/reference/pictures/",
      "/reference/pictures/none.png",
      "/reference/pictures/..%2fapi.md",
      "/reference/pictures/../../deno.json",
    ];
    for (const path of paths) assert.equal((await on.call("GET", path)).status, 404, path);
  }));

Deno.test("Every picture of the documents is there under the address that they give it", () =>
  withService(async (on) => {
    const names = readdirSync(new URL("../reference/pictures/", import.meta.url));
    assert.ok(names.length > 0);
    for (const name of names) {
      const path = `/reference/pictures/${name}`;
      const picture = await on.service.fetch(new Request(`http://localhost${path}`));
      assert.equal(picture.status, 200, name);
      assert.equal(picture.headers.get("Content-Type"), "image/png");
      assert.match(picture.headers.get("Cache-Control") ?? "", /max-age=\d+/);
      const file = new URL(`..${path}`, import.meta.url);
      assert.deepEqual(await picture.bytes(), new Uint8Array(readFileSync(file)));
    }
    const skill = (await on.call("GET", "/SKILL.md")).text;
    for (const [, path] of skill.matchAll(/!\[[^\]]*\]\((\/[^)]+)\)/g)) {
      assert.equal((await on.call("GET", path!)).status, 200, path!);
    }
  }));

/** What the service sends of a path, not undone by a client. */
async function sent(on: TestService, path: string, headers: Record<string, string>) {
  const response = await on.service.fetch(new Request(`http://localhost${path}`, { headers }));
  return { response, bytes: await response.bytes() };
}

Deno.test("Files, documents and pages are compressed for those who take it, and the same for all", () =>
  withService(async (on) => {
    const page = (await open(on, "/?room=x")).text;
    const files = [...page.matchAll(/(?:src|href)="(\/static[^"]+\.(?:js|css))"/g)].map((
      [, path],
    ) => path!);
    assert.equal(files.length, 2);
    const paths = [
      ...files,
      "/SKILL.md",
      "/reference/api.md",
      "/docs/api",
      "/docs",
      "/overview",
      "/",
    ];
    for (const path of paths) {
      const plain = await sent(on, path, HTML);
      assert.equal(plain.response.headers.get("Content-Encoding"), null, path);
      assert.match(plain.response.headers.get("Vary") ?? "", /\bAccept-Encoding\b/, path);
      for (const wish of ["gzip", "br, gzip;q=0.5", "deflate, GZIP"]) {
        const small = await sent(on, path, { ...HTML, "Accept-Encoding": wish });
        assert.equal(small.response.headers.get("Content-Encoding"), "gzip", `${path} ${wish}`);
        assert.match(small.response.headers.get("Vary") ?? "", /\bAccept-Encoding\b/);
        assert.ok(small.bytes.length < plain.bytes.length * 0.6, path);
        assert.deepEqual(new Uint8Array(gunzipSync(small.bytes)), plain.bytes, path);
      }
      for (const wish of ["gzip;q=0", "br", "identity"]) {
        const other = await sent(on, path, { ...HTML, "Accept-Encoding": wish });
        assert.equal(other.response.headers.get("Content-Encoding"), null, `${path} ${wish}`);
      }
    }
    for (const path of ["/healthz", PICTURE, "/openapi.json"]) {
      const { response } = await sent(on, path, { "Accept-Encoding": "gzip" });
      assert.equal(response.headers.get("Content-Encoding"), null, path);
    }
  }));

Deno.test("A file that is known already is not sent again, and each encoding has its own tag", () =>
  withService(async (on) => {
    const page = (await open(on, "/?room=x")).text;
    const script = /src="(\/static[^"]+\.js)"/.exec(page)![1]!;
    for (const path of [script, PICTURE]) {
      const tags = new Set<string>();
      for (const wish of ["identity", "gzip"]) {
        const headers = { "Accept-Encoding": wish };
        const tag = (await sent(on, path, headers)).response.headers.get("ETag")!;
        tags.add(tag);
        for (const known of [tag, `"x", W/${tag}`]) {
          const again = await sent(on, path, { ...headers, "If-None-Match": known });
          assert.equal(again.response.status, 304);
          assert.equal(again.bytes.length, 0);
          assert.equal(again.response.headers.get("ETag"), tag);
        }
        const other = await sent(on, path, { ...headers, "If-None-Match": '"x"' });
        assert.equal(other.response.status, 200);
      }
      assert.equal(tags.size, path === script ? 2 : 1);
    }
  }));

Deno.test("HEAD says of a page what GET does, and no length that it does not have", () =>
  withService(async (on) => {
    const server = Deno.serve({ port: 0, onListen: () => undefined }, (r) => on.service.fetch(r));
    try {
      for (const path of ["/", "/overview", "/docs", "/SKILL.md", "/reference/api.md"]) {
        for (const encoding of ["gzip", "identity"]) {
          const headers = { "Accept-Encoding": encoding };
          const url = `http://127.0.0.1:${server.addr.port}${path}`;
          const head = await fetch(url, { method: "HEAD", headers });
          const { status, headers: said } = await sent(on, path, headers).then((r) => r.response);
          assert.equal(head.status, status, path);
          for (const name of ["Content-Type", "Content-Encoding", "Vary"]) {
            assert.equal(head.headers.get(name), said.get(name), `${path}: ${name}`);
          }
          assert.notEqual(head.headers.get("Content-Length"), "0", `${path} as ${encoding}`);
        }
      }
    } finally {
      await server.shutdown();
    }
  }));

Deno.test("A token that was sent along goes behind the #, out of what is sent, kept or referred to", () =>
  withService(async (on) => {
    const { response } = await sent(on, "/?room=a%20b&tab=log&token=room_x%26y", HTML);
    assert.equal(response.status, 303);
    assert.equal(response.headers.get("Location"), "/?room=a+b&tab=log#token=room_x%26y");
    assert.equal(response.headers.get("Referrer-Policy"), "no-referrer");
    assert.equal(response.headers.get("Cache-Control"), "no-store");
    const { response: roomless } = await sent(on, "/?token=room_x", HTML);
    assert.deepEqual([roomless.status, roomless.headers.get("Location")], [303, "/#token=room_x"]);
    const { response: page } = await sent(on, "/?room=r", HTML);
    assert.equal(page.headers.get("Referrer-Policy"), "same-origin");
  }));

Deno.test("The documents' folder leads to the documents", () =>
  withService(async (on) => {
    const to = async (path: string, headers: Record<string, string>) =>
      (await sent(on, path, headers)).response.headers.get("Location");
    assert.equal(await to("/docs/", HTML), "/docs");
    assert.equal(await to("/reference/", HTML), "/reference");
    assert.equal(await to("/reference", HTML), "/docs");
    const list = await on.call("GET", "/reference");
    assert.equal(list.status, 200);
    const links = [...list.text.matchAll(/\]\(([^)]+)\)/g)].map(([, path]) => path!);
    assert.ok(links.includes("/SKILL.md") && links.includes("/reference/api.md"));
    for (const path of links) assert.equal((await on.call("GET", path)).status, 200, path);
  }));

Deno.test("The dashboard's script is under 64 KB compressed, all of it", () =>
  withService(async (on) => {
    const page = await open(on, "/?room=x");
    const entry = /src="(\/static\/app\/[^"]+\/)app\.js"/.exec(page.text)![1]!;
    const seen = new Map<string, number>();
    const read = async (name: string): Promise<void> => {
      if (seen.has(name)) return;
      const { text, status } = await on.call("GET", entry + name);
      assert.equal(status, 200, name);
      seen.set(name, gzipSync(text).length);
      for (const [, next] of text.matchAll(/["']\.\/([\w.-]+\.js)["']/g)) await read(next!);
    };
    await read("app.js");
    assert.ok(seen.size > 1, "Markdown is loaded when it is wanted");
    const total = [...seen.values()].reduce((sum, bytes) => sum + bytes, 0);
    assert.ok(total < 64_000, `${total} bytes: ${JSON.stringify([...seen])}`);
  }));

Deno.test("The theme is a cookie of a form without script, and leads back only to this site", () =>
  withService(async (on) => {
    const choose = (theme: string, next: string) =>
      on.call("POST", "/theme", {
        body: new URLSearchParams({ theme, next }).toString(),
        headers: { "Content-Type": "application/x-www-form-urlencoded" },
      });
    const chosen = await choose("dark", "/docs/api");
    assert.equal(chosen.status, 303);
    assert.equal(chosen.headers.get("Location"), "/docs/api");
    assert.match(chosen.headers.get("Set-Cookie") ?? "", /^theme=dark; Path=\/; SameSite=Lax/);
    assert.match(
      (await open(on, "/docs", { Cookie: "theme=dark" })).text,
      /<html lang="en" data-theme="dark"/,
    );
    assert.doesNotMatch((await open(on, "/docs", { Cookie: "theme=evil" })).text, /data-theme/);
    assert.match((await choose("system", "/")).headers.get("Set-Cookie") ?? "", /Max-Age=0/);
    for (
      const next of [
        "//elsewhere.example",
        "https://elsewhere.example",
        "/\\elsewhere.example",
        "/x\r\nSet-Cookie: a=b",
        "",
      ]
    ) {
      const location = (await choose("light", next)).headers.get("Location") ?? "";
      assert.ok(/^\/(?![/\\])/.test(location) && !/[\r\n]/.test(location), `${next} → ${location}`);
    }
  }));

Deno.test("Every document has a page, and every link in them leads somewhere", () =>
  withService(async (on) => {
    const files = readdirSync(new URL("../reference/", import.meta.url)).filter((name) =>
      name.endsWith(".md")
    );
    const ids = new Map<string, Set<string>>();
    const links: [string, string][] = [];
    for (const slug of ["skill", ...files.map((name) => name.slice(0, -3))]) {
      const page = await open(on, `/docs/${slug}`);
      assert.equal(page.status, 200, slug);
      const found = [...page.text.matchAll(/<h[1-6] id="([^"]+)"/g)].map(([, id]) => id!);
      assert.equal(
        new Set(found).size,
        found.length,
        `${slug}: headings have addresses of their own`,
      );
      ids.set(`/docs/${slug}`, new Set(found));
      const article = page.text.slice(
        page.text.indexOf("<article"),
        page.text.indexOf("</article>"),
      );
      for (const [, href] of article.matchAll(/<a[^>]*\shref="([^"]+)"/g)) {
        links.push([`/docs/${slug}`, href!.replaceAll("&amp;", "&")]);
      }
    }
    const broken: string[] = [];
    for (const [from, href] of links.filter(([, href]) => !/^[a-z]+:/.test(href))) {
      const [path, id] = (href.startsWith("#") ? from + href : href).split("#") as [
        string,
        string?,
      ];
      const known = ids.get(path);
      if (
        known
          ? id !== undefined && !known.has(decodeURIComponent(id))
          : (await on.call("GET", path)).status !== 200
      ) {
        broken.push(`${from} → ${href}`);
      }
    }
    assert.deepEqual(broken, []);
  }));

const DOCS = indexDocuments(
  new Map([
    [
      "SKILL.md",
      "---\nname: x\n---\n# The skill\n\nReads *rooms*.\n\n## Waiting\n\nA wait answers when it is true.\n\n## Waiting\n\nagain",
    ],
    ["api.md", "# API\n\nCalls.\n\n### `GET /rooms/:id`\n\nOne room, and how to wait for it."],
    ["empty.md", ""],
  ]),
);

Deno.test("Documents are found by all words, headings first", () => {
  assert.deepEqual(DOCS.map(({ slug, title, summary }) => [slug, title, summary]), [
    ["skill", "The skill", "Reads rooms."],
    ["api", "API", "Calls."],
  ]);
  assert.deepEqual(DOCS[0]!.headings.map(({ id }) => id), ["the-skill", "waiting", "waiting-1"]);
  assert.deepEqual(
    searchDocuments(DOCS, "wait").map(({ doc, heading }) => `${doc.slug}#${heading?.id}`),
    ["skill#waiting", "skill#waiting-1", "api#get-roomsid"],
  );
  assert.deepEqual(searchDocuments(DOCS, "room wait").map(({ doc }) => doc.slug), ["api"]);
  assert.deepEqual(searchDocuments(DOCS, "  "), []);
  assert.equal(idOf("What's `new`?"), "whats-new");
});

Deno.test("Links between documents lead between their pages", () => {
  const rows: [string, string | undefined][] = [
    ["api.md", "/docs/api"],
    ["./api.md#calls", "/docs/api#calls"],
    ["../reference/api.md", "/docs/api"],
    ["../README.md", "/docs/skill"],
    ["/openapi.json", "/openapi.json"],
    ["#here", "#here"],
    ["https://a.example/", "https://a.example/"],
    ["javascript:alert(1)", undefined],
    ["unknown.md", undefined],
    ["//elsewhere.example", undefined],
  ];
  for (const [href, expected] of rows) assert.equal(documentHref(href, DOCS), expected, href);
});
