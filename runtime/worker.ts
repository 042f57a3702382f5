/**
 * Where code that runs in a worker reaches whoever started that.
 *
 * @module
 */

import { builtin, nodeProcess } from "./host.ts";

/** The port of the worker that we are in: its global scope, or what `node:worker_threads` has for it. */
export async function workerPort(): Promise<unknown> {
  // In Bun, what a worker of node:worker_threads is sent reaches the port only.
  if (!nodeProcess && "postMessage" in globalThis) return globalThis;
  return (await builtin<{ readonly parentPort: unknown }>("node:worker_threads")).parentPort;
}
