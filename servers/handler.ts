/**
 * What all handlers have in common for those who use them, and the list of connections behind each. What a handler does with a connection is in the
 * file that has its name.
 *
 * @module
 */

import type { OptionsInit, SocketLike } from "../mod.ts";
import { Options } from "../mod.ts";
import { dropSocket } from "../runtime/listen.ts";
import type { Wire } from "../transports/wire.ts";
import { wires } from "../wires.ts";

/** What differs from one socket to the next. */
export interface HandleInit {
  /** What the client must prove to know, instead of the secret in the handler's options. */
  readonly secret?: string | Uint8Array;
}

/** One connection at work. */
export interface Served {
  /** Resolves when nothing of it is left. Never rejects. */
  readonly closed: Promise<unknown>;
  /** Says goodbye and waits, but not for ever. Never rejects. */
  close(): Promise<void>;
  /** Ends it now. */
  cancel(): void;
}

/** Begins to serve a client, which may have to prove itself yet, over what is behind a socket. */
export type Begin = (wire: Wire, socket: SocketLike) => Served;

/** Says how a handler begins. */
export let serveWith: (handler: ConnectionHandler, begin: Begin) => void;

/**
 * Serves connections that somebody accepts: {@linkcode runTcp}, {@linkcode runUnix}, or a loop of your own.
 *
 * @example A loop of one's own
 * ```ts
 * import { Connection } from "@x/across";
 * import { LocalConnectionHandler } from "@x/across/servers";
 * import { assertEquals } from "@std/assert";
 *
 * await using handler = new LocalConnectionHandler();
 * using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
 * const accepting = listener.accept().then((socket) => handler.handleSocket(socket));
 *
 * const conn = Connection.fromTcp("127.0.0.1", listener.addr.port);
 * assertEquals(await conn.call(() => 42), 42);
 * await conn.close();
 * await accepting;
 * ```
 */
export abstract class ConnectionHandler implements AsyncDisposable {
  /** Milliseconds that a client has to show what it wants, and that `close()` waits for it. */
  readonly timeout: number;
  readonly #secret: string | Uint8Array | undefined;
  readonly #open = new Set<Served>();
  #over: string | undefined;
  #closing: Promise<void> | undefined;
  #begin: Begin = () => {
    throw new TypeError("Cannot handle a socket as this handler does not say how: override handleSocket()");
  };

  static {
    serveWith = (handler, begin) => void (handler.#begin = begin);
  }

  /**
   * For those that extend it.
   *
   * @param options Of which `timeout` and `secret` count here.
   * @throws {TypeError} If an option makes no sense.
   */
  constructor(options: OptionsInit = {}) {
    const { timeout, secret } = options instanceof Options ? options : new Options(options);
    this.timeout = timeout;
    this.#secret = secret;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#open.size;
  }

  /** Whether every client has to prove that it knows a secret. */
  get hasSecret(): boolean {
    return this.#secret !== undefined;
  }

  /**
   * Serves a connection in the background, and owns the socket from then on.
   *
   * @param socket A `Deno.Conn`, or a socket of `node:net` or `node:tls`.
   * @param init What differs from the options of the handler.
   * @throws {Error} If the handler was closed or cancelled. The socket is closed then, too.
   */
  handleSocket(socket: SocketLike, init: HandleInit = {}): void {
    if (this.#over) {
      dropSocket(socket);
      throw new Error(`Cannot handle a socket as the handler ${this.#over}`);
    }
    const secret = init.secret ?? this.#secret;
    const wire = wires().socket(socket);
    const served = this.#begin(secret === undefined ? wire : wires().guarded(wire, secret, this.timeout), socket);
    this.#open.add(served);
    served.closed.then(() => this.#open.delete(served));
  }

  /** Ends all connections at once and kills what serves them. Never waits. */
  cancel(): void {
    this.#over = "was cancelled";
    for (const served of this.#open) served.cancel();
  }

  /**
   * Says goodbye to all clients, waits for up to `timeout`, and kills what is left. After `cancel()` it waits until all is gone. How a client ended
   * is no error of the handler.
   */
  close(): Promise<void> {
    this.#over ??= "is closed";
    return this.#closing ??= Promise.all([...this.#open].map((served) => served.close().then(() => served.closed)))
      .then(() => undefined);
  }

  /** The same as `close()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** How long `close()` is patient, in milliseconds, also where `timeout` is off. */
export const patienceOf = (timeout: number): number => timeout === Infinity ? 60_000 : timeout;
