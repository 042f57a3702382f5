/**
 * The calls that wait for their answers.
 *
 * @module
 */

import type { Call } from "./call.ts";

/** A power of two. */
const SLOTS = 1024;

/**
 * Finds calls by their numbers, which count up. A `Map` would do, but makes the garbage collector the most expensive part of a call: it moves to new
 * tables all the time, and until the next full collection V8 takes everything in those that grew old for alive.
 */
export class CallTable {
  readonly #slots: (Call | undefined)[] = new Array(SLOTS).fill(undefined);
  /** Those whose slot had been taken. */
  readonly #others = new Map<number, Call>();
  /** How many there are. */
  size = 0;

  /** The call with that number. */
  get(id: number): Call | undefined {
    const call = this.#slots[id % SLOTS];
    return call?.id === id ? call : this.#others.get(id);
  }

  /** Adds one. */
  add(call: Call): void {
    const slot = call.id % SLOTS;
    if (this.#slots[slot]) this.#others.set(call.id, call);
    else this.#slots[slot] = call;
    this.size++;
  }

  /** Takes one out that is in it. */
  delete(id: number): void {
    const slot = id % SLOTS;
    if (this.#slots[slot]?.id === id) this.#slots[slot] = undefined;
    else this.#others.delete(id);
    this.size--;
  }

  /** All of them. */
  values(): Call[] {
    return [...this.#slots.filter((call) => call !== undefined), ...this.#others.values()];
  }

  /** Forgets all. */
  clear(): void {
    this.#slots.fill(undefined);
    this.#others.clear();
    this.size = 0;
  }
}
