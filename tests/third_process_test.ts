/**
 * Proxies that go on to a third process: here three ends in this process, of which the middle one has two connections. With real processes:
 * `hops_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { Connection, Remote } from "../mod.ts";
import { copy, del, has, isProxy, keep, release, set } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition } from "./support/leaks.ts";
import { baseline, pair } from "./support/pair.ts";

class Leaf {
  n: number = 0;
  text?: string = "leaf";
  disposed: boolean = false;
  readonly #hidden = "not to be copied";
  up(by: number): this {
    this.n += by;
    return this;
  }
  child(): Leaf {
    return new Leaf().up(100);
  }
  fail(): Leaf {
    throw new RangeError("at the far end");
  }
  async each(visit: (n: number) => Promise<number>): Promise<number> {
    return await visit(1) + await visit(2) + this.#hidden.length * 0;
  }
  wait(): Promise<never> {
    return new Promise(() => {});
  }
  [Symbol.dispose](): void {
    this.disposed = true;
  }
}

interface Ends {
  /** What the third process sees: what the middle one has of the far end. */
  readonly leaf: Remote<Leaf>;
  readonly own: Leaf;
  /** From the middle to the far end, and from the third process to the middle. */
  readonly far: Connection;
  readonly third: Connection;
}

async function threeEnds(body: (ends: Ends) => Promise<void>): Promise<void> {
  const own = new Leaf();
  const far = await pair({}, { expose: own });
  const exposed = { leaf: far.left.root<Leaf>() };
  const near = await pair({}, { expose: exposed });
  try {
    const leaf = await keep(near.left.root<typeof exposed>().leaf) as unknown as Remote<Leaf>;
    await body({ leaf, own, far: far.left, third: near.left });
    release(leaf);
    await baseline(...[near, far].flatMap(({ left, right }) => left.isConnected() ? [left, right] : []));
  } finally {
    for (const end of [near.left, near.right, far.left, far.right]) await end.close().catch(() => {});
  }
}

Deno.test("a proxy works at a third process as it does here", () =>
  threeEnds(async ({ leaf, own }) => {
    assert(isProxy(leaf));
    assertEquals(await leaf.n, 0);
    assertStrictEquals(await leaf.up(2), leaf);
    assertEquals(own.n, 2);
    assertEquals(await leaf.each((n) => Promise.resolve(n * 10)), 30);
    await set(leaf, "n", 7);
    assertEquals([own.n, await has(leaf, "text"), await has(leaf, "nothing" as "n")], [7, true, false]);
    assertEquals([await del(leaf, "text"), await has(leaf, "text")], [true, false]);
    await assertRejects(() => leaf.fail(), RangeError, "at the far end");
    await assertRejects(() => copy(leaf), Error, "an instance of Leaf");
  }));

Deno.test("chains from a third process go on with the original, in one go", () =>
  threeEnds(async ({ leaf, own, far }) => {
    const { messagesReceived } = far.status();
    assertEquals(await leaf.up(1).child().up(5).n, 105);
    assertEquals(far.status().messagesReceived, messagesReceived + 1, "one answer for all of it");
    using child = await keep(leaf.child());
    assertEquals(await child.up(1).n, 101);
    await assertRejects(() => leaf.fail().up(1).up(1), RangeError, "at the far end");
    assertEquals(own.n, 1);
  }));

Deno.test("await using at a third process runs the object's own method", () =>
  threeEnds(async ({ leaf, own }) => {
    {
      await using child = await keep(leaf.up(1));
      assertEquals([await child.n, own.disposed], [1, false]);
    }
    assertEquals(own.disposed, true);
  }));

Deno.test("results and paths of one connection are values on another one, when they are there", () =>
  threeEnds(async ({ far, third }) => {
    const later = far.call((n: number) => Promise.resolve(n * 2), 4);
    const path = far.root<Leaf>().n;
    assertEquals(await third.call(async (a: unknown, b: unknown) => [await a, await b], later, path), [8, 0]);
  }));

Deno.test("to cancel a call at a third process cancels it at the far end", () =>
  threeEnds(async ({ leaf, far, third }) => {
    await assertRejects(() => third.with({ timeout: 30 }).on(leaf).wait(), DOMException, "30 ms");
    await condition(() => far.status().callsInFlight === 0, "the middle does not wait for it any more");
    far.cancel(); // the method itself never ends
  }));

Deno.test("a third process is told clearly when the far end is gone, and lives on", () =>
  threeEnds(async ({ leaf, far, third }) => {
    const waiting = assertRejects(() => leaf.wait(), Error, "Connection was cancelled");
    await condition(() => far.status().callsInFlight === 1, "it waits");
    far.cancel();
    await waiting;
    const error = await assertRejects(() => leaf.n, Error, "Connection was cancelled");
    assertEquals([error.name, (error.cause as Error).name], ["Error", "DisconnectError"], "not its own connection");
    assertEquals(await third.call(() => 1), 1);
  }));
