/** Records on their way into the log, as statements of few different texts. */
import { SQL_PARAM_BYTES_MAX } from "../limits.ts";
import type { LogRecord } from "../types.ts";
import type { Statement } from "./db.ts";
import type { LogRow, RoomCommit } from "./rows.ts";

/** Rows of one statement: few enough that the statement of each number of rows stays prepared. */
const ROWS_MAX = 16;
const ROW = `(${Array(14).fill("?").join(", ")})`;
const INSERTS = Array.from({ length: ROWS_MAX }, (_, i) => insertOf(i + 1));

function insertOf(rows: number): string {
  return `INSERT INTO log
    (room, seq, ts, kind, agent, actor, action, body, nonce, hash, idem, digest, reply)
  SELECT v.column1, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8, v.column9,
    v.column10, v.column11, v.column12, v.column13, v.column14
  FROM (VALUES ${Array(rows).fill(ROW).join(", ")}) AS v
    JOIN room AS r ON r.uid = v.column1 AND r.head = v.column2`;
}

/** What of a record has no column of its own, as JSON. */
export function bodyOf(record: LogRecord): string {
  const { ts, prev, on_behalf, session, params, result, seen, signed, writes } = record;
  return JSON.stringify({ ts, prev, on_behalf, session, params, result, seen, signed, writes });
}

/**
 * Inserts of log rows, with values bound one by one: a record's text is long, and as JSON in
 * JSON it would be quoted and parsed again.
 */
export class LogInserts {
  readonly #done: Statement[] = [];
  #args: (string | number | null)[] = [];
  #rows = 0;
  #bytes = 0;

  /** Adds a record of a room's commit. */
  add({ uid, base }: RoomCommit, { record, ts, idem }: LogRow): void {
    const { seq, kind, agent, actor, action, nonce, hash } = record;
    const body = bodyOf(record);
    const bytes = body.length + (idem?.reply.length ?? 0);
    if (this.#rows === ROWS_MAX || this.#bytes + bytes > SQL_PARAM_BYTES_MAX) this.flush();
    this.#args.push(uid, base, seq, ts, kind, agent, actor, action ?? null, body, nonce, hash);
    this.#args.push(idem?.key ?? null, idem?.digest ?? null, idem?.reply ?? null);
    this.#rows++;
    this.#bytes += bytes;
  }

  private flush(): void {
    if (this.#rows > 0) this.#done.push({ sql: INSERTS[this.#rows - 1]!, args: this.#args });
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
