// Connection.fromWebSocket(): what is particular to it. What all transports have in common is in transports_conformance_test.ts.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { OptionsInit } from "../mod.ts";
import { Connection } from "../mod.ts";
import { noLeaks } from "./support/leaks.ts";

/** A server that upgrades every request. */
async function serving(
  accept: (socket: WebSocket) => void,
  body: (address: string) => Promise<void>,
): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    if (new URL(request.url).pathname === "/closed") return new Response("no", { status: 403 });
    const { socket, response } = Deno.upgradeWebSocket(request);
    accept(socket);
    return response;
  });
  try {
    await body(`ws://127.0.0.1:${server.addr.port}/`);
  } finally {
    await server.shutdown();
  }
}

Deno.test(
  "neither side of a WebSocket accepts calls unless told so, and what is exposed can be used",
  noLeaks(async () => {
    const ends: Connection[] = [];
    const expose = { greet: (name: string) => `hello ${name}` };
    await serving((socket) => ends.push(Connection.fromWebSocket(socket, { expose })), async (address) => {
      const conn = Connection.fromWebSocket(new URL(address));
      assertEquals(await conn.root<typeof expose>().greet("you"), "hello you");
      await assertRejects(async () => await conn.call(() => 1), Error, "acceptCalls");
      await assertRejects(async () => await ends[0]!.call(() => 1), Error, "acceptCalls");
      await conn.close();
      await ends[0]!.close();
    });
  }),
);

Deno.test(
  "both sides of a WebSocket prove a secret",
  noLeaks(async () => {
    const ends: Connection[] = [];
    const accept = (socket: WebSocket) =>
      void ends.push(Connection.fromWebSocket(socket, { secret: "open sesame", acceptCalls: true }));
    await serving(accept, async (address) => {
      const attempt = async (options: OptionsInit) => {
        const conn = Connection.fromWebSocket(address, options);
        try {
          return await conn.call((a: number, b: number) => a + b, 40, 2);
        } finally {
          await conn.close().catch(() => {});
        }
      };
      assertEquals(await attempt({ secret: "open sesame" }), 42);
      await assertRejects(() => attempt({ secret: "open barley" }), Error);
      await assertRejects(() => attempt({ timeout: 500 }), Error);
      for (const end of ends) await end.close().catch(() => {});
    });
  }),
);

Deno.test(
  "a server that does not want the WebSocket is told, without what is secret in its address",
  noLeaks(() =>
    serving(() => {}, async (address) => {
      const where = address.replace("//", "//me:word@");
      const error = await assertRejects(() => Connection.fromWebSocket(`${where}closed?token=1234`).ready(), Error);
      assert(error.message.startsWith(`Cannot connect to ${address}closed: `), error.message);
      assert(!/1234|word/.test(error.message), error.message);
    })
  ),
);

Deno.test(
  "text over a WebSocket ends the connection, and so does a close without a goodbye",
  noLeaks(() =>
    serving((socket) => {
      socket.onopen = () => socket.send("hello");
    }, async (address) => {
      const conn = Connection.fromWebSocket(address);
      await assertRejects(() => conn.ready(), Error, "The peer sent text over the WebSocket");
      await conn.close();
    })
  ),
);

Deno.test(
  "a WebSocket that the server closes says with which code",
  noLeaks(() =>
    serving((socket) => {
      socket.onopen = () => socket.close(4003, "too many");
    }, async (address) => {
      const conn = Connection.fromWebSocket(address);
      await assertRejects(() => conn.ready(), Error, `The WebSocket was closed with code 4003 ("too many")`);
      await conn.close();
    })
  ),
);

Deno.test("fromWebSocket() refuses what makes no sense", () => {
  assertThrows(() => Connection.fromWebSocket("ftp://localhost/"), DOMException);
  assertThrows(() => Connection.fromWebSocket({} as WebSocket), TypeError, "not a WebSocket");
});
