/**
 * What waits its turn.
 *
 * @module
 */

/** First in, first out: unlike with an array, taking costs the same however many there are. */
export class Queue<T> {
  #items: T[] = [];
  /** Where the first is. */
  #head = 0;

  /** How many there are. */
  get size(): number {
    return this.#items.length - this.#head;
  }

  /** The next one. */
  get first(): T | undefined {
    return this.#items[this.#head];
  }

  /** Adds one. */
  put(item: T): void {
    this.#items.push(item);
  }

  /** Adds one that is to be the next. */
  putBack(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
  }

  /** Takes the next one out. */
  take(): T | undefined {
    if (this.size === 0) return;
    const item = this.#items[this.#head++];
    if (this.#head === this.#items.length || this.#head > 1_000) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Takes one out, wherever it is. Returns whether it was there. */
  remove(item: T): boolean {
    const at = this.#items.indexOf(item, this.#head);
    if (at >= 0) this.#items.splice(at, 1);
    return at >= 0;
  }
}
