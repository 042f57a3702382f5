/**
 * What one target of an {@linkcode RSync} is told: items that wait until the connection has room for them, and whoever adds to them, until there are
 * not many. Bytes go without a copy of their own; it can be asked when they have left, so that their buffer can be used again.
 *
 * @module
 */

/** Items that wait before whoever adds more has to. */
const WAITING = 16;

/** Bytes that travel as one item, at most: more would leave in fragments, and have to be put together over there. */
const PIECE = 1 << 16;

/** The next item, which is awaited. */
interface Asked<T> {
  resolve(result: IteratorResult<T>): void;
  reject(error: Error): void;
}

/** The items as the connection takes them. It asks for the next one when it has sent the last one. */
export class Outlet<T> implements AsyncIterableIterator<T | Uint8Array> {
  readonly #items: (T | Uint8Array)[] = [];
  /** Where in `items` the next one is. */
  #at = 0;
  #added = 0;
  /** The connection waits for an item. */
  #asked: Asked<T | Uint8Array> | undefined;
  readonly #waiting: { readonly mark: number; readonly resolve: () => void }[] = [];
  #ended: { readonly error?: Error } | undefined;

  /** How many items were added so far: what {@linkcode passed} waits for. */
  get mark(): number {
    return this.#added;
  }

  /** Adds an item. Returns what to wait for before the next one, if anything. */
  add(item: T | Uint8Array): Promise<void> | undefined {
    if (this.#ended) return;
    this.#added++;
    const asked = this.#asked;
    if (asked) {
      this.#asked = undefined;
      asked.resolve({ value: item, done: false });
    } else this.#items.push(item);
    return this.#items.length - this.#at > WAITING ? this.passed(this.#added - WAITING) : undefined;
  }

  /** Adds bytes, which must not be changed before they have {@linkcode passed}. */
  bytes(bytes: Uint8Array): Promise<void> | undefined {
    let wait;
    for (let at = 0; at < bytes.length; at += PIECE) wait = this.add(bytes.subarray(at, at + PIECE));
    return wait;
  }

  /** Resolves when as many items have left, or nobody wants them any more. */
  passed(mark: number): Promise<void> | undefined {
    if (this.#ended || this.#left >= mark) return;
    return new Promise((resolve) => this.#waiting.push({ mark, resolve }));
  }

  /** Items that are out of our hands: the last one that was taken is, when the next one is asked for. */
  get #left(): number {
    return this.#added - (this.#items.length - this.#at) - (this.#asked ? 0 : 1);
  }

  /** There are no more, or (with an error) none of them is to be taken. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = error ? { error } : {};
    if (error) this.#items.length = this.#at = 0;
    for (const { resolve } of this.#waiting.splice(0)) resolve();
    const asked = this.#asked;
    this.#asked = undefined;
    if (error) asked?.reject(error);
    else asked?.resolve({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<T | Uint8Array>> {
    const item = this.#items[this.#at];
    if (item !== undefined) {
      // What was taken is let go of, a few at a time.
      if (++this.#at >= WAITING) this.#items.splice(0, this.#at), this.#at = 0;
    }
    const promise = new Promise<IteratorResult<T | Uint8Array>>((resolve, reject) => {
      if (item !== undefined) resolve({ value: item, done: false });
      else if (!this.#ended) this.#asked = { resolve, reject };
      else if (this.#ended.error) reject(this.#ended.error);
      else resolve({ value: undefined, done: true });
    });
    if (this.#waiting.length > 0) this.#wake();
    return promise;
  }

  #wake(): void {
    const left = this.#left;
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      if (this.#waiting[i]!.mark <= left) this.#waiting.splice(i, 1)[0]!.resolve();
    }
  }

  /** The other side wants no more. */
  return(): Promise<IteratorResult<T | Uint8Array>> {
    this.end(new Error("The receiver left before the end"));
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
