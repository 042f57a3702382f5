/**
 * Where code that runs in a worker reaches whoever started that, and how one is started.
 *
 * @module
 */

import { builtin, deno, nodeProcess } from "./host.ts";

/** The port of the worker that we are in: its global scope, or what `node:worker_threads` has for it. */
export async function workerPort(): Promise<unknown> {
  // In Bun, what a worker of node:worker_threads is sent reaches the port only.
  if (!nodeProcess && "postMessage" in globalThis) return globalThis;
  return (await builtin<{ readonly parentPort: unknown }>("node:worker_threads")).parentPort;
}

/** Starts a worker. */
export async function startWorker(url: URL): Promise<unknown> {
  if (deno) return new Worker(url, { type: "module" });
  const { Worker: Thread } = await builtin<{ readonly Worker: new (url: URL) => unknown }>("node:worker_threads");
  return new Thread(url);
}
