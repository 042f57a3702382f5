// The three handlers: what they have in common, what differs, and how they end. Attackers are in trust_servers_test.ts, listening is in servers_run_test.ts.

import { assert, assertEquals, assertThrows } from "@std/assert";
import { Connection, DisconnectError } from "../mod.ts";
import type { ConnectionHandler } from "../servers/mod.ts";
import { BiosConnectionHandler, LocalConnectionHandler, ProcessConnectionHandler } from "../servers/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, descendants, isAlive, noLeaks } from "./support/leaks.ts";
import { HANDLERS, tcpServer } from "./support/servers.ts";

/** Connects to a handler as a client does. */
async function client(handler: ConnectionHandler, options = {}): Promise<Connection> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const conn = Connection.fromTcp("127.0.0.1", listener.addr.port, options);
  handler.handleSocket(await listener.accept());
  return conn;
}

/** Makes the other side busy for ever. `over` resolves when the connection is lost. */
async function spin(conn: Connection): Promise<{ readonly over: Promise<unknown> }> {
  const over = assertRejects(
    () =>
      conn.call(() => {
        for (;;);
      }),
    DisconnectError,
  );
  await new Promise((resolve) => setTimeout(resolve)); // so that the call leaves
  return { over };
}

const pidOf = (conn: Connection): Promise<number> => (async () => await conn.call(() => Deno.pid))();

for (const [name, make] of HANDLERS) {
  Deno.test(
    `clients call and are served side by side (${name})`,
    noLeaks(async () => {
      await using handler = make();
      const clients = await Promise.all(Array.from({ length: 4 }, () => client(handler)));
      const sums = await Promise.all(
        clients.map(async (conn, i) =>
          (await Promise.all(Array.from({ length: 20 }, async (_, n) => await conn.call((n: number) => n * n, n + i))))
            .reduce((a, b) => a + b)
        ),
      );
      const expected = clients.map((_, i) =>
        Array.from({ length: 20 }, (_, n) => (n + i) ** 2).reduce((a, b) => a + b)
      );
      assertEquals(sums, expected);
      const pids = new Set(await Promise.all(clients.map(pidOf)));
      assertEquals(pids.size, name === "local" ? 1 : 4);
      assertEquals(pids.has(Deno.pid), name === "local");
      assertEquals(handler.connections, 4);
      await Promise.all(clients.map((conn) => conn.close()));
      await condition(() => handler.connections === 0, "all connections are over");
    }),
  );

  Deno.test(
    `megabytes pass unharmed in both directions (${name})`,
    noLeaks(async () => {
      await using handler = make();
      const conn = await client(handler);
      const bytes = new Uint8Array(8 << 20);
      for (let i = 0; i < bytes.length; i++) bytes[i] = i * 7 + (i >> 10);
      const back = await conn.call((it: Uint8Array) => it, bytes);
      assertEquals(back.length, bytes.length);
      assert(back.every((byte, index) => byte === bytes[index]));
      await conn.close();
    }),
  );

  Deno.test(
    `close() says goodbye to clients, and nothing is left (${name})`,
    noLeaks(async () => {
      const handler = make();
      const clients = await Promise.all([client(handler), client(handler)]);
      const pids = (await Promise.all(clients.map(pidOf))).filter((pid) => pid !== Deno.pid);
      const open = assertRejects(
        () => clients[0]!.call(() => new Promise<void>(() => {})),
        DisconnectError,
        "Connection was remotely closed",
      );
      await clients[0]!.call(() => 0);
      await Promise.all([handler.close(), handler.close()]);
      await open;
      assertEquals(handler.connections, 0);
      assertEquals(pids.filter(isAlive), []);
      await Promise.all(clients.map((conn) => conn.close())); // a clean end: nothing is thrown
    }),
  );

  Deno.test(
    `cancel() ends all at once, and nothing is left after close() (${name})`,
    noLeaks(async () => {
      const handler = make();
      const conn = await client(handler);
      const pid = await pidOf(conn);
      const open = assertRejects(() => conn.call(() => new Promise<void>(() => {})), DisconnectError, "aborted");
      await conn.call(() => 0);
      handler.cancel();
      handler.cancel();
      await handler.close();
      if (name !== "local") assert(!isAlive(pid));
      await open;
      await conn.close().catch(() => {});
    }),
  );

  Deno.test(
    `a socket for a handler that is closed or cancelled is an error, and is closed (${name})`,
    noLeaks(async () => {
      const closed = make();
      await closed.close();
      const cancelled = make();
      cancelled.cancel();
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      for (const [handler, message] of [[closed, "is closed"], [cancelled, "was cancelled"]] as const) {
        const socket = await Deno.connect({ port: listener.addr.port });
        const accepted = await listener.accept();
        assertThrows(() => handler.handleSocket(accepted), Error, `Cannot handle a socket as the handler ${message}`);
        assertEquals(await socket.read(new Uint8Array(1)), null);
        socket.close();
      }
      await cancelled.close();
    }),
  );

  Deno.test(
    `a client that vanishes leaves nothing behind (${name})`,
    noLeaks(async () => {
      await using handler = make();
      const conn = await client(handler);
      await conn.call(() => 0);
      conn.cancel();
      await condition(() => handler.connections === 0, "the connection is over");
    }),
  );
}

for (const Handler of [ProcessConnectionHandler, BiosConnectionHandler]) {
  Deno.test(
    `a child that spins is killed when close() has waited for the timeout (${Handler.name})`,
    noLeaks(async () => {
      const handler = new Handler({ timeout: 4_000 });
      const conn = await client(handler);
      const pid = await pidOf(conn);
      const spinning = await spin(conn);
      await handler.close();
      assert(!isAlive(pid));
      await spinning.over;
      await conn.close().catch(() => {});
    }),
  );

  Deno.test(
    `a child that spins is killed when its client has gone (${Handler.name})`,
    noLeaks(async () => {
      await using handler = new Handler({ timeout: 5_000 });
      const conn = await client(handler);
      const pid = await pidOf(conn);
      const spinning = await spin(conn);
      conn.cancel();
      await spinning.over;
      await condition(() => !isAlive(pid), "the child is gone");
    }),
  );

  Deno.test(
    `a child that dies takes its client along, and nobody else (${Handler.name})`,
    noLeaks(async () => {
      await using handler = new Handler();
      const [one, other] = await Promise.all([client(handler), client(handler)]);
      await assertRejects(() => one.call(() => Deno.exit(3)), DisconnectError);
      assertEquals(await other.call(() => 1), 1);
      await one.close().catch(() => {});
      await other.close();
    }),
  );

  Deno.test(
    `children end when the process of the handler is killed, even while they spin (${Handler.name})`,
    noLeaks(async () => {
      const server = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", new URL("./fixtures/servers/server.ts", import.meta.url).pathname, Handler.name],
        stdout: "piped",
      }).spawn();
      const reader = server.stdout.getReader();
      const port = Number(new TextDecoder().decode((await reader.read()).value));
      const [idle, busy] = [Connection.fromTcp("127.0.0.1", port), Connection.fromTcp("127.0.0.1", port)];
      const pids = await Promise.all([idle, busy].map(pidOf));
      const spinning = await spin(busy);
      assertEquals(descendants(server.pid).filter(({ pid }) => pids.includes(pid)).length, 2);
      server.kill("SIGKILL");
      await server.status;
      await condition(() => !pids.some(isAlive), "the children are gone");
      await spinning.over;
      await reader.cancel();
      for (const conn of [idle, busy]) await conn.close().catch(() => {});
    }),
  );
}

Deno.test(
  "clients of the process handler get the server's across without asking theirs, and export only where that is allowed",
  noLeaks(async () => {
    const square = await import("./fixtures/plain.mjs");
    const url = import.meta.resolve("./fixtures/plain.mjs");
    await using closed = new ProcessConnectionHandler();
    const conn = await client(closed);
    assertEquals(await conn.execute(`typeof (await import("@x/across")).Connection`), "function");
    await assertRejects(() => conn.export(url), Error, "does not accept exported modules");
    await conn.close();
    await using open = new ProcessConnectionHandler({ acceptExportedModules: true });
    const other = await client(open);
    await other.export(url);
    assertEquals(await other.call(square.twice as (list: number[]) => number[], [1, 2]), [2, 4]);
    await other.close();
  }),
);

Deno.test("handlers refuse options that make no sense", () => {
  assertThrows(
    () => new LocalConnectionHandler({ acceptExportedModules: true }),
    TypeError,
    "ProcessConnectionHandler",
  );
  assertThrows(() => new ProcessConnectionHandler({ expose: {} }), TypeError, "LocalConnectionHandler");
  for (const [, make] of HANDLERS) {
    assertThrows(() => make({ timeuot: 1 } as never), TypeError, 'Cannot use option "timeuot"');
  }
});

Deno.test(
  "handlers accept calls unless they are told not to, and then only what is exposed is reached",
  noLeaks(async () => {
    const handler = new LocalConnectionHandler({
      acceptCalls: false,
      expose: { add: (a: number, b: number) => a + b },
    });
    const server = await tcpServer({ handler });
    const conn = Connection.fromTcp("127.0.0.1", server.port);
    await assertRejects(() => conn.call(() => 1), Error, "acceptCalls");
    assertEquals(await conn.root<{ add(a: number, b: number): number }>().add(1, 2), 3);
    await conn.close();
    await server.stop();
    await handler.close();
  }),
);
