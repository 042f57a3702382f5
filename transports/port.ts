/**
 * Wires over message ports: those of workers, of `MessageChannel`, and of `node:worker_threads`, on either side. A message is an `ArrayBuffer` with a
 * part of the stream, a number that says how many bytes were taken, so that the sender knows when to wait, or null, which ends its direction.
 *
 * @module
 */

import { runtime } from "../runtime/host.ts";
import type { Channel, Incoming } from "./messages.ts";
import { messageWire } from "./messages.ts";
import type { Wire } from "./wire.ts";

/** What is used of a `Worker` or `MessagePort` of the web, or of the global scope inside of a worker. */
export interface WebPortLike {
  /** Sends a message, and gives the buffers away. */
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  /** Adds a listener. */
  addEventListener(type: string, listener: () => void): void;
}

/** What is used of a `Worker` or `MessagePort` of `node:worker_threads`. */
export interface NodePortLike {
  /** Sends a message, and gives the buffers away. */
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  /** Adds a listener. */
  on(event: string, listener: () => void): unknown;
}

/** A worker, or one of the two ends of a channel of messages. */
export type PortLike = WebPortLike | NodePortLike;

type Share = (memory: SharedArrayBuffer) => void;

/** What some ports have beyond that. */
interface Endable {
  start?(): void;
  ref?(): void;
  unref?(): void;
  close?(): void;
  terminate?(): unknown;
  removeEventListener?(type: string, listener: () => void): void;
}

/** Bytes that the peer has not taken yet before the writer has to wait. */
const FULL = 1 << 20;

/** After so many bytes the peer is told that we took them. */
const TELL = 1 << 18;

function channelOf(port: PortLike & Endable, incoming: Incoming, share: Share | undefined): Channel {
  /** Sent and not taken yet; arrived and not told yet. */
  let waiting = 0, taken = 0;
  let free: (() => void) | undefined;
  let heard = false;
  const on = (event: string, listener: (value: never) => void) => {
    if ("on" in port) port.on(event, listener as () => void);
    else port.addEventListener(event, listener as () => void);
  };
  const message = (value: unknown) => {
    heard = true;
    if (value instanceof ArrayBuffer) {
      taken += value.byteLength;
      incoming.data(new Uint8Array(value));
      if (taken < TELL) return;
      port.postMessage(taken, []);
      taken = 0;
    } else if (value === null) {
      incoming.end();
    } else if (typeof value === "number" && value > 0 && value <= waiting) {
      waiting -= value;
      if (waiting >= FULL / 2) return;
      free?.();
      free = undefined;
    } else if (share && value instanceof SharedArrayBuffer) {
      share(value);
    } else {
      incoming.gone(new Error("The peer sent something else than bytes over the port"));
    }
  };
  const receive = "on" in port ? message : ({ data }: { data: unknown }) => message(data);
  on("message", receive);
  on("messageerror", () => incoming.gone(new Error("The peer sent something that cannot be read over the port")));
  on("close", () => incoming.gone());
  on("exit", () => incoming.gone());
  // In a worker's own scope it is told what nobody caught there, and so is whoever started it, unless that were prevented.
  if (port as object !== globalThis) {
    on("error", (event: { message?: string; preventDefault?(): void }) => {
      // In a browser a worker goes on after an error that nobody caught, elsewhere it ends.
      if (heard && runtime === "other") return;
      event.preventDefault?.();
      incoming.gone(new Error(`The worker failed: ${event.message || "it cannot be loaded"}`));
    });
  }
  port.start?.();
  return {
    post(chunk) {
      // Deno looks at every element of an array, once node:worker_threads was imported.
      const { buffer } = chunk.slice();
      waiting += buffer.byteLength;
      port.postMessage(buffer, [buffer]);
    },
    postEnd: () => port.postMessage(null, []),
    room: () => waiting < FULL ? undefined : new Promise((resolve) => free = resolve),
    async close() {
      // The global scope of a worker is not ours to end, but the worker may end once nobody listens.
      if (port as object === globalThis) port.removeEventListener?.("message", receive as () => void);
      else if (port.terminate) await port.terminate();
      else port.close?.();
    },
    hold: (on) => on ? port.ref?.() : port.unref?.(),
  };
}

/**
 * A wire over a message port, which it closes at its end. A worker is terminated then.
 *
 * @param port A worker, or one end of a channel of messages.
 * @param share Takes memory that the peer shares, which is an error otherwise.
 * @returns the wire
 * @throws {TypeError} when it is no port
 */
export function portWire(port: PortLike, share?: Share): Wire {
  if (typeof (port as Partial<PortLike> | null)?.postMessage !== "function") {
    throw new TypeError("Cannot connect over what is not a port: pass a Worker or MessagePort");
  }
  return messageWire((incoming) => channelOf(port, incoming, share));
}
