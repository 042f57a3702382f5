/**
 * Streams and generators between two connections in this process: what arrives, back-pressure, and how either end ends it. Iteration over proxies is in
 * `iteration_test.ts`; real interpreters are in `streams_remote_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { DisconnectError, getCallSignal, getConnection, OperationError, ref } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition } from "./support/leaks.ts";
import { inPair, pair } from "./support/pair.ts";

/** All that a stream gives. */
async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** Its bytes in one piece. */
const bytesOf = async (stream: ReadableStream<Uint8Array>): Promise<Uint8Array> =>
  new Uint8Array(await new Response(stream).arrayBuffer());

/** Bytes that differ everywhere. */
const pattern = (size: number): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i++) bytes[i] = (i * 7 + (i >> 8)) & 255;
  return bytes;
};

/** A stream that counts what was taken of it, never ends, and keeps why it was cancelled. */
function endless<T>(
  make: (n: number) => T,
): { stream: ReadableStream<T>; taken: () => number; reason: Promise<unknown> } {
  let n = 0;
  const { promise: reason, resolve } = Promise.withResolvers<unknown>();
  const stream = new ReadableStream<T>({
    pull: (controller) => controller.enqueue(make(n++)),
    cancel: (why) => resolve(why),
  }, { highWaterMark: 0 });
  return { stream, taken: () => n, reason };
}

Deno.test("a ReadableStream of bytes arrives as one, both as argument and as result", () =>
  inPair(async ({ left }) => {
    const bytes = pattern(3_000_000);
    const size = await left.call(
      async (stream: ReadableStream<Uint8Array>) => (await new Response(stream).arrayBuffer()).byteLength,
      new Blob([bytes]).stream(),
    );
    assertEquals(size, bytes.length);
    const back = await left.call((bytes: Uint8Array<ArrayBuffer>) => new Blob([bytes]).stream(), bytes);
    assertInstanceOf(back, ReadableStream);
    assertEquals(await bytesOf(back), bytes);
  }));

Deno.test("a stream of bytes can be read into buffers of one's own", () =>
  inPair(async ({ left }) => {
    const stream = await left.call(() =>
      new ReadableStream({
        type: "bytes",
        start(controller) {
          controller.enqueue(new Uint8Array([1, 2, 3]));
          controller.enqueue(new Uint8Array([4]));
          controller.close();
        },
      })
    );
    const reader = stream.getReader({ mode: "byob" });
    const got: number[] = [];
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(2));
      if (done) break;
      got.push(...value);
    }
    assertEquals(got, [1, 2, 3, 4]);
  }));

Deno.test("a ReadableStream of values keeps its chunks: objects, strings, bytes, empty ones, undefined", () =>
  inPair(async ({ left }) => {
    const shared = { deep: new Map([[1, new Date(5)]]) };
    const chunks = [
      "a",
      "",
      undefined,
      null,
      5,
      { shared },
      new Uint8Array(0),
      new Uint8Array([1, 2]),
      new Float64Array(3),
    ];
    const echo = (stream: ReadableStream<unknown>) => stream;
    const back = await left.call(echo, ReadableStream.from(chunks));
    assertEquals(await all(back), chunks);
  }));

Deno.test("a huge chunk of bytes arrives in pieces, in order, between others", () =>
  inPair(async ({ left }) => {
    const huge = pattern(9_000_000);
    const stream = await left.call((bytes: Uint8Array) => ReadableStream.from([bytes, new Uint8Array([9])]), huge);
    const got = await all(stream);
    assert(got.length > 2);
    assertEquals(got.at(-1), new Uint8Array([9]));
    assertEquals(await bytesOf(ReadableStream.from(got.slice(0, -1))), huge);
  }));

Deno.test("large items of a generator arrive whole and in order, also behind each other and before small ones", () =>
  inPair(async ({ left }) => {
    const items = await left.call(function* () {
      for (let i = 1; i <= 5; i++) {
        yield new Uint8Array(i * 100_000).fill(i);
        yield { i, text: "x".repeat(i * 40_000) };
        yield i;
      }
      return "the end";
    });
    const got = await all(items) as (Uint8Array | { text: string } | number)[];
    assertEquals(
      got.map((it) => it instanceof Uint8Array ? it.length : typeof it === "number" ? it : it.text.length),
      [1, 2, 3, 4, 5].flatMap((i) => [i * 100_000, i * 40_000, i]),
    );
  }));

Deno.test("generators and iterators of all kinds come back as streams of items", () =>
  inPair(async ({ left }) => {
    const expected = [1, 2, 3];
    assertEquals(
      await all(
        await left.call(async function* () {
          yield* [1, 2, 3];
        }),
      ),
      expected,
    );
    assertEquals(
      await all(
        await left.call(function* () {
          yield* [1, 2, 3];
        }),
      ),
      expected,
    );
    const iterators = await left.call(() => ({
      map: new Map([[1, 1], [2, 2], [3, 3]]).keys(),
      asynchronous: {
        async *[Symbol.asyncIterator]() {
          yield* [1, 2, 3];
        },
      },
    })) as unknown as Record<string, AsyncIterable<number>>;
    assertEquals(await all(iterators.map!), expected);
    assertEquals(await all(iterators.asynchronous!), expected);
  }));

Deno.test("what a generator returns is the value of the last step", () =>
  inPair(async ({ left }) => {
    const items = await left.call(function* () {
      yield 1;
      return "result";
    });
    assertEquals(await items.next(), { value: 1, done: false });
    assertEquals(await items.next(), { value: "result", done: true });
    assertEquals(await items.next() as unknown, { value: undefined, done: true });
  }));

Deno.test("several next() at a time are answered in order", () =>
  inPair(async ({ left }) => {
    const items = await left.call(async function* () {
      for (let i = 0; i < 3; i++) {
        await new Promise((resolve) => setTimeout(resolve));
        yield i;
      }
    });
    const steps = await Promise.all([items.next(), items.next(), items.next(), items.next(), items.next()]);
    assertEquals(steps.map((step) => step.done ? "done" : step.value), [0, 1, 2, "done", "done"]);
  }));

Deno.test("leaving a loop runs the generator's finally over there, and is not done before that is", () =>
  inPair(async ({ left }) => {
    const log: string[] = [];
    const items = await left.call(
      async function* (note: (what: string) => Promise<void>) {
        try {
          for (let i = 0;; i++) yield i;
        } finally {
          await note("finally");
        }
      },
      (what: string) => {
        log.push(what);
        return Promise.resolve();
      },
    );
    for await (const item of items) if (item === 3) break;
    assertEquals(log, ["finally"]);
    assertEquals(await items.next() as unknown, { value: undefined, done: true });
  }));

Deno.test("what finally throws over there is thrown where the loop was left", () =>
  inPair(async ({ left }) => {
    const items = await left.call(function* () {
      try {
        for (let i = 0;; i++) yield i;
      } finally {
        // deno-lint-ignore no-unsafe-finally -- that is the point
        throw new RangeError("from finally");
      }
    });
    await assertRejects(
      async () => {
        for await (const _ of items) break;
      },
      RangeError,
      "from finally",
    );
  }));

Deno.test("return() and throw() reach the generator", () =>
  inPair(async ({ left }) => {
    const make = () =>
      left.call(function* (): Generator<number, string> {
        try {
          for (let i = 0;; i++) yield i;
        } catch (error) {
          return `caught ${(error as Error).message}`;
        }
      });
    const one = await make();
    await one.next();
    assertEquals(await one.return("given"), { value: "given", done: true });
    const other = await make();
    await other.next();
    assertEquals(await other.throw(new Error("mine")), { value: "caught mine", done: true });
    const third = await left.call(function* () {
      for (let i = 0;; i++) yield i;
    });
    await third.next();
    await assertRejects(() => third.throw(new RangeError("not caught")), RangeError, "not caught");
    await assertRejects(() => third.throw(new RangeError("it is over")), RangeError, "it is over");
  }));

Deno.test("a value for next() is refused, and reaches a generator that is called by reference", () =>
  inPair(async ({ left }) => {
    const sums = function* (): Generator<number, void, number> {
      let sum = 0;
      for (;;) sum += yield sum;
    };
    const items = await left.call(sums);
    await assertRejects(() => items.next(5), TypeError, "callRef()");
    await items.return();
    using remote = await left.callRef(sums);
    assertEquals((await remote.next(0)).value, 0);
    assertEquals((await remote.next(5)).value, 5);
    assertEquals((await remote.next(6)).value, 11);
  }));

Deno.test("what a generator or stream throws arrives behind the items before it, with class, fields and remote stack", () =>
  inPair(async ({ left }) => {
    const items = await left.call(function* () {
      yield 1;
      throw Object.assign(new RangeError("no more"), { code: 7 });
    });
    assertEquals((await items.next()).value, 1);
    const error = await assertRejects(() => items.next(), RangeError, "no more");
    assertEquals((error as unknown as { code: number }).code, 7);
    assert(error.stack!.includes("Below lines obtained from"));
    const stream = await left.call(() => {
      let n = 0;
      return new ReadableStream({
        pull(controller) {
          if (n++ < 2) controller.enqueue(n);
          else controller.error(new TypeError("broken"));
        },
      }, { highWaterMark: 0 });
    });
    const reader = stream.getReader();
    assertEquals([(await reader.read()).value, (await reader.read()).value], [1, 2]);
    await assertRejects(() => reader.read(), TypeError, "broken");
  }));

Deno.test("an item that cannot travel ends its stream with an error that names it, and the connection lives", () =>
  inPair(async ({ left }) => {
    const items = await left.call(function* () {
      yield 1;
      yield { deep: [new WeakMap()] };
    });
    assertEquals((await items.next()).value, 1);
    await assertRejects(() => items.next(), OperationError, "item.deep[0], an instance of WeakMap");
    assertEquals(await left.call(() => 1), 1);
  }));

Deno.test("cancel() of a stream reaches its source with the reason, and tells what that throws", () =>
  inPair(async ({ left }) => {
    const source = endless((n) => n);
    await left.call(async (stream: ReadableStream<number>) => {
      const reader = stream.getReader();
      await reader.read();
      await reader.cancel(new RangeError("enough"));
    }, source.stream);
    assertInstanceOf(await source.reason, RangeError);
    const failing = await left.call(() =>
      new ReadableStream({
        cancel: () => {
          throw new TypeError("cannot stop");
        },
      })
    );
    await assertRejects(() => failing.cancel("now"), TypeError, "cannot stop");
  }));

Deno.test("cancel() while a read waits ends that read and the stream", () =>
  inPair(async ({ left }) => {
    const stream = await left.call(() => new ReadableStream({}));
    const reader = stream.getReader();
    const read = reader.read();
    await reader.cancel("no patience");
    assertEquals(await read, { value: undefined, done: true });
    assertEquals(await left.call(() => 1), 1);
  }));

Deno.test("a WritableStream takes chunks from the other side, is closed from there, and close() waits for it", () =>
  inPair(async ({ left }) => {
    const got: unknown[] = [];
    let closed = false;
    const sink = new WritableStream<unknown>({
      write: (chunk) => void got.push(chunk),
      async close() {
        await new Promise((resolve) => setTimeout(resolve));
        closed = true;
      },
    });
    const bytes = pattern(1_000_000);
    await left.call(
      async (writable: WritableStream<unknown>, bytes: Uint8Array) => {
        const writer = writable.getWriter();
        for (let i = 0; i < 100; i++) await writer.write({ i });
        await writer.write(bytes);
        await writer.close();
      },
      sink,
      bytes,
    );
    assert(closed);
    assertEquals(got.slice(0, 100), Array.from({ length: 100 }, (_, i) => ({ i })));
    assertEquals(await bytesOf(ReadableStream.from(got.slice(100) as Uint8Array[])), bytes);
  }));

Deno.test("a WritableStream as a result is written from here", () =>
  inPair(async ({ left }) => {
    const { sink, count } = await left.call(() => {
      let sum = 0;
      return { sink: new WritableStream<number>({ write: (n) => void (sum += n) }), count: () => sum };
    });
    await ReadableStream.from([1, 2, 3]).pipeTo(sink);
    assertEquals(await count(), 6);
  }));

Deno.test("abort() of a WritableStream reaches its owner with the reason", () =>
  inPair(async ({ left }) => {
    const { promise: reason, resolve } = Promise.withResolvers<unknown>();
    await left.call(async (writable: WritableStream<number>) => {
      const writer = writable.getWriter();
      await writer.write(1);
      await writer.abort(new RangeError("changed my mind"));
    }, new WritableStream<number>({ abort: (why) => resolve(why) }));
    assertInstanceOf(await reason, RangeError);
  }));

Deno.test("a WritableStream that fails fails writes over there with the reason", () =>
  inPair(async ({ left }) => {
    const failing = new WritableStream<number>({
      write(n) {
        if (n === 2) throw new RangeError("disk full");
      },
    });
    await left.call(async (writable: WritableStream<number>) => {
      const writer = writable.getWriter();
      let error: unknown;
      try {
        for (let n = 0;; n++) await writer.write(n);
      } catch (it) {
        error = it;
      }
      if (!(error instanceof RangeError) || error.message !== "disk full") throw error;
    }, failing);
    const unable = new WritableStream<number>({
      close() {
        throw new TypeError("cannot close");
      },
    });
    await assertRejects(
      () => left.call(async (writable: WritableStream<number>) => await writable.close(), unable),
      TypeError,
      "cannot close",
    );
  }));

Deno.test("streams travel inside objects, both ways, several at once", () =>
  inPair(async ({ left }) => {
    const result = await left.call(
      ({ input, log }: { input: ReadableStream<string>; log: WritableStream<string> }) => {
        const output = input.pipeThrough(
          new TransformStream<string, string>({ transform: (text, c) => c.enqueue(text.toUpperCase()) }),
        );
        const writer = log.getWriter();
        writer.write("started").then(() => writer.close());
        return {
          output,
          numbers: (function* () {
            yield* [1, 2];
          })(),
        };
      },
      {
        input: ReadableStream.from(["a", "b"]),
        log: new WritableStream({ write: (text) => void lines.push(text), close: () => finish() }),
      },
    );
    const got = result as unknown as { output: ReadableStream<string>; numbers: AsyncIterable<number> };
    assertEquals(await all(got.output), ["A", "B"]);
    assertEquals(await all(got.numbers), [1, 2]);
    await finished;
    assertEquals(lines, ["started"]);
  }));
const lines: string[] = [];
const { promise: finished, resolve: finish } = Promise.withResolvers<void>();

Deno.test("items may hold functions, streams and references", () =>
  inPair(async ({ left }) => {
    const items = await left.call(function* () {
      yield { double: (n: number) => n * 2, more: ReadableStream.from([1, 2]), blob: new Blob(["text"]) };
    }) as unknown as AsyncIterable<
      { double(n: number): Promise<number>; more: ReadableStream<number>; blob: Blob }
    >;
    for await (const { double, more, blob } of items) {
      assertEquals(await double(4), 8);
      assertEquals(await all(more), [1, 2]);
      assertEquals(await blob.text(), "text");
    }
  }));

Deno.test("a stream that is locked or was read from is refused by its place, and stays usable", () =>
  inPair(async ({ left }) => {
    const locked = ReadableStream.from([1]);
    const reader = locked.getReader();
    const nothing = (_: unknown) => {};
    await assertRejects(
      () => left.call(nothing, { user: [locked] }),
      OperationError,
      "Cannot send args[0].user[0], a ReadableStream that is locked",
    );
    assertEquals((await reader.read()).value, 1);
    reader.releaseLock();
    await assertRejects(
      () => left.call(nothing, locked),
      OperationError,
      "args[0], a ReadableStream that was read from",
    );
    const writable = new WritableStream();
    writable.getWriter();
    await assertRejects(() => left.call(nothing, writable), OperationError, "args[0], a WritableStream that is locked");
    assertEquals(left.status().streamsOpen, 0);
  }));

Deno.test("a message that fails to be encoded gives back the streams in it", () =>
  inPair(async ({ left }) => {
    const readable = ReadableStream.from([1]), writable = new WritableStream();
    let started = false;
    const generator = (function* () {
      started = true;
      yield 1;
    })();
    await assertRejects(
      () => left.call((..._: unknown[]) => {}, readable, writable, generator, new WeakMap()),
      OperationError,
    );
    assertEquals([readable.locked, writable.locked, started], [false, false, false]);
    assertEquals(left.status().streamsOpen, 0);
    assertEquals(await all(readable), [1]);
  }));

Deno.test("ref() passes a stream as a proxy instead", () =>
  inPair(async ({ left }) => {
    const remote = await left.call((it: unknown) => typeof it, ref(new ReadableStream()));
    assertEquals(remote, "function");
  }));

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

Deno.test("a stream is piped on to a third process and back", () =>
  inPair((first) =>
    inPair(async (second) => {
      const bytes = pattern(500_000);
      // Ours is in the middle: what comes from the left of one pair goes to the left of the other.
      const stream = await first.left.call((bytes: Uint8Array<ArrayBuffer>) => new Blob([bytes]).stream(), bytes);
      const back = await second.left.call((stream: ReadableStream<Uint8Array>) => stream, stream);
      assertEquals(await bytesOf(back), bytes);
      const items = await first.left.call(function* () {
        yield* [1, 2, 3];
      });
      assertEquals(await all(await second.left.call((items: AsyncIterable<number>) => items, items)), [1, 2, 3]);
    })
  ));

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

Deno.test("when the connection goes, streams fail with a DisconnectError on both sides", async () => {
  const { left, right } = await pair();
  const { promise: aborted, resolve } = Promise.withResolvers<unknown>();
  const source = endless((n) => n);
  let ran = false;
  const [stream, generator] = await Promise.all([
    left.call(() => new ReadableStream<number>({ start: (controller) => controller.enqueue(1) })),
    left.call(async function* () {
      yield 1;
      await new Promise(() => {});
    }),
    left.call(
      (_1: unknown, _2: unknown) => new Promise<void>((resolve) => setTimeout(resolve)),
      source.stream,
      new WritableStream({ abort: resolve }),
    ),
  ]);
  const returned = (function* () {
    try {
      for (let i = 0;; i++) yield i;
    } finally {
      ran = true;
    }
  })();
  using _kept = await left.callRef((it: unknown) => ({ it }), returned);
  await generator.next();
  const reader = stream.getReader();
  assertEquals((await reader.read()).value, 1);
  const reads = [reader.read(), generator.next()];
  right.cancel();
  for (const read of reads) await assertRejects(() => read, DisconnectError);
  await assertRejects(() => reader.read(), DisconnectError);
  await assertRejects(() => reader.closed, DisconnectError);
  assertInstanceOf(await source.reason, DisconnectError);
  assertInstanceOf(await aborted, DisconnectError);
  await condition(() => ran, "the generator's finally ran");
  assertEquals([left.status().streamsOpen, right.status().streamsOpen], [0, 0]);
  await left.close().catch(() => {});
  await right.close();
});

Deno.test("what has arrived whole can still be read when the connection is gone", async () => {
  const { left, right } = await pair();
  const items = await left.call(function* () {
    yield* [1, 2, 3];
    return "done";
  });
  await condition(() => left.status().streamsOpen === 0, "all of it is here");
  await left.close();
  await right.close();
  assertEquals(await all(items), [1, 2, 3]);
});

Deno.test("the signal of a call is aborted when a generator is left that works on its next item", () =>
  inPair(async ({ left, right }) => {
    const log: unknown[] = [];
    await left.call(
      async (make: () => Promise<AsyncIterable<number>>) => {
        for await (const _ of await make()) break;
      },
      async function* () {
        yield 1;
        const signal = getCallSignal();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        log.push(getConnection() === left, signal.reason.name);
      },
    );
    assertEquals(log, [true, "AbortError"]);
    assertEquals([left.status().streamsOpen, right.status().streamsOpen], [0, 0]);
  }));
