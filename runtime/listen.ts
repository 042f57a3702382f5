/**
 * Listening by the means of each runtime: TCP, TLS and Unix sockets, a callback for each connection. Where Unix sockets are in the way of others is
 * `socket_files.ts`; what becomes of a connection is the business of `servers/`.
 *
 * @module
 */

import { builtin, deno } from "./host.ts";
import type { SocketFile } from "./socket_files.ts";
import type { DenoConnLike, NodeSocketLike, SocketLike } from "./sockets.ts";
import { LONGEST_TIMER } from "./waiting.ts";

/** A server's key and certificate, and whose clients it takes. */
export interface ServerTls {
  /** The certificate and those that it was signed with, in PEM. */
  readonly cert: string;
  /** Its private key, in PEM. */
  readonly key: string;
  /** Whether clients must have a certificate that is signed by one of `caCerts`. */
  readonly requestCert?: boolean;
  /** Certificates, in PEM, that sign those of clients. */
  readonly caCerts?: readonly string[];
}

/** Something that listens. */
export interface Listening {
  /** The port; 0 for a Unix socket. */
  readonly port: number;
  /** Stops to listen. What was accepted stays. */
  close(): Promise<void>;
}

/** What listeners tell. */
export interface ListenEvents {
  /** Gets a connection. */
  accept(socket: SocketLike): void;
  /** The listener broke. */
  fail(error: unknown): void;
}

/** What is used of a server of `node:net` or `node:tls`. */
interface NodeServer {
  listen(where: object, listening: () => void): unknown;
  address(): { readonly port?: number } | string | null;
  close(callback: () => void): unknown;
  on(event: string, listener: (value: never) => void): unknown;
  off(event: string, listener: (value: never) => void): unknown;
}
type Create = (options: object) => NodeServer;

/**
 * The system's error, of its class and with its code, which also says where we wanted to listen.
 *
 * @param where The address or path.
 * @param cause The system's.
 */
export function listenError(where: string, cause: Error & { code?: unknown }): Error {
  const Class = cause.constructor as ErrorConstructor;
  const error = new Class(`Cannot listen on ${where}: ${cause.message}`, { cause });
  return cause.code === undefined ? error : Object.assign(error, { code: cause.code });
}

/** How long accepting pauses when the system has no descriptor left, in milliseconds. */
const PAUSE = 100;

function listenDeno(listener: Deno.Listener, { accept, fail }: ListenEvents): Listening {
  let open = true;
  const run = async () => {
    while (open) {
      try {
        accept(await listener.accept() as unknown as DenoConnLike);
      } catch (error) {
        if (!open) return;
        const { BadResource, NotConnected, ConnectionReset, ConnectionAborted } = deno!.errors;
        if (error instanceof BadResource) return fail(error);
        // A client that was gone before it was taken: who comes next must not wait for that, or such clients could keep all others out.
        if ([NotConnected, ConnectionReset, ConnectionAborted].some((it) => error instanceof it)) continue;
        // Too many of them at once: there will be descriptors again.
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  };
  const running = run();
  return {
    port: (listener.addr as Deno.NetAddr).port ?? 0,
    close() {
      open = false;
      listener.close();
      return running;
    },
  };
}

/** Has a server of Node's making listen. */
function listenNode(server: NodeServer, event: string, where: object, events: ListenEvents): Promise<Listening> {
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.on(event, (socket: NodeSocketLike) => events.accept(socket));
    // A client that breaks off, or has the wrong certificate, is nobody's business but its own.
    server.on("tlsClientError", (_error: never) => {});
    server.listen(where, () => {
      server.off("error", reject);
      server.on("error", events.fail);
      const address = server.address();
      resolve({
        port: typeof address === "object" && address?.port || 0,
        // The callback would wait for all connections to end.
        close: () => Promise.resolve(void server.close(() => {})),
      });
    });
  });
}

/**
 * Listens on TCP; also on IPv4 where the address is `::`.
 *
 * @param host An address.
 * @param port The port; 0 for any.
 * @param events Gets connections.
 * @throws {Error} when that fails, as the system says it
 */
export async function listenTcp(host: string, port: number, events: ListenEvents): Promise<Listening> {
  if (deno) return listenDeno(deno.listen({ hostname: host, port }), events);
  const { createServer } = await builtin<{ createServer: Create }>("node:net");
  return await listenNode(createServer({ allowHalfOpen: true }), "connection", { host, port }, events);
}

/**
 * Listens on TCP with TLS, by the means of Node in every runtime, as only these know certificates of clients.
 *
 * @param host An address.
 * @param port The port; 0 for any.
 * @param tls Certificates.
 * @param timeout Milliseconds that the handshake of a client may take.
 * @param events Gets connections.
 * @throws {Error} when that fails, as the system says it, or where the runtime would take clients without a certificate
 */
export async function listenTls(
  host: string,
  port: number,
  tls: ServerTls,
  timeout: number,
  events: ListenEvents,
): Promise<Listening> {
  const { cert, key, requestCert = false, caCerts } = tls;
  const [major = 0, minor = 0] = deno ? deno.version.deno.split(".").map(Number) : [];
  if (deno && (major < 2 || major === 2 && minor < 8)) {
    throw new Error(`Cannot listen with TLS in Deno ${deno.version.deno}, which cannot ask for certificates: 2.8 can`);
  }
  const { createServer } = await builtin<{ createServer: Create }>("node:tls");
  const server = createServer({
    cert,
    key,
    requestCert,
    rejectUnauthorized: requestCert,
    ...(caCerts ? { ca: [...caCerts] } : {}),
    allowHalfOpen: true,
    handshakeTimeout: Math.min(timeout, LONGEST_TIMER),
  });
  return await listenNode(server, "secureConnection", { host, port }, events);
}

/**
 * Listens on a Unix socket that is nobody's but ours.
 *
 * @param file Where it is to be.
 * @param events Gets connections.
 * @throws {Error} when that fails, as the system says it
 */
export async function listenUnix(file: SocketFile, events: ListenEvents): Promise<Listening> {
  const create = deno ? undefined : (await builtin<{ createServer: Create }>("node:net")).createServer;
  const { path } = file;
  const listening = await file.create(async () => {
    try {
      if (!create) return listenDeno(deno!.listen({ transport: "unix", path }), events);
      return await listenNode(create({ allowHalfOpen: true }), "connection", { path }, events);
    } catch (error) {
      throw listenError(path, error as Error);
    }
  });
  return { port: 0, close: () => file.remove(() => listening.close()) };
}

/** All addresses of a name, in the order that the system prefers. */
export async function addressesOf(name: string): Promise<string[]> {
  type Dns = {
    lookup(
      name: string,
      options: { all: true },
      callback: (error: Error | null, found: { readonly address: string }[]) => void,
    ): void;
  };
  const { lookup } = await builtin<Dns>("node:dns");
  return await new Promise((resolve, reject) =>
    lookup(name, { all: true }, (error, found) => error ? reject(error) : resolve(found.map((it) => it.address)))
  );
}

/** Ends a socket at once. */
export function dropSocket(socket: SocketLike): void {
  try {
    if ("destroy" in socket) socket.destroy();
    else socket.close();
  } catch {
    // It is closed already.
  }
}

/**
 * Calls back when the process is asked to end: on SIGINT and SIGTERM.
 *
 * @param callback What to do then, instead of dying.
 * @returns what restores the old state
 */
export function onEnd(callback: () => void): () => void {
  const signals = ["SIGINT", "SIGTERM"] as const;
  type Process = { on(event: string, callback: () => void): void; off(event: string, callback: () => void): void };
  const node = (globalThis as { process?: Process }).process;
  for (const signal of signals) {
    if (deno) deno.addSignalListener(signal, callback);
    else node?.on(signal, callback);
  }
  return () => {
    for (const signal of signals) {
      if (deno) deno.removeSignalListener(signal, callback);
      else node?.off(signal, callback);
    }
  };
}
