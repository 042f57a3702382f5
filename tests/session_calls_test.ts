/**
 * Calls as a session sees them, below the public connection.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { assertRejects } from "./support/assert_rejects.ts";
import { inPair, pair } from "./support/pair.ts";

Deno.test("as many calls in flight as one likes get their own answers, in whatever order these come", () =>
  inPair(async ({ left }) => {
    const late = (value: number) =>
      value % 3 ? value : new Promise<number>((resolve) => setTimeout(() => resolve(value), value % 7));
    const results = await Promise.all(Array.from({ length: 5000 }, (_, i) => left.call(late, i)));
    assertEquals(results, Array.from({ length: 5000 }, (_, i) => i));
    assertEquals(left.status().callsInFlight, 0);
  }));

Deno.test("calls in flight are rejected when the connection ends, however many", async () => {
  const { left, right } = await pair();
  const calls = Array.from({ length: 3000 }, () => left.call(() => new Promise<void>(() => {})));
  const outcomes = Promise.allSettled(calls);
  await left.call(() => {});
  assertEquals(left.status().callsInFlight, 3000);
  left.cancel();
  assert((await outcomes).every(({ status }) => status === "rejected"));
  assertEquals(left.status().callsInFlight, 0);
  await left.close();
  await right.close().catch(() => {}); // says that it was cut off
});

Deno.test("the stack of an error names who awaits the call, also when there were too many to note where each was issued", () =>
  inPair(async ({ left }) => {
    const fail = (value: number) => {
      if (value === 2000) throw new RangeError("too far");
      return value;
    };
    async function hurry(): Promise<void> {
      for (let i = 0;; i++) await left.call(fail, i);
    }
    const error = await assertRejects(hurry, RangeError, "too far");
    assertStringIncludes(error.stack!, "hurry");
    assertStringIncludes(error.stack!, "session_calls_test.ts");
    assertStringIncludes(error.stack!, "Below lines obtained from host ");
    assert(!error.stack!.includes("/session/"), error.stack);
  }));

Deno.test("what is built upon a large call waits for it, whatever the size of the rest", () =>
  inPair(async ({ left }) => {
    const bytes = new Uint8Array(1 << 20);
    const chain = left.callRef((b: Uint8Array) => ({ n: b.length, twice: (n: number) => n * 2 }), bytes);
    assertEquals(await chain.twice(chain.n), 2 << 20);
    const large = left.call((b: Uint8Array) => b.length, bytes);
    const larger = left.call((b: Uint8Array, n: number) => b.length + n, bytes, large);
    assertEquals(
      await left.call((n: number, { deep }: { deep: number }) => n + deep, larger, { deep: large }),
      3 << 20,
    );
  }));

Deno.test("the bytes of a Blob do not overtake the large message that announces it", () =>
  inPair(async ({ left }) => {
    const add = (blob: Blob, bytes: Uint8Array) => blob.size + bytes.length;
    assertEquals(await left.call(add, new Blob(["abc"]), new Uint8Array(20 << 20)), 3 + (20 << 20));
  }));

Deno.test("arguments are let go of when they have left, also if no other call follows", () =>
  inPair(async ({ left }) => {
    const first = left.call(() => ({ n: 1 }));
    assertEquals(await left.call(({ n }: { n: number }) => n, first), 1);
  }));
