/**
 * Streams over stdio between Deno here and a bare end, Deno or Node, next to bare pipes: bytes and objects a second, what both sides take of memory while
 * a reader stalls, and how long a small call takes while a stream is full.
 *
 *   deno run -A benches/streams.ts [--quick] [--json]
 *
 * Bytes are compared with a child that writes to, or reads from, a bare pipe in pieces of 64 KiB; objects with a child that writes them as lines of JSON,
 * which are parsed here. Figures are medians of rounds in turns; `ratio` is the median of the ratios of the rounds.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { biosCommand, Connection } from "../mod.ts";
import { findInterpreters } from "../scripts/find_interpreters.ts";
import type { Contender, Effort, Rates } from "./support/rounds.ts";
import { compare, median, ratio } from "./support/rounds.ts";

const { quick, json } = parseArgs(Deno.args, { boolean: ["quick", "json"] });
const effort: Effort = quick ? { slice: 150, rounds: 3 } : { slice: 400, rounds: 9 };
const MIB = 1 << 20;
const PIECE = 1 << 16;

/** One of the runtimes that is at the other end. */
interface End {
  readonly label: string;
  readonly path: string;
  readonly args: (script: string) => string[];
}

/** A child that does one thing with bare pipes for every line that it is sent: writes or reads as many bytes, or writes as many lines. */
class RawChild {
  readonly #child: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamBYOBReader;
  #buffer = new ArrayBuffer(PIECE);

  constructor(end: End, script: string) {
    this.#child = new Deno.Command(end.path, { args: end.args(script), stdin: "piped", stdout: "piped" }).spawn();
    this.#writer = this.#child.stdin.getWriter();
    this.#reader = this.#child.stdout.getReader({ mode: "byob" });
  }

  write(bytes: Uint8Array): Promise<void> {
    return this.#writer.write(bytes);
  }

  /** Reads until `take` is content. The chunk is valid during the call only. */
  async read(take: (chunk: Uint8Array) => boolean): Promise<void> {
    for (;;) {
      const { done, value } = await this.#reader.read(new Uint8Array(this.#buffer));
      if (done) throw new Error("The child ended");
      const enough = take(value);
      this.#buffer = value.buffer;
      if (enough) return;
    }
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#child.status;
  }
}

const READ = `const input = globalThis.Deno
  ? { async on(data) { const b = new Uint8Array(65536); for (let n; (n = await Deno.stdin.read(b)) !== null;) await data(b.subarray(0, n)); } }
  : { async on(data) { for await (const chunk of process.stdin) await data(chunk); } };
const write = globalThis.Deno
  ? async (bytes) => { while (bytes.length) bytes = bytes.subarray(await Deno.stdout.write(bytes)); }
  : (bytes) => new Promise((resolve) => process.stdout.write(bytes, resolve));
`;
const DOWN = `${READ}const piece = new Uint8Array(65536);
input.on(async (line) => { for (let n = Number(new TextDecoder().decode(line)); n > 0; n--) await write(piece); });`;
const UP = `${READ}let left = 0;
input.on(async (chunk) => {
  if (left === 0) left = 65536 * Number(new TextDecoder().decode(chunk.subarray(0, 12))), chunk = chunk.subarray(12);
  left -= chunk.length;
  if (left === 0) await write(new Uint8Array(1));
});`;
const LINES = `${READ}const encoder = new TextEncoder();
input.on(async (line) => {
  for (let i = 0, n = Number(new TextDecoder().decode(line)); i < n;) {
    let text = "";
    for (; text.length < 65536 && i < n; i++) text += JSON.stringify({ id: i, name: "user " + i, active: i % 2 === 0 }) + "\\n";
    await write(encoder.encode(text));
  }
});`;

const order = (n: number): Uint8Array => new TextEncoder().encode(String(n).padStart(12));

/** So many pieces of 64 KiB, as they are asked for. It is sent by its source. */
const produce = (pieces: number): ReadableStream<Uint8Array> => {
  const piece = new Uint8Array(65536);
  return new ReadableStream({
    pull(controller) {
      if (pieces-- > 0) controller.enqueue(piece);
      else controller.close();
    },
  }, { highWaterMark: 0 });
};

/** Both directions, and objects. */
async function throughput(end: End, conn: Connection): Promise<Record<string, Rates>> {
  const results: Record<string, Rates> = {};
  const run = async (name: string, contenders: Contender[], scale: number) => {
    const rates = await compare(contenders, effort);
    results[name] = Object.fromEntries(Object.entries(rates).map(([who, list]) => [who, list.map((it) => it * scale)]));
  };
  const down = new RawChild(end, DOWN), up = new RawChild(end, UP), lines = new RawChild(end, LINES);
  await run("bytes, from there, MB/s", [
    {
      name: "across",
      async run(pieces) {
        const stream = await conn.call(produce, pieces);
        let size = 0;
        const reader = stream.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) break;
          size += value.length;
        }
        if (size !== pieces * PIECE) throw new Error("Got another number of bytes");
      },
    },
    {
      name: "raw",
      async run(pieces) {
        await down.write(order(pieces));
        let left = pieces * PIECE;
        await down.read((chunk) => (left -= chunk.length) === 0);
      },
    },
  ], PIECE / 1e6);
  await run("bytes, to there, MB/s", [
    {
      name: "across",
      async run(pieces) {
        let left = pieces;
        const piece = new Uint8Array(PIECE);
        const size = await conn.call(
          async (stream: ReadableStream<Uint8Array>) => {
            let size = 0;
            const reader = stream.getReader();
            for (;;) {
              const { done, value } = await reader.read();
              if (done) return size;
              size += value.length;
            }
          },
          new ReadableStream<Uint8Array>({
            pull(controller) {
              if (left-- > 0) controller.enqueue(piece);
              else controller.close();
            },
          }, { highWaterMark: 0 }),
        );
        if (size !== pieces * PIECE) throw new Error("Got another number of bytes");
      },
    },
    {
      name: "raw",
      async run(pieces) {
        const piece = new Uint8Array(PIECE);
        await up.write(order(pieces));
        for (let i = 0; i < pieces; i++) await up.write(piece);
        await up.read(() => true);
      },
    },
  ], PIECE / 1e6);
  await run("objects, k/s", [
    {
      name: "across",
      async run(count) {
        let next = 0;
        for await (
          const { id } of conn.call(function* (count: number) {
            for (let i = 0; i < count; i++) yield { id: i, name: "user " + i, active: i % 2 === 0 };
          }, count)
        ) if (id !== next++) throw new Error("Got another object");
        if (next !== count) throw new Error("Got another number of objects");
      },
    },
    {
      name: "raw",
      async run(count) {
        const decoder = new TextDecoder();
        let rest = "", next = 0;
        await lines.write(order(count));
        await lines.read((chunk) => {
          const parts = (rest + decoder.decode(chunk, { stream: true })).split("\n");
          rest = parts.pop()!;
          for (const part of parts) if (JSON.parse(part).id !== next++) throw new Error("Got another object");
          return next === count;
        });
      },
    },
  ], 1e-3);
  for (const child of [down, up, lines]) await child.close();
  return results;
}

/** Megabytes that both sides have in memory more than before while a reader of a gigabyte has stalled. */
async function stalled(conn: Connection): Promise<{ here: number; there: number; produced: number }> {
  const there = () =>
    conn.call(() =>
      (globalThis as unknown as { Deno?: typeof Deno; process: typeof Deno }).Deno?.memoryUsage().rss ??
        (globalThis as unknown as { process: typeof Deno }).process.memoryUsage().rss
    );
  // The first stream loads code.
  for await (const _ of conn.call(() => ReadableStream.from([new Uint8Array(1 << 16)]) as unknown as Uint8Array[]));
  const before = { here: Deno.memoryUsage().rss, there: await there() };
  const { stream, produced } = await conn.call(() => {
    let n = 0;
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (n === 1 << 14) return controller.close();
        n++;
        controller.enqueue(new Uint8Array(1 << 16).fill(n));
      },
    }, { highWaterMark: 0 });
    return { stream, produced: (): unknown => n };
  });
  const reader = stream.getReader();
  await reader.read();
  for (let last = -1, now = 0; last !== now; last = now, now = await produced() as number) {
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  const result = {
    here: (Deno.memoryUsage().rss - before.here) / MIB,
    there: (await there() - before.there) / MIB,
    produced: await produced() as number * PIECE / MIB,
  };
  await reader.cancel();
  return result;
}

/** Milliseconds that a small call takes, alone and beside a gigabyte that streams: the middle one, and the one that 99 of 100 are faster than. */
async function latency(conn: Connection): Promise<Record<"alone" | "beside", { median: number; p99: number }>> {
  const echo = (n: number) => n;
  const measure = async (until: () => boolean) => {
    const times: number[] = [];
    while (!until()) {
      const start = performance.now();
      await conn.call(echo, 1);
      times.push(performance.now() - start);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    times.sort((a, b) => a - b);
    return { median: median(times), p99: times[Math.floor(times.length * 0.99)]! };
  };
  let left = quick ? 100 : 400;
  await measure(() => left-- === 0);
  left = quick ? 100 : 400;
  const alone = await measure(() => left-- === 0);
  let done = false;
  const stream = await conn.call(produce, (quick ? 256 * MIB : 1024 * MIB) / PIECE);
  const reading = (async () => {
    const reader = stream.getReader();
    while (!(await reader.read()).done);
    done = true;
  })();
  const beside = await measure(() => done);
  await reading;
  return { alone, beside };
}

const ends: End[] = [
  { label: `Deno ${Deno.version.deno}`, path: Deno.execPath(), args: (script) => ["eval", "--no-config", script] },
];
const nodes = (await findInterpreters()).filter(({ label }) => label.startsWith("node "));
const node = nodes.find(({ label }) => label.startsWith("node 24.")) ?? nodes.at(-1);
if (node) ends.push({ label: node.label.replace("n", "N"), path: node.path, args: (script) => ["-e", script] });

const tables = [];
for (const end of ends) {
  await using conn = Connection.fromCommand(biosCommand({ runtime: end.path }));
  await conn.ready();
  // Memory first: what is taken by the rest is not given back at once.
  const memory = await stalled(conn);
  tables.push({ label: end.label, memory, throughput: await throughput(end, conn), latency: await latency(conn) });
}
if (json) console.log(JSON.stringify(tables));
else {
  for (const { label, memory, throughput, latency } of tables) {
    console.log(`${`there: ${label}`.padEnd(28)}${["across", "raw", "ratio"].map((it) => it.padStart(9)).join("")}`);
    for (const [name, rates] of Object.entries(throughput)) {
      const figures = [
        median(rates.across!).toFixed(0),
        median(rates.raw!).toFixed(0),
        ratio(rates, "across", "raw")!.toFixed(2),
      ];
      console.log(name.padEnd(28) + figures.map((it) => it.padStart(9)).join(""));
    }
    const { alone, beside } = latency;
    console.log(
      `stalled reader of 1 GiB: ${memory.produced.toFixed(1)} MiB produced, memory grew by ${
        memory.here.toFixed(1)
      } MiB here and ${memory.there.toFixed(1)} MiB there`,
    );
    console.log(
      `a small call: ${alone.median.toFixed(2)} ms alone (p99 ${alone.p99.toFixed(2)}), ${
        beside.median.toFixed(2)
      } ms beside a full stream (p99 ${beside.p99.toFixed(2)})\n`,
    );
  }
  if (!node) console.log("Without Node, which was not found");
}
