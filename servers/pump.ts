/**
 * Passing bytes between a client and the child process that serves it. The child is started once the client has shown that it speaks our protocol, and
 * ends with the connection, or when it does not end by itself. Where the child can have the client's socket, nothing is passed from then on: that is
 * the business of `given.ts`.
 *
 * @module
 */

import type { SocketLike } from "../mod.ts";
import type { GivenSocket } from "../runtime/give.ts";
import { giveSocket } from "../runtime/give.ts";
import { ignore, within } from "../runtime/waiting.ts";
import { SUPERBLOCK_SIZE } from "../protocol/superblock.ts";
import type { Wire } from "../transports/wire.ts";
import { ClientStream, GOODBYE_FRAME } from "./client_stream.ts";
import type { Served } from "./handler.ts";
import { patienceOf } from "./handler.ts";

/** What a pump needs. */
export interface PumpInit {
  /** Whether the client boots the child. */
  readonly boots: boolean;
  /** Milliseconds that the client has for its handshake, and the child for its end. */
  readonly timeout: number;
  /** Starts the child and gives a wire to it, which kills it when it is aborted, as the signal does before. Called once at most. */
  start(signal: AbortSignal): Promise<Wire>;
  /** The client's socket. */
  readonly socket: SocketLike;
  /**
   * Serves the client with a child that has its socket, where that is possible. Called once at most, and instead of `start`.
   *
   * @param socket The socket.
   * @param head What was read of it already.
   */
  give(socket: GivenSocket, head: Uint8Array): Served;
}

/** One direction: writes one chunk after the other, whoever hands them in. */
class Direction {
  readonly #to: Promise<Wire>;
  #broken: (error: unknown) => void;
  #wire: Wire | undefined;
  #writing: Promise<void> | undefined;

  /**
   * Begins with nothing to write.
   *
   * @param to What is written to.
   * @param broken Called once, when that takes nothing any more. Its wire does not tell as long as what came from it waits for the other direction.
   */
  constructor(to: Promise<Wire>, broken: (error: unknown) => void) {
    this.#to = to;
    this.#broken = broken;
    to.then((wire) => this.#wire = wire, ignore);
  }

  /** Writes; a promise says that the chunk must stay as it is, and that no more should come. */
  write(chunk: Uint8Array): Promise<void> | undefined {
    if (this.#wire && !this.#writing) return this.#wait(this.#wire.write(chunk));
    const copy = chunk.slice();
    return this.#wait((this.#writing ?? this.#to).then(async () => await (await this.#to).write(copy)));
  }

  #wait(done: Promise<void> | undefined): Promise<void> | undefined {
    if (!done) return;
    const writing = done.catch((error) => {
      this.#broken(error);
      this.#broken = ignore;
    }).then(() => {
      if (this.#writing === writing) this.#writing = undefined;
    });
    return this.#writing = writing;
  }

  /** Ends the direction after what was written so far. */
  async end(): Promise<void> {
    await this.#writing;
    await this.#to.then((wire) => wire.end(), ignore);
  }
}

/** A client and its child. */
export class Pump implements Served {
  readonly closed: Promise<void>;
  readonly #client: Wire;
  readonly #init: PumpInit;
  readonly #stream: ClientStream;
  readonly #toClient: Direction;
  #child: Promise<Wire> | undefined;
  #toChild: Direction | undefined;
  /** The child, where it has the socket. */
  #given: Served | undefined;
  /** What came before the child was started. */
  #head = new Uint8Array(0);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closing = false;
  /** Whether we said goodbye in the client's place: what it still says is for nobody. */
  #deaf = false;
  readonly #cancelled = new AbortController();

  /** Begins to read what the client sends. */
  constructor(client: Wire, init: PumpInit) {
    this.#client = client;
    this.#init = init;
    this.#stream = new ClientStream(init.boots);
    this.#toClient = new Direction(Promise.resolve(client), (error) => client.abort(error));
    client.opened?.catch(ignore);
    client.start({
      data: (chunk) => this.#fromClient(chunk),
      end: (error) => this.#clientEnded(error),
    });
    this.#patience(() => this.cancel());
    this.closed = client.closed
      .then(() => this.#given?.closed ?? this.#child?.then((child) => child.closed, ignore))
      .then(() => clearTimeout(this.#timer));
  }

  #patience(then: () => void): void {
    clearTimeout(this.#timer);
    const { timeout } = this.#init;
    if (timeout < Infinity) this.#timer = setTimeout(then, timeout);
  }

  #fromClient(chunk: Uint8Array): Promise<void> | void {
    if (this.#deaf || this.#cancelled.signal.aborted) return;
    const wasGreeted = this.#stream.greeted;
    let size: number;
    try {
      size = this.#stream.take(chunk, this.#closing);
    } catch {
      return this.cancel();
    }
    chunk = chunk.subarray(0, size);
    if (!this.#child) {
      const joined = new Uint8Array(this.#head.length + chunk.length);
      joined.set(this.#head);
      joined.set(chunk, this.#head.length);
      this.#head = joined;
      if (!this.#stream.opened) return;
      if (!this.#closing && this.#give(joined)) return;
      chunk = joined;
      this.#start();
    }
    if (!wasGreeted && this.#stream.greeted) clearTimeout(this.#timer);
    const wait = this.#toChild!.write(chunk);
    if (this.#closing && this.#stream.between) this.#sayGoodbye();
    return wait;
  }

  /** Lets a child have the socket. A client that has said more than one says before the greeting had better be looked after. */
  #give(head: Uint8Array): boolean {
    const { boots, socket, give } = this.#init;
    const given = boots && head.length > SUPERBLOCK_SIZE ? undefined : giveSocket(socket);
    if (!given) return false;
    clearTimeout(this.#timer);
    const client = this.#client;
    try {
      this.#given = give(given, head);
      this.#given.closed.then(() => client.abort());
    } catch (error) {
      client.abort(error);
    }
    return true;
  }

  #start(): void {
    const child = this.#child = this.#init.start(this.#cancelled.signal);
    this.#toChild = new Direction(child, () => this.#patience(() => this.cancel()));
    child.then((wire) => {
      wire.opened?.catch(ignore);
      wire.start({
        data: (chunk) => this.#toClient.write(chunk),
        end: () => {
          void this.#toClient.end();
          // A client that does not mind is not waited for either.
          this.#patience(() => this.cancel());
        },
      });
      if (this.#cancelled.signal.aborted) wire.abort();
    }, () => this.#client.abort());
  }

  #clientEnded(error?: unknown): void {
    if (this.#given) return;
    if (error !== undefined) this.#client.abort(error);
    if (!this.#child) return void this.#client.end();
    void this.#toChild!.end();
    // A child that is busy does not see that.
    this.#patience(() => this.cancel());
  }

  #sayGoodbye(): void {
    this.#deaf = true;
    this.#toChild!.write(GOODBYE_FRAME);
    void this.#toChild!.end();
  }

  async close(): Promise<void> {
    this.#closing = true;
    if (this.#given) return await this.#given.close();
    if (!this.#child) return this.cancel();
    if (this.#stream.between) this.#sayGoodbye();
    if (!await within(patienceOf(this.#init.timeout), this.closed)) this.cancel();
  }

  cancel(): void {
    this.#cancelled.abort();
    clearTimeout(this.#timer);
    this.#given?.cancel();
    this.#client.abort();
    this.#child?.then((child) => child.abort(), ignore);
  }
}
