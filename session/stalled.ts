/**
 * Messages that cannot be taken yet, as something is being loaded that they need, or is to leave first.
 *
 * @module
 */

import { ignore } from "../runtime/waiting.ts";

/** Keeps messages of one connection back, in their order. */
export class Stalled {
  readonly #fail: (error: unknown) => void;
  readonly #waiting: (() => void)[] = [];
  /** Resolves when messages were taken that wait; undefined if none do. */
  over: Promise<void> | undefined;

  /** @param fail Gets what is thrown when a message is taken at last. */
  constructor(fail: (error: unknown) => void) {
    this.#fail = fail;
  }

  /** Adds a message, as a function that takes it. */
  add(take: () => void): void {
    this.#waiting.push(take);
  }

  /** Has messages wait until something is loaded, or cannot be. */
  until(loading: Promise<unknown>): void {
    this.over = loading.catch(ignore).then(() => {
      this.over = undefined;
      try {
        // If one of them has others wait again, the rest waits behind it.
        for (const take of this.#waiting.splice(0)) this.over ? this.add(take) : take();
      } catch (error) {
        this.#fail(error);
      }
    });
  }
}
