// Connection.fromWebSocket(): what is particular to it. What all transports have in common is in transports_conformance_test.ts.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import type { OptionsInit } from "../mod.ts";
import { Connection } from "../mod.ts";
import type { Wire } from "../transports/wire.ts";
import { webSocketWire } from "../transports/websocket.ts";
import { condition, noLeaks } from "./support/leaks.ts";

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

Deno.test(
  "what Deno's WebSocket client would send in two halves goes in messages that are answered",
  noLeaks(async () => {
    const got: (string | number)[] = [];
    await serving((socket) => {
      socket.binaryType = "arraybuffer";
      socket.onmessage = ({ data }) => void got.push(typeof data === "string" ? data : data.byteLength);
    }, async (address) => {
      const wire = webSocketWire(address);
      wire.start({ data: () => {}, end: () => {} });
      for (const size of [1024, 2500, 70_000]) await wire.write(new Uint8Array(size));
      await condition(() => got.length === 6, "all to arrive");
      assertEquals(got, ["", 1024, 1024, 1024, 452, 70_000]);
      wire.abort();
      await wire.closed;
    });
  }),
);

Deno.test(
  "a WebSocket that said that it needs answers gets them, others get none",
  noLeaks(async () => {
    const wires: Wire[] = [];
    await serving((socket) => {
      const wire = webSocketWire(socket);
      wires.push(wire);
      wire.start({ data: (chunk) => void (chunk[0] === 1 && wire.write(Uint8Array.of(1))), end: () => {} });
    }, async (address) => {
      const socket = new WebSocket(address);
      socket.binaryType = "arraybuffer";
      const got: string[] = [];
      socket.onmessage = ({ data }) => void got.push(data === "" ? "text" : "bytes");
      await condition(() => socket.readyState === 1, "it to be open");
      const ask = async (data: Uint8Array<ArrayBuffer> | "", answers: string[]) => {
        socket.send(data);
        await condition(() => got.length >= answers.length, "answers");
        assertEquals(got.splice(0), answers);
      };
      await ask(new Uint8Array(1024).fill(1), ["bytes"]);
      await ask("", ["text"]);
      await ask(new Uint8Array(1024), ["text"]);
      await ask(new Uint8Array(10), ["text"]);
      await ask(new Uint8Array(1024).fill(1), ["text", "bytes"]);
      await ask(new Uint8Array(10).fill(1), ["bytes"]);
      const closed = new Promise((resolve) => socket.onclose = resolve);
      socket.close();
      await closed;
      for (const wire of wires) await wire.closed;
    });
  }),
);

Deno.test("fromWebSocket() refuses what makes no sense", () => {
  assertThrows(() => Connection.fromWebSocket("ftp://localhost/"), DOMException);
  assertThrows(() => Connection.fromWebSocket({} as WebSocket), TypeError, "not a WebSocket");
});
