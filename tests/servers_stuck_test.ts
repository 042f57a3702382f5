// What servers do when somebody neither reads nor goes, or is gone before they look. Handlers that nothing disturbs are in servers_handlers_test.ts.

import { assertEquals } from "@std/assert";
import { Connection, DisconnectError } from "../mod.ts";
import type { ConnectionHandler } from "../servers/mod.ts";
import { BiosConnectionHandler, LocalConnectionHandler, ProcessConnectionHandler } from "../servers/mod.ts";
import { assertRejects } from "./support/assert_rejects.ts";
import { condition, descendants, noLeaks } from "./support/leaks.ts";
import { runtime } from "./support/runtimes.ts";
import { tcpServer } from "./support/servers.ts";

/** Connects to a handler. */
async function connect(handler: ConnectionHandler): Promise<Deno.TcpConn> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const [socket, accepted] = await Promise.all([Deno.connect({ port: listener.addr.port }), listener.accept()]);
  handler.handleSocket(accepted);
  return socket;
}

/** A client that can be told to read no more. */
function deafClient(socket: Deno.TcpConn): { readonly conn: Connection; stop(): void; drop(): void } {
  const { promise: dropped, resolve: drop } = Promise.withResolvers<void>();
  let deaf = false;
  const readable = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (deaf) return await dropped;
      const buffer = new Uint8Array(65536);
      const size = await socket.read(buffer).catch(() => null);
      if (size === null) controller.close();
      else controller.enqueue(buffer.subarray(0, size));
    },
  }, { highWaterMark: 0 });
  const writable = new WritableStream<Uint8Array>({
    async write(chunk) {
      while (chunk.length) chunk = chunk.subarray(await socket.write(chunk));
    },
  });
  const abort = () => {
    try {
      socket.close();
    } catch { /* it is closed */ }
    drop();
  };
  const conn = Connection.fromTransport({ readable, writable, closed: dropped, abort }, {
    acceptCalls: false,
    timeout: Infinity,
  });
  return { conn, stop: () => void (deaf = true), drop: abort };
}

for (const Handler of [LocalConnectionHandler, ProcessConnectionHandler]) {
  Deno.test(
    `a client that reads nothing is given up, and its child as well (${Handler.name})`,
    noLeaks(async () => {
      await using handler = new Handler({ timeout: 5_000 });
      const { conn, stop, drop } = deafClient(await connect(handler));
      assertEquals(await conn.call(() => 1), 1);
      stop();
      const answer = assertRejects(() => conn.call(() => new Uint8Array(64 << 20)), DisconnectError);
      await condition(() => handler.connections === 0, "the connection is over", 60_000);
      assertEquals(descendants(), []);
      drop();
      conn.cancel();
      await answer;
    }),
  );
}

Deno.test(
  "a child that spins is killed when its client has gone, also behind what the child has not read (BiosConnectionHandler)",
  noLeaks(async () => {
    await using handler = new BiosConnectionHandler({ timeout: 5_000 });
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const conn = Connection.fromTcp("127.0.0.1", listener.addr.port, { timeout: 5_000 });
    handler.handleSocket(await listener.accept());
    await conn.call(() => 1);
    const calls = [
      conn.call(() => {
        for (;;);
      }),
      conn.call((bytes: Uint8Array) => bytes.length, new Uint8Array(64 << 20)),
    ].map((call) => assertRejects(() => call, DisconnectError));
    await condition(() => conn.status().bytesSent > 1 << 20, "some of it has left");
    conn.cancel();
    await Promise.all(calls);
    await condition(() => descendants().length === 0, "the child is gone", 60_000);
  }),
);

/** Connects often, and breaks off at once. */
const RESETS = `
  const { connect } = require("node:net");
  const [port, count] = process.argv.slice(-2).map(Number);
  (async () => {
    for (let i = 0; i < count; i++) {
      await new Promise((resolve, reject) => {
        const socket = connect({ host: "127.0.0.1", port }, () => socket.resetAndDestroy());
        socket.on("error", reject);
        socket.on("close", resolve);
      });
    }
  })();
`;

Deno.test(
  "clients that break off at once keep nobody out",
  noLeaks(async () => {
    const server = await tcpServer();
    const { path } = await runtime("node", 24);
    // Were the server to rest for a tenth of a second after each, it would have half a minute of that before it.
    const { success } = await new Deno.Command(path, { args: ["-e", RESETS, `${server.port}`, "300"] }).output();
    assertEquals(success, true);
    const conn = Connection.fromTcp("127.0.0.1", server.port, { timeout: 10_000 });
    assertEquals(await conn.call(() => 1), 1);
    await conn.close();
    await server.stop();
  }),
);
