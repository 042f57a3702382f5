/**
 * Channels: the public face of one end. What happens behind it is in `channel_core.ts`, the streams that it offers are in `channel_streams.ts`.
 *
 * @module
 */

import { LONGEST_TIMER } from "../runtime/waiting.ts";
import { ownClasses } from "../session/definitions.ts";
import { ref } from "../session/handling.ts";
import type { Reference, Remote } from "../session/types.ts";
import type { Offer, Peer } from "./channel_core.ts";
import { ChannelCore } from "./channel_core.ts";
import type { ChannelFile } from "./channel_streams.ts";
import { openFile, readableOf, writableOf } from "./channel_streams.ts";

/** How long one waits. */
export interface WaitInit {
  /** Milliseconds; for ever without it. */
  readonly timeout?: number;
}

/** How long one waits for an item, and what ends that. */
export interface ReceiveInit extends WaitInit {
  /** Rejects the `receive` with its reason when it is aborted. No item is lost. */
  readonly signal?: AbortSignal;
}

/** What {@linkcode Channel.setCallback} can be told. */
export interface CallbackInit {
  /** Passed to the callback when the channel has ended; without it the callback is not called then. */
  readonly endMarker?: unknown;
}

/** What {@linkcode Channel.makeFile} can be told. */
export interface FileInit {
  /** Whether closing the file closes the channel. */
  readonly proxyClose?: boolean;
}

/** Reads the core of a channel. */
export let coreOf: (channel: Channel) => ChannelCore;
/** Makes a channel of a core. */
export let channelOf: (core: ChannelCore) => Channel;
/** Makes `close` refuse with a reason. */
export let refuseClose: (channel: Channel, reason: string | undefined) => void;
/** Names a channel. */
export let nameChannel: (channel: Channel, id: string) => void;

/** Channels that nobody refers to any more are closed, unless it is only that they went elsewhere. */
const collected = new FinalizationRegistry<ChannelCore>((core) => core.isMoved || core.close());
let last = 0;

/**
 * One end of a channel: items go to the other end, in order, and come from it.
 *
 * A channel can itself be sent, over any channel or as the argument of a call. The first to get one that `newChannel()` made becomes its other
 * end. Whoever gets one that has two ends already takes this end over, like a `MessagePort`: then nothing can be done with it here any more.
 *
 * @example
 * ```ts
 * import { makeGateway } from "@x/across/gateways";
 * import { assertEquals } from "@std/assert";
 *
 * await using gateway = await makeGateway();
 * const channel = gateway.remoteExec("for await (const n of channel) await channel.send(n * 2)");
 * await channel.send(21);
 * assertEquals(await channel.receive(), 42);
 * channel.close();
 * ```
 */
export class Channel implements AsyncIterable<unknown>, AsyncDisposable {
  readonly #core: ChannelCore;
  #refusal: string | undefined;
  #id: string | undefined;
  #readable: ReadableStream<unknown> | undefined;
  #writable: WritableStream<unknown> | undefined;

  static {
    coreOf = (channel) => channel.#core;
    channelOf = (core) => new Channel(core);
    refuseClose = (channel, reason) => void (channel.#refusal = reason);
    nameChannel = (channel, id) => void (channel.#id = id);
    ownClasses["Channel"] = this;
  }

  private constructor(core: ChannelCore) {
    this.#core = core;
    collected.register(this, core);
  }

  /** A name for people and tables: of the gateway that runs the other end, where that is known. */
  get id(): string {
    return this.#id ??= `channel${++last}`;
  }

  /** Whether nothing can be sent any more. What has arrived can still be received. */
  get isClosed(): boolean {
    return this.#core.isClosed;
  }

  /**
   * Sends a copy of an item, as the arguments of calls are sent.
   *
   * @param item Anything that can travel; other channels, too.
   * @returns Resolves when the item is on its way and there is room for another one, so that waiting for it keeps pace with the reader.
   * @throws {OperationError} If the item cannot travel. The channel lives.
   * @throws {EndOfChannelError} If the channel is closed.
   * @throws {RemoteError} If the other side closed it with an error.
   * @throws {GatewayLostError} If the gateway is gone.
   */
  async send(item: unknown): Promise<void> {
    this.#check();
    await this.#core.send(item);
  }

  /**
   * Takes the next item, waiting for it if need be.
   *
   * @param init How long to wait.
   * @throws {TimeoutError} If none arrived in time.
   * @throws {RemoteError} If the other side failed. It is the same error each time.
   * @throws {EndOfChannelError} If the channel is closed and everything was received.
   * @throws {GatewayLostError} If the gateway is gone, and everything that had arrived was received.
   */
  async receive<T = unknown>(init: ReceiveInit = {}): Promise<T> {
    this.#check();
    return await this.#core.inbox.receive(this, timeoutOf(init.timeout), init.signal) as T;
  }

  /**
   * Has a function called with each item, those that wait first, in place of `receive`. The next item waits until the promise is settled that it
   * returns. When it throws, the channel is closed with that error.
   *
   * @param callback Gets the items.
   * @param init What it gets at the end.
   * @throws {Error} If there is a callback already, or something waits for an item.
   */
  setCallback(callback: (item: unknown) => unknown, init: CallbackInit = {}): void {
    this.#check();
    if (typeof callback !== "function") throw new TypeError(`Cannot use a ${typeof callback} as callback`);
    this.#core.inbox.setCallback(callback, "endMarker" in init ? () => callback(init.endMarker) : undefined, this);
  }

  /** What arrives, as a stream: it ends with the channel, and cancelling it closes the channel. */
  get readable(): ReadableStream<unknown> {
    this.#check();
    return this.#readable ??= readableOf(this);
  }

  /** What is sent, as a stream with back-pressure. Closing it ends this direction only; aborting it closes the channel with the reason. */
  get writable(): WritableStream<unknown> {
    this.#check();
    return this.#writable ??= writableOf(this, this.#core);
  }

  /**
   * Makes a file of the channel, which moves text: each write is an item, and reading takes them together.
   *
   * @param mode `"r"` to read, `"w"` to write.
   * @param init Whether closing the file closes the channel.
   * @throws {RangeError} If the mode is neither.
   */
  makeFile(mode: "r" | "w", init: FileInit = {}): ChannelFile {
    this.#check();
    if (mode !== "r" && mode !== "w") {
      throw new RangeError(`Cannot open a channel in mode "${mode}": there are r and w`);
    }
    return openFile(this, mode, init.proxyClose ?? false);
  }

  /**
   * Closes the channel, in both directions. What was sent before arrives. Whoever waits in `receive` is woken; what has arrived stays receivable.
   *
   * @param error If given, the other side gets it as a {@linkcode RemoteError} when it has received everything.
   * @throws {Error} If it is the channel of the source that is running: that closes at its end.
   */
  close(error?: unknown): void {
    if (this.#refusal) throw new Error(this.#refusal);
    this.#core.close(error);
  }

  /**
   * Waits until the other side has closed the channel. What has arrived stays receivable.
   *
   * @param init How long to wait.
   * @throws {TimeoutError} If it is not closed in time.
   * @throws {RemoteError} If the other side failed.
   * @throws {GatewayLostError} If the gateway is gone.
   */
  async waitClose(init: WaitInit = {}): Promise<void> {
    this.#check();
    await this.#core.inbox.waitClose(timeoutOf(init.timeout));
  }

  #check(): void {
    if (this.#core.isMoved) throw new Error("Cannot use this end of the channel as it was passed on");
  }

  /** Receives until the end of the channel. */
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void, undefined> {
    for (;;) {
      let item: unknown;
      try {
        item = await this.receive();
      } catch (error) {
        if ((error as Error).name === "EndOfChannelError") return;
        throw error;
      }
      yield item;
    }
  }

  /** Closes the channel. */
  [Symbol.asyncDispose](): Promise<void> {
    if (!this.#refusal) this.#core.close();
    return Promise.resolve();
  }

  /**
   * How a channel travels. Not for calling.
   *
   * @param channel The channel that is sent.
   */
  static acrossEncode(channel: Channel): { readonly offer: Reference<Offer> } {
    channel.#check();
    // Which keeps it until whoever gets that has become the other end, or is gone.
    return { offer: ref({ attach: (peer: Peer) => channel.#core.attach(peer as unknown as Remote<Peer>) }) };
  }

  /**
   * How a channel arrives. Not for calling.
   *
   * @param fields What {@linkcode Channel.acrossEncode} gave.
   */
  static acrossDecode(fields: { readonly offer: Remote<Offer> }): Channel {
    const core = new ChannelCore();
    const channel = new Channel(core);
    // Not while the message is being read that it is a part of.
    queueMicrotask(() => core.accept(fields.offer));
    return channel;
  }
}

/**
 * Checks a number of milliseconds.
 *
 * @throws {RangeError} If it is none.
 */
export function timeoutOf(timeout: number | undefined): number | undefined {
  if (timeout === undefined || timeout === Infinity) return undefined;
  if (typeof timeout !== "number" || !(timeout >= 0)) {
    throw new RangeError(`Cannot use ${String(timeout)} as timeout: it takes milliseconds from 0 on`);
  }
  return Math.min(timeout, LONGEST_TIMER);
}
