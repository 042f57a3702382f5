// Connection.fromPort(): workers. What all transports have in common is in transports_conformance_test.ts, workers in Node and Bun are in
// node/smoke.ts.

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { toFileUrl } from "@std/path";
import { Worker as NodeWorker } from "node:worker_threads";
import { Connection, workerUrl } from "../mod.ts";
import { bundled } from "./support/bundle.ts";
import { noLeaks } from "./support/leaks.ts";

const program = await bundled("worker_peer");

const bare = (): Worker => new Worker(workerUrl(), { type: "module" });

Deno.test(
  "a worker that is started from workerUrl() runs functions, exported modules and across itself",
  noLeaks(async () => {
    const conn = Connection.fromPort(bare(), { acceptCalls: false });
    assertEquals(await conn.call((a: number, b: number) => a + b, 40, 2), 42);
    const url = new URL("./fixtures/remote/graph/main.ts", import.meta.url).href;
    await conn.export(url);
    assertEquals(await conn.execute<string>(`typeof await import(${JSON.stringify(url)})`), "object");
    assertEquals(await conn.execute<string>(`typeof (await import("@x/across")).Connection`), "function");
    const bytes = new Uint8Array(5_000_000).fill(7);
    assertEquals((await conn.call((it: Uint8Array) => it, bytes)).length, bytes.length);
    assertEquals(conn.status().peer?.runtime, "deno");
    await conn.close();
  }),
);

Deno.test(
  "a worker of node:worker_threads is a bare end under Deno, too",
  noLeaks(async () => {
    const conn = Connection.fromPort(new NodeWorker(workerUrl()), { acceptCalls: false });
    assertEquals(await conn.call((a: number, b: number) => a + b, 40, 2), 42);
    await conn.close();
  }),
);

Deno.test(
  "a worker can start further workers",
  noLeaks(async () => {
    const conn = Connection.fromPort(bare(), { acceptCalls: false });
    const hop = `
      const { Connection, workerUrl } = await import("@x/across");
      const next = Connection.fromPort(new Worker(workerUrl(), { type: "module" }), { acceptCalls: false });
      const result = await next.call((n) => 2 * n, 21);
      await next.close();
      result`;
    assertEquals(await conn.execute<number>(hop), 42);
    await conn.close();
  }),
);

Deno.test(
  "a worker with across of its own connects to whoever started it",
  noLeaks(async () => {
    const conn = Connection.fromPort(new Worker(toFileUrl(program), { type: "module" }), { acceptCalls: false });
    assertEquals(await conn.call((a: number, b: number) => a + b, 40, 2), 42);
    await conn.close();
  }),
);

Deno.test(
  "a worker that cannot be loaded, or throws, rejects ready() with the reason",
  noLeaks(async () => {
    for (
      const [url, reason] of [
        ["data:text/javascript,throw Error('no luck')", "no luck"],
        ["data:text/javascript,import 'file:///nowhere.js'", ""],
      ]
    ) {
      const conn = Connection.fromPort(new Worker(url!, { type: "module" }));
      const error = await assertRejects(() => conn.ready(), Error, "The worker failed: ");
      assert(error.message.includes(reason!), error.message);
      await conn.close();
    }
  }),
);

Deno.test(
  "what is no message of across over a port ends the connection",
  noLeaks(async () => {
    for (const message of ["text", { length: 1 }, -1, 1e9]) {
      const { port1, port2 } = new MessageChannel();
      const conn = Connection.fromPort(port1);
      port2.postMessage(message);
      await assertRejects(() => conn.ready(), Error, "The peer sent something else than bytes over the port");
      port2.close();
      await conn.close();
    }
  }),
);

Deno.test("fromPort() refuses what is no port", () => {
  assertThrows(() => Connection.fromPort({} as Worker), TypeError, "not a port");
  assertThrows(() => Connection.fromPort(null as unknown as Worker), TypeError, "not a port");
});
