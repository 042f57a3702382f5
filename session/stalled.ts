/**
 * Messages that cannot be taken yet, as something is being loaded that they need.
 *
 * @module
 */

import { ignore } from "../runtime/waiting.ts";

/** Keeps messages of one connection back, in their order. */
export class Stalled {
  readonly #fail: (error: unknown) => void;
  #waiting: (() => void)[] | undefined;

  /** @param fail Gets what is thrown when a message is taken at last. */
  constructor(fail: (error: unknown) => void) {
    this.#fail = fail;
  }

  /** Whether messages wait. */
  get active(): boolean {
    return !!this.#waiting;
  }

  /** Adds a message, as a function that takes it. */
  add(take: () => void): void {
    this.#waiting!.push(take);
  }

  /** Has messages wait from now on. Resolves when something is loaded, or cannot be, and they were taken. */
  until(loading: Promise<unknown>): Promise<void> {
    const waiting: (() => void)[] = this.#waiting = [];
    return loading.catch(ignore).then(() => {
      this.#waiting = undefined;
      try {
        // If one of them stalls again, the others wait behind it.
        for (const take of waiting) this.#waiting ? this.add(take) : take();
      } catch (error) {
        this.#fail(error);
      }
    });
  }
}
