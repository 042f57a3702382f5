// What the bench of objects runs in workers of piscina, tinypool and comlink, and in a process that is driven by hand.

import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";

/** What pools call. */
export default function ({ job, n }) {
  return job === "bytes" ? new Uint8Array(1 << 20).fill(n) : n * n;
}

if (workerData?.comlink) {
  const { expose, transfer } = await import("npm:comlink@4.4.2");
  const { default: nodeEndpoint } = await import("npm:comlink@4.4.2/dist/esm/node-adapter.mjs");
  const bytes = (n) => {
    const value = new Uint8Array(1 << 20).fill(n);
    return transfer(value, [value.buffer]); // as its documentation recommends
  };
  expose({ square: (n) => n * n, bytes }, nodeEndpoint(parentPort));
}

if (process.send && process.argv.includes("by-hand")) {
  process.on("message", ({ id, job, n }) => {
    process.send({ id, value: job === "bytes" ? new Uint8Array(1 << 20).fill(n) : n * n });
  });
}
