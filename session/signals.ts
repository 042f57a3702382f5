/**
 * Signals that cross a connection: the receiver gets a copy, which is aborted when the original is.
 *
 * A copy may have nothing but listeners that keep it from being collected, so it is the original that decides how long both sides remember it: until
 * it is aborted, collected, or out of reach as the connection ends.
 *
 * @module
 */

import { ProtocolError } from "../protocol/errors.ts";
import { LIMITS } from "../protocol/limits.ts";
import { MESSAGE, REFERENCE } from "../protocol/messages.ts";
import type { LargeMessage } from "../protocol/outbox.ts";
import type { Reader } from "../protocol/reader.ts";
import type { Writer } from "../protocol/writer.ts";
import type { CallContext } from "./context.ts";
import type { Link } from "./link.ts";
import type { Pending } from "./pending.ts";
import type { Watcher } from "./watch.ts";
import { unwatch, watch } from "./watch.ts";

/** Behind the number of a signal: what is known of it. */
const LIVE = 0, ABORTED = 1, YOURS = 2;

/** What signals, and what else is announced in one message and goes on in others, need of the rest of a session. */
export interface SideContext {
  readonly link: Link;
  /** Sends a message, see `References.tell()`. */
  tell(
    kind: number,
    number: number,
    value: unknown,
    otherwise: (value: unknown) => unknown,
    behind?: readonly LargeMessage[],
  ): void;
  /** The call whose arguments are decoded: to cancel it aborts signals among these. */
  readonly call: CallContext | undefined;
  /** Gives what stands for a promise in a decoded message. */
  arrive(value: Promise<unknown>): Pending;
}

/** A signal of ours that the peer has a copy of. */
class Original implements Watcher {
  readonly number: number;
  readonly signal: WeakRef<AbortSignal>;
  readonly #abort: (original: Original, reason: unknown) => void;
  /** Messages that carry it and have not left yet. */
  behind: LargeMessage[] = [];

  constructor(number: number, signal: AbortSignal, abort: (original: Original, reason: unknown) => void) {
    this.number = number;
    this.signal = new WeakRef(signal);
    this.#abort = abort;
  }

  aborted(reason: unknown): void {
    this.#abort(this, reason);
  }
}

/** All signals of a session, in both directions. */
export class Signals {
  readonly #context: SideContext;
  #last = 0;
  readonly #originals = new Map<number, Original>();
  readonly #numbers = new WeakMap<AbortSignal, Original>();
  readonly #copies = new Map<number, { readonly controller: AbortController; readonly arrived?: () => void }>();
  readonly #copied = new WeakMap<AbortSignal, number>();
  readonly #collected = new FinalizationRegistry<Original>((original) => this.#say(original, undefined));

  constructor(context: SideContext) {
    this.#context = context;
  }

  /** Writes a signal. */
  write(writer: Writer, signal: AbortSignal): void {
    const { link } = this.#context;
    const theirs = this.#copied.get(signal);
    const known = this.#numbers.get(signal);
    const number = theirs ?? known?.number ?? ++this.#last;
    writer.u8(REFERENCE.SIGNAL);
    writer.varint(number);
    writer.u8(theirs !== undefined ? YOURS : signal.aborted ? ABORTED : LIVE);
    if (theirs !== undefined) return;
    link.carrying((large) => {
      const original = known ?? new Original(number, signal, this.#aborted);
      if (large) original.behind = [...original.behind.filter(({ gone }) => !gone), large];
      if (signal.aborted) return queueMicrotask(() => this.#say(original, [signal.reason]));
      if (known) return;
      this.#originals.set(number, original);
      this.#numbers.set(signal, original);
      this.#collected.register(signal, original, original);
      watch(signal, original);
    });
  }

  // Made here: a closure of write() would keep the signal that it knows.
  readonly #aborted = (original: Original, reason: unknown): void => this.#say(original, [reason]);

  /** Tells the peer that a signal was aborted, or that it never will be. */
  #say(original: Original, reason: readonly unknown[] | undefined): void {
    const { number, behind, signal } = original;
    this.#originals.delete(number);
    this.#collected.unregister(original);
    const object = signal.deref();
    if (object) this.#numbers.delete(object);
    this.#context.tell(MESSAGE.SIGNAL, number, reason, () => [], behind);
  }

  /** Reads what {@linkcode write} wrote. */
  read(reader: Reader): unknown {
    const number = reader.varint(), state = reader.u8();
    // Of an original that was collected nobody can abort the copy.
    if (state === YOURS) return this.#originals.get(number)?.signal.deref() ?? new AbortController().signal;
    let controller = this.#copies.get(number)?.controller;
    if (!controller) {
      if (this.#copies.size >= LIMITS.awaited) throw new ProtocolError("Too many signals are open");
      controller = new AbortController();
      if (state === ABORTED) {
        const { signal } = controller;
        const arrived = new Promise<unknown>((resolve) =>
          this.#copies.set(number, { controller: controller!, arrived: () => resolve(signal) })
        );
        return this.#context.arrive(arrived);
      }
      this.#copies.set(number, { controller });
    }
    const { call } = this.#context;
    const signal = call ? AbortSignal.any([controller.signal, call.signal]) : controller.signal;
    this.#copied.set(signal, number);
    return signal;
  }

  /** Reads a SIGNAL message: a list of the reason, or `undefined` if the signal was collected. */
  said(number: number, reason: unknown): void {
    const copy = this.#copies.get(number);
    this.#copies.delete(number);
    if (reason === undefined) return;
    copy?.controller.abort(Array.isArray(reason) ? reason[0] : undefined);
    copy?.arrived?.();
  }

  /** The connection is gone, and with it all who could abort our copies. */
  clear(error: unknown): void {
    for (const original of this.#originals.values()) {
      this.#collected.unregister(original);
      const signal = original.signal.deref();
      if (signal) unwatch(signal, original);
    }
    this.#originals.clear();
    const copies = [...this.#copies.values()];
    this.#copies.clear();
    for (const { controller } of copies) controller.abort(error);
  }
}
