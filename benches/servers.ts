/**
 * Servers: calls and connections a second of each handler, over TCP, Unix sockets, TLS and WebSockets, with and without a secret, next to capnweb over
 * WebSockets and to a raw echo of the same size. Every server is a process of its own; all are measured in one run, in turns.
 *
 *   deno run -A benches/servers.ts [--quick] [--json]
 *
 * `in turn`: one call after the other. `64 at once`: so many in flight. `connections`: dial, one call, close; one after the other. Figures are medians of
 * the rounds, in thousands of calls, or connections, a second; ratios are medians of the ratios of the rounds. A call adds two numbers that an exposed
 * object takes (with child processes: a function that was sent once). TLS is `node:tls` on both sides.
 *
 * Deno's WebSockets keep Nagle's algorithm on, both of them: who sends two frames in a row waits with the second one until the first was acknowledged,
 * for up to 44 ms. capnweb sends two for a call, so this is what its figures mean here; ours say it too where answers come in several frames.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { newWebSocketRpcSession } from "capnweb";
import { Connection } from "../mod.ts";
import { withAuthority } from "../tests/support/certificates.ts";
import type { Contender, Rates } from "./support/rounds.ts";
import { compare, median, ratio } from "./support/rounds.ts";

const { quick, json } = parseArgs(Deno.args, { boolean: ["quick", "json"] });
const CHILD = new URL("./support/servers_child.ts", import.meta.url).pathname;
const SECRET = "a secret of this bench";
const IN_FLIGHT = 64;

/** A connection to one of the servers. */
interface Client {
  call(): Promise<unknown>;
  close(): unknown;
}

/** One of the servers, and how one dials it. */
interface Subject {
  readonly name: string;
  dial(): Promise<Client>;
  stop(): Promise<unknown>;
}

async function subject(
  name: string,
  args: readonly string[],
  dial: (where: string) => Promise<Client>,
): Promise<Subject> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", CHILD, ...args],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const where = (await reader.read()).value!.trim();
  return {
    name,
    dial: () => dial(where),
    async stop() {
      await child.stdin.close();
      await reader.cancel();
      await child.status;
    },
  };
}

const add = (a: number, b: number): number => a + b;

/** A client of ours: of an exposed object, or of a child that runs what it is sent. */
async function across(conn: Connection, exposed: boolean): Promise<Client> {
  await conn.ready();
  const root = conn.root<{ add(a: number, b: number): number }>();
  return {
    call: exposed ? async () => await root.add(1, 2) : async () => await conn.call(add, 1, 2),
    close: () => conn.close(),
  };
}

/** A client of the echo, which sends and awaits as many bytes as a call of ours has. */
async function echo(port: number): Promise<Client> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay(true);
  const message = new TextEncoder().encode(`{"id":1,"method":"add","params":[1,2]}\n`);
  const waiting: (() => void)[] = [];
  let pending: Uint8Array[] = [];
  const flush = async () => {
    const bytes = new Uint8Array(pending.length * message.length);
    pending.forEach((it, index) => bytes.set(it, index * message.length));
    pending = [];
    for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
  };
  const read = async () => {
    const buffer = new Uint8Array(65536);
    let have = 0;
    for (let size; (size = await conn.read(buffer)) !== null;) {
      for (have += size; have >= message.length; have -= message.length) waiting.shift()!();
    }
  };
  read().catch(() => {});
  return {
    call: () =>
      new Promise<void>((resolve) => {
        waiting.push(resolve);
        if (pending.push(message) === 1) queueMicrotask(flush);
      }),
    close: () => conn.close(),
  };
}

async function capnweb(port: string): Promise<Client> {
  const stub = newWebSocketRpcSession<{ add(a: number, b: number): number }>(`ws://127.0.0.1:${port}`);
  await stub.add(1, 2);
  return { call: async () => await stub.add(1, 2), close: () => stub[Symbol.dispose]() };
}

/** All that are compared. */
async function subjects(ca: string, tls: object): Promise<Subject[]> {
  const tcp = (options = {}, exposed = true) => (port: string) =>
    across(Connection.fromTcp("127.0.0.1", Number(port), options), exposed);
  return await Promise.all([
    subject("raw echo, TCP", ["echo"], (port) => echo(Number(port))),
    subject("capnweb, WebSocket", ["capnweb"], capnweb),
    subject("local, TCP", ["local", "tcp"], tcp()),
    subject("local, TCP, secret", ["local", "tcp", JSON.stringify({ secret: SECRET })], tcp({ secret: SECRET })),
    subject("local, Unix", ["local", "unix"], (path) => across(Connection.fromUnix(path), true)),
    subject(
      "local, TLS",
      ["local", "tcp", JSON.stringify({ tls })],
      (port) => across(Connection.fromTls("localhost", Number(port), { caCerts: [ca] }), true),
    ),
    subject(
      "local, WebSocket",
      ["local", "websocket"],
      (port) => across(Connection.fromWebSocket(`ws://127.0.0.1:${port}`), true),
    ),
    subject("process, TCP", ["process", "tcp"], tcp({}, false)),
    subject("BIOS, TCP", ["bios", "tcp"], tcp({}, false)),
  ]);
}

async function measure(all: readonly Subject[]): Promise<Record<string, Rates>> {
  const effort = quick ? { slice: 50, rounds: 3 } : { slice: 300, rounds: 9 };
  const clients = await Promise.all(all.map(async ({ name, dial }) => ({ name, client: await dial() })));
  const inTurn = clients.map(({ name, client }): Contender => ({
    name,
    async run(count) {
      for (let i = 0; i < count; i++) await client.call();
    },
  }));
  const atOnce = clients.map(({ name, client }): Contender => ({
    name,
    async run(count) {
      for (let i = 0; i < count; i += IN_FLIGHT) {
        await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, count - i) }, () => client.call()));
      }
    },
  }));
  const connections = all.map(({ name, dial }): Contender => ({
    name,
    async run(count) {
      for (let i = 0; i < count; i++) {
        const client = await dial();
        await client.call();
        await client.close();
      }
    },
  }));
  const rows = {
    "in turn": await compare(inTurn, effort),
    "64 at once": await compare(atOnce, effort),
    connections: await compare(connections, effort),
  };
  for (const { client } of clients) await client.close();
  return rows;
}

const figures = await withAuthority(async ({ ca, sign }) => {
  const all = await subjects(ca, await sign(["DNS:localhost"]));
  try {
    return await measure(all);
  } finally {
    for (const it of all) await it.stop();
  }
});

if (json) console.log(JSON.stringify(figures));
else {
  for (const [what, rates] of Object.entries(figures)) {
    const thousands = what !== "connections";
    console.log(
      `${what.padEnd(22)}${[thousands ? "k/s" : "1/s", "/echo", "/capnweb"].map((it) => it.padStart(10)).join("")}`,
    );
    for (const [name, values] of Object.entries(rates)) {
      const cells = [
        (median(values) / (thousands ? 1000 : 1)).toFixed(thousands ? 1 : 0),
        ratio(rates, name, "raw echo, TCP")!.toFixed(2),
        ratio(rates, name, "capnweb, WebSocket")!.toFixed(2),
      ];
      console.log(name.padEnd(22) + cells.map((it) => it.padStart(10)).join(""));
    }
    console.log();
  }
}
