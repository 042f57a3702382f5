/**
 * Several channels taken together.
 *
 * @module
 */

import type { Channel, ReceiveInit, WaitInit } from "./channel.ts";
import { timeoutOf } from "./channel.ts";
import { TimeoutError } from "./errors.ts";

/** What {@linkcode MultiChannel.makeReceiveQueue} can be told. */
export interface QueueInit {
  /** What the queue gives for a channel that has ended. Without it, an end is not told. */
  readonly endMarker?: unknown;
}

/** What arrives over several channels, in the order in which it arrives. Nothing more is taken from a channel before its last item was. */
export interface ReceiveQueue extends AsyncIterable<readonly [channel: Channel, item: unknown]> {
  /**
   * Takes the next item.
   *
   * @param init How long to wait.
   * @throws {TimeoutError} If there was none in time.
   */
  get(init?: ReceiveInit): Promise<readonly [channel: Channel, item: unknown]>;
  /** How many items can be taken at once. */
  readonly size: number;
}

/** Several channels, such as {@linkcode Group.remoteExec} gives. */
export class MultiChannel implements Iterable<Channel> {
  readonly #channels: readonly Channel[];

  /**
   * Takes channels together.
   *
   * @param channels Any channels.
   */
  constructor(channels: Iterable<Channel>) {
    this.#channels = [...channels];
  }

  /** How many they are. */
  get length(): number {
    return this.#channels.length;
  }

  /** The channels, in order. */
  [Symbol.iterator](): IterableIterator<Channel> {
    return this.#channels[Symbol.iterator]();
  }

  /**
   * Finds a channel.
   *
   * @param key Its position, from the end if negative, or its id.
   */
  get(key: number | string): Channel | undefined {
    return typeof key === "number" ? this.#channels.at(key) : this.#channels.find(({ id }) => id === key);
  }

  /** Whether a channel is among them. */
  has(key: Channel | string): boolean {
    return this.#channels.some((channel) => channel === key || channel.id === key);
  }

  /**
   * Sends an item over each.
   *
   * @param item The item.
   * @throws {Error} The first error of a channel, when all others have sent it.
   */
  async sendEach(item: unknown): Promise<void> {
    await all(this.#channels.map((channel) => channel.send(item)));
  }

  /**
   * Receives one item from each.
   *
   * @param withChannel Whether each comes together with its channel.
   * @param init How long to wait.
   * @returns The items, in the order of the channels.
   */
  receiveEach(withChannel?: false, init?: ReceiveInit): Promise<unknown[]>;
  /** Receives one item from each, with the channel that it came from. */
  receiveEach(withChannel: true, init?: ReceiveInit): Promise<[channel: Channel, item: unknown][]>;
  async receiveEach(withChannel = false, init: ReceiveInit = {}): Promise<unknown[]> {
    return await all(this.#channels.map(async (channel) => {
      const item = await channel.receive(init);
      return withChannel ? [channel, item] : item;
    }));
  }

  /**
   * Has all of them put what arrives into one queue; `receive` on one of them rejects from then on.
   *
   * @param init What it gives at an end.
   */
  makeReceiveQueue(init: QueueInit = {}): ReceiveQueue {
    return new Queue(this.#channels, init);
  }

  /**
   * Waits until all are closed by the other side.
   *
   * @param init How long to wait.
   * @throws {Error} The first error of one, when all are closed.
   */
  async waitClose(init: WaitInit = {}): Promise<void> {
    await all(this.#channels.map((channel) => channel.waitClose(init)));
  }
}

/** Waits for all, then fails with the first failure in their order. */
async function all<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return await Promise.all(promises);
}

class Queue implements ReceiveQueue {
  readonly #items: { readonly pair: readonly [Channel, unknown]; readonly taken: () => void }[] = [];
  readonly #waiting = new Set<(pair: readonly [Channel, unknown]) => void>();
  #open: number;
  #ended = () => {};
  readonly #end: Promise<void> = new Promise((resolve) => this.#ended = resolve);

  constructor(channels: readonly Channel[], init: QueueInit) {
    this.#open = channels.length;
    if (channels.length === 0) this.#ended();
    const end = Symbol("end");
    for (const channel of channels) {
      channel.setCallback((item) => {
        if (item !== end) return this.#put([channel, item]);
        if ("endMarker" in init) void this.#put([channel, init.endMarker]);
        if (--this.#open === 0) this.#ended();
        return undefined;
      }, { endMarker: end });
    }
  }

  get size(): number {
    return this.#items.length;
  }

  #put(pair: readonly [Channel, unknown]): Promise<void> | undefined {
    const [waiter] = this.#waiting;
    if (waiter) return void waiter(pair);
    return new Promise((taken) => this.#items.push({ pair, taken }));
  }

  get({ timeout, signal }: ReceiveInit = {}): Promise<readonly [Channel, unknown]> {
    const limit = timeoutOf(timeout);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const first = this.#items.shift();
    first?.taken();
    if (first) return Promise.resolve(first.pair);
    return new Promise((resolve, reject) => {
      const clear = () => {
        this.#waiting.delete(take);
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
      };
      const take = (pair: readonly [Channel, unknown]) => (clear(), resolve(pair));
      const aborted = () => (clear(), reject(signal!.reason));
      const timer = limit === undefined ? undefined : setTimeout(() => {
        clear();
        reject(new TimeoutError(`Nothing was received within ${limit} ms`));
      }, limit);
      signal?.addEventListener("abort", aborted);
      this.#waiting.add(take);
    });
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly [Channel, unknown], void, undefined> {
    for (;;) {
      if (this.#items.length > 0) yield await this.get();
      else {
        if (this.#open === 0) return;
        const stop = new AbortController();
        const next = this.get({ signal: stop.signal });
        const pair = await Promise.race([next, this.#end]);
        if (pair) yield pair;
        else {
          stop.abort();
          await next.catch(() => {});
        }
      }
    }
  }
}
