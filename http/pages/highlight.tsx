/** Code of documents in colour: highlight.js's tokens as elements with classes, never as HTML text. */
import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import http from "highlight.js/lib/languages/http";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import typescript from "highlight.js/lib/languages/typescript";
import yaml from "highlight.js/lib/languages/yaml";
import type { ComponentChildren } from "preact";
import { pieces } from "../../frontend/cel-text.tsx";

for (const [name, language] of Object.entries({ bash, http, javascript, json, typescript, yaml })) {
  hljs.registerLanguage(name, language);
}

const ALIASES: Readonly<Record<string, string>> = {
  sh: "bash",
  shell: "bash",
  curl: "bash",
  js: "javascript",
  ts: "typescript",
  jsonc: "json",
  yml: "yaml",
};
const CEL_CLASSES: Readonly<Record<string, string>> = {
  text: "string",
  number: "number",
  word: "literal",
  root: "root",
  call: "built_in",
  note: "comment",
};
const CODE_LENGTH_MAX = 20_000;

interface TokenNode {
  readonly scope?: string;
  readonly children: readonly (TokenNode | string)[];
}

/** Code with its words in classes; plain where the language is unknown or the code long. */
export function highlight(text: string, lang: string): ComponentChildren {
  if (lang === "cel") {
    return pieces(text).map((piece, i) => (
      <span key={i} class={`hl-${CEL_CLASSES[piece.kind] ?? "plain"}`}>{piece.text}</span>
    ));
  }
  const language = ALIASES[lang] ?? lang;
  if (!hljs.getLanguage(language) || text.length > CODE_LENGTH_MAX) return text;
  const { _emitter } = hljs.highlight(text, { language, ignoreIllegals: true });
  return nodes((_emitter as unknown as { root: TokenNode }).root.children);
}

function nodes(children: readonly (TokenNode | string)[]): ComponentChildren[] {
  return children.map((child, i) =>
    typeof child === "string"
      ? child
      : (
        <span key={i} class={`hl-${(child.scope ?? "").split(".")[0]}`}>
          {nodes(child.children)}
        </span>
      )
  );
}
