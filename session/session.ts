/**
 * One connection from its first to its last byte: opening, greeting, watching over time, and closing. What messages ask for is done by the parts
 * (`parts.ts`).
 *
 * @module
 */

import { DisconnectError, ProtocolError } from "../protocol/errors.ts";
import { Inbox, NO_BYTES } from "../protocol/frames.ts";
import { MESSAGE } from "../protocol/messages.ts";
import { superblock } from "../protocol/superblock.ts";
import type { Deferred } from "../runtime/waiting.ts";
import { deferred, ignore, within } from "../runtime/waiting.ts";
import type { Wire } from "../transports/wire.ts";
import type { Caller } from "./caller.ts";
import { debug, setDebugLevel } from "./debug.ts";
import type { Exportable } from "./exchange.ts";
import type { Extending } from "./extending.ts";
import { extended, extension } from "./extension.ts";
import type { Heartbeat } from "./heartbeat.ts";
import { lastWords } from "./last_words.ts";
import type { Link } from "./link.ts";
import { Parts } from "./parts.ts";
import type { ConnectionStatus, Hello } from "./peer.ts";
import { makeHello, peerInfo, peerName, readHello } from "./peer.ts";
import { provision } from "./provision.ts";
import type { SessionInit } from "./session_init.ts";

/** How long `close()` waits for a child when `timeout` is off. Milliseconds. */
const CHILD_TIMEOUT = 60_000;

/** Everything about one connection but its public face. */
export class Session {
  readonly init: SessionInit;
  readonly #wire: Wire;
  readonly #timeout: number;
  readonly #inbox: Inbox;
  readonly #parts: Parts;
  /** What is sent goes through it. */
  readonly link: Link;
  #extending: Extending | undefined;

  #connection: object | undefined;
  #opened = false;
  #hello: Hello | undefined;
  #bios: string | undefined;
  /** Set once nothing can be asked any more. */
  #over: DisconnectError | undefined;
  /** What broke the connection, until somebody was told. */
  #failure: { readonly error: unknown } | undefined;
  /** Whether somebody heard already what broke the connection. */
  told = false;
  #saidGoodbye = false;
  #heardGoodbye = false;
  #cancelled = false;
  #ended = false;
  #closing: Promise<void> | undefined;
  #closed = false;
  readonly #ready: Deferred<void> = deferred();
  readonly #accepting: Deferred<boolean> = deferred();
  readonly #finished: Deferred<void> = deferred();
  /** Resolves when the first answers after the handshake have left, with the peer's timeout in milliseconds. */
  readonly served: Deferred<number> = deferred();
  /** Absent until a booted end has its extension. */
  #heartbeat: Heartbeat | undefined;
  /** What was received so far. */
  #bytes = 0;
  #messages = 0;

  /** Starts talking over a wire at once. */
  constructor(init: SessionInit) {
    const { wire, options } = this.init = init;
    this.#wire = wire;
    this.#timeout = options.timeout;
    this.#inbox = new Inbox((bytes, start, end, segments) => {
      if (this.#heardGoodbye || this.#over && !this.#saidGoodbye) return;
      this.#messages++;
      this.#parts.take(bytes, start, end, segments, this.#takeOwn);
    }, options.maxMessageSize);
    // deno-lint-ignore no-this-alias -- the parts read what changes through getters
    const session = this;
    this.#parts = new Parts({
      wire,
      get connection() {
        return session.#connection ??= session.#connect(provision().connection(session));
      },
      session,
      acceptCalls: init.acceptCalls,
      acceptModules: options.acceptExportedModules,
      exposed: options.expose,
      limit: options.maxMessageSize,
      booted: !!init.extend,
      get peerBooted() {
        return session.#bios !== undefined;
      },
      get peer() {
        return peerName(session.#hello);
      },
      beforeCall: init.beforeCall,
      keep: init.keep,
      get over() {
        return session.#over;
      },
      peerAccepts: () => this.#accepting.promise,
      busy: (change) => init.hold?.change(change),
      extend: (packed) => init.extend ? init.extend(packed) : void this.#extending?.asked(packed.length),
      lost: (error) => this.#end(error),
      fail: (error) => this.#fail(error),
    });
    this.link = this.#parts.link;
    if (init.connection) this.#connection = this.#connect(init.connection);
    // A booted end is waited for, and ends with its stdin.
    if (!init.extend) {
      const heartbeat = this.#watchOver();
      this.#extending = init.extending?.(this.link, heartbeat);
      heartbeat.awaitHello();
    }
    this.#ready.promise.catch(ignore);
    this.#accepting.promise.catch(ignore);
    wire.opened?.catch((error) => this.#fail(error));
    wire.start({ data: (chunk) => this.#data(chunk), end: (error) => this.#end(error) });
    this.link.write(superblock());
  }

  /** The public connection is there. */
  #connect(connection: object): object {
    this.#parts.records.carry(connection);
    return connection;
  }

  #watchOver(): Heartbeat {
    return this.#heartbeat ??= extension().heartbeat({
      link: this.link,
      timeout: this.#timeout,
      fail: (error) => this.#fail(error),
    });
  }

  #data(chunk: Uint8Array): void {
    if (this.#over && !this.#saidGoodbye) return;
    if (this.#heartbeat) this.#heartbeat.received = true;
    this.#bytes += chunk.length;
    try {
      if (this.#opened) return this.#inbox.push(chunk);
      const { opening } = this.init;
      for (let found = opening.feed(chunk); found; found = opening.feed(NO_BYTES)) {
        if (found.kind === "superblock") {
          this.#opened = true;
          this.#open();
          if (found.rest.length > 0) this.#inbox.push(found.rest);
          return;
        }
        this.#answerBios(found.runtime);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  /** The peer is an interpreter that waits for the core: it gets it, and everything that we have to say, in one go. */
  #answerBios(runtime: string): void {
    if (this.#bios !== undefined) throw new ProtocolError("The peer greeted twice");
    this.#bios = runtime;
    debug(1, () => `booting ${runtime}`);
    this.#open(provision().bootBytes());
  }

  /** Says hello, and all that was asked for meanwhile. `before` goes first, in the same write. */
  #open(before?: Uint8Array): void {
    const link = this.link;
    if (link.open || this.#over) return;
    const { options, acceptCalls } = this.init;
    const { timeout, acceptExportedModules: modules, maxMessageSize: limit } = options;
    const hello = makeHello({ timeout, modules, calls: acceptCalls, limit });
    link.openWith(before, () => {
      const start = link.begin(MESSAGE.HELLO);
      link.value(hello, "hello");
      link.commit(start);
      if (before) this.#extending!.boot(provision().extensionSource());
    });
    // At once: what the peer asks for next may keep this thread busy for ever.
    link.flush();
    // What a BIOS boots takes modules; one need not wait for it to say so.
    if (this.#bios !== undefined) this.#accepting.resolve(true);
  }

  /** Takes the messages that begin and end a connection. */
  readonly #takeOwn = (kind: number, value: () => unknown): boolean => {
    if (!this.#hello) {
      if (kind !== MESSAGE.HELLO) throw new ProtocolError(`Cannot take a message of kind ${kind} before the hello`);
      this.#greeted(value());
      return true;
    }
    if (kind === MESSAGE.GOODBYE) this.#goodbye();
    else if (kind === MESSAGE.RESULT || kind === MESSAGE.FAILURE) this.#extending?.answered();
    return kind === MESSAGE.GOODBYE || this.#over !== undefined;
  };

  #greeted(value: unknown): void {
    const hello = this.#hello = readHello(value), { timeout, modules, limit, runtime, version, debug: level } = hello;
    this.link.limitTo(limit);
    if (this.init.extend && level) setDebugLevel(level);
    this.init.greeted?.();
    debug(1, () => `connected to ${peerName(this.#hello)}, ${runtime} ${version}`);
    // Not before the first answers have left, nor before an extension that is to come: threads, and in Deno the first timer, cost the main thread milliseconds.
    const { extend, patience } = this.init;
    this.#parts.answered().then(() => {
      this.served.resolve(timeout);
      return extend && extended;
    }).then(() => {
      if (this.#over) return;
      this.#watchOver().start(timeout, patience?.(hello), !!extend);
    });
    this.#accepting.resolve(modules);
    this.#ready.resolve();
  }

  /** From now on another thread speaks for this one while it is busy. */
  seconded(): void {
    if (!this.#over) this.link.send(MESSAGE.EXTEND, 1, undefined);
  }

  /** The stream from the peer ended. */
  async #end(error?: unknown): Promise<void> {
    while (this.#parts.stalled.over) await this.#parts.stalled.over; // the goodbye may be among what waits
    if (this.#heardGoodbye && error !== undefined) this.#wire.end().catch(ignore); // our goodbye could not leave
    if (this.#heardGoodbye || this.#cancelled || this.#saidGoodbye && error === undefined) return this.#finish();
    if (this.#over) return this.#finish();
    const noise = this.#opened ? "" : this.init.opening.noise.slice(-1000);
    this.#fail(await lastWords(this.#wire, error, !!this.#hello, noise));
    this.#finish();
  }

  /** Something fatal happened; the first such thing counts. */
  #fail(error: unknown): void {
    if (this.#over) return;
    const cause = error instanceof Error ? error : new Error(String(error));
    debug(1, () => `failed: ${cause.name}: ${cause.message}`);
    this.#failure = { error: cause };
    const message = `Connection was aborted due to ${cause.name}: ${cause.message}`;
    this.#stop(() => new DisconnectError(message, { cause }), false, cause);
    this.#wire.abort(cause);
    this.#finishWhenClosed();
  }

  /** Nothing can be asked any more, and everybody who waits is told. */
  #stop(makeError: () => DisconnectError, quiet: boolean, cause?: Error): void {
    this.#over = makeError();
    this.#heartbeat?.stop();
    this.#extending?.stop();
    this.#ready.reject(cause ?? this.#over);
    this.#accepting.reject(this.#over);
    if (this.#parts.clear(makeError, quiet)) this.told = true;
  }

  /** The peer said goodbye. */
  #goodbye(): void {
    this.#heardGoodbye = true;
    if (!this.#over) {
      debug(1, () => "closed by the peer");
      const leave = !this.#parts.callee.running && this.init.leave;
      this.#stop(() => new DisconnectError("Connection was remotely closed"), true);
      this.#sayGoodbye();
      this.link.flush();
      // All is said: the timers for a peer that is slow would cost more than the rest of the end.
      if (leave && !this.link.writing) return leave();
      this.#heartbeat?.awaitEnd(this.#wire);
    }
    // Not before our own goodbye has left.
    this.link.drained().then(() => this.#wire.end()).then(() => this.#finishWhenClosed());
  }

  #sayGoodbye(): void {
    const link = this.link;
    if (this.#saidGoodbye || !link.open) return;
    this.#saidGoodbye = true;
    link.afterAll(() => link.commit(link.begin(MESSAGE.GOODBYE)));
  }

  #finishWhenClosed(): void {
    this.#wire.closed.then(() => this.#finish());
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#heartbeat?.stop();
    this.init.hold?.stop();
    this.#finished.resolve();
  }

  /** Operations that we ask the peer for. */
  get caller(): Caller {
    return this.#parts.caller;
  }

  /** Keeps the process alive until a promise settles. */
  #during<T>(promise: Promise<T>): Promise<T> {
    return this.init.hold?.during(promise) ?? promise;
  }

  /** See `Connection.ready()`. */
  async ready(): Promise<void> {
    try {
      await this.#during(this.#ready.promise);
    } catch (error) {
      if (this.#failure) {
        this.told = true;
        this.#failure = undefined;
        await this.#wire.closed; // all is freed when the caller hears of it
      }
      throw error;
    }
  }

  /** Why nothing can be asked any more. */
  get over(): DisconnectError | undefined {
    return this.#over;
  }

  /** See `Connection.isConnected()`. */
  get connected(): boolean {
    return this.#hello !== undefined && !this.#over;
  }

  /** See `Connection.cancel()`. */
  cancel(): void {
    if (this.#over && this.#ended) return;
    this.#cancelled = true;
    const makeError = () => new DisconnectError("Connection was cancelled");
    if (!this.#over) {
      debug(1, () => "cancelled");
      this.#stop(makeError, true);
    }
    this.#wire.abort(makeError());
    this.#finishWhenClosed();
  }

  /** See `Connection.close()`. */
  close(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return this.#closing ??= this.#during(this.#shutdown()).finally(() => this.#closed = true);
  }

  async #shutdown(): Promise<void> {
    const wire = this.#wire;
    const patience = this.#timeout === Infinity ? CHILD_TIMEOUT : this.#timeout;
    if (!this.#over) {
      debug(1, () => "closing");
      this.#stop(() => new DisconnectError("Connection is closed"), true);
      const wasReady = !!this.#hello;
      if (wasReady) this.#sayGoodbye(), this.link.drained().then(() => wire.end());
      else wire.abort(this.#over);
      this.#finishWhenClosed();
      if (!await within(patience, wire.closed)) wire.abort(this.#over);
      else if (wasReady && !this.#cancelled) {
        const exit = await wire.closed;
        if (exit && exit.code !== 0) {
          throw new Error(wire.describe?.() ?? `The process ended with ${exit.code ?? exit.signal}`);
        }
      }
    } else if (!await within(patience, wire.closed)) {
      wire.abort(this.#over);
    }
    await wire.closed;
    this.#finish();
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure.error;
  }

  /** See `Connection.wait()`. Unless `held` it does not keep the process alive. */
  wait(held = true): Promise<void> {
    return held ? this.#during(this.#finished.promise) : this.#finished.promise;
  }

  /** See `Connection.export()`. */
  export(modules: readonly Exportable[], bindings: object | undefined): Promise<void> {
    return this.#during(this.#parts.exchange.export(modules, bindings));
  }

  /** The source of another part of across, from the peer. */
  entry(name: string): Promise<string> {
    return this.#parts.exchange.fetchEntry(name);
  }

  /** See `Connection.status()`. */
  status(): ConnectionStatus {
    return {
      connected: this.connected,
      bytesSent: this.link.bytes,
      bytesReceived: this.#bytes,
      messagesSent: this.link.messages,
      messagesReceived: this.#messages,
      framesReceived: this.#inbox.frames,
      ...this.#parts.counters(),
      ...(this.#hello ? { peer: peerInfo(this.#hello) } : {}),
    };
  }
}
