/**
 * Write templates: `${params.x}`, `${params.x.y}`, `${self}`, `${now}`, `${seq}` in one pass;
 * `$${` is a literal `${`. Pure.
 */
import { setOwn } from "./canonical.ts";
import { SyncError } from "./errors.ts";
import type { Json } from "./types.ts";

/** What placeholders stand for. */
export interface TemplateVars {
  readonly params: Readonly<Record<string, Json>>;
  readonly self: string;
  readonly now: string;
  readonly seq: number;
}

const PLACEHOLDER = /\$\$\{|\$\{([^}]*)\}/g;
const WHOLE = /^\$\{([^}]*)\}$/;
const KNOWN = /^(?:self|now|seq|params(?:\.[^.{}\s]+)+)$/;

/** Names of the placeholders in a template, deep, member names included. */
export function placeholdersIn(template: Json): string[] {
  const found: string[] = [];
  const walk = (value: Json): void => {
    if (typeof value === "string") {
      for (const match of value.matchAll(PLACEHOLDER)) {
        if (match[1] !== undefined) found.push(match[1]);
      }
    } else if (Array.isArray(value)) value.forEach(walk);
    else if (value !== null && typeof value === "object") {
      for (const key of Object.keys(value)) {
        walk(key);
        walk(value[key]!);
      }
    }
  };
  walk(template);
  return found;
}

/** Refuses placeholders that mean nothing, and parameters that the schema does not name. */
export function checkTemplate(
  template: Json,
  field: string,
  params: readonly string[] | undefined,
): void {
  for (const name of placeholdersIn(template)) {
    const param = name.startsWith("params.") ? name.split(".")[1]! : undefined;
    const isKnown = KNOWN.test(name) &&
      (param === undefined || params === undefined || params.includes(param));
    if (isKnown) continue;
    throw new SyncError(
      "invalid_argument",
      `"${field}" has an unknown placeholder "\${${name}}".`,
      {
        field,
        hint:
          'Placeholders: ${params.<name>}, ${self}, ${now}, ${seq}; write "$${" for a literal "${".' +
          (params && params.length > 0 ? ` Parameters: ${params.join(", ")}.` : ""),
        example: "${params.value}",
      },
    );
  }
}

function lookUp(name: string, vars: TemplateVars): Json | undefined {
  if (name === "self") return vars.self;
  if (name === "now") return vars.now;
  if (name === "seq") return vars.seq;
  let value: Json | undefined = vars.params;
  for (const part of name.split(".").slice(1)) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, part)) {
      return undefined;
    }
    value = (value as Record<string, Json>)[part];
  }
  return value;
}

/**
 * Fills a template. A string that is one placeholder keeps the JSON type; a parameter not given
 * leaves its member out (`undefined` at the top, null in a list); embedded ones are text.
 */
export function fill(template: Json, vars: TemplateVars): Json | undefined {
  if (typeof template === "string") {
    const whole = WHOLE.exec(template);
    return whole ? lookUp(whole[1]!, vars) : fillText(template, vars);
  }
  if (Array.isArray(template)) return template.map((item) => fill(item, vars) ?? null);
  if (template === null || typeof template !== "object") return template;
  const filled: Record<string, Json> = {};
  for (const key of Object.keys(template)) {
    const value = fill(template[key]!, vars);
    if (value !== undefined) setOwn(filled, fillText(key, vars), value);
  }
  return filled;
}

/** Fills text; a parameter not given is empty. */
export function fillText(text: string, vars: TemplateVars): string {
  if (!text.includes("${")) return text;
  return text.replace(PLACEHOLDER, (_match, name: string | undefined) => {
    if (name === undefined) return "${";
    const value = lookUp(name, vars);
    if (value === undefined) return "";
    return typeof value === "string" ? value : JSON.stringify(value);
  });
}

/** Fills a scope or key, where every parameter must be given. Throws `missing_param`. */
export function fillName(text: string, field: string, vars: TemplateVars): string {
  for (const name of placeholdersIn(text)) {
    if (lookUp(name, vars) !== undefined) continue;
    const param = name.replace(/^params\./, "");
    throw new SyncError(
      "missing_param",
      `The parameter "${param}" is missing: "${field}" is made of it.`,
      {
        param,
        field,
        example: { params: { [param]: "…" } },
      },
    );
  }
  return fillText(text, vars);
}
