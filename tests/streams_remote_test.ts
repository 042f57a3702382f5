/**
 * Streams, generators and iteration with real interpreters at the other end, booted by the BIOS. What exactly arrives is tested in `streams_test.ts`; here
 * it is whether each runtime's streams do it.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { biosCommand, Connection, DisconnectError } from "../mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { onRemote, remotePid } from "./support/remote.ts";
import { runtime, testEachRuntime } from "./support/runtimes.ts";

const MIB = 1 << 20;

/** So many chunks of so many bytes each, as they are asked for. Travels by source. */
function produce(chunks: number, size: number, bytes: boolean): ReadableStream<Uint8Array> {
  let n = 0;
  return new ReadableStream<Uint8Array>({
    ...(bytes ? { type: "bytes" } : {}) as { type?: undefined },
    pull(controller) {
      if (n === chunks) return controller.close();
      controller.enqueue(new Uint8Array(size).fill(n++));
    },
  }, { highWaterMark: 0 });
}

/** What arrives is compared chunk by chunk: so many bytes of each value. */
async function histogram(stream: ReadableStream<Uint8Array>): Promise<Record<number, number>> {
  const counts: Record<number, number> = {};
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return counts;
    for (let i = 0; i < value.length; i++) {
      const byte = value[i]!;
      let end = value.length;
      if (value[end - 1] !== byte) { for (end = i; value[end] === byte; end++); }
      counts[byte] = (counts[byte] ?? 0) + end - i;
      i = end - 1;
    }
  }
}

/** Waits until neither side has a stream any more. */
async function allEnded(conn: Connection): Promise<void> {
  const there = `(await import("@x/across")).getConnection().status().streamsOpen`;
  await condition(
    async () => conn.status().streamsOpen === 0 && await conn.execute(there) === 0,
    "all streams have ended on both sides",
  );
}

await testEachRuntime("streams of bytes and values go both ways whole and in order", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    for (const bytes of [true, false]) {
      const expected = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [i, 150_000]));
      assertEquals(await histogram(await conn.call(produce, 40, 150_000, bytes)), expected);
      assertEquals(await conn.call(histogram, produce(40, 150_000, bytes)), expected);
    }
    const values = [1, "two", { three: [3n] }, undefined, new Uint8Array(0), new Uint8Array([4])];
    const back = await conn.call((stream: ReadableStream<unknown>) => stream, ReadableStream.from(values));
    const got: unknown[] = [];
    for await (const value of back) got.push(value);
    assertEquals(got, values);
    const sum = await conn.call(
      async (writable: WritableStream<{ n: number }>, numbers: AsyncIterable<number>) => {
        const writer = writable.getWriter();
        let sum = 0;
        for await (const n of numbers) {
          await writer.write({ n: n * 2 });
          sum += n;
        }
        await writer.close();
        return sum;
      },
      new WritableStream({ write: ({ n }) => void got.push(n), close: () => void got.push("closed") }),
      (async function* () {
        yield* [1, 2, 3];
      })(),
    );
    assertEquals([sum, ...got.slice(values.length)], [6, 2, 4, 6, "closed"]);
    await allEnded(conn);
  });
});

await testEachRuntime("generators come back as streams of items; leaving the loop runs finally there", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    const log: string[] = [];
    const note = (what: string) => Promise.resolve(void log.push(what));
    const asynchronous = async function* (note: (what: string) => Promise<void>) {
      try {
        for (let i = 0;; i++) yield { i };
      } finally {
        await note("async");
      }
    };
    let n = 0;
    for await (const { i } of conn.call(asynchronous, note)) {
      assertEquals(i, n++);
      if (n === 5000) break;
    }
    const items = await conn.call(function* () {
      try {
        for (let i = 0; i < 3000; i++) yield i;
        throw new RangeError("used up");
      } finally {
        (globalThis as unknown as { done: boolean }).done = true;
      }
    });
    n = 0;
    await assertRejects(
      async () => {
        for await (const i of items) assertEquals(i, n++);
      },
      RangeError,
      "used up",
    );
    assertEquals(n, 3000);
    assertEquals(log, ["async"]);
    assertEquals(await conn.execute("done"), true);
    using list = await conn.callRef(() => ({ list: new Set(["a", "b"]) }));
    const got = [];
    for await (const item of list.list) got.push(item);
    assertEquals(got, ["a", "b"]);
    list[Symbol.dispose]();
    await allEnded(conn);
  });
});

await testEachRuntime("cancel, abort and errors travel in both directions with their reasons", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    // Here is read what is written there.
    const { stream, why } = await conn.call(() => {
      let tell: (reason: unknown) => void;
      const why = new Promise((resolve) => tell = resolve);
      const stream = new ReadableStream({
        pull: (controller) => controller.enqueue("x"),
        cancel: (reason) => tell(reason),
      });
      return { stream, why: () => why };
    });
    const reader = stream.getReader();
    assertEquals((await reader.read()).value, "x");
    await reader.cancel(new RangeError("seen enough"));
    assertEquals((await why() as Error).message, "seen enough");
    // And the other way round.
    const { promise: cancelled, resolve } = Promise.withResolvers<unknown>();
    const mine = new ReadableStream({ pull: (controller) => controller.enqueue(1), cancel: resolve });
    await conn.call(async (stream: ReadableStream) => {
      for await (const _ of stream as unknown as AsyncIterable<number>) break;
    }, mine);
    await cancelled;
    const failing = await conn.call(() => new ReadableStream({ start: (c) => c.error(new TypeError("rotten")) }));
    await assertRejects(() => failing.getReader().read(), TypeError, "rotten");
    const aborted = Promise.withResolvers<unknown>();
    await conn.call(
      async (writable: WritableStream) => await writable.abort(new RangeError("rather not")),
      new WritableStream({ abort: aborted.resolve }),
    );
    assertEquals((await aborted.promise as Error).message, "rather not");
    const message = await conn.call(
      async (writable: WritableStream) => {
        const writer = writable.getWriter();
        try {
          for (;;) await writer.write("chunk");
        } catch (error) {
          return (error as Error).message;
        }
      },
      new WritableStream({
        write() {
          throw new Error("disk full");
        },
      }),
    );
    assertEquals(message, "disk full");
    await allEnded(conn);
  });
});

await testEachRuntime("a gigabyte before a reader that stalls: little of it is produced", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    const { stream, taken } = await conn.call(() => {
      let n = 0;
      const stream = new ReadableStream({
        pull(controller) {
          if (n === 1 << 14) return controller.close();
          n++;
          controller.enqueue(new Uint8Array(1 << 16));
        },
      }, { highWaterMark: 0 });
      return { stream, taken: () => n };
    });
    const reader = stream.getReader();
    await reader.read();
    let before = -1;
    await condition(async () => before === (before = await taken()), "the producer stands still");
    assert(before * 65536 < 4 * MIB, `${before} chunks were produced`);
    await reader.cancel();
    let here = 0;
    const { next, stop } = await conn.call((stream: ReadableStream) => {
      const reader = stream.getReader();
      return { next: () => reader.read().then(() => {}), stop: () => reader.cancel() };
    }, new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(1 << 16).fill(here++)) }, { highWaterMark: 0 }));
    await next();
    before = -1;
    await condition(() => before === (before = here), "we stand still");
    assert(before * 65536 < 4 * MIB, `${before} chunks were produced`);
    await stop();
  });
});

await testEachRuntime("small calls are answered while a stream is full, and it loses nothing", async (it) => {
  await onRemote(biosCommand({ runtime: it.path }), async (conn) => {
    let done = false;
    const reading = histogram(await conn.call(produce, 200, 500_000, false)).finally(() => done = true);
    let answers = 0;
    while (!done) {
      assertEquals(await conn.call((n: number) => n + 1, answers), ++answers);
    }
    assert(answers > 10, `${answers} calls were answered`);
    assertEquals(await reading, Object.fromEntries(Array.from({ length: 200 }, (_, i) => [i, 500_000])));
  });
});

await testEachRuntime("a process that dies fails its streams with a DisconnectError", async (it) => {
  const conn = Connection.fromCommand(biosCommand({ runtime: it.path }));
  const source = Promise.withResolvers<unknown>(), sink = Promise.withResolvers<unknown>();
  await conn.call(
    (...kept: unknown[]) => void Object.assign(globalThis, { kept }),
    new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(1000)), cancel: source.resolve }),
    new WritableStream({ abort: sink.resolve }),
  );
  const stream = await conn.call(() => new ReadableStream({ pull: (c) => c.enqueue("x") }));
  const reader = stream.getReader();
  await reader.read();
  Deno.kill(await remotePid(conn), "SIGKILL");
  await assertRejects(
    async () => {
      while (!(await reader.read()).done);
    },
    DisconnectError,
  );
  assert(await source.promise instanceof DisconnectError);
  assert(await sink.promise instanceof DisconnectError);
  assertEquals(conn.status().streamsOpen, 0);
  await conn.close().catch(() => {});
});

Deno.test(
  "a stream of one process is read in another, piped through us",
  noLeaks(async () => {
    const [one, other] = await Promise.all([runtime("node", "20"), runtime("bun")]);
    await onRemote(biosCommand({ runtime: one.path }), async (first) => {
      await onRemote(biosCommand({ runtime: other.path }), async (second) => {
        const stream = await first.call(produce, 50, 100_000, true);
        assertEquals(
          await second.call(histogram, stream),
          Object.fromEntries(Array.from({ length: 50 }, (_, i) => [i, 100_000])),
        );
        const numbers = await first.call(function* () {
          for (let i = 0;; i++) yield i;
        });
        assertEquals(
          await second.call(async (numbers: AsyncIterable<number>) => {
            let last = 0;
            for await (const n of numbers) if ((last = n) === 100) break;
            return last;
          }, numbers),
          100,
        );
        await condition(() => first.status().streamsOpen + second.status().streamsOpen === 0, "all are ended");
      });
    });
  }),
);

Deno.test(
  "a stream keeps the process only as long as somebody waits for it",
  noLeaks(async () => {
    const mod = import.meta.resolve("../mod.ts");
    const script = `
      import { biosCommand, Connection } from ${JSON.stringify(mod)};
      const conn = Connection.fromCommand(biosCommand());
      const stream = await conn.call(() => new ReadableStream({ pull: (c) => c.enqueue("x") }));
      const items = await conn.call(async function* () {
        yield 1;
        await new Promise((resolve) => setTimeout(resolve, 200));
        yield 2;
      });
      const given = await conn.call((kept) => void (globalThis.kept = kept), new ReadableStream({ pull: (c) => c.enqueue("y") }));
      await items.next();
      console.log((await items.next()).value, (await stream.getReader().read()).value);
    `;
    const { stdout, code } = await new Deno.Command(Deno.execPath(), {
      args: ["eval", script],
      stderr: "inherit",
    }).output();
    assertEquals([new TextDecoder().decode(stdout), code], ["2 x\n", 0]);
  }),
);
