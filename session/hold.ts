/**
 * Keeping the process alive: a connection does it only as long as something of it is awaited here or runs for the peer.
 *
 * @module
 */

import { idleTimeout } from "../runtime/host.ts";
import type { Wire } from "../transports/wire.ts";

/** How long the event loop is held on to after the last thing that was awaited. Milliseconds. */
const LINGER = 20;

/** Counts what is awaited or runs. */
export class Hold {
  readonly #wire: Wire;
  readonly #steady: boolean;
  #count = 0;
  #held: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #over = false;
  /** Holds the loop, too: a stream in memory has nothing that could. */
  #anchor: ReturnType<typeof setInterval> | undefined;

  /**
   * @param wire What keeps the process alive.
   * @param steady Whether it does so all the time.
   */
  constructor(wire: Wire, steady: boolean) {
    this.#wire = wire;
    this.#steady = steady;
    this.#held = steady;
    wire.hold(steady);
  }

  /** Says that something began (1) or ceased (-1) to be awaited or to run. */
  change(by: 1 | -1): void {
    this.#count += by;
    if (this.#steady || this.#over) return;
    if (!this.#held) {
      if (this.#count > 0) this.#set(true);
      return;
    }
    if (this.#count > 0 || this.#timer !== undefined) return;
    // Letting go costs something, and the next call usually follows at once.
    this.#timer = idleTimeout(() => {
      this.#timer = undefined;
      if (this.#count === 0 && !this.#over) this.#set(false);
    }, LINGER);
  }

  #set(held: boolean): void {
    this.#held = held;
    this.#wire.hold(held);
    if (held) this.#anchor = setInterval(() => {}, 1 << 30);
    else clearInterval(this.#anchor);
  }

  /** Waits for a promise and counts as long. */
  async during<T>(promise: Promise<T>): Promise<T> {
    this.change(1);
    try {
      return await promise;
    } finally {
      this.change(-1);
    }
  }

  /** The wire is gone. */
  stop(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    clearInterval(this.#anchor);
  }
}
