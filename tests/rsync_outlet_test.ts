// What a target of RSync is told: order, what was passed, ends, with no connection.

import { assertEquals } from "@std/assert";
import { Outlet } from "../gateways/rsync_outlet.ts";
import { assertRejects } from "./support/assert_rejects.ts";

/** Whether a promise has settled by now. */
async function settled(promise: Promise<unknown> | undefined): Promise<boolean> {
  let done = false;
  Promise.resolve(promise).then(() => done = true);
  await new Promise((resolve) => setTimeout(resolve));
  return done;
}

Deno.test("items leave in their order, whether they were waited for or not", async () => {
  const outlet = new Outlet<number>();
  const first = outlet.next();
  for (let i = 1; i <= 50; i++) outlet.add(i);
  outlet.end();
  const seen = [(await first).value];
  for await (const item of outlet) seen.push(item);
  assertEquals(seen, Array.from({ length: 50 }, (_, i) => i + 1));
  assertEquals(await outlet.next(), { value: undefined, done: true });
});

Deno.test("what was taken has passed when the next item is asked for, not before", async () => {
  const outlet = new Outlet<number>();
  outlet.add(1);
  const { mark } = outlet;
  outlet.add(2);
  const passed = outlet.passed(mark);
  assertEquals(await settled(passed), false);
  await outlet.next();
  assertEquals(await settled(passed), false, "its bytes may still be looked at");
  await outlet.next();
  assertEquals(await settled(passed), true);
  assertEquals(await settled(outlet.passed(outlet.mark)), false);
  const third = outlet.next();
  assertEquals(outlet.passed(outlet.mark), undefined);
  outlet.add(3);
  assertEquals((await third).value, 3);
});

Deno.test("who adds more than a few items waits until some have left", async () => {
  const outlet = new Outlet<number>();
  let wait: Promise<void> | undefined, added = 0;
  while (!wait && added < 1000) wait = outlet.add(added++);
  assertEquals(added, 17);
  for (let i = 0; i < 3; i++) await outlet.next();
  assertEquals(await settled(wait), true);
});

Deno.test("long bytes leave in pieces, without being copied", async () => {
  const outlet = new Outlet<never>();
  const bytes = new Uint8Array(150_000);
  outlet.bytes(bytes);
  outlet.end();
  const pieces: Uint8Array[] = [];
  for await (const piece of outlet) pieces.push(piece);
  assertEquals(pieces.map(({ length }) => length), [65_536, 65_536, 18_928]);
  assertEquals(pieces.every(({ buffer }) => buffer === bytes.buffer), true);
});

Deno.test("an error takes the place of what waits, and nobody waits for anything any more", async () => {
  for (const asked of [true, false]) {
    const outlet = new Outlet<number>();
    const next = asked ? outlet.next() : undefined;
    const failed = next && assertRejects(() => next, Error, "Enough");
    if (!asked) outlet.add(1);
    const passed = asked ? undefined : outlet.passed(1);
    outlet.end(new Error("Enough"));
    assertEquals(await settled(passed), true);
    await failed;
    await assertRejects(() => outlet.next(), Error, "Enough");
    assertEquals(outlet.add(2), undefined);
  }
  const left = new Outlet<number>();
  for (let i = 0; i < 17; i++) left.add(i);
  const passed = left.passed(17);
  await left.return();
  assertEquals(await settled(passed), true);
});
