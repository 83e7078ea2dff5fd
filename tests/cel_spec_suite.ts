/** Reads the cel-spec corpus and runs one of its tests; says why one does not apply. */
import type { IncrementalTestSuite } from "@bufbuild/cel-spec/testdata/tests.js";
import { getConformanceSuite } from "@bufbuild/cel-spec/testdata/tests.js";
import { Budget, CelError, type Env, evaluate, typeName, type Value } from "../cel.ts";
import { DYN, type Type } from "../cel/kinds.ts";
import { equals } from "../cel/equality.ts";
import { Refusal } from "../cel/parse.ts";
import { analyse } from "../cel/program.ts";
import { Duration, isList, mapKey, Timestamp, TypeValue, Uint } from "../cel/values.ts";

type Original = IncrementalTestSuite["tests"][number]["original"];
type Proto = NonNullable<Extract<Original["resultMatcher"], { case: "value" }>["value"]>;

/** One test of the corpus by its full name. */
export interface SpecTest {
  readonly name: string;
  readonly test: Original;
}

/** What became of a test. */
export interface Outcome {
  readonly state: "pass" | "fail" | "skip";
  readonly why: string;
}

/** Every test of the corpus. */
export function specTests(): SpecTest[] {
  const out: SpecTest[] = [];
  const visit = (suite: IncrementalTestSuite, path: string) => {
    suite.tests.forEach((t, i) => out.push({ name: `${path}/${t.name}#${i}`, test: t.original }));
    for (const inner of suite.suites) {
      visit(inner, path === "" ? inner.name : `${path}/${inner.name}`);
    }
  };
  visit(getConformanceSuite(), "");
  return out;
}

/** Thrown where a test needs what the language here does not have. */
class NotApplicable extends Error {}

const SKIPS: readonly (readonly [RegExp, string])[] = [
  [
    /google\.(protobuf|rpc)|TestAllTypes|cel\.expr|NestedTest|GlobalEnum|proto\.(get|has)Ext|TestRequired/,
    "protobuf messages",
  ],
  [/cel\.block|cel\.index|cel\.iterVar|cel\.@/, "cel.block, an encoding for optimisers"],
];

function skipReason({ name, test }: SpecTest): string | undefined {
  if (/^(proto2|proto3|proto2_ext|enums)\//.test(name)) return "protobuf messages";
  for (const [pattern, reason] of SKIPS) if (pattern.test(test.expr)) return reason;
  if (test.typeEnv.some((d) => d.declKind.case === "function")) return "declared functions";
  if (test.disableMacros) return "macros switched off";
  if (test.container !== "") return "containers";
  if (Object.keys(test.bindings).some((key) => key.includes("."))) return "qualified variables";
  return undefined;
}

/** The outcome of one test. */
export function runSpec(spec: SpecTest): Outcome {
  const reason = skipReason(spec);
  if (reason !== undefined) return { state: "skip", why: reason };
  try {
    return judge(spec.test);
  } catch (error) {
    if (error instanceof NotApplicable) return { state: "skip", why: error.message };
    return { state: "fail", why: `threw ${String(error)}` };
  }
}

function judge(test: Original): Outcome {
  const bindings = new Map<string, Value>();
  for (const [name, bound] of Object.entries(test.bindings)) {
    if (bound.kind.case !== "value") throw new NotApplicable("bound to an error");
    bindings.set(name, valueOf(bound.kind.value));
  }
  const names = [...bindings.keys(), ...test.typeEnv.map((d) => d.name)];
  const { case: matcher, value } = test.resultMatcher;
  const expected = matcher === "value"
    ? valueOf(value)
    : matcher === "typedResult" && value.result
    ? valueOf(value.result)
    : true;
  const wantsError = matcher === "evalError" || matcher === "anyEvalErrors" ||
    matcher === "unknown";
  const got = attempt(test, names, bindings);
  if (got instanceof Error) {
    return wantsError
      ? { state: "pass", why: "" }
      : { state: "fail", why: `refused: ${got.message}` };
  }
  if (wantsError) return { state: "fail", why: `gave ${show(got.value)}, an error was due` };
  if (test.checkOnly || (matcher === "typedResult" && !value.result)) {
    return { state: "pass", why: "" };
  }
  if (isSame(got.value, expected)) return { state: "pass", why: "" };
  return { state: "fail", why: `gave ${show(got.value)}, due was ${show(expected)}` };
}

function attempt(
  test: Original,
  names: readonly string[],
  bindings: ReadonlyMap<string, Value>,
): { value: Value } | Error {
  const roots = new Map<string, Type>(names.map((name) => [name, DYN]));
  const env: Env = { root: (name) => bindings.get(name), budget: new Budget() };
  try {
    const program = analyse(test.expr, { roots, lenient: test.disableCheck });
    return { value: test.checkOnly ? null : evaluate(program, env) };
  } catch (error) {
    if (error instanceof Refusal || error instanceof CelError) return error;
    throw error;
  }
}

function show(value: Value): string {
  const text = isList(value) ? `[${value.map(show).join(", ")}]` : String(
    value instanceof Uint ? value.value : value instanceof TypeValue ? value.typeName : value,
  );
  return `${typeName(value)} ${text}`;
}

function isSame(a: Value, b: Value): boolean {
  if (typeName(a) !== typeName(b)) return false;
  if (typeof a === "number" && typeof b === "number") return Object.is(a, b);
  if (isList(a) && isList(b)) {
    return a.length === b.length && a.every((x, i) => isSame(x, b[i] ?? null));
  }
  const budget = new Budget();
  return equals(a, b, { env: { root: () => undefined, budget }, budget, vars: [] });
}

/** A protobuf value of the corpus as one of ours. */
function valueOf(proto: Proto): Value {
  const { kind } = proto;
  switch (kind.case) {
    case "nullValue":
      return null;
    case "boolValue":
    case "doubleValue":
    case "stringValue":
    case "bytesValue":
      return kind.value;
    case "int64Value":
      return kind.value;
    case "uint64Value":
      return new Uint(kind.value);
    case "typeValue":
      return new TypeValue(kind.value);
    case "listValue":
      return kind.value.values.map(valueOf);
    case "mapValue":
      return new Map(
        kind.value.entries.map(({ key, value }): [Value, Value] => [
          mapKey(key ? valueOf(key) : null) ?? null,
          value ? valueOf(value) : null,
        ]),
      );
    case "objectValue":
      return timeOf(kind.value.typeUrl, kind.value.value);
    default:
      throw new NotApplicable("enum values");
  }
}

function timeOf(typeUrl: string, bytes: Uint8Array): Value {
  const nanos = secondsAndNanos(bytes);
  if (typeUrl.endsWith("google.protobuf.Timestamp")) return new Timestamp(nanos);
  if (typeUrl.endsWith("google.protobuf.Duration")) return new Duration(nanos);
  throw new NotApplicable("protobuf messages");
}

/** Fields 1 and 2 of the protobuf encoding, both varints. */
function secondsAndNanos(bytes: Uint8Array): bigint {
  const fields = [0n, 0n, 0n];
  let i = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n;; shift += 7n) {
      const byte = bytes[i++] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asIntN(64, value);
    }
  };
  while (i < bytes.length) {
    const field = Number(varint() >> 3n);
    fields[field] = varint();
  }
  return (fields[1] ?? 0n) * 1_000_000_000n + (fields[2] ?? 0n);
}
