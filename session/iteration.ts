/**
 * Iterating over what lives on the other side: `for await` over proxies, paths and results. It is one operation, whose result is a stream of items
 * (`streams.ts`); it is issued when the first item is asked for.
 *
 * @module
 */

type Steps = AsyncGenerator<unknown, unknown, unknown>;
type Step = IteratorResult<unknown, unknown>;

/** An iteration that begins with the first `next()`. */
export class Iteration implements AsyncGenerator<unknown, unknown, unknown> {
  readonly #start: () => Promise<unknown>;
  #starting: Promise<Steps> | undefined;
  #steps: Steps | undefined;
  #over = false;

  /** @param start Issues the operation, and gives its result. */
  constructor(start: () => Promise<unknown>) {
    this.#start = start;
  }

  next(value?: unknown): Promise<Step> {
    if (this.#steps) return this.#steps.next(value);
    if (this.#over) return Promise.resolve({ value: undefined, done: true });
    this.#starting ??= (this.#start() as Promise<Steps>).then((steps) => this.#steps = steps);
    return this.#starting.then((steps) => steps.next(value), (error) => {
      // As with a generator, that it failed is told once.
      if (this.#over) return { value: undefined, done: true };
      this.#over = true;
      throw error;
    });
  }

  async return(value?: unknown): Promise<Step> {
    this.#over = true;
    const steps = await this.#starting?.catch(() => undefined);
    return steps ? steps.return(value) : { value: await value, done: true };
  }

  async throw(error: unknown): Promise<Step> {
    this.#over = true;
    const steps = await this.#starting?.catch(() => undefined);
    if (!steps) throw error;
    return steps.throw(error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  get [Symbol.toStringTag](): string {
    return "AsyncGenerator";
  }
}
