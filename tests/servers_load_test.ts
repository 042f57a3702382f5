// One server and many clients: 1,000 connections at once, and what is left afterwards. `deno bench` figures are in benches/servers.ts.

import { assert, assertEquals } from "@std/assert";
import { Connection } from "../mod.ts";
import { LocalConnectionHandler } from "../servers/mod.ts";
import { collectGarbage } from "./support/garbage.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { tcpServer } from "./support/servers.ts";

const CONNECTIONS = 1_000;
const SECRET = "a secret of these tests";

/** Serves that many clients at once, each of which makes some calls. */
async function serveMany(handler: LocalConnectionHandler, count: number, calls: number): Promise<void> {
  const server = await tcpServer({ handler });
  const clients = Array.from(
    { length: count },
    () => Connection.fromTcp("127.0.0.1", server.port, { secret: SECRET }),
  );
  await Promise.all(clients.map((conn) => conn.ready()));
  assertEquals(handler.connections, count);
  const api = clients.map((conn) => conn.root<{ square(n: number): number }>());
  await Promise.all(api.map(async (root, i) => {
    for (let n = 0; n < calls; n++) assertEquals(await root.square(n + i), (n + i) ** 2);
  }));
  await Promise.all(clients.map((conn) => conn.close()));
  await condition(() => handler.connections === 0, "all connections are over");
  await server.stop();
}

const make = () =>
  new LocalConnectionHandler({
    secret: SECRET,
    expose: { square: (n: number) => n * n, echo: (it: Uint8Array) => it },
  });

Deno.test(
  "1,000 connections at once and 100,000 calls are served by one local server, and leave no descriptor behind",
  noLeaks(async () => {
    await using handler = make();
    await serveMany(handler, CONNECTIONS, 100);
  }, 240_000),
);

Deno.test(
  "memory is what it was after connections have come and gone",
  noLeaks(async () => {
    await using handler = make();
    const round = async (): Promise<number> => {
      await serveMany(handler, 100, 3);
      for (let i = 0; i < 3; i++) {
        collectGarbage();
        await new Promise((resolve) => setTimeout(resolve));
      }
      return Deno.memoryUsage().heapUsed;
    };
    for (let i = 0; i < 3; i++) await round(); // caches fill
    const before = await round();
    let after = 0;
    for (let i = 0; i < 5; i++) after = await round();
    // What every connection would keep, if it kept one: far more than the noise of a round.
    assert(after - before < 500 * 4_000, `${(after - before) / 500} bytes are left for each connection`);
  }, 240_000),
);

Deno.test(
  "connections that are idle after small messages hold no buffers, on either side",
  noLeaks(async () => {
    await using handler = make();
    const server = await tcpServer({ handler });
    const memory = async (): Promise<number> => {
      for (let i = 0; i < 3; i++) {
        collectGarbage();
        await new Promise((resolve) => setTimeout(resolve));
      }
      const { heapUsed, external } = Deno.memoryUsage();
      return heapUsed + external;
    };
    const open = async (count: number): Promise<Connection[]> => {
      const clients = Array.from(
        { length: count },
        () => Connection.fromTcp("127.0.0.1", server.port, { secret: SECRET }),
      );
      await Promise.all(clients.map(async (conn) => {
        const api = conn.root<{ square(n: number): number; echo(it: Uint8Array): Uint8Array }>();
        assertEquals(await api.square(3), 9);
        // Buffers were needed, small and large.
        assertEquals((await api.echo(new Uint8Array(100_000))).length, 100_000);
        assertEquals(await api.square(4), 16);
      }));
      return clients;
    };
    const first = await open(20);
    const before = await memory();
    const more = await open(200);
    const each = (await memory() - before) / 200;
    // A buffer of a socket alone, on one side, would be 64 KiB.
    assert(each < 160 * 1024, `both ends of a connection hold ${Math.round(each / 1024)} KiB`);
    await Promise.all([...first, ...more].map((conn) => conn.close()));
    await condition(() => handler.connections === 0, "all connections are over");
    await server.stop();
  }),
);

Deno.test(
  "silent connections cost little, and do not keep others from being served",
  noLeaks(async () => {
    const handler = make();
    const server = await tcpServer({ handler });
    const silent = await Promise.all(
      Array.from({ length: 500 }, () => Deno.connect({ hostname: "127.0.0.1", port: server.port })),
    );
    await condition(() => handler.connections === 500, "all are accepted");
    const conn = Connection.fromTcp("127.0.0.1", server.port, { secret: SECRET });
    assertEquals(await conn.root<{ square(n: number): number }>().square(3), 9);
    await conn.close();
    handler.cancel();
    for (const it of silent) it.close();
    await server.stop();
    await handler.close();
  }),
);
