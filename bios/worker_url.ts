/**
 * Where a worker is started from that is to be a bare end. What it runs is `worker.ts`.
 *
 * @module
 */

import { workerSource } from "./embedded.ts";

/**
 * What to start a worker from that has nothing of its own: it waits for {@linkcode Connection.fromPort}, over which it gets across and all the rest.
 * Deno and browsers start it with `new Worker(workerUrl(), { type: "module" })`, Node and Bun with `new Worker(workerUrl())` of
 * `node:worker_threads`.
 *
 * @returns a `data:` URL; no permission is needed for it
 *
 * @example
 * ```ts
 * import { Connection, workerUrl } from "@x/across";
 * import { assertEquals } from "@std/assert";
 *
 * await using conn = Connection.fromPort(new Worker(workerUrl(), { type: "module" }), { acceptCalls: false });
 * assertEquals(await conn.execute("1 + 1"), 2);
 * ```
 */
export function workerUrl(): URL {
  // In Base64, as some runtimes do not decode the other form.
  return new URL(`data:text/javascript;base64,${btoa(workerSource)}`);
}
