/** Rows of many values, as statements of few different texts: a text that comes again is prepared. */
import { SQL_PARAM_BYTES_MAX } from "../limits.ts";
import type { Statement } from "./db.ts";

/** Rows of one statement: few enough that the statement of each number of rows stays prepared. */
const ROWS_MAX = 16;

/** A value of a row. */
export type Bound = string | number | null;

/** The texts of a statement for one row, two rows and so on; `textOf` takes the list of values. */
export function textsOf(columns: number, textOf: (values: string) => string): readonly string[] {
  const row = `(${Array(columns).fill("?").join(", ")})`;
  return Array.from({ length: ROWS_MAX }, (_, i) => textOf(Array(i + 1).fill(row).join(", ")));
}

/**
 * Rows whose values are bound one by one: what is long text or JSON already would, as JSON in JSON,
 * be quoted and parsed again.
 */
export class BoundRows {
  readonly #done: Statement[] = [];
  #args: Bound[] = [];
  #rows = 0;
  #bytes = 0;

  constructor(private readonly texts: readonly string[]) {}

  /** Adds a row, the long values of which take about this many bytes. */
  add(row: readonly Bound[], bytes: number): void {
    if (this.#rows === ROWS_MAX || this.#bytes + bytes > SQL_PARAM_BYTES_MAX) this.flush();
    this.#args.push(...row);
    this.#rows++;
    this.#bytes += bytes;
  }

  private flush(): void {
    if (this.#rows > 0) this.#done.push({ sql: this.texts[this.#rows - 1]!, args: this.#args });
    this.#args = [];
    this.#rows = 0;
    this.#bytes = 0;
  }

  /** The statements, whole. */
  finish(): Statement[] {
    this.flush();
    return this.#done;
  }
}
