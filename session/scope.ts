/**
 * Limits of calls: a signal that cancels them, a deadline. A {@linkcode Scope} stands between faces and the {@linkcode Caller} and puts its limits on
 * every operation that goes through it; faces hand it on, so that chains inherit it. Cancelling itself is the caller's business.
 *
 * @module
 */

import { idleTimeout } from "../runtime/host.ts";
import { LONGEST_TIMER } from "../runtime/waiting.ts";
import { Call } from "./call.ts";
import type { Caller } from "./caller.ts";
import type { Holding, Operator, Origin } from "./faces.ts";
import type { Base } from "./caller.ts";
import type { Watcher } from "./watch.ts";
import { unwatch, watch } from "./watch.ts";

/** What bounds calls; see `Connection.with()`. */
export interface CallLimits {
  /** Calls are cancelled when it is aborted; when it is already, nothing is sent. */
  signal?: AbortSignal;
  /** Milliseconds that each call may take, from when it is issued. `Infinity`, the default, is no limit. */
  timeout?: number;
}

/** What watches over one call. */
class Limit implements Watcher {
  readonly #scope: Scope;
  readonly #call: Call;
  readonly #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(scope: Scope, call: Call) {
    this.#scope = scope;
    this.#call = call;
    const { signal, timeout } = scope;
    if (signal) watch(signal, this);
    // The connection keeps the process alive while an answer is awaited; a timer must not do it any longer.
    if (timeout !== undefined) this.#timer = idleTimeout(() => this.#late(timeout), timeout);
  }

  #late(timeout: number): void {
    this.aborted(new DOMException(`The call took longer than ${timeout} ms`, "TimeoutError"));
  }

  aborted(reason: unknown): void {
    this.#scope.caller.cancel(this.#call, reason);
  }

  /** Stops watching. */
  end(): void {
    const { signal } = this.#scope;
    if (signal) unwatch(signal, this);
    clearTimeout(this.#timer);
  }
}

/** Issues operations under a signal or a deadline. */
export class Scope implements Operator {
  readonly caller: Caller;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds. */
  readonly timeout: number | undefined;

  /**
   * Checks the limits.
   *
   * @throws {TypeError} If a name is unknown or a value is of the wrong type.
   * @throws {RangeError} If the timeout is no positive number.
   */
  constructor(caller: Caller, limits: CallLimits) {
    if (typeof limits !== "object" || limits === null) {
      throw new TypeError("Cannot use these limits: pass an object with signal, timeout or both");
    }
    for (const name of Object.keys(limits)) {
      if (name !== "signal" && name !== "timeout") {
        throw new TypeError(`Cannot use option "${name}": there are signal, timeout`);
      }
    }
    const { signal, timeout } = limits;
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw new TypeError("Cannot use this as option signal: it takes an AbortSignal");
    }
    if (timeout !== undefined && typeof timeout !== "number") {
      throw new TypeError(`Cannot use a ${typeof timeout} as option timeout: it takes milliseconds`);
    }
    if (timeout !== undefined && !(timeout >= 0)) {
      throw new RangeError(`Cannot use ${timeout} as option timeout: it takes milliseconds from 0 on`);
    }
    this.caller = caller;
    this.signal = signal;
    this.timeout = timeout === undefined || timeout > LONGEST_TIMER ? undefined : timeout;
  }

  get connection(): object {
    return this.caller.connection;
  }

  operate(origin: Origin, path: readonly string[], action: number, args: readonly unknown[], reference: boolean): Call {
    return this.#refused(reference) ?? this.#limit(this.caller.operate(origin, path, action, args, reference));
  }

  operateOn(base: Base, action: number, args: readonly unknown[], reference: boolean): Call {
    return this.#refused(reference) ?? this.#limit(this.caller.operateOn(base, action, args, reference));
  }

  #refused(reference: boolean): Call | undefined {
    return this.signal?.aborted ? new Call(0, reference, undefined).fail(this.signal.reason) : undefined;
  }

  #limit(call: Call): Call {
    if (call.failure) return call;
    call.scope = this;
    call.limit = new Limit(this, call);
    return call;
  }

  result(call: Call): Promise<unknown> {
    return this.caller.result(call);
  }

  iterate(origin: Origin, path: readonly string[]): AsyncIterator<unknown> {
    return this.caller.iterate(origin, path, this, this.signal);
  }

  release(holding: Holding): void {
    this.caller.release(holding);
  }

  cancel(call: Call, reason: unknown): void {
    this.caller.cancel(call, reason);
  }
}
