/**
 * The sending end of a stream: what it may send, and the three things that it can belong to: a `ReadableStream` or an iterator of ours that the peer
 * reads, and the `WritableStream` here that stands for one of the peer's. The receiving end is `stream_sink.ts`.
 *
 * @module
 */

import { FRAME_HEADER } from "../protocol/frames.ts";
import { LIMITS } from "../protocol/limits.ts";
import { MESSAGE, STREAM } from "../protocol/messages.ts";
import type { Deferred } from "../runtime/waiting.ts";
import { deferred, ignore } from "../runtime/waiting.ts";
import type { CallContext } from "./context.ts";
import { runInCall } from "./context.ts";
import type { StreamHub } from "./stream_hub.ts";
import { foreign } from "./stream_hub.ts";

/** Bytes that travel in one message. Most streams have chunks of this size. */
const PIECE = 1 << 16;

/** Sends the items of one stream, as far as the peer has given credit. */
export class Outgoing {
  /** Its number, see `stream_hub.ts`. */
  readonly key: number;
  readonly #hub: StreamHub;
  /** Settles when the peer has acted upon the end, where one can know that: of streams that belong to the peer. */
  readonly done: Deferred<void> | undefined;
  /** Does what the peer wants with CANCEL or THROW. Called once at most. */
  stopping: (what: number, value: unknown) => void = ignore;
  /** Takes back that it was to be sent. */
  unsent: () => void = ignore;
  #credit = 0;
  #advance = LIMITS.streamAdvance;
  #stopped = false;
  #over = false;
  /** A large item is under way, which others must not overtake. */
  #behind: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  /**
   * @param hub Its session.
   * @param key Its number.
   * @param theirs Whether it is written here and belongs to the peer.
   */
  constructor(hub: StreamHub, key: number, theirs: boolean) {
    this.#hub = hub;
    this.key = key;
    if (theirs) {
      this.done = deferred();
      this.done.promise.catch(ignore);
    }
  }

  /** Whether no more items are wanted or will come. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Whether somebody here waits for the peer. */
  get awaited(): boolean {
    return this.done !== undefined && (this.#over || this.#wake !== undefined);
  }

  /** What must be waited for before an item is sent, if anything; ask again then. */
  wait(): Promise<void> | undefined {
    if (this.#stopped) return;
    if (this.#behind) return this.#behind;
    const hub = this.#hub;
    if (this.#credit > 0 || this.#advance > 0 && hub.allowance > 0) return hub.link.room();
    hub.starving.add(this);
    // Who writes waits for it; who is only read from does not keep the process alive as long as nobody reads.
    if (!this.done) hub.busy(-1);
    return new Promise((resolve) => this.#wake = resolve);
  }

  /** Ends a wait for credit. */
  wake(): void {
    const wake = this.#wake;
    if (!wake) return;
    this.#wake = undefined;
    this.#hub.starving.delete(this);
    if (!this.done) this.#hub.busy(1);
    wake();
  }

  /** Reads a CREDIT message. */
  grant(amount: number): void {
    this.#credit = Math.min(this.#credit + amount, Number.MAX_SAFE_INTEGER);
    this.wake();
  }

  /**
   * Sends an item as soon as that may be.
   *
   * @param value The item.
   * @param split Whether long bytes may arrive in several pieces.
   * @returns What must be waited for, if it could not be sent at once.
   * @throws {OperationError} If it cannot travel.
   */
  deliver(value: unknown, split: boolean): Promise<void> | undefined {
    const wait = this.wait();
    if (wait) return this.#patiently(value, split, wait);
    if (this.#stopped) return;
    if (!(value instanceof Uint8Array) || !split && value.length > PIECE) return this.#item(value);
    if (this.#piece(value, 0) < value.length) return this.#patiently(value, split, undefined, PIECE);
    return;
  }

  async #patiently(value: unknown, split: boolean, wait: Promise<void> | undefined, at = 0): Promise<void> {
    do {
      for (wait ??= this.wait(); wait; wait = this.wait()) await wait;
      if (this.#stopped) return;
      if (!(value instanceof Uint8Array) || !split && value.length > PIECE) return this.#item(value);
      at = this.#piece(value, at);
    } while (at < value.length);
  }

  #head(what: number): void {
    const { writer } = this.#hub.link;
    writer.u8(this.#credit > 0 ? what : what | STREAM.UNASKED);
    writer.varint(foreign(this.key));
  }

  #pay(size: number): void {
    const cost = size + LIMITS.itemCost;
    if (this.#credit > 0) {
      this.#credit -= cost;
      return;
    }
    this.#advance -= cost;
    this.#hub.allowance -= cost;
  }

  #item(value: unknown): undefined {
    const { link, references } = this.#hub;
    const start = link.begin(MESSAGE.STREAM);
    references.begin();
    let large;
    try {
      this.#head(STREAM.ITEM);
      link.value(value, "item");
      large = link.commit(start, { kept: value });
    } catch (error) {
      link.rollback(start);
      references.undo();
      throw error;
    }
    this.#pay(large?.size ?? link.writer.position - link.start - FRAME_HEADER);
    if (large) {
      this.#behind = new Promise((resolve) =>
        link.afterAll(() => {
          this.#behind = undefined;
          resolve();
        })
      );
    }
  }

  /** Sends some bytes of a chunk, and returns where the rest begins. */
  #piece(chunk: Uint8Array, at: number): number {
    const { link } = this.#hub;
    const start = link.begin(MESSAGE.STREAM);
    this.#head(STREAM.BYTES);
    const end = Math.min(chunk.length, at + PIECE);
    link.writer.raw(end - at === chunk.length ? chunk : chunk.subarray(at, end));
    link.commit(start, { whole: true });
    this.#pay(link.writer.position - link.start - FRAME_HEADER);
    return end;
  }

  /** Sends no more items. */
  stop(): void {
    this.#stopped = true;
    this.wake();
  }

  /** Says that it has come to its end. */
  end(value?: unknown): void {
    this.#finish(STREAM.END, value);
  }

  /** Says why nothing more comes. */
  fail(error: unknown): void {
    this.#finish(STREAM.FAIL, error);
  }

  #finish(what: number, value: unknown): void {
    if (this.#over) return;
    this.#over = true;
    this.stop();
    const say = () => {
      this.#hub.say(what, this.key, value);
      if (!this.done) this.#hub.forget(this.key);
    };
    if (this.#behind) this.#behind.then(say);
    else say();
  }

  /** The peer wants no more, or the connection is gone. */
  cancel(what: number, value: unknown): void {
    if (this.done) {
      this.#hub.forget(this.key);
      this.done.reject(value);
    } else if (this.#stopped) return;
    this.stop();
    this.stopping(what, value);
  }

  /** The peer has acted upon the end. */
  settle(): void {
    this.#hub.forget(this.key);
    this.done?.resolve();
  }
}

/** What is used of the reader of a stream. */
type Reader = ReadableStreamDefaultReader<unknown>;

/**
 * Has the peer read a stream of ours.
 *
 * @param out Where to.
 * @param reader Where from.
 * @param hub The session.
 */
export async function pumpReadable(out: Outgoing, reader: Reader, hub: StreamHub): Promise<void> {
  out.stopping = (_what, reason) => {
    reader.cancel(reason).then(() => out.end(), (error) => out.fail(error));
  };
  hub.busy(1);
  try {
    for (;;) {
      for (let wait = out.wait(); wait; wait = out.wait()) await wait;
      if (out.stopped) break;
      const { done, value } = await reader.read();
      if (out.stopped) break;
      if (done) {
        out.end();
        break;
      }
      const wait = out.deliver(value, true);
      if (wait) await wait;
    }
  } catch (error) {
    reader.cancel(error).catch(ignore);
    out.fail(error);
  }
  hub.busy(-1);
}

/** An iterator, of whichever kind. */
export type AnyIterator = Iterator<unknown, unknown> | AsyncIterator<unknown, unknown>;

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (Object(value) as { then?: unknown }).then === "function";
}

/**
 * Has the peer read what an iterator gives.
 *
 * @param out Where to.
 * @param open Gives what it comes from.
 * @param hub The session.
 * @param context The call whose result it is, if any: its signal is aborted when the peer gives up while the iterator works on the next item.
 */
export async function pumpIterator(
  out: Outgoing,
  open: () => AnyIterator,
  hub: StreamHub,
  context: CallContext | undefined,
): Promise<void> {
  const within = <T>(body: () => T): T => context ? runInCall(context, body) : body();
  let iterator: AnyIterator, working = false;
  try {
    iterator = within(open);
  } catch (error) {
    return out.fail(hub.own(error));
  }
  out.stopping = (what, value) => {
    if (working) context?.abort(new DOMException("The stream was cancelled", "AbortError"));
    within(() => leave(iterator, what, value)).then((value) => out.end(value), (error) => out.fail(hub.own(error)));
  };
  hub.busy(1);
  try {
    for (;;) {
      for (let wait = out.wait(); wait; wait = out.wait()) await wait;
      if (out.stopped) break;
      let step: IteratorResult<unknown, unknown>, item: unknown;
      try {
        working = true;
        const next = within(() => iterator.next());
        step = isThenable(next) ? await next : next;
        if (Object(step) !== step) throw new TypeError("The result of next() is not an object");
        // What a generator yields is no promise, but what a synchronous iterator gives may be one.
        item = isThenable(step.value) ? await step.value : step.value;
      } catch (error) {
        out.fail(hub.own(error));
        break;
      } finally {
        working = false;
      }
      if (step.done) out.end(item);
      if (out.stopped) break;
      const wait = out.deliver(item, false);
      if (wait) await wait;
    }
  } catch (error) {
    // The item cannot travel.
    out.fail(error);
    within(() => leave(iterator, STREAM.CANCEL, undefined)).catch(ignore);
  }
  hub.busy(-1);
}

/** Ends an iterator before its time, and gives what it returned. */
async function leave(iterator: AnyIterator, what: number, value: unknown): Promise<unknown> {
  if (what === STREAM.THROW) {
    if (!iterator.throw) {
      await iterator.return?.();
      throw value;
    }
    const step = await iterator.throw(value);
    if (step.done) return step.value;
    // It went on instead; there is nobody any more who could.
    value = undefined;
  }
  return iterator.return ? (await iterator.return(value)).value : value;
}

/** Makes the stream here that writes to one of the peer's. */
export function makeWritable(out: Outgoing, hub: StreamHub): WritableStream<unknown> {
  // It must not be kept by us, or it would never be collected.
  let weak: WeakRef<WritableStreamDefaultController> | undefined;
  out.stopping = (_what, reason) => {
    out.fail(reason);
    weak?.deref()?.error(reason);
  };
  const during = async (promise: Promise<void> | undefined) => {
    hub.busy(1);
    try {
      await promise;
    } catch (error) {
      throw refused(error);
    } finally {
      hub.busy(-1);
    }
  };
  // What fails in `write` ends the stream here, which tells nobody of it.
  const refused = (error: unknown): unknown => {
    out.fail(error);
    return error;
  };
  return new WritableStream<unknown>({
    start(controller) {
      weak = new WeakRef(controller);
      // The stream itself waits for a write that is under way before it tells of an abort.
      controller.signal?.addEventListener("abort", () => out.stop());
    },
    write(chunk) {
      let wait;
      try {
        wait = out.deliver(chunk, true);
      } catch (error) {
        throw refused(error);
      }
      return wait && during(wait);
    },
    close() {
      out.end();
      return during(out.done!.promise);
    },
    abort(reason) {
      out.fail(reason);
      return during(out.done!.promise);
    },
  });
}
