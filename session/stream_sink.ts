/**
 * The receiving end of a stream: what has arrived and was not read yet, the credit for more, and the three things that read it: the `ReadableStream`
 * and the generator that stand for ones of the peer's, and a `WritableStream` of ours that the peer writes to. The sending end is `stream_source.ts`.
 *
 * @module
 */

import { ProtocolError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { STREAM } from "../protocol/messages.ts";
import type { Deferred } from "../runtime/waiting.ts";
import { deferred, ignore } from "../runtime/waiting.ts";
import type { StreamHub } from "./stream_hub.ts";

/** An item that has arrived. */
interface Item {
  value: unknown;
  /** Whether `value` is a promise of the item, of which parts are still to arrive. */
  readonly late: boolean;
  readonly cost: number;
  readonly unasked: boolean;
}

/** How a stream ended. */
interface End {
  readonly failed: boolean;
  readonly value: unknown;
}

/** Takes the items of one stream. */
export class Incoming {
  /** Its number, see `stream_hub.ts`. */
  readonly key: number;
  readonly #hub: StreamHub;
  readonly #ours: boolean;
  /** Called when it has come to its end and nobody waits. */
  ended: () => void = ignore;
  /** Takes back that it was to be sent. */
  unsent: () => void = ignore;
  #queue: Item[] = [];
  /** What the peer may still send, what of that is in the queue, and what it may send unasked. */
  #credit = 0;
  #held = 0;
  #advance = LIMITS.streamAdvance;
  #reading = false;
  #end: End | undefined;
  /** Set once nothing more is wanted: what comes is dropped until the sending end has heard of it. */
  #cancelled: Deferred<unknown> | undefined;
  #waiting: (() => void) | undefined;

  /**
   * @param hub Its session.
   * @param key Its number.
   * @param ours Whether it is written to one of our streams.
   */
  constructor(hub: StreamHub, key: number, ours: boolean) {
    this.#hub = hub;
    this.key = key;
    this.#ours = ours;
  }

  /** How it ended; what was there before is read first. */
  get end(): End | undefined {
    return this.#queue.length > 0 ? undefined : this.#end;
  }

  /** Whether it is known how it ends. */
  get settled(): boolean {
    return this.#end !== undefined;
  }

  /** Whether what comes is not wanted. */
  get dropping(): boolean {
    return this.#cancelled !== undefined;
  }

  /** Whether somebody waits for the next item. */
  get awaited(): boolean {
    return this.#waiting !== undefined;
  }

  /** Takes account of an item before it is decoded. */
  charge(cost: number, unasked: boolean): void {
    const left = unasked ? this.#advance : this.#credit;
    if (left <= 0 || this.#end && !this.#cancelled) {
      throw new ProtocolError("Received more of a stream than was asked for");
    }
    if (!unasked) {
      this.#credit -= cost;
      return;
    }
    this.#advance -= cost;
    this.#hub.advanced(cost);
  }

  /** Takes an item, or a promise of it if it is `late`. */
  take(value: unknown, late: boolean, cost: number, unasked: boolean): void {
    const item: Item = { value, late, cost, unasked };
    if (this.dropping) return this.#done(item);
    if (!unasked) this.#held += cost;
    this.#queue.push(item);
    if (late) (value as Promise<unknown>).catch((error) => this.break(error, item));
    this.#wake();
  }

  #done({ cost, unasked }: Item): void {
    if (unasked) this.#hub.returned(cost);
    else this.#held -= cost;
  }

  /** The next item; undefined if there is none, for now or (`end`) for good. */
  shift(): Item | undefined {
    const hub = this.#hub;
    const item = this.#queue.shift();
    if (item) this.#done(item);
    if (this.#end || this.#cancelled) return item;
    if (!this.#reading) {
      this.#reading = true;
      hub.active++;
    }
    const { window } = hub;
    const owed = window - this.#credit - this.#held;
    if (owed * 2 >= window) {
      this.#credit += owed;
      hub.credit(this.key, owed);
    }
    return item;
  }

  /** Has a function called, once, when there is something new. */
  wait(callback: () => void): void {
    this.#waiting = callback;
    // Who only serves the peer's writes does not wait for them.
    if (!this.#ours) this.#hub.busy(1);
  }

  #wake(): void {
    const waiting = this.#waiting;
    if (!waiting) return;
    this.#waiting = undefined;
    if (!this.#ours) this.#hub.busy(-1);
    waiting();
  }

  #drop(from = 0): void {
    for (const item of this.#queue.splice(from)) this.#done(item);
  }

  /** Reads END or FAIL, after which nothing comes any more. */
  finish(failed: boolean, value: unknown): void {
    const over = this.#cancelled;
    if (!this.#ours || over) this.#hub.forget(this.key);
    if (this.#reading) this.#hub.active--;
    this.#reading = false;
    // If it ended by itself before, who reads it has been told how.
    this.#end ??= { failed, value };
    if (failed) over?.reject(value);
    else over?.resolve(value);
    if (this.#waiting) this.#wake();
    else this.ended();
  }

  /** The connection is gone. */
  lose(error: unknown): void {
    // All of it is here.
    if (this.#end && !this.#cancelled) return;
    this.#drop();
    this.finish(true, error);
  }

  /** An item cannot be had: it ends here, behind those before. */
  break(error: unknown, item?: Item): void {
    const at = item ? this.#queue.indexOf(item) : this.#queue.length;
    if (at < 0 || this.#end) return;
    this.#drop(at);
    this.#end = { failed: true, value: error };
    this.cancel(STREAM.CANCEL, error, true).catch(ignore);
    if (this.#waiting) this.#wake();
    else this.ended();
  }

  /**
   * Tells the sending end that nothing more is wanted.
   *
   * @param what CANCEL or THROW.
   * @param value Why, or what is to be returned or thrown there.
   * @param keep Whether what arrived already is.
   * @returns What it ended with, once it has.
   */
  cancel(what: number, value: unknown, keep = false): Promise<unknown> {
    if (!keep) this.#drop();
    if (!this.#cancelled) {
      this.#cancelled = deferred();
      const { busy } = this.#hub;
      const off = () => busy(-1);
      busy(1);
      this.#cancelled.promise.then(off, off);
      if (this.#end && !keep) this.#cancelled.resolve(undefined);
      else this.#hub.say(what, this.key, value);
    }
    return this.#cancelled.promise;
  }

  /** It ends here and now. */
  abort(reason: unknown): void {
    this.#drop();
    this.break(reason);
  }

  /** Nobody has it any more. */
  collected(): void {
    if (!this.#end) this.cancel(STREAM.CANCEL, undefined).catch(ignore);
  }
}

type Controller = ReadableStreamDefaultController<unknown> & { byobRequest?: ReadableStreamBYOBRequest | null };

/** Makes the stream that stands for one of the peer's. */
export function makeReadable(incoming: Incoming, bytes: boolean): ReadableStream<unknown> {
  // It must not be kept by us unless somebody reads, or it would never be collected.
  let weak: WeakRef<Controller> | undefined;
  let cancelled = false;
  const finish = (controller: Controller, { failed, value }: End) => {
    if (failed) return controller.error(value);
    controller.close();
    controller.byobRequest?.respond(0);
  };
  const pull = (controller: Controller): Promise<void> | undefined => {
    if (cancelled) return;
    let item = incoming.shift();
    while (bytes && item && (item.value as Uint8Array).byteLength === 0) item = incoming.shift();
    if (item?.late) return (item.value as Promise<unknown>).then((value) => controller.enqueue(value));
    if (item) controller.enqueue(item.value);
    const { end } = incoming;
    if (end) return void finish(controller, end);
    if (item) return;
    return new Promise((resolve) => incoming.wait(() => resolve(pull(controller))));
  };
  incoming.ended = () => {
    const controller = weak?.deref();
    const { end } = incoming;
    if (controller && end && !incoming.dropping && !cancelled) finish(controller, end);
  };
  return new ReadableStream({
    ...(bytes ? { type: "bytes" } : {}) as { type?: undefined },
    start(controller) {
      weak = new WeakRef(controller);
    },
    pull,
    cancel(reason) {
      cancelled = true;
      return incoming.cancel(STREAM.CANCEL, reason) as Promise<void>;
    },
  }, { highWaterMark: 0 });
}

type Step = IteratorResult<unknown, unknown>;

/** Stands for an iterator of the peer's. */
export class ReceivedGenerator implements AsyncGenerator<unknown, unknown, unknown> {
  readonly #incoming: Incoming;
  /** Those that wait for items. */
  readonly #pending: Deferred<Step>[] = [];
  #finished = false;

  constructor(incoming: Incoming) {
    this.#incoming = incoming;
  }

  next(value?: unknown): Promise<Step> {
    if (value !== undefined) {
      return Promise.reject(
        new TypeError(
          "Cannot pass a value to next() of a generator that runs ahead on the other side: use callRef(), whose next() is a call",
        ),
      );
    }
    if (this.#pending.length === 0) {
      const item = this.#incoming.shift();
      if (item) return step(item);
    }
    const pending = deferred<Step>();
    this.#pending.push(pending);
    if (this.#pending.length === 1) this.#serve();
    return pending.promise;
  }

  #serve(): void {
    const pending = this.#pending, incoming = this.#incoming;
    while (pending.length > 0) {
      const item = incoming.shift();
      const end = item ? undefined : incoming.end;
      if (!item && !end) return incoming.wait(() => this.#serve());
      const { resolve, reject } = pending.shift()!;
      if (item) resolve(step(item) as unknown as Step);
      else if (this.#finished) resolve({ value: undefined, done: true });
      else {
        this.#finished = true;
        if (end!.failed) reject(end!.value);
        else resolve({ value: end!.value, done: true });
      }
    }
  }

  /** Ends it at once, also for those who wait for items; the other side is told why. */
  abort(reason: unknown): void {
    this.#incoming.abort(reason);
  }

  async return(value: unknown): Promise<Step> {
    return await this.#leave(STREAM.CANCEL, await value) ?? { value, done: true };
  }

  async throw(error: unknown): Promise<Step> {
    const step = await this.#leave(STREAM.THROW, error);
    if (!step) throw error;
    return step;
  }

  /** Has it ended over there; undefined if it has ended already. */
  async #leave(what: number, value: unknown): Promise<Step | undefined> {
    const incoming = this.#incoming;
    if (this.#finished || incoming.settled) {
      this.#finished = true;
      incoming.cancel(what, undefined);
      return;
    }
    this.#finished = true;
    return { value: await incoming.cancel(what, value), done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return(undefined);
  }

  get [Symbol.toStringTag](): string {
    return "AsyncGenerator";
  }
}

function step({ value, late }: Item): Promise<Step> {
  return late
    ? (value as Promise<unknown>).then((value) => ({ value, done: false }))
    : Promise.resolve({ value, done: false });
}

/**
 * Writes what arrives to a stream of ours.
 *
 * @param incoming Where from.
 * @param writer Where to.
 * @param hub The session.
 */
export async function fillWritable(
  incoming: Incoming,
  writer: WritableStreamDefaultWriter<unknown>,
  hub: StreamHub,
): Promise<void> {
  // It may fail while nothing is written.
  writer.closed.catch((error) => incoming.dropping || incoming.end || incoming.cancel(STREAM.CANCEL, error)).catch(
    ignore,
  );
  try {
    for (;;) {
      await writer.ready;
      let item = incoming.shift();
      while (!item && !incoming.end) {
        await new Promise<void>((resolve) => incoming.wait(resolve));
        item = incoming.shift();
      }
      if (!item) break;
      writer.write(item.late ? await item.value : item.value).catch(ignore);
    }
    const { failed, value } = incoming.end!;
    if (failed) await writer.abort(value);
    else await writer.close();
    if (!incoming.dropping) hub.say(STREAM.DONE, incoming.key, undefined);
  } catch (error) {
    if (incoming.settled) hub.say(STREAM.CANCEL, incoming.key, error);
    else await incoming.cancel(STREAM.CANCEL, error).catch(ignore);
  }
  hub.forget(incoming.key);
}
