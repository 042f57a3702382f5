/**
 * Much at once and for long: a hundred connections, memory after a hundred thousand calls, and what a peer's stream may turn into at any byte.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { biosCommand, Connection, DisconnectError, OperationError, ProtocolError } from "../mod.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { relayCommand } from "./support/relay.ts";
import { onRemote, ways } from "./support/remote.ts";
import { runtime, runtimes, testEachRuntime } from "./support/runtimes.ts";

const SHAPES = import.meta.resolve("./fixtures/remote/shapes.ts");

Deno.test(
  "a hundred connections to bare ends of all kinds boot at once",
  noLeaks(async () => {
    const bare = (await runtimes()).map((it) => ways(it)[0]!.args);
    const connections = Array.from({ length: 100 }, (_, i) => Connection.fromCommand(bare[i % bare.length]!));
    const results = await Promise.all(connections.map((conn, i) => conn.call((n: number) => n * 2, i)));
    assertEquals(results, connections.map((_, i) => i * 2));
    await Promise.all(connections.map((conn) => conn.close()));
  }),
);

/** Bytes of JavaScript that a remote end holds, garbage excluded. */
async function remoteHeap(): Promise<number> {
  const v8 = await import("node:v8");
  const { runInNewContext } = await import("node:vm");
  v8.setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  // What finalizers give back is garbage only afterwards.
  for (let i = 0; i < 4; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const { Deno, process } = globalThis as unknown as {
    Deno?: typeof globalThis.Deno;
    process: { memoryUsage(): { heapUsed: number } };
  };
  return (Deno ?? process).memoryUsage().heapUsed;
}

async function localHeap(): Promise<number> {
  for (let i = 0; i < 4; i++) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return Deno.memoryUsage().heapUsed;
}

/** Calls one after the other, every fourth with a callback of its own, every tenth with a reference to the result. */
async function work(conn: Connection, calls: number): Promise<void> {
  const add = (a: number, b: number) => a + b;
  const through = (f: (n: number) => Promise<number>, n: number) => f(n);
  const object = (n: number) => ({ n });
  for (let i = 0; i < calls; i++) {
    if (i % 4 === 0) assert(await conn.call(through, (n: number) => Promise.resolve(n + i), 1) === i + 1);
    else if (i % 10 === 1) assert(await conn.callRef(object, i).n === i);
    else assert(await conn.call(add, i, 1) === i + 1);
  }
}

await testEachRuntime(
  "a hundred thousand calls and callbacks leave memory flat on both sides",
  (it) =>
    onRemote(biosCommand({ runtime: it.path }), async (conn) => {
      const limit = 3 << 20;
      await work(conn, 10_000);
      const before = [await localHeap(), await conn.call(remoteHeap)];
      await work(conn, 100_000);
      const after = [await localHeap(), await conn.call(remoteHeap)];
      const grown = after.map((size, i) => size - before[i]!);
      assert(grown.every((bytes) => bytes < limit), `grown by ${grown} bytes`);
      await condition(async () => {
        await localHeap();
        await conn.call(remoteHeap);
        const { callsInFlight, callsRunning, referencesHeld, referencesGiven, resultsHeld } = conn.status();
        return callsInFlight + callsRunning + referencesHeld + referencesGiven + resultsHeld === 0;
      }, "all is given back");
    }),
  ({ name, version }) => name === "deno" && version === Deno.version.deno || version.startsWith("24."),
);

/** What becomes of a stream on its way: the chunk that arrives, and whether it is the last one. */
type Accident = (chunk: Uint8Array, position: number) => { chunk: Uint8Array; last?: boolean };

/** Starts an end whose output goes through something that spoils it; gives how everything ended that was asked of it. */
async function withAccident(args: readonly string[], accident: Accident): Promise<unknown[]> {
  const near = relayCommand(args);
  let position = 0;
  const spoil = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller): void {
      const spoilt = accident(chunk, position);
      position += chunk.length;
      controller.enqueue(spoilt.chunk);
      if (spoilt.last) controller.terminate();
    },
  });
  const readable = near.readable.pipeThrough(spoil);
  const conn = Connection.fromTransport({ ...near, readable }, { acceptCalls: false, timeout: 3_000 });
  const asked: PromiseLike<unknown>[] = [
    conn.ready(),
    conn.export(SHAPES),
    conn.call((n: number) => n + 1, 1),
    conn.call((f: (n: number) => Promise<number>) => f(1), (n: number) => Promise.resolve(n)),
    conn.callRef(() => ({ a: { b: [1, "two", 3n] } })).a.b,
    conn.call(() => {
      throw new RangeError("as wanted");
    }),
    conn.execute("new Uint8Array(100_000)"),
  ];
  const settled = await Promise.allSettled(asked.map(async (it) => await it));
  conn.cancel();
  await conn.close().catch(() => {});
  await near.closed;
  return settled.map((it) => it.status === "rejected" ? it.reason : undefined);
}

/** Errors that a caller may get for what a stream turned into. */
function assertExpected(error: unknown, what: string): void {
  if (error === undefined) return;
  const fine = error instanceof DisconnectError || error instanceof OperationError || error instanceof ProtocolError ||
    error instanceof RangeError && error.message === "as wanted" || error instanceof Error &&
      /without a goodbye|exited|killed|closed its stdout|TimeoutError/.test(`${error.name}: ${error.message}`);
  assert(fine, `${what}: ${error}`);
}

Deno.test(
  "a stream that is cut off at any byte leaves nobody waiting",
  noLeaks(async () => {
    const { path } = await runtime("bun");
    const args = biosCommand({ runtime: path });
    let size = 0;
    const whole = await withAccident(args, (chunk) => (size += chunk.length, { chunk }));
    assertEquals(whole.filter((it) => it !== undefined).length, 1);
    assertInstanceOf(whole[5], RangeError);
    const header = 240; // greeting, superblock, hello and the first answers
    const places = [0, 1, 8, 15, 16, 17, 20, 24, 31, 40, 60, 90, 130, 180, header, 500, 1_000, size - 1_000, size - 1];
    for (let i = 0; i < places.length; i += 4) {
      await Promise.all(
        places.slice(i, i + 4).map(async (place) => {
          const errors = await withAccident(args, (chunk, position) => {
            const last = position + chunk.length > place;
            return { chunk: last ? chunk.subarray(0, place - position) : chunk, last };
          });
          for (const error of errors) assertExpected(error, `cut at ${place}`);
          if (place < 16) assert(errors.every((error) => error !== undefined), `cut at ${place}`);
        }),
      );
    }
  }),
);

Deno.test(
  "a stream that is damaged at any byte ends in a ProtocolError or one failed call",
  noLeaks(async () => {
    const { path } = await runtime("bun");
    const args = biosCommand({ runtime: path });
    const places = [0, 5, 15, 17, 19, 21, 25, 29, 35, 41, 49, 58, 66, 77, 90, 105, 121, 140, 163, 190, 222, 260, 333];
    for (let i = 0; i < places.length; i += 4) {
      await Promise.all(
        places.slice(i, i + 4).map(async (place) => {
          const errors = await withAccident(args, (chunk, position) => {
            const at = place - position;
            if (at < 0 || at >= chunk.length) return { chunk };
            const copy = chunk.slice();
            copy[at]! ^= 1 << place % 8;
            return { chunk: copy };
          });
          // What is no protocol may arrive as something else, but it arrives.
          for (const error of errors) {
            assert(error === undefined || error instanceof Error, `damaged at ${place}: ${error}`);
          }
        }),
      );
    }
  }),
);

Deno.test(
  "a fake peer that sends random bytes after a good greeting breaks its connection only",
  noLeaks(async () => {
    // A generator with a seed, so that a failure can be repeated.
    let seed = 1;
    const random = (): number => (seed = seed * 48_271 % 0x7fffffff) / 0x7fffffff;
    for (let run = 0; run < 60; run++) {
      const chunks = Array.from(
        { length: 1 + run % 5 },
        () => new Uint8Array(Math.ceil(random() * 300)).map(() => random() * (run % 2 ? 256 : 16)),
      );
      const from = new TransformStream<Uint8Array, Uint8Array>();
      const to = new TransformStream<Uint8Array, Uint8Array>();
      const conn = Connection.fromPipes(from.readable, to.writable, { timeout: 500 });
      const call = conn.call(() => 1).then(() => undefined, (error) => error);
      const reader = to.readable.getReader();
      const writer = from.writable.getWriter();
      const { value: superblock } = await reader.read();
      const drained = (async () => {
        while (!(await reader.read()).done);
      })().catch(() => {});
      const written = (async () => {
        await writer.write(superblock!);
        for (const chunk of chunks) await writer.write(chunk);
        await writer.close();
      })().catch(() => {});
      assertInstanceOf(await call, DisconnectError, `run ${run}`);
      await conn.close().catch((error) => assertExpected(error, `run ${run}`));
      await Promise.all([drained, written]);
    }
  }),
);
