/**
 * Servers: calls and connections a second of each handler, over TCP, Unix sockets, TLS and WebSockets, with and without a secret, next to capnweb over
 * WebSockets and to a raw echo of the same size. Every server is a process of its own; all are measured in one run, in turns.
 *
 *   deno run -A benches/servers.ts [--quick] [--json] [--only TEXT]
 *
 * `in turn`: one call after the other. `64 at once`: so many in flight. `connections`: dial, one call at once, close; one after the other. Figures are medians of
 * the rounds, in thousands of calls, or connections, a second; ratios are medians of the ratios of the rounds. A call adds two numbers that an exposed
 * object takes (with child processes: a function that was sent once). TLS is `node:tls` on both sides.
 *
 * Deno's own WebSocket client keeps Nagle's algorithm on: who sends two frames in a row, as capnweb does for a call, waits with the second one until the
 * first was acknowledged, for up to 44 ms. So both, capnweb and we, dial with the package `ws`, which has it off; a row of ours shows Deno's own client.
 *
 * Rows with Node are servers that run there, where a child process has the client's socket itself (docs/runtimes.md); the clients are the same.
 *
 * @module
 */

import { parseArgs } from "@std/cli";
import { newWebSocketRpcSession } from "capnweb";
import { build, stop } from "esbuild";
import { WebSocket as WsWebSocket } from "ws";
import { Connection } from "../mod.ts";
import { withAuthority } from "../tests/support/certificates.ts";
import type { Contender, Rates } from "./support/rounds.ts";
import { compare, median, ratio } from "./support/rounds.ts";
import { findNode } from "./support/runtimes.ts";

const { quick, json, only = "" } = parseArgs(Deno.args, { boolean: ["quick", "json"], string: ["only"] });
const CHILD = new URL("./support/servers_child.ts", import.meta.url).pathname;
const NODE_CHILD = new URL("./support/servers_node.ts", import.meta.url).pathname;
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
  dial(): Client | Promise<Client>;
  stop(): Promise<unknown>;
}

type Dial = (where: string) => Client | Promise<Client>;

async function subject(name: string, args: readonly string[], dial: Dial, node?: string): Promise<Subject> {
  const child = new Deno.Command(node ?? Deno.execPath(), {
    args: [...(node ? [] : ["run", "-A", CHILD]), ...args],
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
function across(conn: Connection, exposed: boolean): Client {
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

/** The client of the package `ws`. */
const dialWs = (port: string): WebSocket => new WsWebSocket(`ws://127.0.0.1:${port}`) as unknown as WebSocket;

function capnweb(port: string): Client {
  const stub = newWebSocketRpcSession<{ add(a: number, b: number): number }>(dialWs(port));
  return { call: async () => await stub.add(1, 2), close: () => stub[Symbol.dispose]() };
}

/** All that are compared, by name: what the server is told, how it is dialled, and what runs it unless it is Deno. */
function contenders(ca: string, tls: object, node: string | undefined, bundle: string): Parameters<typeof subject>[] {
  const tcp = (options = {}, exposed = true) => (port: string) =>
    across(Connection.fromTcp("127.0.0.1", Number(port), options), exposed);
  const unix = (exposed: boolean) => (path: string) => across(Connection.fromUnix(path), exposed);
  const all: Parameters<typeof subject>[] = [
    ["raw echo, TCP", ["echo"], (port) => echo(Number(port))],
    ["capnweb, ws", ["capnweb"], capnweb],
    ["local, TCP", ["local", "tcp"], tcp()],
    ["local, TCP, secret", ["local", "tcp", JSON.stringify({ secret: SECRET })], tcp({ secret: SECRET })],
    ["local, Unix", ["local", "unix"], unix(true)],
    [
      "local, TLS",
      ["local", "tcp", JSON.stringify({ tls })],
      (port) => across(Connection.fromTls("localhost", Number(port), { caCerts: [ca] }), true),
    ],
    ["local, ws", ["local", "websocket"], (port) => across(Connection.fromWebSocket(dialWs(port)), true)],
    [
      "local, WebSocket",
      ["local", "websocket"],
      (port) => across(Connection.fromWebSocket(`ws://127.0.0.1:${port}`), true),
    ],
    ["process, TCP", ["process", "tcp"], tcp({}, false)],
    ["BIOS, TCP", ["bios", "tcp"], tcp({}, false)],
  ];
  if (node) {
    all.push(
      ["local, TCP, Node", [bundle, "local", "tcp"], tcp(), node],
      ["process, TCP, Node", [bundle, "process", "tcp"], tcp({}, false), node],
      ["process, Unix, Node", [bundle, "process", "unix"], unix(false), node],
      ["BIOS, TCP, Node", [bundle, "bios", "tcp"], tcp({}, false), node],
      ["BIOS, Unix, Node", [bundle, "bios", "unix"], unix(false), node],
    );
  }
  return all.filter(([name]) => name.includes(only) || name.startsWith("raw") || name.startsWith("capnweb"));
}

/** Starts all that are compared. */
async function subjects(ca: string, tls: object): Promise<Subject[]> {
  const node = (await findNode())?.command[0];
  const folder = await Deno.makeTempDir();
  const bundle = `${folder}/server.mjs`;
  await build({
    entryPoints: [NODE_CHILD],
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node20",
    outfile: bundle,
  });
  await stop();
  const all = await Promise.all(contenders(ca, tls, node, bundle).map((it) => subject(...it)));
  await Deno.remove(folder, { recursive: true });
  return all;
}

async function measure(all: readonly Subject[]): Promise<Record<string, Rates>> {
  const effort = quick ? { slice: 50, rounds: 3 } : { slice: 200, rounds: 5 };
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
        ratio(rates, name, "capnweb, ws")!.toFixed(2),
      ];
      console.log(name.padEnd(22) + cells.map((it) => it.padStart(10)).join(""));
    }
    console.log();
  }
}
