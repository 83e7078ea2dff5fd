/** The documents as pages know them: titles, headings with addresses, and a search over their sections. */
import type { Token, Tokens } from "marked";
import { lex, plainText } from "../../frontend/markdown.tsx";
import type { Documents } from "../documents.ts";

/** A heading and its address. */
export interface Heading {
  readonly id: string;
  readonly text: string;
  readonly level: number;
}

/** A document. */
export interface Doc {
  readonly slug: string;
  readonly title: string;
  /** Its first paragraph. */
  readonly summary: string;
  readonly text: string;
  readonly headings: readonly Heading[];
  readonly sections: readonly { readonly heading: Heading | undefined; readonly text: string }[];
}

/** A section that a search found. */
export interface Hit {
  readonly doc: Doc;
  readonly heading: Heading | undefined;
  readonly snippet: string;
}

const FIRST = [
  "skill",
  "guide",
  "api",
  "cel",
  "examples",
  "views",
  "surfaces",
  "dashboard",
  "help",
  "actors",
];
const HITS_MAX = 30;
const SNIPPET = 180;

/** Reads the documents' structure. Pure. */
export function indexDocuments(documents: Documents): readonly Doc[] {
  const docs = [...documents].map(([name, text]) => docOf(name, text)).filter((doc) =>
    doc.text !== ""
  );
  const rank = (doc: Doc): number => {
    const at = FIRST.indexOf(doc.slug);
    return at < 0 ? FIRST.length : at;
  };
  return docs.sort((a, b) => rank(a) - rank(b) || a.title.localeCompare(b.title, "en"));
}

/** The name under which a file is shown. */
export function slugOf(file: string): string {
  return file.replace(/\.md$/, "").toLowerCase();
}

function docOf(name: string, raw: string): Doc {
  const text = raw.replace(/^---\n[\s\S]*?\n---\n/, "").trim();
  const tokens = lex(text);
  const headings: Heading[] = [];
  const sections: { heading: Heading | undefined; text: string }[] = [];
  const used = new Map<string, number>();
  let title = "", summary = "";
  for (const token of tokens) {
    if (token.type === "heading") {
      const heading = headingOf(token as Tokens.Heading, used);
      if (title === "" && heading.level === 1) title = heading.text;
      headings.push(heading);
      sections.push({ heading, text: "" });
      continue;
    }
    if (summary === "" && token.type === "paragraph") {
      summary = plainText((token as Tokens.Paragraph).tokens);
    }
    if (sections.length === 0) sections.push({ heading: undefined, text: "" });
    sections.at(-1)!.text += `${wordsOf(token)} `;
  }
  const slug = slugOf(name);
  return { slug, title: title || slug, summary, text, headings, sections };
}

function headingOf(token: Tokens.Heading, used: Map<string, number>): Heading {
  const text = plainText(token.tokens);
  const plain = idOf(text);
  const count = used.get(plain) ?? 0;
  used.set(plain, count + 1);
  return { id: count === 0 ? plain : `${plain}-${count}`, text, level: token.depth };
}

/** A heading's address, in GitHub's manner. Pure. */
export function idOf(text: string): string {
  return text.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").trim().replace(/\s+/g, "-") ||
    "section";
}

function wordsOf(token: Token): string {
  return token.raw.replace(/[#*`>|_[\]()]/g, " ").replace(/\s+/g, " ").trim();
}

/** Sections that hold all the words, those with a fitting heading first. Pure. */
export function searchDocuments(docs: readonly Doc[], query: string): Hit[] {
  const words = query.toLowerCase().split(/\s+/).filter((word) => word !== "").slice(0, 8);
  if (words.length === 0) return [];
  const found: (Hit & { score: number })[] = [];
  for (const doc of docs) {
    for (const { heading, text } of doc.sections) {
      const title = `${doc.title} ${heading?.text ?? ""}`.toLowerCase(), body = text.toLowerCase();
      if (!words.every((word) => title.includes(word) || body.includes(word))) continue;
      const inHeading = words.filter((word) => heading?.text.toLowerCase().includes(word)).length;
      const score = inHeading * 20 +
        words.reduce((sum, word) => sum + Math.min(5, body.split(word).length - 1), 0);
      found.push({ doc, heading, snippet: snippetOf(text, words), score });
    }
  }
  return found.sort((a, b) => b.score - a.score).slice(0, HITS_MAX);
}

function snippetOf(text: string, words: readonly string[]): string {
  const lower = text.toLowerCase();
  const at = Math.max(
    0,
    Math.min(...words.map((word) => lower.indexOf(word)).filter((i) => i >= 0), text.length) - 40,
  );
  const cut = text.slice(at, at + SNIPPET);
  return `${at > 0 ? "…" : ""}${cut}${at + SNIPPET < text.length ? "…" : ""}`;
}
