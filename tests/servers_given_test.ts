// Children that have the socket of their client: what holds for handlers in Node, where bytes do not pass through the server.

import { assert, assertEquals } from "@std/assert";
import { biosCommand, Connection, DisconnectError } from "../mod.ts";
import { superblock } from "../protocol/superblock.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, isAlive, noLeaks } from "./support/leaks.ts";
import type { Runtime } from "./support/runtimes.ts";
import { isAtAnEnd, testEachRuntime } from "./support/runtimes.ts";

/** A server on a booted end, and what is seen of it from inside. */
const SERVE = `
  const { readdirSync, readlinkSync } = await import("node:fs");
  const { BiosConnectionHandler, ProcessConnectionHandler, runTcp, runUnix } = await import("@x/across/servers");
  const Handler = { BiosConnectionHandler, ProcessConnectionHandler }[name];
  const handler = globalThis.handler = new Handler({ timeout, secret });
  globalThis.stop = new AbortController();
  globalThis.descriptors = () => readdirSync("/proc/self/fd").length;
  const port = await new Promise((resolve, reject) => {
    const init = { handler, signal: globalThis.stop.signal, maxConnections, onListen: ({ port }) => resolve(port) };
    globalThis.ended = path ? runUnix(path, init) : runTcp("127.0.0.1", 0, init);
    globalThis.ended.catch(reject);
  });
  port
`;

interface ServerInit {
  readonly timeout?: number;
  readonly secret?: string;
  readonly maxConnections?: number;
}

/** A server in a process of its own. */
interface Server {
  readonly end: Connection;
  readonly pid: number;
  readonly port: number;
  dial(options?: object): Connection;
  /** The value of an expression in the server. */
  ask<T>(source: string): Promise<T>;
  stop(): Promise<void>;
}

async function serve({ path }: Runtime, name: string, unix: boolean, init: ServerInit = {}): Promise<Server> {
  const end = Connection.fromCommand(biosCommand({ runtime: path }));
  const folder = await Deno.makeTempDir();
  const where = unix ? `${folder}/socket` : undefined;
  const { timeout = 20_000, secret, maxConnections = Infinity } = init;
  const port = await end.execute<number>(SERVE, { name, timeout, secret, maxConnections, path: where });
  const ask = async <T>(source: string): Promise<T> => await end.execute(source) as T;
  return {
    end,
    pid: await ask("globalThis.process.pid"),
    port,
    dial: (options = {}) =>
      where ? Connection.fromUnix(where, options) : Connection.fromTcp("127.0.0.1", port, options),
    ask,
    async stop() {
      await ask("globalThis.stop.abort(); await globalThis.ended; await globalThis.handler.close()");
      await end.close();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

const pidOf = (conn: Connection): Promise<number> =>
  (async () => await conn.call(() => (globalThis as unknown as { process: { pid: number } }).process.pid))();

/** What the descriptors of a process are that are sockets of any kind. */
async function socketsOf(pid: number): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of Deno.readDir(`/proc/${pid}/fd`)) {
    const target = await Deno.readLink(`/proc/${pid}/fd/${name}`).catch(() => "");
    if (target.startsWith("socket:")) found.push(target);
  }
  return found;
}

const spin = (conn: Connection): Promise<unknown> =>
  assertRejects(
    () =>
      conn.call(() => {
        for (;;);
      }),
    DisconnectError,
  );

/** So that what was called has left. */
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

const isNode = ({ name }: { name: string }): boolean => name === "node";

for (const name of ["ProcessConnectionHandler", "BiosConnectionHandler"]) {
  for (const unix of [false, true]) {
    const where = `${name}, ${unix ? "Unix" : "TCP"}`;

    await testEachRuntime(
      `a child has the very socket of its client, which is served whatever it says (${where})`,
      noLeaks(async (runtime: Runtime) => {
        const server = await serve(runtime, name, unix, { secret: "of this test" });
        const before = await server.ask<number>("globalThis.descriptors()");
        const conn = server.dial({ secret: "of this test" });
        const pid = await pidOf(conn);
        assert(pid !== server.pid);
        const [ours, theirs] = await Promise.all([socketsOf(server.pid), socketsOf(pid)]);
        assert(theirs.some((it) => ours.includes(it)), `${theirs} are not of ${ours}`);
        const bytes = new Uint8Array(8 << 20).map((_, index) => index * 7 + (index >> 10));
        const back = await conn.call((it: Uint8Array) => it, bytes);
        assert(back.length === bytes.length && back.every((byte, index) => byte === bytes[index]));
        const sums = await Promise.all(
          Array.from({ length: 100 }, async (_, n) => await conn.call((n: number) => n * n, n)),
        );
        assertEquals(sums, Array.from({ length: 100 }, (_, n) => n * n));
        await conn.close();
        await condition(() => server.ask<boolean>("globalThis.handler.connections === 0"), "the connection is over");
        await condition(() => !isAlive(pid), "the child is gone");
        await condition(
          async () => await server.ask<number>("globalThis.descriptors()") === before,
          "the descriptors are back",
        );
        await server.stop();
      }),
      isNode,
    );

    await testEachRuntime(
      `close() says goodbye in the server's name, cancel() does not, and neither leaves a child (${where})`,
      noLeaks(async (runtime: Runtime) => {
        for (const [how, message] of [["close", "was remotely closed"], ["cancel", "aborted"]] as const) {
          const server = await serve(runtime, name, unix);
          const clients = [server.dial(), server.dial()];
          const pids = await Promise.all(clients.map(pidOf));
          const open = clients.map((conn) =>
            assertRejects(() => conn.call(() => new Promise<void>(() => {})), DisconnectError, message)
          );
          await Promise.all(clients.map((conn) => conn.call(() => 0)));
          await server.ask(`await globalThis.handler.${how}()`);
          await Promise.all(open);
          await condition(() => !pids.some(isAlive), "the children are gone");
          for (const conn of clients) await conn.close().catch(() => {});
          await server.stop();
        }
      }),
      isNode,
    );

    await testEachRuntime(
      `a child that spins is killed when close() has waited, or its client has gone for the timeout (${where})`,
      noLeaks(async (runtime: Runtime) => {
        const server = await serve(runtime, name, unix, { timeout: 4_000 });
        const [left, kept] = [server.dial(), server.dial()];
        const pids = await Promise.all([pidOf(left), pidOf(kept)]);
        const spinning = [spin(left), spin(kept)];
        await turn();
        left.cancel();
        await condition(() => !isAlive(pids[0]), "the child of the client that left is gone");
        assert(isAlive(pids[1]));
        await server.ask("await globalThis.handler.close()");
        assert(!isAlive(pids[1]));
        await Promise.all(spinning);
        for (const conn of [left, kept]) await conn.close().catch(() => {});
        await server.stop();
      }),
      (it) => isNode(it) && isAtAnEnd(it),
    );

    await testEachRuntime(
      `children end when the server is killed, while they are idle, and while their first call spins (${where})`,
      noLeaks(async (runtime: Runtime) => {
        const server = await serve(runtime, name, unix);
        const idle = server.dial();
        const pids = [await pidOf(idle)];
        const busy = server.dial();
        const spinning = spin(busy);
        await busy.ready();
        // Children of the server; of the second one nothing is known but that it is there.
        const all = await condition(async () => {
          const found = (await Deno.readTextFile(`/proc/${server.pid}/task/${server.pid}/children`)).trim().split(" ");
          return found.length === 2 && found.map(Number);
        }, "there are two children") as number[];
        assert(all.includes(pids[0]!));
        await turn();
        Deno.kill(server.pid, "SIGKILL");
        await condition(() => !all.some(isAlive), "the children are gone");
        await spinning;
        for (const conn of [idle, busy, server.end]) await conn.close().catch(() => {});
      }),
      isNode,
    );
  }

  await testEachRuntime(
    `clients that show themselves and then say no more are dropped, and count until then (${name})`,
    noLeaks(async (runtime: Runtime) => {
      const server = await serve(runtime, name, false, { timeout: 4_000, maxConnections: 1 });
      const silent = await Deno.connect({ port: server.port });
      await silent.write(superblock());
      await condition(async () => await server.ask<number>("globalThis.handler.connections") === 1, "it is served");
      const other = await Deno.connect({ port: server.port });
      assertEquals(await other.read(new Uint8Array(1)), null);
      other.close();
      await condition(async () => await server.ask<number>("globalThis.handler.connections") === 0, "it is dropped");
      for (const buffer = new Uint8Array(1024); await silent.read(buffer) !== null;);
      silent.close();
      const conn = server.dial();
      assertEquals(await conn.call(() => 42), 42);
      await conn.close();
      await server.stop();
    }),
    isNode,
  );
}
