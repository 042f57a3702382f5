/**
 * The call that is running: which connection it came over, and its signal. It follows the call across `await` once the asynchronous storage of the
 * runtime is there; loading that is put off until code that may ask is loaded, as it costs start-up time and makes every `await` dearer.
 *
 * @module
 */

import type { AsyncStorage } from "../runtime/host.ts";
import { asyncStorage, runtime } from "../runtime/host.ts";

/** A call from the peer. */
export class CallContext {
  readonly #owner: { readonly connection: object; readonly session?: object };
  #controller: AbortController | undefined;
  #reason: unknown;
  #aborted = false;

  /** @param owner What knows the connection. */
  constructor(owner: { readonly connection: object; readonly session?: object }) {
    this.#owner = owner;
  }

  /** The public connection that it came over. */
  get connection(): object {
    return this.#owner.connection;
  }

  /** What is behind it, where it came over one at all. */
  get session(): object | undefined {
    return this.#owner.session;
  }

  /** Aborted when the caller cancels or is gone. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** Aborts the signal. Undefined is no reason. */
  abort(reason: unknown): void {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason ?? new DOMException("The caller cancelled the call", "AbortError");
    this.#controller?.abort(this.#reason);
  }

  /** @throws The reason if the signal was aborted. */
  check(): void {
    if (this.#aborted) throw this.#reason;
  }
}

let storage: AsyncStorage<CallContext> | undefined;
let current: CallContext | undefined;

/** Makes {@linkcode currentCall} right across `await`, too, from the calls on that start after the promise. */
export function followCalls(): Promise<void> | undefined {
  if (storage || runtime === "other") return; // browsers have none: there a call is known until its first `await`
  const loaded = asyncStorage<CallContext>();
  if (!(loaded instanceof Promise)) return void (storage = loaded);
  return loaded.then((it) => {
    storage ??= it;
  });
}

/** Runs `body` as a part of a call. */
export function runInCall<T>(context: CallContext, body: () => T): T {
  if (storage) return storage.run(context, body);
  const outer = current;
  current = context;
  try {
    return body();
  } finally {
    current = outer;
  }
}

/** The call that we are in, if any. */
export function currentCall(): CallContext | undefined {
  return storage?.getStore() ?? current;
}
