/**
 * Iterating over what lives on the other side: `for await` over proxies, paths and results. It is one operation, whose result is a stream of items
 * (`streams.ts`); it is issued when the first item is asked for.
 *
 * @module
 */

import type { ReceivedGenerator } from "./stream_sink.ts";
import type { Watcher } from "./watch.ts";
import { unwatch, watch } from "./watch.ts";

type Step = IteratorResult<unknown, unknown>;

/** An iteration that begins with the first `next()`. */
export class Iteration implements AsyncGenerator<unknown, unknown, unknown>, Watcher {
  readonly #start: () => Promise<unknown>;
  readonly #signal: AbortSignal | undefined;
  #starting: Promise<ReceivedGenerator> | undefined;
  #steps: ReceivedGenerator | undefined;
  #over = false;

  /**
   * @param start Issues the operation, and gives its result.
   * @param signal Ends it.
   */
  constructor(start: () => Promise<unknown>, signal: AbortSignal | undefined) {
    this.#start = start;
    this.#signal = signal;
  }

  next(value?: unknown): Promise<Step> {
    const steps = this.#steps;
    if (steps) return this.#signal ? this.#watched(steps.next(value)) : steps.next(value);
    if (this.#over) return Promise.resolve({ value: undefined, done: true });
    this.#starting ??= this.#begin();
    return this.#starting.then(() => this.next(value), (error) => {
      // As with a generator, that it failed is told once.
      if (this.#over) return { value: undefined, done: true };
      this.#over = true;
      throw error;
    });
  }

  async #begin(): Promise<ReceivedGenerator> {
    // Until there is an answer, the signal ends the operation itself.
    const steps = this.#steps = await this.#start() as ReceivedGenerator;
    if (this.#signal?.aborted) this.aborted(this.#signal.reason);
    else if (this.#signal) watch(this.#signal, this);
    return steps;
  }

  async #watched(step: Promise<Step>): Promise<Step> {
    let done: boolean | undefined = true;
    try {
      const result = await step;
      done = result.done;
      return result;
    } finally {
      if (done) this.#unwatch();
    }
  }

  #unwatch(): void {
    if (this.#signal) unwatch(this.#signal, this);
  }

  /** The signal is aborted. */
  aborted(reason: unknown): void {
    this.#steps!.abort(reason);
  }

  async return(value?: unknown): Promise<Step> {
    this.#over = true;
    const steps = await this.#starting?.catch(() => undefined);
    this.#unwatch();
    return steps ? steps.return(value) : { value: await value, done: true };
  }

  async throw(error: unknown): Promise<Step> {
    this.#over = true;
    const steps = await this.#starting?.catch(() => undefined);
    this.#unwatch();
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
