/**
 * Stream sockets of the system by the means of each runtime: connecting them over TCP and to Unix sockets. Encryption is in `tls.ts`; what a wire
 * makes of a socket is in `transports/socket.ts`.
 *
 * @module
 */

import { builtin, deno } from "./host.ts";

/** What is used of a `Deno.Conn`: a TCP, Unix or TLS connection. */
export interface DenoConnLike {
  /** Reads what there is, waiting for at least one byte; null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes a part at least, and says how many bytes that were. */
  write(chunk: Uint8Array): Promise<number>;
  /** Ends our direction. */
  closeWrite(): Promise<void>;
  /** Ends both. */
  close(): void;
}

/** What is used of a socket of `node:net` or `node:tls`. */
export interface NodeSocketLike {
  /** Whether it is closed. */
  readonly destroyed: boolean;
  /** Adds a listener. */
  on(event: string, listener: () => void): unknown;
  /** Writes bytes. */
  write(chunk: Uint8Array, callback: (error?: Error | null) => void): boolean;
  /** Ends our direction. */
  end(callback: () => void): unknown;
  /** Stops reading for a while. */
  pause(): unknown;
  /** Goes on reading. */
  resume(): unknown;
  /** Ends both directions. */
  destroy(): unknown;
}

/** A connected socket: a `Deno.Conn`, or one of `node:net` or `node:tls`. */
export type SocketLike = DenoConnLike | NodeSocketLike;

/** What is used of a `net.Socket` that connects. */
export interface ConnectingSocket extends NodeSocketLike {
  on(event: string, listener: (error: Error) => void): unknown;
  ref(): unknown;
  unref(): unknown;
}

interface Net {
  connect(options: object): ConnectingSocket;
}

interface Dns {
  lookup(host: string, options: { all: true }, callback: (error: Error | null, found: Address[]) => void): void;
}

interface Address {
  readonly address: string;
}

/** Who wants a socket. */
export interface Wanted<T> {
  /**
   * Takes the socket, at the very moment that it is connected: the error of what breaks at once has to be heard.
   *
   * @param socket The socket.
   */
  take(socket: SocketLike): T;
  /** Says that it is not wanted any more. */
  readonly signal: AbortSignal;
}

/** How long one address may take before the next one is tried as well, in milliseconds (RFC 8305). */
const STAGGER = 250;

/**
 * How long Deno may go on connecting when nobody wants the socket any more, in milliseconds. Where it is told so in the moment that the connection
 * comes about, it loses the socket, which stays open then: about once in 4,000 times where the other side is near. What has not come about within this
 * time is unlikely to do so in that very moment.
 */
const GRACE = 250;

/** Waits for a connection of Deno's, but not any longer than it is wanted; that the signal aborts is told Deno with a delay. */
function denoSocket<T>(
  connect: (signal: AbortSignal) => Promise<DenoConnLike>,
  { take, signal }: Wanted<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    const connecting = connect(controller.signal)
      .then((conn) => signal.aborted ? conn.close() : resolve(take(conn)))
      .catch(reject);
    signal.addEventListener("abort", () => {
      const give = () => {
        clearTimeout(timer);
        controller.abort();
        reject(signal.reason);
      };
      const timer = setTimeout(give, GRACE);
      connecting.then(give);
    }, { once: true });
  });
}

/** One error for many of which all are about the same thing. */
function allErrors(errors: readonly Error[]): Error {
  const [first] = errors;
  if (errors.length === 1) return first!;
  return Object.assign(new AggregateError(errors, errors.map(({ message }) => message).join(", ")), {
    code: (first as { code?: unknown }).code,
  });
}

/**
 * Tries sockets of Node's one after the other: the next one when one has failed or takes long. The first one to connect wins.
 *
 * @param attempts Begin to connect.
 * @param event What a socket emits when it is ready.
 * @param wanted Gets the socket.
 * @returns what became of it
 */
export function firstOf<T>(
  attempts: readonly (() => ConnectingSocket)[],
  event: "connect" | "secureConnect",
  { take, signal }: Wanted<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const open = new Set<NodeSocketLike>();
    const errors: Error[] = [];
    let next = 0;
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const finish = () => {
      over = true;
      clearTimeout(timer);
      for (const socket of open) socket.destroy();
    };
    const start = () => {
      clearTimeout(timer);
      if (next === attempts.length) {
        if (open.size) return;
        finish();
        return reject(allErrors(errors));
      }
      const socket = attempts[next++]!();
      // Who waits for the connection meanwhile holds the event loop by other means.
      socket.unref();
      open.add(socket);
      socket.on(event, () => {
        open.delete(socket);
        if (over) return;
        finish();
        socket.ref();
        resolve(take(socket));
      });
      socket.on("error", (error: Error) => {
        if (over) return;
        open.delete(socket);
        errors.push(error);
        start();
      });
      timer = setTimeout(start, STAGGER);
    };
    signal.addEventListener("abort", () => {
      if (over) return;
      finish();
      reject(signal.reason);
    }, { once: true });
    start();
  });
}

/**
 * All addresses of a host.
 *
 * @param host A name or address.
 * @returns the addresses, in the order that the system prefers
 */
export async function resolve(host: string): Promise<string[]> {
  const { lookup } = await builtin<Dns>("node:dns");
  return await new Promise((resolve, reject) =>
    lookup(host, { all: true }, (error, found) => error ? reject(error) : resolve(found.map((it) => it.address)))
  );
}

/**
 * Connects over TCP. All addresses of the host are tried.
 *
 * @param host A name or address.
 * @param port The port.
 * @param wanted Gets the socket.
 * @returns what became of it
 * @throws {Error} when that fails, as the system says it
 */
export async function connectTcp<T>(host: string, port: number, wanted: Wanted<T>): Promise<T> {
  const { signal } = wanted;
  // Versions of Deno before 2.9 take no notice of the signal, nor of other addresses than the first.
  if (deno) return await denoSocket((signal) => deno!.connect({ hostname: host, port, signal }), wanted);
  const [{ connect }, addresses] = await Promise.all([builtin<Net>("node:net"), resolve(host)]);
  signal.throwIfAborted();
  return await firstOf(addresses.map((address) => () => connect({ host: address, port })), "connect", wanted);
}

/**
 * Connects to a Unix socket.
 *
 * @param path Where it is.
 * @param wanted Gets the socket.
 * @returns what became of it
 * @throws {Error} when that fails, as the system says it
 */
export async function connectUnix<T>(path: string, wanted: Wanted<T>): Promise<T> {
  if (deno) return await denoSocket(() => deno!.connect({ transport: "unix", path }), wanted);
  const { connect } = await builtin<Net>("node:net");
  return await firstOf([() => connect({ path })], "connect", wanted);
}
