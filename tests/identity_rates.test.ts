/** Rate limits: the bucket itself, and the doors that have one. */
import assert from "node:assert/strict";
import { SyncError } from "../errors.ts";
import { addressKey, RateLimiter } from "../rates.ts";
import { Browser, World } from "./identity_world.ts";

function refusal(limiter: RateLimiter, key: string, now: number): SyncError | undefined {
  try {
    limiter.take(key, now);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof SyncError);
    return error;
  }
}

Deno.test("A bucket lets its burst through, refills with the clock, and says when to come back", () => {
  const limiter = new RateLimiter(60);
  for (let i = 0; i < 60; i++) assert.equal(refusal(limiter, "a", 0), undefined);
  const refused = refusal(limiter, "a", 0)!;
  assert.equal(refused.code, "rate_limited");
  assert.equal(refused.headers["Retry-After"], "1");
  assert.equal(refusal(limiter, "b", 0), undefined, "keys are apart");
  assert.equal(refusal(limiter, "a", 999)?.code, "rate_limited");
  assert.equal(refusal(limiter, "a", 1000), undefined);
  assert.equal(
    refusal(limiter, "a", 500)?.code,
    "rate_limited",
    "a clock that goes back gives nothing",
  );
  const slow = new RateLimiter(1);
  slow.take("a", 0);
  assert.equal(refusal(slow, "a", 15_000)!.headers["Retry-After"], "45");
});

Deno.test("Zero is off; memory is bounded, and a key that keeps knocking is not forgotten first", () => {
  const off = new RateLimiter(0);
  for (let i = 0; i < 1000; i++) off.take("a", 0);
  assert.equal(off.size, 0);
  const small = new RateLimiter(1, 1, 3);
  small.take("a", 0);
  for (let i = 0; i < 50; i++) {
    refusal(small, `x${i}`, 0);
    assert.equal(refusal(small, "a", 0)?.code, "rate_limited");
    assert.ok(small.size <= 3);
  }
});

Deno.test("Addresses count by themselves, IPv6 ones by their /64", () => {
  const table: [string, string][] = [
    ["10.0.0.1", "10.0.0.1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::1", "0:0:0:0::/64"],
    ["[2001:db8::1]", "2001:db8:0:0::/64"],
    ["2001:DB8:0:0:ffff::2", "2001:db8:0:0::/64"],
    ["2001:0db8:0000:0001::2", "2001:db8:0:1::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["unknown", "unknown"],
  ];
  for (const [address, key] of table) assert.equal(addressKey(address), key);
});

Deno.test("Every door without a token is limited per address, with Retry-After, in its own words", async (t) => {
  const world = await World.open({ env: { SYNC_RATE_LIMIT_IP: "3" } });
  const doors: [string, Record<string, unknown>, string][] = [
    ["/webauthn/register/options", { username: "alice" }, "json"],
    ["/webauthn/register/verify", {}, "json"],
    ["/webauthn/login/options", {}, "json"],
    ["/webauthn/login/verify", {}, "json"],
    ["/recover", { code: "x" }, "json"],
    ["/tokens/refresh", { refresh_token: "x" }, "json"],
    ["/auth/device", {}, "json"],
    ["/auth/device/token", { device_code: "x" }, "json"],
    ["/oauth/register", {}, "json"],
    ["/oauth/token", {}, "form"],
    ["/oauth/revoke", {}, "form"],
    ["/oauth/introspect", {}, "form"],
    ["/oauth/authorize", {}, "form"],
  ];
  for (const [i, [path, body, kind]] of doors.entries()) {
    await t.step(path, async () => {
      const headers = { "X-Test-Address": `10.1.0.${i}` };
      const ask = () =>
        world.ask(path, kind === "json" ? { json: body, headers } : { form: {}, headers });
      for (let n = 0; n < 3; n++) assert.notEqual((await ask()).status, 429);
      const limited = await ask();
      assert.equal(limited.status, 429);
      assert.equal(limited.body.error, "rate_limited");
      assert.equal(limited.headers.get("Retry-After"), "20");
      world.now += 20_000;
      assert.notEqual((await ask()).status, 429, "one a third of a minute");
    });
  }
  await world.close();
});

Deno.test("Sessions are limited too, each by itself", async () => {
  const world = await World.open({ env: { SYNC_RATE_LIMIT_TOKEN: "5" } });
  const alice = new Browser(world), bob = new Browser(world);
  await alice.register("alice");
  await bob.register("bob");
  for (let n = 0; n < 5; n++) assert.equal((await alice.ask("/me")).status, 200);
  assert.equal((await alice.ask("/me")).status, 429);
  assert.equal((await bob.ask("/me")).status, 200);
  await world.close();
});
