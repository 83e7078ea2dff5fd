/** The documents as pages: a list, each one with its headings, and what a search finds. */
import { Markdown, type MarkdownOptions, safeHref } from "../../frontend/markdown.tsx";
import type { Doc, Heading, Hit } from "./doc-index.ts";
import { PICTURE_PREFIX } from "./bundle.ts";
import { highlight } from "./highlight.tsx";
import { Frame, respondPage, type Visitor } from "./layout.tsx";

function DocsNav(
  { docs, current, query }: {
    readonly docs: readonly Doc[];
    readonly current?: string;
    readonly query?: string;
  },
) {
  return (
    <nav class="docs-nav" aria-label="Documents">
      <form action="/docs" role="search">
        <input
          type="search"
          name="q"
          aria-label="Search the documents"
          placeholder="Search"
          value={query ?? ""}
        />
        <button type="submit">Find</button>
      </form>
      <ul>
        {docs.map((doc) => (
          <li key={doc.slug}>
            <a
              href={`/docs/${doc.slug}`}
              {...(doc.slug === current ? { "aria-current": "page" as const } : {})}
            >
              {doc.title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

/** `/docs`: every document, or what a search found. */
export function docsPage(
  docs: readonly Doc[],
  visitor: Visitor,
  search?: { query: string; hits: readonly Hit[] },
): Response {
  return respondPage({
    title: search ? `“${search.query}” · sync docs` : "Docs · sync",
    visitor,
    children: (
      <Frame visitor={visitor}>
        <div class="docs">
          <DocsNav docs={docs} {...(search ? { query: search.query } : {})} />
          {search ? <Hits query={search.query} hits={search.hits} /> : <DocList docs={docs} />}
        </div>
      </Frame>
    ),
  });
}

function DocList({ docs }: { readonly docs: readonly Doc[] }) {
  return (
    <article class="prose">
      <h1>Documents</h1>
      <p>
        Agents read the same texts as Markdown: <a href="/SKILL.md">/SKILL.md</a> and{" "}
        <code>/reference/:name</code>.
      </p>
      <ul class="doc-list">
        {docs.map((doc) => (
          <li key={doc.slug}>
            <a href={`/docs/${doc.slug}`}>{doc.title}</a>
            <p>{doc.summary.slice(0, 220)}</p>
          </li>
        ))}
      </ul>
    </article>
  );
}

function Hits({ query, hits }: { readonly query: string; readonly hits: readonly Hit[] }) {
  return (
    <article class="prose">
      <h1>Search</h1>
      <p role="status">
        {hits.length === 0
          ? `Nothing about “${query}”.`
          : `${hits.length} sections about “${query}”.`}
      </p>
      <ul class="hits">
        {hits.map(({ doc, heading, snippet }, i) => (
          <li key={i}>
            <a href={`/docs/${doc.slug}${heading ? `#${heading.id}` : ""}`}>
              {doc.title}
              {heading && heading.text !== doc.title ? ` › ${heading.text}` : ""}
            </a>
            <p>
              <Marked text={snippet} query={query} />
            </p>
          </li>
        ))}
      </ul>
    </article>
  );
}

/** A text with the words of the query marked. */
function Marked({ text, query }: { readonly text: string; readonly query: string }) {
  const words = query.split(/\s+/).filter((word) => word !== "").map((word) =>
    word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
  );
  if (words.length === 0) return <>{text}</>;
  const parts = text.split(new RegExp(`(${words.join("|")})`, "gi"));
  return <>{parts.map((part, i) => i % 2 === 1 ? <mark key={i}>{part}</mark> : part)}</>;
}

/** `/docs/:slug`: one document. */
export function docPage(docs: readonly Doc[], doc: Doc, visitor: Visitor): Response {
  return respondPage({
    title: `${doc.title} · sync docs`,
    visitor,
    description: doc.summary.slice(0, 160),
    children: (
      <Frame visitor={visitor}>
        <div class="docs">
          <DocsNav docs={docs} current={doc.slug} />
          <article class="prose">
            {!doc.headings.some((heading) => heading.level === 1) && <h1>{doc.title}</h1>}
            <Markdown text={doc.text} options={optionsFor(doc, docs)} />
          </article>
          <Contents headings={doc.headings.filter(({ level }) => level === 2 || level === 3)} />
        </div>
      </Frame>
    ),
  });
}

function optionsFor(doc: Doc, docs: readonly Doc[]): MarkdownOptions {
  const rest = [...doc.headings];
  return {
    headingId: () => rest.shift()?.id,
    code: highlight,
    picture: (href) => {
      const name = /(?:^|\/)pictures\/([a-z0-9-]+\.png)$/.exec(href)?.[1];
      return name === undefined ? undefined : PICTURE_PREFIX + name;
    },
    href: (href) => documentHref(href, docs),
  };
}

/** Links between the files lead between their pages; anything that is neither here nor on the web is no link. Pure. */
export function documentHref(href: string, docs: readonly Doc[]): string | undefined {
  if (href.startsWith("#")) return href;
  const match = /^(?:\.?\.?\/)*(?:reference\/)?([A-Za-z0-9_-]+)(?:\.md)?(#.*)?$/.exec(href);
  const slug = match?.[1]?.toLowerCase();
  const known = docs.find((doc) =>
    doc.slug === slug || (slug === "readme" && doc.slug === "skill")
  );
  if (known) return `/docs/${known.slug}${match?.[2] ?? ""}`;
  if (/^\/[^/\\]/.test(href)) return href;
  return safeHref(href);
}

function Contents({ headings }: { readonly headings: readonly Heading[] }) {
  if (headings.length < 2) return null;
  return (
    <nav class="toc" aria-labelledby="toc">
      <h2 id="toc">On this page</h2>
      <ul>
        {headings.map(({ id, text, level }) => (
          <li key={id} class={level === 3 ? "deep" : ""}>
            <a href={`#${id}`}>{text}</a>
          </li>
        ))}
      </ul>
    </nav>
  );
}
