// Connections that break at any byte, in either direction: every call is answered or rejected, and servers are left with nothing.

import { assert, assertEquals } from "@std/assert";
import { Connection, DisconnectError } from "../mod.ts";
import { condition, noLeaks } from "./support/leaks.ts";
import { HANDLERS, tcpServer } from "./support/servers.ts";

const CALLS = 10;
/** How many connections are cut: where each costs a child, fewer. */
const CUTS: Readonly<Record<string, number>> = { local: 120, process: 10, BIOS: 14 };

/** Numbers that look random, and are the same in every run. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

/** Lets so many bytes pass, and then breaks. */
function cutter(size: number): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk.slice(0, size));
      size -= chunk.length;
      if (size <= 0) controller.error(new Error("cut"));
    },
  });
}

/** Connects, and is cut: after so many bytes there, or back. Gives how many calls were answered. */
async function cutOff(port: number, there: number, back: number): Promise<number> {
  const socket = await Deno.connect({ hostname: "127.0.0.1", port });
  const up = cutter(there);
  const down = cutter(back);
  const flows = [up.readable.pipeTo(socket.writable), socket.readable.pipeTo(down.writable)];
  const closed = Promise.allSettled(flows).then(() => {
    try {
      socket.close();
    } catch {
      // Both directions are closed: then it is, too.
    }
  });
  const conn = Connection.fromTransport({
    readable: down.readable,
    writable: up.writable,
    closed,
    abort() {},
  }, { acceptCalls: false });
  const payload = new Uint8Array(3_000);
  const results = await Promise.allSettled(
    Array.from(
      { length: CALLS },
      async (_, n) => (await conn.call((it: Uint8Array, n: number) => it.length + n, payload, n)) - n,
    ),
  );
  for (const result of results) {
    if (result.status === "fulfilled") assertEquals(result.value, payload.length);
    else assert(result.reason instanceof DisconnectError, `${result.reason}`);
  }
  await conn.close().catch(() => {});
  await closed;
  return results.filter(({ status }) => status === "fulfilled").length;
}

for (const [name, make] of HANDLERS) {
  Deno.test(
    `connections that are cut at any byte lose no call silently, and leave nothing behind (${name})`,
    noLeaks(async () => {
      const handler = make({ timeout: 5_000 });
      const server = await tcpServer({ handler });
      const random = numbers(7);
      const next = () => random.next().value;
      let answered = 0;
      for (let left = CUTS[name]!; left > 0; left -= 2) {
        // A BIOS gets its kernel before anything else.
        const size = name === "BIOS" ? 90_000 : 34_000;
        const there = cutOff(server.port, Math.ceil(next() * size), 1e9);
        const back = cutOff(server.port, 1e9, Math.ceil(next() * 500));
        answered += await there + await back;
      }
      assert(answered < CUTS[name]! * CALLS, "nothing was cut");
      // A server that went through all this serves on.
      const conn = Connection.fromTcp("127.0.0.1", server.port);
      assertEquals(await conn.call(() => 42), 42);
      await conn.close();
      await condition(() => handler.connections === 0, "all connections are over");
      await server.stop();
      await handler.close();
    }),
  );
}
