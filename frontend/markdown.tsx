/**
 * Markdown as elements: marked's lexer makes tokens, this makes elements of them. No HTML text is
 * ever made, so markup in a room's values stays text. Pictures become links: nothing is loaded.
 */
import { Lexer, type Token, type Tokens } from "marked";
import type { ComponentChildren } from "preact";

const LENGTH_MAX = 200_000;
/** Work that a text of a room may make: a fraction of a second at worst. */
export const EFFORT = 75_000_000;
const DEPTH_MAX = 40;

/** How a page wants some tokens drawn; without it they look plain. */
export interface MarkdownOptions {
  /** The `id` of a heading, for links to it. */
  readonly headingId?: (text: string) => string | undefined;
  /** Code of a language, coloured. */
  readonly code?: (text: string, lang: string) => ComponentChildren;
  /** Where a link leads from here; undefined leaves its text without one. */
  readonly href?: (href: string) => string | undefined;
  /** Where a picture is that may be shown; others become links. */
  readonly picture?: (href: string) => string | undefined;
  /** Level of the topmost heading that there is; the others follow without a gap. */
  readonly level?: number;
  /** How much work a text may make; for texts of anybody. */
  readonly effort?: number;
  /** The levels of this text's headings by their depth. */
  readonly levels?: ReadonlyMap<number, number>;
}

/** A text as elements. */
export function Markdown(
  { text, options = {} }: { readonly text: string; readonly options?: MarkdownOptions },
) {
  const tokens = lex(text, options.effort);
  const { level } = options;
  const own = level === undefined ? options : { ...options, levels: levelsOf(tokens, level) };
  return <>{blocks(tokens, own, 0)}</>;
}

function levelsOf(tokens: readonly Token[], level: number): ReadonlyMap<number, number> {
  const depths = tokens.filter((token) => token.type === "heading").map((token) =>
    (token as Tokens.Heading).depth
  );
  return new Map([...new Set(depths)].sort().map((depth, i) => [depth, level + i]));
}

const QUOTES = /^((?:[ \t]*>){16})[> \t]+/gm;

/**
 * A text as marked's tokens. Marked takes the square of a paragraph's length at worst: `effort`
 * bounds the sum of those squares, and what is beyond it, or nested too deeply, stays plain text.
 */
export function lex(text: string, effort = Infinity): Token[] {
  const source = text.slice(0, LENGTH_MAX).replace(/\r\n?/g, "\n").replace(QUOTES, "$1 ");
  const lexer = new Lexer({ gfm: true });
  try {
    lexer.blockTokens(source, lexer.tokens);
    let spent = 0;
    for (const { src, tokens } of lexer.inlineQueue) {
      spent += src.length ** 2;
      if (spent <= effort) lexer.inlineTokens(src, tokens);
      else tokens.push(plain(src));
    }
    return lexer.tokens;
  } catch (error) {
    // Nesting that overflows the lexer's stack is no text to be laid out.
    if (!(error instanceof RangeError)) throw error;
    return [{ type: "paragraph", raw: source, text: source, tokens: [plain(source)] }];
  }
}

function plain(text: string): Tokens.Text {
  return { type: "text", raw: text, text, escaped: false };
}

function blocks(
  tokens: readonly Token[],
  options: MarkdownOptions,
  depth: number,
): ComponentChildren[] {
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
      return (
        <blockquote>{blocks((token as Tokens.Blockquote).tokens, options, depth + 1)}</blockquote>
      );
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
  const level = Math.min(6, options.levels?.get(token.depth) ?? token.depth);
  const Name = `h${level}` as "h2";
  const id = options.headingId?.(plainText(token.tokens));
  const content = inline(token.tokens, options, depth + 1);
  if (id === undefined) return <Name>{content}</Name>;
  return (
    <Name id={id}>
      {content}{" "}
      <a class="anchor" href={`#${id}`} aria-label={`Link to ${plainText(token.tokens)}`}>#</a>
    </Name>
  );
}

function CodeBlock(
  { token, options }: { readonly token: Tokens.Code; readonly options: MarkdownOptions },
) {
  const lang = (token.lang ?? "").split(/\s/)[0] ?? "";
  return (
    <pre
      tabIndex={0}
      class="code"
    ><code>{options.code?.(token.text, lang) ?? token.text}</code></pre>
  );
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
          <tr>
            {token.header.map((cell, i) => (
              <th key={i} scope="col">{inline(cell.tokens, options, depth + 1)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row, i) => (
            <tr key={i}>
              {row.map((cell, j) => <td key={j}>{inline(cell.tokens, options, depth + 1)}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inline(
  tokens: readonly Token[],
  options: MarkdownOptions,
  depth: number,
): ComponentChildren[] {
  if (depth > DEPTH_MAX) return ["…"];
  return tokens.map((token, i) => <Inline key={i} token={token} options={options} depth={depth} />);
}

function Inline({ token, options, depth }: BlockProps) {
  const inner = (): ComponentChildren =>
    inline((token as Tokens.Strong).tokens ?? [], options, depth + 1);
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
      return <Picture token={token as Tokens.Image} options={options} />;
    case "checkbox":
      return <span>{(token as { checked?: boolean }).checked ? "☑ " : "☐ "}</span>;
    case "text":
    case "escape":
      return <>{(token as Tokens.Text).tokens ? inner() : decode((token as Tokens.Text).text)}</>;
    default:
      return <>{token.raw}</>;
  }
}

function Picture(
  { token, options }: { readonly token: Tokens.Image; readonly options: MarkdownOptions },
) {
  const address = options.picture?.(token.href);
  if (address !== undefined) return <img src={address} alt={token.text} />;
  return <Link href={token.href} options={options}>{token.text || "picture"}</Link>;
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

const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  "#39": "'",
  nbsp: "\u00a0",
};

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
