/**
 * Turns: at most so many things of a kind happen at a time, the others wait in line. Groups open gateways by it.
 *
 * @module
 */

/** Lets at most so many bodies run at a time. */
export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /**
   * Makes a line.
   *
   * @param atOnce How many may run at a time.
   */
  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /**
   * Runs something when its turn has come.
   *
   * @param body What to run.
   * @returns What it returned.
   */
  async take<T>(body: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await body();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }
}
