/** The second look: a history followed along the room's own log. By hand, each with one thing wrong. */
import assert from "node:assert/strict";
import type { Answer, Asked, Call, Shown } from "../proof/linear/history.ts";
import type { LogLine } from "../proof/linear/log-order.ts";
import { judge } from "../proof/linear/run.ts";

const MADE = 1;
const NEVER = { ret: Infinity, answer: undefined } as const;

function asked(
  id: string,
  what: Asked,
  call: number,
): Pick<Call, "id" | "agent" | "asked" | "call"> {
  return { id, agent: `agent-${id}`, asked: what, call };
}

function put(id: string, call: number, ret: number, seq: number, revision = 1): Call {
  const cell = { value: id, revision };
  const answer: Answer = { kind: "written", seq, cell };
  return { ...asked(id, { kind: "put", key: "r0", value: id }, call), ret, answer };
}

function read(id: string, call: number, ret: number, shown: Partial<Shown>): Call {
  const nothing = { value: null, revision: 0 };
  const whole = { seq: MADE, cells: new Map(), counters: new Map(), holders: new Map() };
  const answer: Answer = { kind: "shown", shown: { ...whole, pair: nothing, ...shown } };
  return { ...asked(id, { kind: "read", via: "context" }, call), ret, answer };
}

function line(seq: number, op: string): LogLine {
  const chain = { prev: `#${seq - 1}`, hash: `#${seq}` };
  return { seq, kind: "invoke", agent: `agent-${op}`, params: { op }, ...chain };
}

const FIRST: LogLine = { seq: 1, kind: "create", agent: "admin", prev: "", hash: "#1" };

function faultsOf(calls: Call[], ...lines: LogLine[]): string {
  return judge(calls, [FIRST, ...lines], MADE).faults.join("\n");
}

Deno.test("A log that bears out what everybody was told has no faults", () => {
  const calls = [
    put("a", 0, 5, 2),
    put("b", 1, 4, 3, 2),
    { ...asked("c", { kind: "put", key: "r0", value: "c" }, 6), ...NEVER },
    read("d", 20, 21, { seq: 4, cells: new Map([["r0", { value: "c", revision: 3 }]]) }),
  ];
  assert.equal(faultsOf(calls, line(2, "a"), line(3, "b"), line(4, "c")), "");
});

Deno.test("What a log does not bear out is named", () => {
  const lost: Call = { ...asked("x", { kind: "put", key: "r0", value: "x" }, 9), ...NEVER };
  const refused: Call = {
    ...asked("y", { kind: "cas", key: "r0", expected: 9, value: "y" }, 9),
    ret: 10,
    answer: { kind: "conflict", current: { value: "a", revision: 1 } },
  };
  const a = put("a", 0, 1, 2);
  const rows: readonly (readonly [RegExp, string])[] = [
    [/a \(put\) was answered as record 2 and has no record/, faultsOf([a])],
    [/a happened twice: records 2 and 3/, faultsOf([a], line(2, "a"), line(3, "a"))],
    [
      /record 3 \(invoke by agent-z\) was asked for by nobody/,
      faultsOf([a], line(2, "a"), line(3, "z")),
    ],
    [/record 4 stands at place 3/, faultsOf([a, lost], line(2, "a"), line(4, "x"))],
    [
      /record 3 does not go on from 2/,
      faultsOf([a, lost], line(2, "a"), { ...line(3, "x"), prev: "#1" }),
    ],
    [/y was refused and is record 3/, faultsOf([a, refused], line(2, "a"), line(3, "y"))],
    [
      /b \(put by agent-b\) stands at 3, behind .*c \(put by agent-c\), which began only after it/,
      faultsOf([put("c", 10, 11, 2), put("b", 0, 1, 3, 2)], line(2, "c"), line(3, "b")),
    ],
    [
      /register r0: in the log's order .*"value":"a","revision":1.* cannot be/,
      faultsOf(
        [
          a,
          put("b", 2, 3, 3, 2),
          read("d", 2, 9, {
            seq: 3,
            cells: new Map([["r0", { value: "a", revision: 1 }]]),
          }),
        ],
        line(2, "a"),
        line(3, "b"),
      ),
    ],
  ];
  for (const [wanted, found] of rows) assert.match(found, wanted);
});
