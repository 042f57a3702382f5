/**
 * How much of streams is under way between two connections in this process, who waits for whom, and what becomes of streams that nobody has any more.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { collectGarbage } from "./support/garbage.ts";
import { condition } from "./support/leaks.ts";
import { inPair } from "./support/pair.ts";
import { all, endless, pattern } from "./support/streams.ts";

Deno.test("a producer before a reader that stalls stops after a few MiB", () =>
  inPair(async ({ left }) => {
    const chunk = pattern(50_000);
    const source = endless(() => chunk);
    const { next, stop } = await left.call((stream: ReadableStream<Uint8Array>) => {
      const reader = stream.getReader();
      return {
        next: async () => (await reader.read()).value!.length,
        stop: () => reader.cancel(),
      };
    }, source.stream);
    const settled = async () => {
      let before = -1;
      await condition(() => before === (before = source.taken()) && before > 0, "the producer stands still");
      // Round trips have no way to get ahead of what is under way.
      for (let i = 0; i < 20; i++) await left.call(() => {});
      assertEquals(source.taken(), before);
      return before * chunk.length;
    };
    assert(await settled() < 200_000, "what nobody reads is hardly sent at all");
    await next();
    const read = await settled();
    assert(read > 1_000_000 && read < 4_000_000, `${read} bytes were taken`);
    for (let i = 0; i < 100; i++) await next();
    assert(await settled() < read + 100 * chunk.length + 2_000_000);
    await stop();
    await source.reason;
  }));

Deno.test("streams that nobody reads do not keep others from being read", () =>
  inPair(async ({ left }) => {
    const idle = Array.from({ length: 100 }, () => endless((n) => ({ n })));
    const stalled = await left.callRef(
      (streams: ReadableStream[]) => ({ streams }),
      idle.map(({ stream }) => stream),
    );
    assertEquals(
      await left.call((stream: ReadableStream) => new Response(stream).text(), new Blob(["read"]).stream()),
      "read",
    );
    const taken = idle.reduce((sum, { taken }) => sum + taken(), 0);
    assert(taken < 2000, `${taken} items were taken for nobody`);
    await left.call(
      (it: { streams: ReadableStream[] }) => Promise.all(it.streams.map((stream) => stream.cancel())).then(() => {}),
      stalled as never,
    );
    stalled[Symbol.dispose]();
  }));

Deno.test("a hundred streams at once, in both directions, each keeps its order", () =>
  inPair(async ({ left }) => {
    const sums = await Promise.all(Array.from({ length: 50 }, async (_, lane) => {
      const back = await left.call(
        async function* (numbers: AsyncIterable<number>) {
          for await (const n of numbers) yield n + 1;
        },
        (async function* () {
          for (let i = 0; i < 200; i++) yield lane * 1000 + i;
        })(),
      );
      const got = await all(back);
      assertEquals(got, Array.from({ length: 200 }, (_, i) => lane * 1000 + i + 1));
      return got.length;
    }));
    assertEquals(sums.length, 50);
  }));

Deno.test("streams that are not read and not kept are released when they are collected", () =>
  inPair(async ({ left }) => {
    const source = endless((n) => n);
    const { promise: aborted, resolve } = Promise.withResolvers<unknown>();
    await left.call(
      (_1: unknown, _2: unknown) => {},
      source.stream,
      new WritableStream({ abort: (why) => resolve(why) }),
    );
    await condition(async () => {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
      return left.status().streamsOpen === 0;
    }, "the streams are released");
    await source.reason;
    assertInstanceOf(await aborted, Error);
  }));

Deno.test("a stream that is being read is not collected", () =>
  inPair(async ({ left }) => {
    let enqueue = (_: number) => {};
    const stream = new ReadableStream<number>({ start: (controller) => void (enqueue = (n) => controller.enqueue(n)) });
    const read = left.call(async (stream: ReadableStream<number>) => (await stream.getReader().read()).value, stream);
    for (let i = 0; i < 5; i++) {
      await left.call(() => {});
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
    }
    enqueue(42);
    assertEquals(await read, 42);
  }));
