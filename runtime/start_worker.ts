/**
 * Starts workers, by the means of each runtime. What runs in one that reaches out of it is in `worker.ts`.
 *
 * @module
 */

import { builtinNow, deno } from "./host.ts";

/** What is used of a worker. */
export interface OwnWorker {
  postMessage(message: unknown, transfer?: readonly ArrayBuffer[]): void;
  on(event: "message", listener: (value: unknown) => void): unknown;
}

/**
 * Starts a worker.
 *
 * @throws {Error} When there are none here.
 */
export function startWorker(url: URL): OwnWorker {
  const { Worker: Native } = globalThis as unknown as { Worker?: new (url: URL, options: object) => OwnWorker };
  if (deno && Native) return new Native(url, { type: "module" });
  const threads = builtinNow<{ readonly Worker: new (url: URL) => OwnWorker }>("node:worker_threads");
  if (!threads) throw new Error("Cannot start workers in this runtime");
  return new threads.Worker(url);
}
