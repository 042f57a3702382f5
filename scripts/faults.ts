/**
 * Connections that break, one after the other, for a long time: to a server's process, to child processes of servers, over WebSockets and to commands.
 * After a random number of bytes, in a random way, or after a random time, while calls, callbacks, references, streams and large values are under way.
 * Nothing may be lost silently: every operation is answered, rightly, or rejected with a reason; no call is executed twice. Nothing may be left
 * behind: no process, descriptor, connection of a handler, entry of a table, and no memory.
 *
 *   deno run -A scripts/faults.ts [--seconds 300] [--seed N]
 *
 * The seed decides what breaks when, as far as that does not depend on time. Exits with status 1 if something is wrong.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { biosCommand, Connection, DisconnectError } from "../mod.ts";
import { BiosConnectionHandler, LocalConnectionHandler, ProcessConnectionHandler, runTcp } from "../servers/mod.ts";
import { collectGarbage } from "../tests/support/garbage.ts";
import { condition, leakCheck, openDescriptors } from "../tests/support/leaks.ts";
import type { Cutter } from "./cutter.ts";
import { startCutter, WAYS } from "./cutter.ts";

const { seconds = "300", seed = String(Date.now() % 1_000_000) } = parseArgs(Deno.args, {
  string: ["seconds", "seed"],
});
const DURATION = 1000 * Number(seconds);
/** How long a stalled connection stays undiscovered, in milliseconds; also what a child has for its end. */
const TIMEOUT = 3_000;
/** Within this every operation must have an outcome, in milliseconds. Far more than any timeout, as the machine may be busy. */
const PATIENCE = 90_000;
/** What memory may be more at the end than after a fifth of the time, in bytes. Engines keep some of what they once had. */
const ALLOWED = 16 << 20;

const complaints: string[] = [];
let lastRandom = Number(seed) | 0;

/** A number from 0 to 1, from the seed on always the same ones (mulberry32). */
function random(): number {
  lastRandom = lastRandom + 0x6D2B79F5 | 0;
  let mixed = Math.imul(lastRandom ^ lastRandom >>> 15, 1 | lastRandom);
  mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
  return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
}
const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;

/** How often each call of `once` below was executed in this process, by its number. */
const executed = new Uint8Array(1 << 22);
let lastCall = 0;
Object.assign(globalThis, { faultsExecuted: (id: number) => void executed[id]!++ });

class Account {
  balance = 0;
  add(n: number): this {
    this.balance += n;
    return this;
  }
}

/** What is under way when a connection breaks. Each resolves to whether the answer was right. */
const operations: Record<string, (conn: Connection, n: number, id: number) => PromiseLike<boolean>> = {
  call: async (conn, n) => await conn.call((n: number) => n + 1, n) === n + 1,
  once: async (conn, n, id) =>
    await conn.call(
      (id: number, n: number) => {
        (globalThis as { faultsExecuted?(id: number): void }).faultsExecuted?.(id);
        return n;
      },
      id,
      n,
    ) === n,
  value: async (conn, n) =>
    (await conn.call((it: unknown) => it, new Map([["n", [n]]])) as Map<string, number[]>).get("n")![0] === n,
  large: async (conn, n) =>
    (await conn.call((it: Uint8Array) => it, new Uint8Array(200_000).fill(n)))[199_999] === n % 256,
  callback: async (conn, n) =>
    await conn.call(
      async (back: (n: number) => Promise<number>, n: number) => await back(n) + await back(1),
      (n) => Promise.resolve(n),
      n,
    ) ===
      n + 1,
  reference: async (conn, n) => await conn.callRef(Account).add(n).add(1).balance === n + 1,
  async generator(conn, n) {
    let sum = 0;
    for await (
      const it of conn.call(function* (n: number) {
        for (let i = 0; i < 50; i++) yield n;
      }, n)
    ) sum += it;
    return sum === 50 * n;
  },
  async bytes(conn) {
    const stream = await conn.call((size: number) => new Blob([new Uint8Array(size)]).stream(), 150_000);
    let size = 0;
    const reader = stream.getReader();
    for (let part; !(part = await reader.read()).done;) size += part.value.length;
    return size === 150_000;
  },
  // Answered by nobody: only the end of the connection ends it.
  never: (conn) => conn.call(() => new Promise<boolean>(() => {})),
};
const names = Object.keys(operations);

/** One kind of connection. */
interface Kind {
  readonly name: string;
  /** How many at a time. */
  readonly lanes: number;
  /** Whether calls run in this process. */
  readonly here: boolean;
  /** Dials, and arranges for the end. */
  dial(): Connection;
}

/** What the run has come to. */
const counts = { lives: 0, answered: 0, rejected: 0, closedWith: 0 };

/** Waits for an outcome, but not for ever. */
async function settled<T>(promise: PromiseLike<T>): Promise<PromiseSettledResult<T> | "lost"> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<"lost">((resolve) => timer = setTimeout(() => resolve("lost"), PATIENCE));
  const outcome = Promise.allSettled([promise]).then(([it]) => it);
  return await Promise.race([outcome, late]).finally(() => clearTimeout(timer));
}

/** One connection, from dialling to its end. */
async function live(kind: Kind): Promise<void> {
  const life = ++counts.lives;
  const complain = (what: string): void => void complaints.push(`${kind.name}, life ${life}: ${what}`);
  const conn = kind.dial();
  let up = false;
  const ready = conn.ready().then(() => up = true, () => {});
  if (random() < 0.5) await ready;
  const started: { name: string; id: number; outcome: ReturnType<typeof settled<boolean>> }[] = [];
  const start = (): void => {
    const name = pick(names);
    const id = lastCall++;
    started.push({ name, id, outcome: settled(operations[name]!(conn, started.length, id)) });
  };
  for (let n = Math.ceil(random() * 30); n > 0; n--) start();
  const unaided = random();
  const wait = random() * 300;
  // What is started in the moment of the break counts, too.
  for (let waited = 0; waited < wait && (conn.isConnected() || !up); waited += 10) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (started.length < 100) start();
  }
  if (unaided < 0.2) conn.cancel();
  const closing = unaided < 0.4 || !conn.isConnected() ? settled(conn.close()) : undefined;
  // Nobody cut it: this side goes.
  const patience = closing ? undefined : setTimeout(() => conn.cancel(), 2 * TIMEOUT);
  for (const { name, id, outcome } of started) {
    const it = await outcome;
    if (it === "lost") complain(`${name} has no outcome`);
    else if (it.status === "fulfilled") {
      counts.answered++;
      if (!it.value) complain(`${name} was answered wrongly`);
      if (name === "once" && kind.here && executed[id] !== 1) complain(`a call ran ${executed[id]} times`);
    } else {
      counts.rejected++;
      const { reason } = it;
      if (!(reason instanceof Error)) complain(`${name} was rejected with ${reason}`);
      else if (up && !(reason instanceof DisconnectError)) complain(`${name} was rejected with ${reason}`);
    }
  }
  clearTimeout(patience);
  const end = await (closing ?? settled(conn.close()));
  if (end === "lost") complain("close() has no outcome");
  else if (end.status === "rejected") counts.closedWith++;
  const { callsInFlight, callsRunning, referencesHeld, referencesGiven, resultsHeld } = conn.status();
  const left = { callsInFlight, callsRunning, referencesHeld, referencesGiven, resultsHeld };
  if (Object.values(left).some((count) => count > 0)) complain(`left in tables: ${JSON.stringify(left)}`);
}

/** Bytes, of which small numbers are as likely as large ones: a break may come in the greeting as well as in the middle of a large value. */
const someBytes = (): number => random() < 0.15 ? Infinity : Math.floor(2 ** (random() * 22));

function throughCutter(cutter: Cutter, dial: (port: number) => Connection): Connection {
  cutter.expect({ after: someBytes(), way: pick(WAYS) });
  return dial(cutter.port);
}

/** The command, which is killed, or told to end, after a while. */
function killedCommand(): Connection {
  const [program = "", ...args] = biosCommand();
  const process = new Deno.Command(program, { args, stdin: "piped", stdout: "piped", stderr: "null" }).spawn();
  const signal = pick(["SIGKILL", "SIGTERM", "SIGKILL"] as const);
  const timer = setTimeout(() => {
    try {
      process.kill(signal);
    } catch { /* it has ended */ }
  }, random() * 500);
  process.status.then(() => clearTimeout(timer));
  return Connection.fromProcess(process, { timeout: TIMEOUT });
}

function memory(): number {
  for (let i = 0; i < 3; i++) collectGarbage();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;

function print(): void {
  const descriptors = [...openDescriptors().values()].reduce((a, b) => a + b, 0);
  console.log(
    `${Math.round(performance.now() / 1000)} s`.padStart(6),
    ` ${counts.lives} connections, ${counts.answered} operations answered, ${counts.rejected} rejected;`,
    `${mebibytes(memory())}, ${descriptors} descriptors`,
  );
}

async function main(): Promise<void> {
  const handlers = {
    local: new LocalConnectionHandler({ timeout: TIMEOUT }),
    process: new ProcessConnectionHandler({ timeout: TIMEOUT }),
    bios: new BiosConnectionHandler({ timeout: TIMEOUT }),
  };
  const controller = new AbortController();
  const servers: Promise<void>[] = [];
  const cutters: Cutter[] = [];
  const kinds: Kind[] = [{ name: "command", lanes: 1, here: false, dial: killedCommand }];
  for (const [name, handler] of Object.entries(handlers)) {
    const port = await new Promise<number>((resolve) =>
      servers.push(
        runTcp("127.0.0.1", 0, { handler, signal: controller.signal, onListen: ({ port }) => resolve(port) }),
      )
    );
    const cutter = startCutter(port);
    cutters.push(cutter);
    const dial = (port: number) => Connection.fromTcp("127.0.0.1", port, { timeout: TIMEOUT });
    const here = name === "local";
    kinds.push({ name, lanes: here ? 3 : 1, here, dial: () => throughCutter(cutter, dial) });
  }
  const accepted = new Set<Connection>();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const { socket, response } = Deno.upgradeWebSocket(request);
    const conn = Connection.fromWebSocket(socket, { acceptCalls: true, timeout: TIMEOUT });
    accepted.add(conn);
    conn.wait().then(() => conn.close()).catch(() => {}).then(() => accepted.delete(conn));
    return response;
  });
  // A WebSocket of Deno waits without end for the answer to its close, and cannot be dropped.
  const cutter = startCutter(server.addr.port, 3 * TIMEOUT);
  cutters.push(cutter);
  const dial = (port: number) => Connection.fromWebSocket(`ws://127.0.0.1:${port}`, { timeout: TIMEOUT });
  kinds.push({ name: "WebSocket", lanes: 2, here: true, dial: () => throughCutter(cutter, dial) });

  const until = performance.now() + DURATION;
  let early: number | undefined;
  const watch = setInterval(() => {
    if (performance.now() > until - 0.8 * DURATION) early ??= memory();
    print();
  }, Math.min(30_000, DURATION / 5));
  await Promise.all(kinds.flatMap((kind) =>
    Array.from({ length: kind.lanes }, async () => {
      while (performance.now() < until && complaints.length < 20) await live(kind);
    })
  ));
  clearInterval(watch);

  const connections = (): number =>
    accepted.size + Object.values(handlers).reduce((sum, handler) => sum + handler.connections, 0);
  await condition(() => connections() === 0, "handlers have noticed that their clients are gone", PATIENCE)
    .catch(() => complaints.push(`${connections()} connections are left on the side of the servers`));
  if (executed.some((times) => times > 1)) complaints.push("a call ran twice");
  await condition(() => early === undefined || memory() - early < ALLOWED, "memory is as before", 10_000)
    .catch(() => complaints.push(`memory has grown from ${mebibytes(early!)} to ${mebibytes(memory())}`));
  print();
  await condition(() => cutters.every((it) => it.held === 0), "no socket is held", 10 * TIMEOUT)
    .catch(() => complaints.push(`sockets are held: ${cutters.map((it) => it.held)}`));
  await Promise.all(cutters.map((it) => it[Symbol.asyncDispose]()));
  controller.abort();
  await Promise.all(servers);
  await Promise.all(Object.values(handlers).map((handler) => handler.close()));
  await server.shutdown();
}

addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  complaints.push(`unhandled rejection: ${event.reason instanceof Error ? event.reason.stack : event.reason}`);
});
console.log(`Seed ${seed}`);
const leaks = await leakCheck(30_000);
await main();
await leaks.finish().catch((error: Error) => complaints.push(error.message));
for (const complaint of complaints) console.error(complaint);
console.log(complaints.length > 0 ? "FAILED" : `ok after ${Math.round(performance.now() / 1000)} s`);
Deno.exit(complaints.length > 0 ? 1 : 0);
