/** Canonical JSON and digests, against other implementations of the same standards. */
import "./seed.ts";
import assert from "node:assert/strict";
import { hash } from "node:crypto";
import canonicalize from "canonicalize";
import fc from "fast-check";
import { canonical, parseJson, sha256 } from "../canonical.ts";
import { SyncError } from "../errors.ts";

Deno.test("Canonical JSON is that of RFC 8785, whatever the value", () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
    assert.equal(canonical(value), canonicalize(value));
  }));
  for (
    const value of [
      { "\u20ac": 1, "$": 2, "10": 3, "9": 4, "\ud83d\ude00": 5, "\ufb33": 6 },
      [undefined, { a: undefined, b: 1 }],
      JSON.parse('{"__proto__":{"x":1},"constructor":2}'),
      [-0, 1e21, 1e-7, 5e-324, 0.1 + 0.2],
    ]
  ) {
    assert.equal(canonical(value), canonicalize(value));
  }
});

Deno.test("What is no JSON has no canonical form", () => {
  for (const value of [NaN, Infinity, "\ud800", { "\udc00": 1 }, 1n, () => 1]) {
    assert.throws(() => canonical(value), TypeError);
  }
});

Deno.test("SHA-256 of short text is the one of the standard, at every length and for every character", () => {
  for (let length = 0; length <= 130; length++) {
    const text = "a".repeat(length);
    assert.equal(sha256(text), hash("sha256", text, "hex"), `${length} characters`);
  }
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 70 }), (text) => {
    assert.equal(sha256(text), hash("sha256", text, "hex"));
  }));
});

Deno.test("A body that breaks a rule is refused with the path of what breaks it", () => {
  const rows: readonly (readonly [text: string, field: string])[] = [
    ['{"a":[1,{"b":9007199254740993}]}', "body.a[1].b"],
    ['{"a":1e999}', "body.a"],
    ['{"a":9007199254740993.0}', "body.a"],
    ['{"a":-9007199254740992}', "body.a"],
    ['{"a":6.02e23,"b":[9007199254740993]}', "body.b[0]"],
    ['["\\ud800"]', "body[0]"],
    ['{"\\udc00":1}', "body"],
  ];
  for (const [text, field] of rows) {
    assert.throws(
      () => parseJson(text),
      (error) => error instanceof SyncError && error.facts.field === field,
      text,
    );
  }
  const fine =
    "[9007199254740991,-9007199254740991.0,6.02e23,1e300,4503599627370495.5,12345678901234567e-9]";
  assert.deepEqual(parseJson(fine), JSON.parse(fine));
  assert.throws(() => parseJson("[".repeat(70) + "]".repeat(70)), { code: "invalid_argument" });
});
