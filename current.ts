/**
 * What code that runs here for a peer can find out about its call, and what is behind a proxy.
 *
 * @module
 */

import type { Connection } from "./connection.ts";
import { currentCall } from "./session/context.ts";
import { faceOf } from "./session/faces.ts";

/**
 * The connection that the call came over that is running, also behind `await`.
 *
 * @throws {Error} If this is not a part of a call.
 */
export function getConnection(): Connection {
  const call = currentCall();
  if (!call) throw new Error("Cannot tell the connection as no call from a peer is running");
  return call.connection as Connection;
}

/**
 * The signal of the call that is running: aborted when the caller cancels it or is gone.
 *
 * @throws {Error} If this is not a part of a call.
 */
export function getCallSignal(): AbortSignal {
  const call = currentCall();
  if (!call) throw new Error("Cannot tell the signal as no call from a peer is running");
  return call.signal;
}

/**
 * The connection that a proxy, path or result belongs to.
 *
 * @throws {TypeError} If it is none.
 */
export function getProxyConnection(proxy: object): Connection {
  const face = faceOf(proxy);
  if (!face) throw new TypeError("Cannot tell the connection of something that is not a proxy");
  return face.operator.connection as Connection;
}
