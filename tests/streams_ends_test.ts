/**
 * How streams and generators end between two connections in this process: by themselves, by an error, by whoever reads or writes them, with the connection.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { DisconnectError, getCallSignal, getConnection, OperationError } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition } from "./support/leaks.ts";
import { inPair, pair } from "./support/pair.ts";
import { all, endless, pattern } from "./support/streams.ts";

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

Deno.test("what gives no iterator, or no steps, fails its stream alone", () =>
  inPair(async ({ left }) => {
    const bad = (iterator: () => unknown) => ({ [Symbol.asyncIterator]: iterator }) as AsyncIterable<number>;
    const read = async (items: AsyncIterable<number>) => {
      for await (const _ of items);
    };
    const broken = bad(() => {
      throw new RangeError("not to be had");
    });
    await assertRejects(() => left.call(read, broken), RangeError, "not to be had");
    await assertRejects(() => left.call(read, bad(() => ({ next: () => 5 }))), TypeError, "not an object");
    assertEquals(await left.call(() => 1), 1);
  }));

Deno.test("a chunk that cannot travel aborts the stream that it was written to, at once", () =>
  inPair(async ({ left }) => {
    for (const first of [undefined, pattern(1 << 20)]) { // the second chunk is sent at once, or waits for room
      const { promise: reason, resolve } = Promise.withResolvers<unknown>();
      const writable = new WritableStream<unknown>({ abort: resolve });
      const writing = left.call(
        async (writable: WritableStream<unknown>, first: unknown) => {
          const writer = writable.getWriter();
          // deno-lint-ignore no-explicit-any -- kept, so that it is not the end of a collected stream that is seen
          (globalThis as any).keptWriter = writer;
          writer.write(first);
          await writer.write(new WeakMap());
        },
        writable,
        first,
      );
      await assertRejects(() => writing, Error, "an instance of WeakMap");
      assertInstanceOf(await reason, OperationError);
      await left.call(() => Reflect.deleteProperty(globalThis, "keptWriter"));
    }
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
  const reads = [reader.read(), generator.next()].map((read) => assertRejects(() => read, DisconnectError));
  right.cancel();
  await Promise.all(reads);
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

Deno.test("a call that is cancelled before it has left gives its streams back", () =>
  inPair(async ({ left }) => {
    const readable = ReadableStream.from([1, 2]), writable = new WritableStream();
    const controller = new AbortController();
    const call = left.with({ signal: controller.signal }).call(
      (..._: unknown[]) => {},
      pattern(50_000_000),
      readable,
      writable,
    );
    const failed = assertRejects(() => call, RangeError, "never mind");
    controller.abort(new RangeError("never mind"));
    await failed;
    assertEquals([readable.locked, writable.locked, left.status().streamsOpen], [false, false, 0]);
    assertEquals(await all(readable), [1, 2]);
    assertEquals(await left.call(() => 1), 1);
  }));

Deno.test("a result that arrives when nobody waits any more is cancelled", () =>
  inPair(async ({ left, right }) => {
    const controller = new AbortController();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const { promise: cancelled, resolve } = Promise.withResolvers<unknown>();
    const call = left.with({ signal: controller.signal }).call(
      async (make: () => Promise<ReadableStream>) => await make(),
      async () => {
        await gate;
        return new ReadableStream({ cancel: resolve });
      },
    );
    const failed = assertRejects(() => call, RangeError, "too late");
    await left.call(() => {});
    controller.abort(new RangeError("too late"));
    await failed;
    open();
    await condition(async () => {
      collectGarbage();
      await new Promise((resolve) => setTimeout(resolve));
      return left.status().streamsOpen + right.status().streamsOpen === 0;
    }, "the stream is released");
    await cancelled;
  }));
