/**
 * Checks an exported log line by line, offline or on its way into a new room: every byte is
 * covered by a canonical line, a record's hash, the base's digest or the signed head.
 */
import { createHash } from "node:crypto";
import { canonical } from "../canonical.ts";
import { SyncError } from "../errors.ts";
import { EXPORT_FORMAT, EXPORT_VERSION, signedText } from "../export.ts";
import { JSON_DEPTH_MAX, LOG_BYTES_MAX } from "../limits.ts";
import { hashOf, hashOfShown } from "../record.ts";
import { Room } from "../room.ts";
import { isBaseSigned } from "../retention.ts";
import { signatureFault } from "../signatures.ts";
import { isSignedBy } from "../signing.ts";
import { type Base, breathe, digestOf, type Placed, placedEntries } from "../snapshots.ts";
import { splitCell } from "../room/changes.ts";
import { parseInstant } from "../timers.ts";
import type { Json, JsonObject, LogRecord } from "../types.ts";
import { namesBase } from "../verify.ts";
import { definitionFault, placedFault, recordFault } from "./shapes.ts";

/** A log that was read and holds together. */
export interface Checked {
  readonly room: string;
  readonly createdAt: string;
  readonly isRedacted: boolean;
  readonly base: Base | undefined;
  readonly head: number;
  readonly hash: string;
  readonly records: number;
  /** The public key under the head, as hex. */
  readonly key: string;
  /** The state at the head, folded; empty for a redacted log. */
  readonly fold: Room;
}

/** Who hears of what was checked, while it is checked. */
export interface CheckEvents {
  /** The header is read; called before anything else, with the room's name. */
  readonly onHeader?: (room: string) => Promise<void>;
  /** The base is whole; called before the first record, with its entries. */
  readonly onBase?: (base: Base, placed: readonly Placed[]) => Promise<void>;
  /** Whole records in order, some at a time. */
  readonly onRecords?: (records: readonly LogRecord[]) => Promise<void>;
}

const STEP = 250;

/** Reads the lines of an export. Throws `export_invalid` naming the first line and record that does not fit. */
export async function checkExport(
  lines: AsyncIterable<string>,
  events: CheckEvents = {},
): Promise<Checked> {
  const check = new Check(events);
  let number = 0;
  for await (const line of lines) {
    number++;
    check.line = number;
    await check.take(line);
    if (number % STEP === 0) await breathe();
  }
  return await check.finish();
}

/** What the room was called when its records were signed; undefined when that is not known. */
function namesIn(header: JsonObject): string[] | undefined {
  const origin = header["forked_from"] as JsonObject | null | undefined;
  if (!origin) return [String(header["room"])];
  return origin["imported"] === true ? undefined : [String(header["room"]), String(origin["id"])];
}

class Check {
  line = 0;
  readonly #digest = createHash("sha256");
  readonly #placed: Placed[] = [];
  readonly #pending: LogRecord[] = [];
  /** Characters of the lines since records were last handed on. */
  #chars = 0;
  #header: JsonObject | undefined;
  #head: JsonObject | undefined;
  #base: Base | undefined;
  #isBaseDone = false;
  #isBaseNamed = false;
  #records = 0;
  #fold = new Room("", "", 0);

  constructor(private readonly events: CheckEvents) {}

  async take(line: string): Promise<void> {
    const json = this.parse(line);
    this.#chars += line.length;
    if (this.#head) throw this.fault("there is more after the signed head");
    if (!this.#header) {
      this.takeHeader(json);
      await this.events.onHeader?.(String(json["room"]));
    } else if (json["head"] !== undefined) await this.takeHead(json);
    else if (json["entry"] !== undefined) this.takeEntry(json);
    else await this.takeRecord(json);
    if (!this.#head) this.#digest.update(`${line}\n`);
  }

  private parse(line: string): JsonObject {
    let json: Json;
    let form: string;
    try {
      json = JSON.parse(line) as Json;
      if (!isShallow(json, DEPTH_MAX)) throw this.fault("the line nests too deep");
      form = canonical(json);
    } catch (error) {
      if (error instanceof SyncError) throw error;
      throw this.fault("the line is not JSON");
    }
    if (json === null || typeof json !== "object" || Array.isArray(json)) {
      throw this.fault("the line is no JSON object");
    }
    if (form !== line) throw this.fault("the line is not in canonical form");
    return json;
  }

  private fault(detail: string, seq = this.#fold.head + 1): SyncError {
    const where = this.#header && !this.#head ? { seq } : {};
    return new SyncError(
      "export_invalid",
      `Line ${this.line} of the export does not fit: ${detail}.`,
      {
        line: this.line,
        ...where,
        detail,
        hint: "Export the room again; a log that was changed cannot be imported.",
      },
    );
  }

  private takeHeader(json: JsonObject): void {
    if (json["format"] !== EXPORT_FORMAT || json["version"] !== EXPORT_VERSION) {
      throw this.fault(
        `a header with "format":"${EXPORT_FORMAT}" and "version":${EXPORT_VERSION} is wanted`,
      );
    }
    const { room, created_at } = json;
    const isNamed = typeof room === "string" && typeof created_at === "string";
    if (
      !isNamed || parseInstant(created_at) === undefined || typeof json["redacted"] !== "boolean"
    ) {
      throw this.fault('"room", "created_at" and "redacted" are wanted in the header');
    }
    this.#header = json;
    this.#fold = new Room("", room, parseInstant(created_at)!);
    if (json["base"] === null) return;
    const base = json["base"] as Partial<Record<keyof Base, Json>> | undefined;
    const texts = [base?.hash, base?.ts, base?.snapshot, ...(json["redacted"] ? [] : [base?.salt])];
    if (!Number.isSafeInteger(base?.seq) || texts.some((text) => typeof text !== "string")) {
      throw this.fault('"base" is null, or has seq, hash, ts, snapshot and salt');
    }
    this.#base = base as unknown as Base;
    this.#fold.head = this.#base.seq;
    this.#fold.hash = this.#base.hash;
    this.#fold.ts = parseInstant(this.#base.ts) ?? 0;
  }

  private takeEntry(json: JsonObject): void {
    if (!this.#base || this.#isBaseDone) throw this.fault("an entry stands where none is wanted");
    const placed = json["entry"] as unknown as Placed;
    const wrong = placedFault(placed) ?? definitionFault(placed[0], placed[2].value);
    if (wrong !== undefined) throw this.fault(wrong, this.#base.seq);
    this.#placed.push(placed);
    this.#fold.place(...placed);
  }

  /** The base's entries are all there: do they fit its digest? */
  private async endBase(): Promise<void> {
    if (this.#isBaseDone) return;
    this.#isBaseDone = true;
    const base = this.#base;
    if (!base || this.#header!["redacted"]) return;
    const inOrder = placedEntries(this.#fold);
    const isOrdered = inOrder.length === this.#placed.length &&
      inOrder.every(([scope, key], i) =>
        this.#placed[i]![0] === scope && this.#placed[i]![1] === key
      );
    if (!isBaseSigned(base)) throw this.fault("the signature does not fit the base", base.seq);
    if (!isOrdered || await digestOf(this.#placed, base.salt) !== base.snapshot) {
      throw this.fault("the base does not fit its digest", base.seq);
    }
    await this.events.onBase?.(base, this.#placed);
  }

  private async takeRecord(json: JsonObject): Promise<void> {
    await this.endBase();
    const seq = this.#fold.head + 1;
    if (json["seq"] !== seq) throw this.fault(`the record ${seq} is missing`);
    if (json["prev"] !== this.#fold.hash) {
      throw this.fault("prev is not the hash of the record before");
    }
    if (typeof json["ts"] !== "string" || parseInstant(json["ts"]) === undefined) {
      throw this.fault("ts is no instant");
    }
    if (hashOfShown(json) !== json["hash"]) throw this.fault("the hash does not fit the record");
    if (!hasOnly(json, RECORD_MEMBERS)) {
      throw this.fault("the record has a member that is not covered by its hash");
    }
    if (this.#header!["redacted"]) this.#fold.head = seq;
    else await this.takeWhole(json);
    this.#fold.hash = json["hash"] as string;
    this.#records++;
  }

  /** A record with everything in it: its nonce gives its salts, and it is folded. */
  private async takeWhole(json: JsonObject): Promise<void> {
    const { salts: _salts, ...whole } = json;
    const record = whole as unknown as LogRecord;
    if (typeof record.nonce !== "string" || hasHidden(json)) {
      throw incomplete(this.line, record.seq);
    }
    if (hashOf(record) !== record.hash) {
      throw this.fault("the nonce does not fit the record's hash");
    }
    if (Date.parse(record.ts) < this.#fold.ts) throw this.fault("ts goes back");
    if (this.#base) this.#isBaseNamed ||= namesBase(record, this.#base);
    const wrong = recordFault(json) ?? this.foldFault(record) ??
      signatureFault(record, namesIn(this.#header!));
    if (wrong !== undefined) throw this.fault(wrong, record.seq);
    this.#fold.trimRemovals();
    this.#pending.push(record);
    if (this.#pending.length < STEP && this.#chars < LOG_BYTES_MAX) return;
    this.#chars = 0;
    await this.events.onRecords?.(this.#pending.splice(0));
  }

  /** Folds the record; what it leaves in the service's own scopes must be what the service reads. */
  private foldFault(record: LogRecord): string | undefined {
    for (const cell of this.#fold.apply(record).touched) {
      const [scope, key] = splitCell(cell);
      const entry = this.#fold.get(scope, key);
      const wrong = entry && definitionFault(scope, entry.value);
      if (wrong !== undefined) return `${scope}.${key}: ${wrong}`;
    }
    return undefined;
  }

  private async takeHead(json: JsonObject): Promise<void> {
    await this.endBase();
    const head = json["head"] as JsonObject;
    const { signature } = json;
    if (head === null || typeof head !== "object" || !hasOnly(json, ["head", "signature"])) {
      throw this.fault("the head is no object, or not alone in its line");
    }
    const { seq, hash, records, state, salt, key, lines, room } = head;
    if (room !== this.#header!["room"]) {
      throw this.fault("the head names another room than the header");
    }
    const isThere = seq === this.#fold.head && hash === this.#fold.hash &&
      records === this.#records;
    if (!isThere) throw this.fault("the head does not name the last record");
    const isSigned = typeof key === "string" && typeof signature === "string" &&
      isSignedBy(key, signedText(head), signature);
    if (!isSigned) throw this.fault("the signature does not fit the head");
    if (lines !== this.#digest.digest("hex")) {
      throw this.fault("the lines are not those that were signed");
    }
    if (!this.#header!["redacted"]) {
      if (typeof salt !== "string" || await digestOf(placedEntries(this.#fold), salt) !== state) {
        throw this.fault("folding the records does not give the state that was signed");
      }
      if (this.#base && !this.#isBaseNamed) throw this.fault("no record names the base");
    }
    this.#head = head;
  }

  async finish(): Promise<Checked> {
    this.line++;
    if (!this.#header) throw this.fault("it is empty");
    if (!this.#head) throw this.fault("the signed head is missing");
    if (this.#pending.length > 0) await this.events.onRecords?.(this.#pending.splice(0));
    return {
      room: this.#header["room"] as string,
      createdAt: this.#header["created_at"] as string,
      isRedacted: this.#header["redacted"] as boolean,
      base: this.#base,
      head: this.#fold.head,
      hash: this.#fold.hash,
      records: this.#records,
      key: this.#head["key"] as string,
      fold: this.#fold,
    };
  }
}

const RECORD_MEMBERS = [
  "seq",
  "ts",
  "kind",
  "agent",
  "actor",
  "on_behalf",
  "session",
  "action",
  "params",
  "result",
  "seen",
  "signed",
  "writes",
  "prev",
  "hash",
  "nonce",
  "salts",
] as const;

/** Bodies nest this deep, and a record's frame a little deeper. */
const DEPTH_MAX = JSON_DEPTH_MAX + 16;

function isShallow(json: Json, left: number): boolean {
  if (json === null || typeof json !== "object") return true;
  return left > 0 && Object.values(json).every((member) => isShallow(member, left - 1));
}

function hasOnly(json: JsonObject, names: readonly string[]): boolean {
  return Object.keys(json).every((name) => names.includes(name));
}

/** Is a part of the record left out, with its digest in its place and no salt beside it? */
function hasHidden(json: JsonObject): boolean {
  const salts = (json["salts"] ?? {}) as JsonObject;
  const parts = ["params", "result", "seen", "signed"].filter((name) => json[name] !== undefined);
  const writes = Array.isArray(json["writes"]) ? json["writes"].map((_, i) => `writes.${i}`) : [];
  return [...parts, ...writes].some((name) => typeof salts[name] !== "string");
}

/** `400 export_incomplete`. */
export function incomplete(line: number, seq?: number): SyncError {
  return new SyncError("export_incomplete", "The export leaves out parts of the log.", {
    line,
    ...(seq === undefined ? {} : { seq }),
    hint:
      "Import takes an admin's export: GET /rooms/:id/log?format=jsonl with the room_ token or an owner's.",
  });
}
