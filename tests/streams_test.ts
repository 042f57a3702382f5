/**
 * Streams and generators between two connections in this process: what arrives. How they end is in `streams_ends_test.ts`, how much of them is under way
 * in `streams_flow_test.ts`, iteration over proxies in `iteration_test.ts`; real interpreters are in `streams_remote_test.ts`.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { OperationError, ref } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { inPair } from "./support/pair.ts";
import { all, bytesOf, pattern } from "./support/streams.ts";

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
    }));
    assertEquals(await all(iterators.map), expected);
    assertEquals(await all(iterators.asynchronous), expected);
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
    assertEquals(await all(result.output), ["A", "B"]);
    assertEquals(await all(result.numbers), [1, 2]);
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
