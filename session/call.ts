/**
 * One operation that we asked the peer for: what is known of it here, until its result is neither awaited nor needed as the base of others.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import type { LargeMessage } from "../protocol/outbox.ts";
import { deferred, ignore } from "../runtime/waiting.ts";

/** What limits calls: further operations on their results go through it, too. */
export interface Limits {
  /** See `Operator.operate()`. */
  operate(origin: Call, path: readonly string[], action: number, args: readonly unknown[], reference: boolean): Call;
}

/** A part of a message that is taken back if that is not sent after all. */
export interface Unsent {
  /** Takes it back. */
  unsent(): void;
}

/** What a message carries: handles of references, streams. */
export type Carried = number | Unsent;

/** An operation that was issued. */
export class Call {
  /** Its number, unique within the connection and direction. */
  readonly id: number;
  /** Settles with the answer. Rejections count as handled when the call became the base or an argument of another. */
  readonly promise: Promise<unknown>;
  #resolve!: (value: unknown) => void;
  #reject!: (error: unknown) => void;
  /** What keeps its base alive while the request may still be on its way, and helps error messages. */
  readonly context: unknown;
  /** Whether a reference to the result is wanted instead of its value. */
  reference: boolean;
  /** Whether someone asked for the result. */
  awaited = false;
  /** Whether another operation was built upon it. */
  chained = false;
  /** Whether the request has left, so that its flags are fixed. */
  sent = false;
  /** Whether the peer holds the result for us. */
  held = false;
  /** Whether it does not hold the event loop. */
  quiet = false;
  /** Whether an answer is expected or has come. */
  answered = false;
  /** What kept it from being sent, or why it was given up. Everything that is built upon it fails with it. */
  failure: { readonly error: unknown } | undefined;
  /** Where its flags are, until it is sent: offset in the writer's buffer or in the large message's body. */
  flagsAt = 0;
  /** The request, if it leaves in parts. */
  large: LargeMessage | undefined;
  /** Where the operation was issued; only its stack is of use. */
  site: Error | undefined;
  /** What it carries, if it leaves in parts. */
  carried: readonly Carried[] | undefined;
  /** Those that are its arguments. */
  needs: readonly Call[] | undefined;
  /** The scope under which it was issued, if any. */
  scope: Limits | undefined;
  /** What watches over it until it is settled. */
  limit: { end(): void } | undefined;

  /** Makes a call that is about to be encoded. */
  constructor(id: number, reference: boolean, context: unknown) {
    this.id = id;
    this.reference = reference;
    this.context = context;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** Settles it with a value. */
  resolve(value: unknown): void {
    this.limit?.end();
    this.#resolve(value);
  }

  /** Settles it with an error. */
  reject(error: unknown): void {
    this.limit?.end();
    this.#reject(error);
  }

  /**
   * Settles it with an error that is to name where the call is awaited. V8 knows that, but tells it only to a handler that comes before those who
   * await.
   *
   * @param error The error.
   * @param found Gets an error with that stack, just before.
   */
  rejectLate(error: unknown, found: (site: Error) => void): void {
    const { promise, resolve } = deferred<void>();
    this.resolve(promise.then(() => {
      found(new Error());
      throw error;
    }));
    // It takes two turns until our promise has been told to wait for that one.
    queueMicrotask(() => queueMicrotask(resolve));
  }

  /** Settles it before anything was sent. */
  fail(error: unknown): this {
    this.failure = { error };
    this.sent = true;
    this.#reject(error);
    return this;
  }

  /** No failure of it is reported as unhandled from now on. */
  handled(): void {
    this.promise.catch(ignore);
  }

  /**
   * Notes that another operation is built upon its result.
   *
   * @throws {OperationError} If the result is not there any more, because it was awaited.
   */
  chain(): void {
    if (this.sent && !this.held && !this.failure) {
      throw new OperationError(
        "Cannot go on from a result that was already awaited: chain before awaiting, or use keep() to await a proxy",
      );
    }
    if (!this.chained) this.handled();
    this.chained = true;
  }
}

/** Those requests of calls that leave in parts. */
export function largeOf(calls: readonly Call[] | undefined, base?: unknown): LargeMessage[] | undefined {
  const large = (base as { readonly large?: LargeMessage } | undefined)?.large;
  if (!calls) return large ? [large] : undefined;
  return [large, ...calls.map(({ large }) => large)].filter((it) => !!it);
}
