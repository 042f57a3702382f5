/**
 * Waiting for something that may not come: until a signal, or for a limited time. The program is kept alive meanwhile.
 *
 * @module
 */

import { LONGEST_TIMER } from "../runtime/waiting.ts";

/** What bounds waiting. */
export interface WaitOptions {
  /** Ends the waiting when it is aborted. */
  readonly signal?: AbortSignal;
  /** Milliseconds. No limit by default. */
  readonly timeout?: number;
}

/**
 * Waits.
 *
 * @param what What did not happen in time, for the error.
 * @param options How long.
 * @param start Arranges that what it gets is called, with an error if it is not to be waited for any longer. Gives what undoes that.
 * @throws {DOMException} A `TimeoutError`, if the time is over; otherwise the reason of the signal, or the error that it was called with.
 */
export async function waitFor(
  what: string,
  options: WaitOptions,
  start: (settle: (error?: unknown) => void) => () => void,
): Promise<void> {
  const { signal, timeout = Infinity } = options;
  if (!(timeout >= 0)) throw new RangeError(`Cannot wait for ${timeout} ms: pass a number from 0 on`);
  signal?.throwIfAborted();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let stop: (() => void) | undefined;
  let aborted: (() => void) | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      aborted = () => reject(signal!.reason);
      signal?.addEventListener("abort", aborted);
      // Without a limit, too: a daemon does not keep the program alive, but who waits for it does.
      timer = setTimeout(() => {
        reject(new DOMException(`${what} within ${timeout} ms`, "TimeoutError"));
      }, Math.min(timeout, LONGEST_TIMER));
      stop = start((error) => error === undefined ? resolve() : reject(error));
    });
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", aborted!);
    stop?.();
  }
}
