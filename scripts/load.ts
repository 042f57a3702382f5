/**
 * A load: many connections at once to one server, which is a process of its own, and many calls over them. Tells how long that takes, what the server
 * holds meanwhile, and that it is back to where it was afterwards.
 *
 *   deno run -A scripts/load.ts [--connections 1000] [--calls 100000]
 *
 * There are two rounds, so that what the runtime keeps for good is there before the one that counts. Exits with status 1 if an answer is wrong, or
 * memory or descriptors of the server do not come back.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { Connection } from "../mod.ts";
import { LocalConnectionHandler, runTcp } from "../servers/mod.ts";
import { collectGarbage } from "../tests/support/garbage.ts";
import { condition, openDescriptors } from "../tests/support/leaks.ts";

const { connections = "1000", calls = "100000", serve } = parseArgs(Deno.args, {
  string: ["connections", "calls"],
  boolean: ["serve"],
});
const COUNT = Number(connections);
const CALLS = Math.ceil(Number(calls) / COUNT);
/** What memory may be more after the second round, in bytes. */
const ALLOWED = 4 << 20;

/** What the server tells about itself. */
interface State {
  readonly connections: number;
  readonly descriptors: number;
  /** Bytes in use after a collection. */
  readonly memory: number;
}

/** What clients reach. */
interface Api {
  square(n: number): number;
  state(): Promise<State>;
}

/** The server's process: prints its port, and ends with its stdin. */
async function server(): Promise<void> {
  await using handler: LocalConnectionHandler = new LocalConnectionHandler({
    acceptCalls: false,
    expose: {
      square: (n) => n * n,
      async state(): Promise<State> {
        for (let i = 0; i < 3; i++) {
          collectGarbage();
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        const { heapUsed, external } = Deno.memoryUsage();
        const descriptors = [...openDescriptors().values()].reduce((a, b) => a + b, 0);
        return { connections: handler.connections, descriptors, memory: heapUsed + external };
      },
    } satisfies Api,
  });
  const controller = new AbortController();
  const ended = Deno.stdin.readable.pipeTo(new WritableStream()).then(() => controller.abort());
  await runTcp("127.0.0.1", 0, { handler, signal: controller.signal, onListen: ({ port }) => console.log(port) });
  await ended;
}

function print(what: string, { connections, descriptors, memory }: State): void {
  const size = (memory / 2 ** 20).toFixed(1);
  console.log(`${what.padEnd(10)} ${connections} connections, ${descriptors} descriptors, ${size} MiB`);
}

/** Connects, calls and closes; what the server held meanwhile. */
async function round(port: number, control: Connection): Promise<void> {
  const before = (await control.root<Api>().state()).memory;
  const start = performance.now();
  const clients = Array.from({ length: COUNT }, () => Connection.fromTcp("127.0.0.1", port));
  await Promise.all(clients.map((conn) => conn.ready()));
  const connected = performance.now();
  await Promise.all(clients.map(async (conn, i) => {
    const root = conn.root<Api>();
    for (let n = 0; n < CALLS; n++) if (await root.square(n + i) !== (n + i) ** 2) throw new Error("Wrong answer");
  }));
  const called = performance.now();
  const held = await control.root<Api>().state();
  print("at once", held);
  console.log(`${((held.memory - before) / COUNT / 1024).toFixed(0)} KiB for each connection`);
  await Promise.all(clients.map((conn) => conn.close()));
  const second = (from: number, to: number): string => `${((to - from) / 1000).toFixed(1)} s`;
  console.log(
    `${COUNT} connections in ${second(start, connected)}, ${COUNT * CALLS} calls in ${second(connected, called)}`,
  );
}

async function main(): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", import.meta.url, "--serve"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const port = Number((await output.read()).value);
  const control = Connection.fromTcp("127.0.0.1", port);
  const state = () => control.root<Api>().state();
  // The connection that asks is one, too.
  const quiet = () => condition(async () => (await state()).connections === 1, "all connections are over", 60_000);
  await round(port, control);
  await quiet();
  const before = await state();
  print("before", before);
  await round(port, control);
  await quiet();
  const back = await condition(
    async () => {
      const now = await state();
      return now.descriptors === before.descriptors && now.memory < before.memory + ALLOWED;
    },
    "memory and descriptors are back",
    30_000,
  ).catch(() => false);
  print("after", await state());
  await control.close();
  await child.stdin.close();
  await output.cancel();
  await child.status;
  console.log(back ? "ok" : "FAILED");
  Deno.exitCode = back ? 0 : 1;
}

await (serve ? server() : main());
