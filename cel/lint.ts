/** Refuses what would be silently false or always true, and prints the expression corrected. */
import type { Node } from "./frame.ts";
import { DYN, JSON_DATA, type Type } from "./kinds.ts";
import { Refusal } from "./parse.ts";
import { PRIMARY, print, RELATION, type Rewrite } from "./print.ts";

interface Finding {
  readonly node: Node;
  readonly detail: string;
  readonly hint: string;
  readonly help: string;
}

/** Findings of one expression, and the rewrites that correct them all. */
export class Lint {
  readonly #findings: Finding[] = [];
  readonly #rewrites = new Map<Node, Rewrite>();
  readonly warnings: string[] = [];

  /** Refuses an entry used where its value is meant; the type is what the correction has. */
  value(node: Node, type: Type, use: string): Type {
    if (type.kind === "optional" && type.of?.kind === "entry") {
      this.#entry(node, use, suffix(".value"));
      return { kind: "optional", of: valueOf(type.of) };
    }
    if (type.kind !== "entry") return type;
    this.#entry(node, use, suffix(".value"));
    return valueOf(type);
  }

  #entry(node: Node, use: string, rewrite: Rewrite): void {
    this.#report(node, rewrite, {
      detail: `${print(node)} is an entry {value, _meta}, and ${use}`,
      hint: "Read its value with .value, what is known about it with ._meta.",
      help: "wrapped_entries",
    });
  }

  /** Refuses an entry where a function looks through the map that it is in. */
  inMap(node: Node, map: Node, name: string): void {
    this.#report(node, { level: PRIMARY, text: (_own, printed) => printed(map, PRIMARY) }, {
      detail: `${print(node)} is an entry, and ${name}() looks through a map of entries`,
      hint: "Give it the map; what is known about one entry is its ._meta.",
      help: "functions",
    });
  }

  /** Refuses an optional that is compared with something that is none. */
  optional(node: Node, type: Type): Type {
    const isEntry = type.of?.kind === "entry";
    this.#report(node, suffix(isEntry ? ".value.orValue(null)" : ".orValue(null)"), {
      detail: `${print(node)} is an optional, and is compared with something that is none`,
      hint: "Give it a default with .orValue(x).",
      help: "expressions",
    });
    return JSON_DATA;
  }

  /** Refuses `x.meta` on an entry. */
  metaName(node: Node, base: Node): void {
    const rewrite: Rewrite = {
      level: PRIMARY,
      text: (_own, printed) => `${printed(base, PRIMARY)}${node.op === ".?" ? ".?" : "."}_meta`,
    };
    this.#report(node, rewrite, {
      detail: `${print(base)} has no member meta`,
      hint: "What is known about an entry is its _meta.",
      help: "wrapped_entries",
    });
  }

  /** Refuses `has(m[k])`. */
  hasIndex(node: Node, map: Node, key: Node): void {
    const isPosition = key.op === "value" && typeof key.args === "bigint";
    const rewrite: Rewrite = isPosition
      ? {
        level: PRIMARY,
        text: (_own, printed) => `${printed(map, PRIMARY)}[?${printed(key, 1)}].hasValue()`,
      }
      : {
        level: RELATION,
        text: (_own, printed) => `${printed(key, RELATION)} in ${printed(map, RELATION + 1)}`,
      };
    this.#report(node, rewrite, {
      detail: "has() takes a member, not an index",
      hint: isPosition ? "Ask for an element with [?i]." : "Ask for a key with: key in map.",
      help: "expressions",
    });
  }

  /** Refuses `state._view`: views are a root of their own. */
  oldViews(node: Node): void {
    this.#report(node, { level: PRIMARY, text: () => "views" }, {
      detail: "views are no scope of state",
      hint: "A view is views.<id>, its value views.<id>.value.",
      help: "expressions",
    });
  }

  /** The value of a view that was named the old way. */
  oldView(node: Node): void {
    this.#rewrites.set(node, suffix(".value"));
  }

  /** Takes the `.value` back that `oldView` added: the source already says which part it wants. */
  keepOldView(node: Node): void {
    this.#rewrites.delete(node);
  }

  #report(node: Node, rewrite: Rewrite, finding: Omit<Finding, "node">): void {
    this.#rewrites.set(node, rewrite);
    this.#findings.push({ node, ...finding });
  }

  /** Throws the first finding, with the whole expression corrected. */
  conclude(root: Node): void {
    const [first] = this.#findings;
    if (!first) return;
    throw new Refusal("lint", first.detail, first.node.range, {
      hint: first.hint,
      help: first.help,
      corrected: print(root, this.#rewrites),
    });
  }
}

function suffix(text: string): Rewrite {
  return { level: PRIMARY, text: (own) => own + text };
}

/** The type of an entry's value. */
export function valueOf(entry: Type): Type {
  return entry.origin === undefined ? JSON_DATA : { kind: "json", origin: entry.origin };
}

/** True when a type is certainly no entry. */
export function isNoEntry(type: Type): boolean {
  return type.kind !== "entry" && type !== DYN && type.kind !== "dyn";
}
