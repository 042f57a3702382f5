/**
 * What one can ask of a pool: to run a function, or one for each of many items. Who works on it is the business of `pool.ts`.
 *
 * @module
 */

import type { AnyFunction, CallLimits, Returned, SendableAll } from "../mod.ts";
import { idleTimeout } from "../runtime/host.ts";
import { ignore, LONGEST_TIMER } from "../runtime/waiting.ts";
import { unwatch, watch } from "../session/watch.ts";
import type { Task } from "./seat.ts";

/** Gives a task to whoever works on it. `bounded` is one that is refused when too many wait. */
export type Submit = (fn: AnyFunction, args: readonly unknown[], bounded: boolean) => Promise<unknown>;

/** How many items are kept under way. */
export interface Windows {
  /** By `map()`: it gives nothing before it has all. */
  readonly map: number;
  /** By `imap()`: what is done ahead of who reads. */
  readonly imap: number;
}

/** What one asks of a pool. A `Pool` has it, and so has what its `with()` gives: there, tasks are under a signal or a deadline. */
export class PoolScope {
  readonly #submit: Submit;
  readonly #windows: Windows;

  /** Made by `Pool.with()`. */
  constructor(submit: Submit, windows: Windows) {
    this.#submit = submit;
    this.#windows = windows;
  }

  /**
   * Runs a function in one of the processes, as soon as one is free.
   *
   * @param fn It travels as with `Connection.call()`.
   * @param args Its arguments.
   * @returns Its result.
   * @throws {DisconnectError} If the process died.
   * @throws {Error} What the function threw; or if too many tasks wait, or the pool is closed.
   */
  run<F extends AnyFunction>(fn: F, ...args: SendableAll<Parameters<F>>): Promise<Returned<ReturnType<F>>> {
    return this.#submit(fn, args as readonly unknown[], true) as Promise<Returned<ReturnType<F>>>;
  }

  /**
   * Runs a function for each of many items.
   *
   * @param fn Gets an item.
   * @param items They are taken as they can be worked on.
   * @returns The results, in the order of the items.
   * @throws {Error} The first error; no more items are taken then.
   */
  async map<T, R>(fn: (item: T) => R, items: Iterable<T> | AsyncIterable<T>): Promise<Returned<R>[]> {
    const source = iterate(items);
    const results: unknown[] = [];
    let count = 0, over = false;
    const work = async (): Promise<void> => {
      while (!over) {
        const taken = source.next();
        const step = taken instanceof Promise ? await taken : taken;
        if (step.done) over = true;
        if (over) return;
        const at = count++;
        try {
          results[at] = await this.#submit(fn as AnyFunction, [step.value], false);
        } catch (error) {
          over = true;
          await source.return?.();
          throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: this.#windows.map }, work));
    return results as Returned<R>[];
  }

  /**
   * Runs a function for each of many items, and gives the results one by one, in the order of the items. What is done ahead of who reads them is
   * bounded.
   *
   * @param fn Gets an item.
   * @param items They are taken as results are read.
   * @throws {Error} The error of an item, in its place, which ends it.
   */
  async *imap<T, R>(
    fn: (item: T) => R,
    items: Iterable<T> | AsyncIterable<T>,
  ): AsyncGenerator<Returned<R>, void, undefined> {
    const source = iterate(items);
    const pending: Promise<unknown>[] = [];
    let over = false;
    try {
      for (;;) {
        while (!over && pending.length < this.#windows.imap) {
          const taken = source.next();
          const step = taken instanceof Promise ? await taken : taken;
          if (step.done) over = true;
          else {
            const result = this.#submit(fn as AnyFunction, [step.value], false);
            result.catch(ignore); // it is told in its place
            pending.push(result);
          }
        }
        if (pending.length === 0) return;
        yield await pending.shift() as Returned<R>;
      }
    } finally {
      if (!over) await source.return?.();
    }
  }
}

type Source<T> = Iterator<T, unknown, undefined> | AsyncIterator<T, unknown, undefined>;

function iterate<T>(items: Iterable<T> | AsyncIterable<T>): Source<T> {
  if (Symbol.asyncIterator in items) return items[Symbol.asyncIterator]();
  return items[Symbol.iterator]();
}

/**
 * Puts limits on a task.
 *
 * @param task The task.
 * @param limits What it is limited by; its signal is not aborted yet.
 * @param waited Called when it is given up, in case that it was not begun.
 */
export function limited(task: Task, limits: CallLimits, waited: (task: Task, reason: unknown) => void): Task {
  const { signal, timeout = Infinity } = limits;
  const controller = new AbortController();
  const watcher = {
    aborted(reason: unknown): void {
      controller.abort(reason);
      waited(whole, reason);
    },
  };
  const late = () => watcher.aborted(new DOMException(`The task took longer than ${timeout} ms`, "TimeoutError"));
  const timer = timeout <= LONGEST_TIMER ? idleTimeout(late, timeout) : undefined;
  if (signal) watch(signal, watcher);
  const over = () => {
    if (signal) unwatch(signal, watcher);
    clearTimeout(timer);
  };
  const whole: Task = {
    ...task,
    signal: controller.signal,
    resolve(value) {
      over();
      task.resolve(value);
    },
    reject(error) {
      over();
      task.reject(error);
    },
  };
  return whole;
}
