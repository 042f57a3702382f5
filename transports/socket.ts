/**
 * Wires over sockets: one that is connected, or that we connect over TCP or to a Unix socket.
 *
 * @module
 */

import type { DenoConnLike, SocketLike, Wanted } from "../runtime/sockets.ts";
import { connectTcp, connectUnix } from "../runtime/sockets.ts";
import type { Sink } from "./join.ts";
import { createSource, ignore, joinWire } from "./join.ts";
import { lateWire } from "./late.ts";
import type { NodeReadable, NodeWritable } from "./node_streams.ts";
import { nodeSink, nodeSource } from "./node_streams.ts";
import type { Wire } from "./wire.ts";

/** As much as a socket has at once, most of the time. */
const BUFFER_SIZE = 65536;
/** What one waits with for the first of it: of a thousand connections most have nothing to say, and calls are smaller than that. */
const WAITING_SIZE = 4096;
/** Large buffers that no socket reads into now, and how many of them are kept. */
const spares: Uint8Array<ArrayBuffer>[] = [];
const SPARES = 4;

/** What some sockets have beyond that, under the same names in all runtimes. */
interface Tunable {
  setNoDelay?(on: boolean): unknown;
  setKeepAlive?(on: boolean): unknown;
  allowHalfOpen?: boolean;
  readonly server?: object | null;
  ref?(): unknown;
  unref?(): unknown;
}

/** A socket of Deno's: one resource for both directions, which is freed when both have ended. */
function denoWire(conn: DenoConnLike): Wire {
  let open = 2;
  let closed = false;
  let free = ignore;
  const freed = new Promise<void>((resolve) => free = resolve);
  const close = () => {
    if (closed) return;
    closed = true;
    try {
      conn.close();
    } catch {
      // Somebody else did.
    }
    free();
  };
  const half = () => {
    if (!--open) close();
  };
  const source = createSource(async (data) => {
    const small = new Uint8Array(WAITING_SIZE);
    let buffer = small;
    try {
      for (let size; (size = await conn.read(buffer)) !== null;) {
        const wait = data(buffer.subarray(0, size));
        if (wait) await wait;
        if (size >= WAITING_SIZE) {
          if (buffer === small) buffer = spares.pop() ?? new Uint8Array(BUFFER_SIZE);
        } else if (buffer !== small) {
          if (spares.length < SPARES) spares.push(buffer);
          buffer = small;
        }
      }
    } finally {
      half(); // also where it breaks while we say goodbye
    }
  }, close);
  let writing: Promise<void> | undefined;
  const rest = async (chunk: Uint8Array) => {
    while (chunk.length) chunk = chunk.subarray(await conn.write(chunk));
  };
  const sink: Sink = {
    write: (chunk) => writing = rest(chunk),
    async end() {
      try {
        await writing;
        await conn.closeWrite();
      } catch {
        // It broke, which the source tells.
      }
      half();
    },
    stop: close,
    done: freed,
  };
  return joinWire({ ...source, done: Promise.all([source.done, freed]).then(ignore) }, sink);
}

/**
 * A wire over a connected socket, which it closes at its end.
 *
 * @param socket Of Deno's or Node's making.
 * @returns the wire
 * @throws {TypeError} when it is not a socket
 */
export function socketWire(socket: SocketLike): Wire {
  const { setNoDelay, setKeepAlive, ref, unref } = Object(socket) as Tunable;
  const isDeno = typeof (socket as Partial<DenoConnLike> | null)?.closeWrite === "function";
  if (!isDeno && typeof (socket as Partial<NodeReadable> | null)?.destroy !== "function") {
    throw new TypeError(
      "Cannot connect over what is not a socket: pass a Deno.Conn, or a socket of node:net or node:tls",
    );
  }
  // A small message must not wait until the one before it was acknowledged. Unix sockets know no such thing.
  setNoDelay?.call(socket, true);
  setKeepAlive?.call(socket, true);
  const hold = (on: boolean) => void (on ? ref : unref)?.call(socket);
  // Deno does not tell who dialled, Node does: what the listener was.
  if (isDeno) return { ...denoWire(socket as DenoConnLike), hold, accepted: true };
  const stream = socket as object as NodeReadable & NodeWritable & Tunable;
  stream.allowHalfOpen = true; // otherwise Node ends our direction with the peer's
  return joinWire(nodeSource(stream), nodeSink(stream), { hold, accepted: stream.server !== null });
}

/**
 * A wire over a socket that is being connected.
 *
 * @param where What it connects to, for messages.
 * @param connect Connects it.
 * @returns the wire; `opened` rejects with the system's reason
 */
export function connectedWire(where: string, connect: (wanted: Wanted<Wire>) => Promise<Wire>): Wire {
  const controller = new AbortController();
  const { signal } = controller;
  const opening = connect({ take: socketWire, signal }).catch((error) => {
    throw signal.aborted ? error : connectError(where, error);
  });
  return lateWire(opening, (reason) => controller.abort(reason));
}

/** The system's error, of its class and with its code, which also says what we wanted. */
function connectError(where: string, cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause;
  const { code } = cause as { code?: unknown };
  const Class = (cause instanceof AggregateError ? Error : cause.constructor) as ErrorConstructor;
  const error = new Class(`Cannot connect to ${where}: ${cause.message}`, { cause });
  return code === undefined ? error : Object.assign(error, { code });
}

/**
 * Checks where TCP is to lead to.
 *
 * @param host A name or address; an IPv6 address may stand in brackets.
 * @param port The port.
 * @returns the host without brackets, and what messages call both
 * @throws {TypeError} when the host is no host
 * @throws {RangeError} when the port is no port
 */
export function checkAddress(host: string, port: number): { readonly host: string; readonly where: string } {
  if (typeof host !== "string" || !host) {
    throw new TypeError("Cannot connect without a host: pass a name or an address");
  }
  if (!(Number.isInteger(port) && port > 0 && port < 65536)) {
    throw new RangeError(`Cannot connect to port ${String(port)}: pass a whole number from 1 to 65535`);
  }
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  return { host: bare, where: `${bare.includes(":") ? `[${bare}]` : bare}:${port}` };
}

/**
 * A wire over TCP.
 *
 * @param host A name or address.
 * @param port The port.
 * @returns the wire; `opened` rejects with the system's reason
 * @throws {TypeError} when the host is no host
 * @throws {RangeError} when the port is no port
 */
export function tcpWire(host: string, port: number): Wire {
  const { host: bare, where } = checkAddress(host, port);
  return connectedWire(where, (wanted) => connectTcp(bare, port, wanted));
}

/**
 * A wire over a Unix socket.
 *
 * @param path Where it is.
 * @returns the wire; `opened` rejects with the system's reason
 * @throws {TypeError} when the path is no path
 */
export function unixWire(path: string): Wire {
  if (typeof path !== "string" || !path) {
    throw new TypeError("Cannot connect without a path: pass that of a Unix socket");
  }
  return connectedWire(path, (wanted) => connectUnix(path, wanted));
}
