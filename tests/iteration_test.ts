/**
 * `for await` over what lives on the other side of a connection: proxies, paths, and results that nobody awaited. What the items travel as is tested in
 * `streams_test.ts`.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Remote } from "../mod.ts";
import { OperationError, ref } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition } from "./support/leaks.ts";
import { inPair } from "./support/pair.ts";

/** All that an iteration gives. */
async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const got: T[] = [];
  for await (const item of items) got.push(item);
  return got;
}

Deno.test("for await goes over a call of a generator that was not awaited, of either kind", () =>
  inPair(async ({ left }) => {
    assertEquals(
      await all(left.call(async function* (n: number) {
        for (let i = 0; i < n; i++) yield { i };
      }, 3)),
      [{ i: 0 }, { i: 1 }, { i: 2 }],
    );
    assertEquals(
      await all(left.call(function* () {
        yield* "ab";
      })),
      ["a", "b"],
    );
  }));

Deno.test("for await goes over proxies and paths of arrays, maps, sets, streams and iterables", () =>
  inPair(async ({ left }) => {
    using remote = await left.callRef(() => ({
      list: [1, 2],
      map: new Map([["a", 1]]),
      inner: { set: new Set([3]) },
      stream: () => ReadableStream.from(["s"]),
      later: Promise.resolve([4]),
    }));
    assertEquals(await all(remote.list), [1, 2]);
    assertEquals(await all(remote.map), [["a", 1]]);
    assertEquals(await all(remote.inner.set), [3]);
    assertEquals(await all(remote.stream()), ["s"]);
    assertEquals(await all(remote.later as unknown as AsyncIterable<number>), [4]);
    using list = await left.callRef(() => ["x", "y"]);
    assertEquals(await all(list), ["x", "y"]);
    assertEquals(await all(list), ["x", "y"], "each iteration is one of its own");
  }));

Deno.test("for await goes over what the peer exposes", () =>
  inPair(
    async ({ left }) => {
      interface Shop {
        items: string[];
        orders(from: number): AsyncGenerator<number>;
      }
      const shop = left.root<Shop>();
      assertEquals(await all(shop.items), ["tea"]);
      assertEquals(await all(shop.orders(5)), [5, 6]);
    },
    {},
    {
      acceptCalls: false,
      expose: {
        items: ["tea"],
        async *orders(from: number) {
          yield from;
          yield from + 1;
        },
      },
    },
  ));

Deno.test("an iteration is one operation, however many items there are, and nothing is sent before it begins", () =>
  inPair(async ({ left }) => {
    using list = await left.callRef(() => Array.from({ length: 500 }, (_, i) => i));
    const nothing = () => {};
    await left.call(nothing);
    const before = left.status().messagesSent;
    const iterator = list[Symbol.asyncIterator]();
    await left.call(nothing);
    assertEquals(left.status().messagesSent, before + 1);
    let n = 0;
    for (;;) {
      const { done, value } = await iterator.next();
      if (done) break;
      assertEquals(value, n++);
    }
    assertEquals(n, 500);
    const sent = left.status().messagesSent - before - 1;
    assert(sent < 10, `${sent} messages were sent for 500 items`);
  }));

Deno.test("the first items of a call come with the answer to it", () =>
  inPair(async ({ left }) => {
    const start = left.status().messagesSent;
    const iterator = left.call(function* () {
      for (let i = 0;; i++) yield i;
    })[Symbol.asyncIterator]();
    const got = [];
    // A reader shows that it reads with its first message; nothing else must be needed for so many.
    for (let i = 0; i < 30; i++) got.push((await iterator.next()).value);
    assertEquals(got, Array.from({ length: 30 }, (_, i) => i));
    const sent = left.status().messagesSent - start;
    assert(sent <= 4, `${sent} messages were sent: a definition, the call, the iteration, credit`);
    await iterator.return!();
  }));

Deno.test("leaving the loop runs finally over there, and releases everything", () =>
  inPair(async ({ left }) => {
    const log: string[] = [];
    const note = (what: string) => Promise.resolve(void log.push(what));
    const numbers = async function* (note: (what: string) => Promise<void>) {
      try {
        for (let i = 0;; i++) yield i;
      } finally {
        await note("finally");
      }
    };
    for await (const n of left.call(numbers, note)) if (n === 2) break;
    assertEquals(log, ["finally"]);
    await assertRejects(
      async () => {
        for await (const _ of left.call(numbers, note)) throw new RangeError("out of here");
      },
      RangeError,
      "out of here",
    );
    assertEquals(log, ["finally", "finally"]);
    await condition(() => left.status().streamsOpen === 0, "no stream is left");
  }));

Deno.test("what fails before the first item fails the loop: the call, the target, the connection's refusal", () =>
  inPair(async ({ left }) => {
    await assertRejects(
      () =>
        all(left.call((): number[] => {
          throw new RangeError("no list");
        })),
      RangeError,
      "no list",
    );
    using remote = await left.callRef(() => ({ count: 5 }));
    await assertRejects(() => all(remote.count as unknown as AsyncIterable<number>), TypeError, "not iterable");
    const iterator = (remote.count as unknown as AsyncIterable<number>)[Symbol.asyncIterator]();
    await assertRejects(() => iterator.next(), TypeError);
    assertEquals((await iterator.next()).done, true, "an error is told once");
  }));

Deno.test("a result that was awaited already cannot be iterated over, and says what to do", () =>
  inPair(async ({ left }) => {
    const result = left.call(() => [1]);
    await result;
    await assertRejects(() => all(result as unknown as AsyncIterable<number>), OperationError, "chain before awaiting");
  }));

Deno.test("an iteration that is not begun ends at once", () =>
  inPair(async ({ left }) => {
    using list = await left.callRef(() => [1]);
    const iterator = list[Symbol.asyncIterator]();
    assertEquals(await iterator.return!(), { value: undefined, done: true });
    assertEquals((await iterator.next()).done, true);
  }));

Deno.test("the other side can iterate over what it was handed by reference", () =>
  inPair(async ({ left }) => {
    const sum = await left.call(async (list: Remote<number[]>) => {
      let sum = 0;
      for await (const n of list) sum += n;
      return sum;
    }, ref([1, 2, 3]));
    assertEquals(sum, 6);
  }));

Deno.test("with({ signal }) ends an iteration at once with the reason, before and after the first item", () =>
  inPair(async ({ left }) => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const numbers = async function* (gate: () => Promise<void>, first: number) {
      for (let i = first; i < 2; i++) yield i;
      await gate();
    };
    const controller = new AbortController();
    const scope = left.with({ signal: controller.signal });
    const iterator = scope.call(numbers, () => gate, 1)[Symbol.asyncIterator]();
    assertEquals((await iterator.next()).value, 1);
    const next = iterator.next();
    controller.abort(new RangeError("no more time"));
    await assertRejects(() => next, RangeError, "no more time");
    assertEquals((await iterator.next()).done, true);
    await assertRejects(() => all(scope.call(numbers, () => gate, 1)), RangeError, "no more time");
    const other = new AbortController();
    const early = all(left.with({ signal: other.signal }).call(numbers, () => gate, 2));
    other.abort(new TypeError("at once"));
    await assertRejects(() => early, TypeError, "at once");
    const unused = new AbortController();
    assertEquals(await all(left.with({ signal: unused.signal }).call(() => [1, 2])), [1, 2]);
    open();
  }));
