/**
 * Servers that run until they are told to stop. What they do with a connection is the handler's business, how one listens is in `runtime/listen.ts`.
 *
 * @module
 */

import type { SocketLike } from "../mod.ts";
import type { ListenEvents, Listening, ServerTls } from "../runtime/listen.ts";
import { addressesOf, dropSocket, listenError, listenTcp, listenTls, listenUnix, onEnd } from "../runtime/listen.ts";
import { SocketFile } from "../runtime/socket_files.ts";
import { deferred } from "../runtime/waiting.ts";
import type { ConnectionHandler } from "./handler.ts";
import { LocalConnectionHandler } from "./local.ts";

export type { ServerTls };

/** Where a server listens. */
export interface ListenAddress {
  /** What the clients dial: `tcp` with or without TLS, or `unix`. */
  readonly transport: "tcp" | "unix";
  /** The address; for a Unix socket its path. */
  readonly hostname: string;
  /** The port; 0 for a Unix socket. */
  readonly port: number;
}

/** What {@linkcode runTcp} and {@linkcode runUnix} can be told. */
export interface RunInit {
  /** Serves the connections. By default a {@linkcode LocalConnectionHandler}, which is closed at the end; one that is given is not. */
  readonly handler?: ConnectionHandler;
  /** Ends the server when it is aborted. */
  readonly signal?: AbortSignal;
  /** Called once, when clients can connect. */
  readonly onListen?: (address: ListenAddress) => void;
  /** What every client must prove to know, instead of what the handler's options say. It authenticates, it does not encrypt. */
  readonly secret?: string | Uint8Array;
  /** Makes it TLS. Not for Unix sockets. */
  readonly tls?: ServerTls;
  /** Whether strangers may connect from elsewhere: without it, only loopback is listened on unless there is a secret, or TLS with `caCerts` and `requestCert`. */
  readonly insecure?: boolean;
  /** How many connections there may be at a time; more are closed at once. Unlimited by default. */
  readonly maxConnections?: number;
}

const NAMES = ["handler", "signal", "onListen", "secret", "tls", "insecure", "maxConnections"];

function checkInit(init: RunInit): void {
  for (const name of Object.keys(init)) {
    if (!NAMES.includes(name)) throw new TypeError(`Cannot use option "${name}": there are ${NAMES.join(", ")}`);
  }
  const { maxConnections = 1, secret } = init;
  if (!(maxConnections >= 1)) {
    throw new RangeError(`Cannot use ${maxConnections} as option maxConnections: it takes numbers from 1 on`);
  }
  if (secret !== undefined && typeof secret !== "string" && !(secret instanceof Uint8Array)) {
    throw new TypeError(`Cannot use a ${typeof secret} as option secret: it takes a string or bytes`);
  }
  if (secret?.length === 0) throw new RangeError("Cannot use an empty secret");
}

/** Whether an address belongs to this machine alone. */
function isLoopback(address: string): boolean {
  return /^127(?:\.\d{1,3}){3}$|^::1$|^::ffff:127(?:\.\d{1,3}){3}$/i.test(address);
}

/** Refuses to offer a shell to everybody. */
function checkExposure(host: string, addresses: readonly string[], init: RunInit): void {
  const { handler, secret, tls, insecure } = init;
  if (insecure || secret !== undefined || handler?.hasSecret) return;
  if (tls?.requestCert && tls.caCerts?.length) return;
  if (addresses.every(isLoopback)) return;
  throw new Error(
    `Cannot listen on ${host}, where others than this machine can connect: pass a secret, or tls with requestCert and caCerts, or insecure: true`,
  );
}

/** Runs a server until it is told to stop, or the listener breaks. */
async function run(
  init: RunInit,
  listen: (events: ListenEvents, handler: ConnectionHandler) => Promise<{ close(): Promise<void> }>,
): Promise<void> {
  const { signal, secret, maxConnections = Infinity } = init;
  if (signal?.aborted) return;
  const handler = init.handler ?? new LocalConnectionHandler();
  const end = deferred<void>();
  const stop = () => end.resolve();
  signal?.addEventListener("abort", stop);
  const forget = onEnd(stop);
  try {
    const accept = (socket: SocketLike) => {
      if (handler.connections >= maxConnections) return dropSocket(socket);
      try {
        handler.handleSocket(socket, secret === undefined ? {} : { secret });
      } catch (error) {
        end.reject(error);
      }
    };
    const listening = await listen({ accept, fail: end.reject }, handler);
    try {
      await end.promise;
    } finally {
      await listening.close();
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    forget();
    if (!init.handler) await handler.close();
  }
}

/** Listens on all addresses of a host, on the same port. */
async function listenAll(
  addresses: readonly string[],
  port: number,
  listen: (address: string, port: number) => Promise<Listening>,
): Promise<Listening> {
  const open: Listening[] = [];
  try {
    for (const address of addresses) {
      try {
        const listening = await listen(address, open[0]?.port ?? port);
        open.push(listening);
      } catch (error) {
        // A machine may know an address in its hosts file that it does not have.
        if (!open.length || !/EADDRNOTAVAIL|not avail|assign requested/i.test(String(error))) {
          const where = address.includes(":") ? `[${address}]` : address;
          throw listenError(`${where}:${open[0]?.port ?? port}`, error as Error);
        }
      }
    }
    return {
      port: open[0]!.port,
      close: () => Promise.all(open.map((it) => it.close())).then(() => undefined),
    };
  } catch (error) {
    for (const it of open) await it.close();
    throw error;
  }
}

/**
 * Serves clients over TCP, with or without TLS, until SIGINT, SIGTERM, or a signal of yours.
 *
 * @param host An address, or a name, all addresses of which are listened on. `"::"` stands for all of the machine, IPv4 too.
 * @param port The port; 0 for any, of which `onListen` tells.
 * @param init Who serves them, and under which conditions.
 * @throws {Error} If one cannot listen there, or strangers could connect and nothing keeps them out: then before it listens.
 *
 * @example
 * ```ts
 * import { Connection } from "@x/across";
 * import { runTcp } from "@x/across/servers";
 * import { assertEquals } from "@std/assert";
 *
 * const secret = crypto.getRandomValues(new Uint8Array(16));
 * const controller = new AbortController();
 * const { promise, resolve } = Promise.withResolvers<number>();
 * const running = runTcp("127.0.0.1", 0, {
 *   secret,
 *   signal: controller.signal,
 *   onListen: ({ port }) => resolve(port),
 * });
 *
 * const conn = Connection.fromTcp("127.0.0.1", await promise, { secret });
 * assertEquals(await conn.call((n: number) => n + 1, 41), 42);
 * await conn.close();
 * controller.abort();
 * await running;
 * ```
 */
export async function runTcp(host: string, port: number, init: RunInit = {}): Promise<void> {
  checkInit(init);
  if (typeof host !== "string" || !host) throw new TypeError("Cannot listen without a host: pass a name or an address");
  if (!(Number.isInteger(port) && port >= 0 && port < 65536)) {
    throw new RangeError(`Cannot listen on port ${String(port)}: pass a whole number from 0 to 65535`);
  }
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  const addresses = await addressesOf(bare).catch((error) => {
    throw listenError(bare, error);
  });
  checkExposure(bare, addresses, init);
  await run(init, async (events, handler) => {
    const { tls } = init;
    const listening = await listenAll(
      [...new Set(addresses)],
      port,
      (address, port) =>
        tls ? listenTls(address, port, tls, handler.timeout, events) : listenTcp(address, port, events),
    );
    init.onListen?.({ transport: "tcp", hostname: addresses[0]!, port: listening.port });
    return listening;
  });
}

/**
 * Serves clients over a Unix socket, which only the own user can connect to, until SIGINT, SIGTERM, or a signal of yours. A socket that nobody listens
 * on is replaced; anything else that is there stays.
 *
 * @param path Where the socket is to be.
 * @param init Who serves them, and under which conditions; without `tls`.
 * @throws {Error} If one cannot listen there.
 * @throws {TypeError} If it is to be TLS.
 *
 * @example
 * ```ts
 * import { Connection } from "@x/across";
 * import { runUnix } from "@x/across/servers";
 * import { assertEquals } from "@std/assert";
 *
 * const path = `${await Deno.makeTempDir()}/socket`;
 * const controller = new AbortController();
 * const { promise, resolve } = Promise.withResolvers<unknown>();
 * const running = runUnix(path, { signal: controller.signal, onListen: resolve });
 *
 * await promise;
 * const conn = Connection.fromUnix(path);
 * assertEquals(await conn.call((n: number) => n + 1, 41), 42);
 * await conn.close();
 * controller.abort();
 * await running;
 * ```
 */
export async function runUnix(path: string, init: RunInit = {}): Promise<void> {
  checkInit(init);
  if (typeof path !== "string" || !path) {
    throw new TypeError("Cannot listen without a path: pass that of a Unix socket");
  }
  if (init.tls) throw new TypeError("Cannot use TLS on a Unix socket: the file's rights say who may connect");
  await run(init, async (events) => {
    const listening = await listenUnix(new SocketFile(path), events);
    init.onListen?.({ transport: "unix", hostname: path, port: 0 });
    return listening;
  });
}
