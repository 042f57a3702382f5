/**
 * What arrives at one end of a channel: the queue, those who wait for items, and the end. What leaves, and the states of the channel as a whole, are in
 * `channel_core.ts`.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { deferred, ignore } from "../runtime/waiting.ts";
import { EndOfChannelError, TimeoutError } from "./errors.ts";

/** How many items, and bytes of them, are answered though nobody has received them yet. */
const QUEUE = 64;
const QUEUE_BYTES = 1 << 22;
/** How many may be there before earlier ones, and how many at all: no end of ours sends more that is not answered. */
const EARLY = 128;
const MOST = 1 << 16;

/** An item, or what there is in its place. */
export interface Entry {
  /** The item. */
  readonly item?: unknown;
  /** Why it could not be received. */
  readonly failure?: { readonly error: unknown };
  /** It is not to come, and its sender knows why. */
  readonly skipped?: boolean;
  /** About how many bytes it takes. */
  readonly size: number;
  /** Answers the push. */
  taken?: () => void;
}

interface Waiter {
  resolve(item: unknown): void;
  reject(error: unknown): void;
  /** Keeps the channel from being collected meanwhile. */
  readonly holder: object;
}

/** What the inbox needs of its end of the channel. */
export interface InboxContext {
  /** Says that something began (1) or ceased (-1) to be waited for. */
  need(by: 1 | -1): void;
  /** Somebody was given an item. */
  told(): void;
  /** A callback threw. */
  failed(error: unknown): void;
  /** Nothing will arrive any more. */
  ended(): void;
}

/** What arrives. */
export class Inbox {
  readonly #context: InboxContext;
  readonly #queue: Entry[] = [];
  #queued = 0;
  #expected = 0;
  readonly #early = new Map<number, Entry>();
  readonly #waiting = new Set<Waiter>();
  #callback: { readonly call: (item: unknown) => unknown; end?: (() => unknown) | undefined } | undefined;
  #calling = false;
  /** Keeps the channel as long as there is something to call. */
  #holder: object | undefined;
  #last: { readonly seq: number; readonly error: Error | undefined } | undefined;
  /** Set when nothing will arrive any more; what `receive` rejects with then. */
  #ended: Error | undefined;
  /** The same when we closed: nobody waits any more. */
  #left: Error | undefined;
  readonly #finished = deferred<void>();

  constructor(context: InboxContext) {
    this.#context = context;
    // Not everybody waits for the end.
    this.#finished.promise.catch(ignore);
  }

  /** Whether nothing will arrive any more. */
  get isEnded(): boolean {
    return this.#ended !== undefined;
  }

  /** See {@linkcode Peer.push}. */
  push(seq: number, entry: Entry): void | Promise<void> {
    if (this.#ended) throw new EndOfChannelError("The channel is closed");
    if (this.#queue.length >= MOST) throw new OperationError("Cannot take more items before some are received");
    if (seq !== this.#expected) {
      if (seq < this.#expected || this.#early.size > EARLY) throw new OperationError(`Cannot take item ${seq}`);
      this.#early.set(seq, entry);
      return new Promise((resolve) => entry.taken = resolve);
    }
    let waits = false;
    for (let next: Entry | undefined = entry; next; next = this.#early.get(this.#expected)) {
      this.#early.delete(this.#expected++);
      this.#take(next);
      const crowded = this.#queue.length > QUEUE || this.#queued > QUEUE_BYTES;
      if (!crowded || this.#left || this.#queue.at(-1) !== next) next.taken?.();
      else if (next === entry) waits = true;
    }
    this.#finish();
    if (waits) return new Promise((resolve) => entry.taken = resolve);
  }

  #take(entry: Entry): void {
    if (entry.skipped) return;
    const [waiter] = this.#waiting;
    if (waiter) {
      this.#stopWaiting(waiter);
      if (entry.failure) waiter.reject(entry.failure.error);
      else waiter.resolve(entry.item);
      this.#context.told();
      return;
    }
    this.#queue.push(entry);
    this.#queued += entry.size;
    if (this.#callback) void this.#callBack();
  }

  /** Takes the oldest item out of the queue. */
  #next(): Entry | undefined {
    const entry = this.#queue.shift();
    if (!entry) return;
    this.#queued -= entry.size;
    entry.taken?.();
    // Those that wait for an answer and are among the first now.
    const allowed = this.#queue[QUEUE - 1];
    if (allowed?.taken && this.#queued <= QUEUE_BYTES) allowed.taken();
    return entry;
  }

  /**
   * Says that nothing comes after `seq` items.
   *
   * @param error What is received in place of the end.
   */
  last(seq: number, error: Error | undefined): void {
    this.#last ??= { seq, error };
    this.#finish();
  }

  /** We closed: who waits is woken. */
  leave(error: Error): void {
    this.#left ??= error;
    this.#wake();
    // Nobody need wait for a reader that may never come.
    for (const entry of this.#queue) entry.taken?.();
  }

  /** Ends receiving if everything has arrived. */
  #finish(): void {
    if (!this.#last || this.#ended || this.#expected < this.#last.seq) return;
    const { error } = this.#last;
    this.end(error ?? new EndOfChannelError("The channel is closed"));
  }

  /** Nothing will arrive any more, whatever was announced. What is there stays. */
  end(error: Error): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#wake();
    if (error instanceof EndOfChannelError) this.#finished.resolve();
    else this.#finished.reject(error);
    if (this.#callback) void this.#callBack();
    this.#context.ended();
  }

  #wake(): void {
    for (const waiter of [...this.#waiting]) {
      this.#stopWaiting(waiter);
      waiter.reject(this.#endError());
    }
  }

  /** The same error each time; but the end is none, and each that is told has its own stack. */
  #endError(): Error {
    const error = this.#ended ?? this.#left!;
    return error instanceof EndOfChannelError ? new EndOfChannelError(error.message) : error;
  }

  /** Takes the next item, or waits for it. */
  receive(holder: object, timeout: number | undefined, signal: AbortSignal | undefined): Promise<unknown> {
    if (this.#callback) {
      return Promise.reject(new Error("Cannot receive as a callback was set, which gets all items"));
    }
    if (signal?.aborted) return Promise.reject(signal.reason);
    const entry = this.#next();
    if (entry) return entry.failure ? Promise.reject(entry.failure.error) : Promise.resolve(entry.item);
    if (this.#ended || this.#left) return Promise.reject(this.#endError());
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve: (item) => (clear(), resolve(item)),
        reject: (e) => (clear(), reject(e)),
        holder,
      };
      const giveUp = (error: unknown) => {
        this.#stopWaiting(waiter);
        waiter.reject(error);
      };
      const timer = timeout === undefined ? undefined : setTimeout(
        () => giveUp(new TimeoutError(`Nothing was received within ${timeout} ms`)),
        timeout,
      );
      const aborted = () => giveUp(signal!.reason);
      signal?.addEventListener("abort", aborted);
      const clear = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", aborted);
      };
      this.#waiting.add(waiter);
      this.#context.need(1);
    });
  }

  #stopWaiting(waiter: Waiter): void {
    if (this.#waiting.delete(waiter)) this.#context.need(-1);
  }

  /** Has a function called with what arrives, the queue first. */
  setCallback(call: (item: unknown) => unknown, end: (() => unknown) | undefined, holder: object): void {
    if (this.#callback) throw new Error("Cannot set a callback twice");
    if (this.#waiting.size > 0) throw new Error("Cannot set a callback while something is being received");
    this.#callback = { call, end };
    this.#holder = holder;
    this.#context.need(1);
    void this.#callBack();
  }

  async #callBack(): Promise<void> {
    if (this.#calling) return;
    this.#calling = true;
    const { call, end } = this.#callback!;
    try {
      for (let entry; (entry = this.#next());) {
        if (entry.failure) throw entry.failure.error;
        const result = call(entry.item);
        if (result instanceof Promise) await result;
      }
      if (this.#ended) {
        this.#holder = undefined;
        this.#callback!.end = undefined;
        await end?.();
      }
    } catch (error) {
      // Nobody else hears of it: our side learns of it from `waitClose`, the other as its error.
      this.#queue.length = 0;
      this.#context.failed(error);
      this.end(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#calling = false;
    }
  }

  /** Waits until nothing arrives any more. */
  async waitClose(timeout: number | undefined): Promise<void> {
    this.#context.need(1);
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const late = timeout === undefined ? [] : [
        new Promise<never>((_, reject) => {
          timer = setTimeout(
            () => reject(new TimeoutError(`The channel was not closed within ${timeout} ms`)),
            timeout,
          );
        }),
      ];
      await Promise.race([this.#finished.promise, ...late]);
    } finally {
      clearTimeout(timer);
      this.#context.need(-1);
    }
  }
}
