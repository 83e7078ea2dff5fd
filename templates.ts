/**
 * Write templates: `${params.x}`, `${params.x.y}`, `${self}`, `${now}`, `${seq}` in one pass;
 * `$${` is a literal `${`. Pure.
 */
import { setOwn } from "./canonical.ts";
import { invalid, SyncError } from "./errors.ts";
import { VALUE_BYTES_MAX } from "./limits.ts";
import type { Json } from "./types.ts";

/** What placeholders stand for. */
export interface TemplateVars {
  readonly params: Readonly<Record<string, Json>>;
  readonly self: string;
  readonly now: string;
  readonly seq: number;
}

const PLACEHOLDER = /\$\$\{|\$\{([^}]*)\}/g;
/** Characters that filling one template may put in: past it no value fits anyway. */
const FILLED_MAX = 2 * VALUE_BYTES_MAX;
const WHOLE = /^\$\{([^}]*)\}$/;
const KNOWN = /^(?:self|now|seq|params(?:\.[^.{}\s]+)+)$/;

/** Text up to its last `}`, behind which no placeholder can end, and the rest. */
function cut(text: string): [head: string, tail: string] {
  const end = text.lastIndexOf("}") + 1;
  return [text.slice(0, end), text.slice(end)];
}

/** What stands around the placeholders of a name. */
export function literalsOf(text: string): string[] {
  const [head, tail] = cut(text);
  const literals = head.split(/\$\{[^}]*\}/);
  return [...literals.slice(0, -1), literals.at(-1)! + tail];
}

/** Names of the placeholders in a template, deep, member names included. */
export function placeholdersIn(template: Json): string[] {
  const found: string[] = [];
  const walk = (value: Json): void => {
    if (typeof value === "string") {
      for (const match of cut(value)[0].matchAll(PLACEHOLDER)) {
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
  // What is one placeholder takes no more room than what was given.
  const whole = typeof template === "string" ? WHOLE.exec(template) : null;
  return whole ? lookUp(whole[1]!, vars) : new Filling(vars).fill(template);
}

/** Fills text; a parameter not given is empty. Throws `too_large`. */
export function fillText(text: string, vars: TemplateVars): string {
  return new Filling(vars).text(text);
}

/** One template being filled: a parameter named often makes no more than an entry may hold. */
class Filling {
  #left = FILLED_MAX;
  readonly #texts = new Map<string, string>();

  constructor(private readonly vars: TemplateVars) {}

  fill(template: Json): Json | undefined {
    if (typeof template === "string") {
      const whole = WHOLE.exec(template);
      if (!whole) return this.text(template);
      const value = lookUp(whole[1]!, this.vars);
      if (value !== undefined) this.textOf(whole[1]!, value);
      return value;
    }
    if (Array.isArray(template)) return template.map((item) => this.fill(item) ?? null);
    if (template === null || typeof template !== "object") return template;
    const filled: Record<string, Json> = {};
    for (const key of Object.keys(template)) {
      const value = this.fill(template[key]!);
      if (value !== undefined) setOwn(filled, this.text(key), value);
    }
    return filled;
  }

  text(text: string): string {
    if (!text.includes("${")) return text;
    const [head, tail] = cut(text);
    const filled = head.replace(PLACEHOLDER, (_match, name: string | undefined) => {
      if (name === undefined) return "${";
      const value = lookUp(name, this.vars);
      return value === undefined ? "" : this.textOf(name, value);
    });
    return filled + tail.replaceAll("$${", () => "${");
  }

  /** A parameter as text, counted. Throws `too_large`. */
  private textOf(name: string, value: Json): string {
    let text = this.#texts.get(name);
    if (text === undefined) {
      text = typeof value === "string" ? value : JSON.stringify(value);
      this.#texts.set(name, text);
    }
    this.#left -= text.length;
    if (this.#left >= 0) return text;
    throw new SyncError(
      "too_large",
      `What "${name}" is put into becomes too large: a value takes at most ${VALUE_BYTES_MAX} bytes.`,
      {
        param: name.replace(/^params\./, ""),
        limit: VALUE_BYTES_MAX,
        hint: "Send a shorter one, or name it less often in the template.",
      },
    );
  }
}

/** `400 missing_param`: names the first parameter that a template wants and was not given. */
export function missingParam(template: Json, field: string, vars: TemplateVars): SyncError {
  const name = placeholdersIn(template).find((wanted) => lookUp(wanted, vars) === undefined);
  const param = (name ?? "").replace(/^params\./, "");
  return new SyncError(
    "missing_param",
    `The parameter "${param}" is missing: "${field}" is made of it.`,
    { param, field, example: { params: { [param]: "…" } } },
  );
}

/**
 * Fills a scope or key, where every parameter must be given, and as something to be read as text.
 * Throws `missing_param`, `invalid_argument`.
 */
export function fillName(text: string, field: string, vars: TemplateVars): string {
  if (!text.includes("${")) return text;
  for (const name of placeholdersIn(text)) {
    const value = lookUp(name, vars);
    if (value === undefined) throw missingParam(text, field, vars);
    if (value !== null && typeof value !== "object") continue;
    const param = name.replace(/^params\./, "");
    throw invalid(name, `text or a number is wanted: "${field}" is made of it`, {
      params: { [param]: "…" },
    }, { param });
  }
  return fillText(text, vars);
}
