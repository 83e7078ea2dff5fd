/**
 * Markdown as elements: marked's lexer makes tokens, this makes elements of them. No HTML text is
 * ever made, so markup in a room's values stays text. Pictures become links: nothing is loaded.
 */
import { Marked, type Token, type Tokens } from "marked";
import type { ComponentChildren } from "preact";

const marked = new Marked({ gfm: true });
const LENGTH_MAX = 200_000;
const DEPTH_MAX = 40;

/** How a page wants some tokens drawn; without it they look plain. */
export interface MarkdownOptions {
  /** The `id` of a heading, for links to it. */
  readonly headingId?: (text: string) => string | undefined;
  /** Code of a language, coloured. */
  readonly code?: (text: string, lang: string) => ComponentChildren;
  /** Where a link leads from here; undefined leaves its text without one. */
  readonly href?: (href: string) => string | undefined;
  /** Level of the topmost heading. */
  readonly level?: number;
}

/** A text as elements. */
export function Markdown({ text, options = {} }: { readonly text: string; readonly options?: MarkdownOptions }) {
  return <>{blocks(lex(text), options, 0)}</>;
}

/** A text as marked's tokens; very long ones are cut. */
export function lex(text: string): Token[] {
  return marked.lexer(text.slice(0, LENGTH_MAX));
}

function blocks(tokens: readonly Token[], options: MarkdownOptions, depth: number): ComponentChildren[] {
  if (depth > DEPTH_MAX) return ["…"];
  return tokens.map((token, i) => <Block key={i} token={token} options={options} depth={depth} />);
}

interface BlockProps {
  readonly token: Token;
  readonly options: MarkdownOptions;
  readonly depth: number;
}

function Block({ token, options, depth }: BlockProps) {
  switch (token.type) {
    case "heading":
      return <Heading token={token as Tokens.Heading} options={options} depth={depth} />;
    case "paragraph":
      return <p>{inline((token as Tokens.Paragraph).tokens, options, depth + 1)}</p>;
    case "text":
      return <>{inline((token as Tokens.Text).tokens ?? [token], options, depth + 1)}</>;
    case "code":
      return <CodeBlock token={token as Tokens.Code} options={options} />;
    case "blockquote":
      return <blockquote>{blocks((token as Tokens.Blockquote).tokens, options, depth + 1)}</blockquote>;
    case "list":
      return <List token={token as Tokens.List} options={options} depth={depth} />;
    case "table":
      return <Table token={token as Tokens.Table} options={options} depth={depth} />;
    case "hr":
      return <hr />;
    case "space":
    case "def":
      return null;
    default:
      return <p>{token.raw}</p>;
  }
}

function Heading({ token, options, depth }: BlockProps & { token: Tokens.Heading }) {
  const level = Math.min(6, token.depth + (options.level ?? 1) - 1);
  const Name = `h${level}` as "h2";
  const id = options.headingId?.(plainText(token.tokens));
  const content = inline(token.tokens, options, depth + 1);
  if (id === undefined) return <Name>{content}</Name>;
  return (
    <Name id={id}>
      {content} <a class="anchor" href={`#${id}`} aria-label={`Link to ${plainText(token.tokens)}`}>#</a>
    </Name>
  );
}

function CodeBlock({ token, options }: { readonly token: Tokens.Code; readonly options: MarkdownOptions }) {
  const lang = (token.lang ?? "").split(/\s/)[0] ?? "";
  return <pre tabIndex={0} class="code"><code>{options.code?.(token.text, lang) ?? token.text}</code></pre>;
}

function List({ token, options, depth }: BlockProps & { token: Tokens.List }) {
  const items = token.items.map((item, i) => (
    <li key={i}>{blocks(item.tokens, options, depth + 1)}</li>
  ));
  if (!token.ordered) return <ul>{items}</ul>;
  return <ol start={typeof token.start === "number" ? token.start : 1}>{items}</ol>;
}

function Table({ token, options, depth }: BlockProps & { token: Tokens.Table }) {
  return (
    <div class="table-scroll" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead>
          <tr>{token.header.map((cell, i) => <th key={i} scope="col">{inline(cell.tokens, options, depth + 1)}</th>)}</tr>
        </thead>
        <tbody>
          {token.rows.map((row, i) => (
            <tr key={i}>{row.map((cell, j) => <td key={j}>{inline(cell.tokens, options, depth + 1)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inline(tokens: readonly Token[], options: MarkdownOptions, depth: number): ComponentChildren[] {
  if (depth > DEPTH_MAX) return ["…"];
  return tokens.map((token, i) => <Inline key={i} token={token} options={options} depth={depth} />);
}

function Inline({ token, options, depth }: BlockProps) {
  const inner = (): ComponentChildren => inline((token as Tokens.Strong).tokens ?? [], options, depth + 1);
  switch (token.type) {
    case "strong":
      return <strong>{inner()}</strong>;
    case "em":
      return <em>{inner()}</em>;
    case "del":
      return <del>{inner()}</del>;
    case "codespan":
      return <code>{decode((token as Tokens.Codespan).text)}</code>;
    case "br":
      return <br />;
    case "link":
      return <Link href={(token as Tokens.Link).href} options={options}>{inner()}</Link>;
    case "image":
      return <Link href={(token as Tokens.Image).href} options={options}>{(token as Tokens.Image).text || "picture"}</Link>;
    case "checkbox":
      return <span>{(token as { checked?: boolean }).checked ? "☑ " : "☐ "}</span>;
    case "text":
    case "escape":
      return <>{(token as Tokens.Text).tokens ? inner() : decode((token as Tokens.Text).text)}</>;
    default:
      return <>{token.raw}</>;
  }
}

function Link({ href, options, children }: {
  readonly href: string;
  readonly options: MarkdownOptions;
  readonly children: ComponentChildren;
}) {
  const target = options.href ? options.href(href) : safeHref(href);
  if (target === undefined) return <>{children}</>;
  if (!/^[a-z]+:/i.test(target)) return <a href={target}>{children}</a>;
  return <a href={target} rel="noopener noreferrer nofollow" target="_blank">{children}</a>;
}

/** The address of a link that may be followed: http, https, mailto; nothing that runs, nothing of this site. */
export function safeHref(href: string): string | undefined {
  const clean = decode(href).trim();
  if (!/^(https?:\/\/|mailto:)/i.test(clean)) return undefined;
  return URL.canParse(clean) ? clean : undefined;
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', "#39": "'", nbsp: "\u00a0" };

function decode(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39|nbsp);/g, (_, name: string) => ENTITIES[name] ?? "");
}

/** The words of tokens without their marks. */
export function plainText(tokens: readonly Token[]): string {
  return tokens.map((token) => {
    const { tokens: inner, text } = token as Tokens.Text;
    return inner ? plainText(inner) : decode(text ?? "");
  }).join("");
}
