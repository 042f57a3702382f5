/**
 * Stage 1 of the BIOS for workers: greets over the worker's port, and starts the kernel that comes back. `scripts/embed.ts` makes one text of it and
 * all that it imports, which `worker_url.ts` gives out; it is never imported.
 *
 * @module
 */

import { inflate } from "../runtime/deflate.ts";
import { runtime, runtimeVersion } from "../runtime/host.ts";
import { workerPort } from "../runtime/worker.ts";
import type { PortLike } from "../transports/port.ts";
import { portWire } from "../transports/port.ts";
import type { Wire, WireReceiver } from "../transports/wire.ts";
import type { BootInit } from "./boot.ts";

/** More than this is no kernel. */
const LIMIT = 1 << 24;

/** Whoever started us may share memory with what runs here. */
const share = (memory: SharedArrayBuffer): void => {
  (globalThis as { [key: symbol]: unknown })[Symbol.for("across.memory")] = memory;
};

const wire = portWire(await workerPort() as PortLike, share);

/** What has arrived and is not used yet, and who wants it. */
let bytes = new Uint8Array();
let receiver: WireReceiver | undefined;
let ended = false;
let reason: unknown;
let arrived = (): void => {};

wire.start({
  data(chunk) {
    if (receiver) return receiver.data(chunk);
    const all = new Uint8Array(bytes.length + chunk.length);
    all.set(bytes);
    all.set(chunk, bytes.length);
    bytes = all;
    arrived();
  },
  end(error) {
    if (receiver) return receiver.end(error);
    ended = true;
    reason = error;
    arrived();
  },
});

/** Takes so many bytes of what arrives; for ever, where they do not come. */
async function take(size: number): Promise<Uint8Array> {
  while (bytes.length < size) await new Promise<void>((resolve) => arrived = resolve);
  const taken = bytes.subarray(0, size);
  bytes = bytes.subarray(size);
  return taken;
}

wire.write(new TextEncoder().encode(`~across1 ${runtime} ${runtimeVersion}~`));
let size: number;
// Eight bytes that are no positive number are a part of what the dialler had sent before it saw the greeting.
do size = Number(new TextDecoder().decode(await take(8))); while (!(size > 0));
const payload = (await take(size)).slice();
const kernel = new TextDecoder().decode(await inflate(payload, LIMIT));
const init: Omit<BootInit, "evaluate"> = {
  payload,
  wire: {
    ...wire,
    start(to): void {
      receiver = to;
      // Not at once: who starts to read has something to write first.
      queueMicrotask(() => {
        if (bytes.length) to.data(bytes);
        if (ended) to.end(reason);
      });
    },
  } satisfies Wire,
};
// As in the other stage 1: a function is loaded faster than a module.
Function("init", kernel)(init);
