/**
 * Running many functions in a few long-lived processes or workers: {@linkcode pool}. One function in a process of its own is `spawn.ts`.
 *
 * @module
 */

import type { AnyFunction, Returned, SendableAll } from "../mod.ts";
import { DisconnectError } from "../mod.ts";
import { ignore } from "../runtime/waiting.ts";
import type { Member } from "./member.ts";
import { startMember } from "./member.ts";
import { endedEarly, withSite } from "./outcome.ts";
import type { PoolOptions, PoolStatus } from "./pool_options.ts";
import { checkPool } from "./pool_options.ts";

interface Task {
  readonly fn: AnyFunction;
  readonly args: readonly unknown[];
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly site: Error | undefined;
  tries: number;
}

/** A process, and what it has to do. */
interface Seat {
  readonly name: string;
  readonly member: Member;
  /** Whether it has what its tasks need. */
  ready: boolean;
  /** Tasks that it works on. */
  readonly tasks: Set<Task>;
  /** Tasks that it was given. */
  given: number;
  /** Whether it is not to be given any more. */
  over: boolean;
}

/** Processes in a row that end before they did anything, until tasks fail with that. */
const MOST_FAILURES = 3;
/** Items that `map()` and `imap()` keep under way, for each that can be worked on. */
const AHEAD = 2;

let pools = 0;

/** Runs functions in a few long-lived processes or workers. Made by {@linkcode pool}. */
export class Pool implements AsyncDisposable {
  readonly #options: PoolOptions;
  readonly #size: number;
  readonly #concurrency: number;
  readonly #limit: number;
  readonly #name: string = `pool-${++pools}`;
  readonly #seats = new Set<Seat>();
  /** Those that can take a task, those that got one last at the end. */
  readonly #free: Seat[] = [];
  /** Ends of those that were retired. */
  readonly #leaving = new Set<Promise<void>>();
  #queue: Task[] = [];
  /** Where the first task is in it. */
  #head = 0;
  #started = 0;
  #failures = 0;
  #closing = false;
  #idle: (() => void) | undefined;
  #running = 0;
  #completed = 0;
  #failed = 0;
  #retried = 0;
  #replaced = 0;

  /** Made by {@linkcode pool}. */
  constructor(size: number, options: PoolOptions) {
    const { concurrency, queue } = checkPool(size, options);
    this.#size = size;
    this.#options = options;
    this.#concurrency = concurrency;
    this.#limit = queue;
    this.#fill();
  }

  /** Starts processes until there are enough. */
  #fill(): void {
    while (this.#seats.size < this.#size && !this.#closing && this.#failures < MOST_FAILURES) this.#start();
  }

  #start(): void {
    const member = startMember(this.#options);
    const name = `${this.#name}-${++this.#started}`;
    const seat: Seat = { name, member, ready: false, tasks: new Set(), given: 0, over: false };
    this.#seats.add(seat);
    const { modules = [] } = this.#options;
    member.exit?.then(() => this.#lost(seat, undefined));
    const ready = modules.length > 0 ? member.connection.export(modules) : member.connection.ready();
    ready.then(() => {
      seat.ready = true;
      this.#offer(seat);
      this.#dispatch();
    }, (error) => this.#lost(seat, error));
  }

  #offer(seat: Seat): void {
    if (!seat.over && seat.ready && seat.tasks.size < this.#concurrency) this.#free.push(seat);
  }

  get #waiting(): number {
    return this.#queue.length - this.#head;
  }

  #next(): Task {
    const task = this.#queue[this.#head++]!;
    if (this.#head === this.#queue.length || this.#head > 1_000) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return task;
  }

  #dispatch(): void {
    while (this.#waiting > 0 && this.#free.length > 0) {
      const seat = this.#free.shift()!;
      if (seat.over || seat.tasks.size >= this.#concurrency) continue;
      this.#send(seat, this.#next());
      this.#offer(seat);
    }
    if (this.#waiting === 0 && this.#running === 0) this.#idle?.();
  }

  #send(seat: Seat, task: Task): void {
    seat.tasks.add(task);
    this.#running++;
    if (++seat.given >= (this.#options.maxTasksPerProcess ?? Infinity)) seat.over = true;
    const call = seat.member.connection.call(task.fn as (...args: unknown[]) => unknown, ...task.args);
    (call as Promise<unknown>).then((value) => {
      if (!this.#done(seat, task)) return;
      this.#completed++;
      task.resolve(value);
      this.#after(seat);
    }, (error) => {
      const gone = error instanceof DisconnectError && !seat.member.connection.isConnected();
      if (gone) return void this.#lost(seat, error);
      if (!this.#done(seat, task)) return;
      this.#failed++;
      task.reject(task.site ? withSite(error, task.site) : error);
      this.#after(seat);
    });
  }

  #done(seat: Seat, task: Task): boolean {
    if (!seat.tasks.delete(task)) return false;
    this.#running--;
    this.#failures = 0;
    return true;
  }

  #after(seat: Seat): void {
    if (seat.over && seat.tasks.size === 0) this.#retire(seat);
    // It may be among the free ones already, where it can work on several.
    else if (seat.tasks.size === this.#concurrency - 1) this.#offer(seat);
    this.#dispatch();
  }

  /** Lets go of a process that has done its share. */
  #retire(seat: Seat): void {
    if (!this.#seats.delete(seat)) return;
    const left = seat.member.connection.close().catch(ignore).then(() => void this.#leaving.delete(left));
    this.#leaving.add(left);
    if (this.#closing) return;
    this.#replaced++;
    this.#fill();
  }

  /** A process is gone: its tasks fail, or are tried again, and it is replaced. */
  async #lost(seat: Seat, cause: unknown): Promise<void> {
    if (!this.#seats.delete(seat)) return;
    seat.over = true;
    const { connection, exit } = seat.member;
    connection.cancel();
    const left = connection.close().catch(ignore).then(() => void this.#leaving.delete(left));
    this.#leaving.add(left);
    const ended = await exit;
    // What kept it from coming up says more than that it did not.
    const told = cause !== undefined && !(cause instanceof DisconnectError);
    const error = told ? cause : endedEarly(seat.name, ended, cause);
    for (const task of [...seat.tasks]) {
      seat.tasks.delete(task);
      this.#running--;
      if (task.tries++ < (this.#options.retries ?? 0) && !this.#closing) {
        this.#retried++;
        this.#queue.push(task);
      } else {
        this.#failed++;
        task.reject(error);
      }
    }
    if (!this.#closing) this.#replaced++;
    if (!seat.ready && ++this.#failures >= MOST_FAILURES) {
      // One that never comes up would be replaced for ever.
      while (this.#waiting > 0) {
        this.#failed++;
        this.#next().reject(error);
      }
    }
    this.#fill();
    this.#dispatch();
  }

  #submit(fn: AnyFunction, args: readonly unknown[], bounded: boolean): Promise<unknown> {
    if (typeof fn !== "function") throw new TypeError(`Cannot run a ${typeof fn}: pass a function`);
    if (this.#closing) return Promise.reject(new Error("Cannot run anything in a pool that is closed"));
    if (bounded && this.#waiting >= this.#limit && this.#free.length === 0) {
      return Promise.reject(
        new Error(`Cannot queue another task as ${this.#limit} wait: raise the option queue, or use map() or imap()`),
      );
    }
    if (this.#seats.size === 0) {
      this.#failures = 0;
      this.#fill();
    }
    return new Promise((resolve, reject) => {
      // It costs as much as the rest: bulk goes without.
      const site = bounded ? new Error() : undefined;
      this.#queue.push({ fn, args, resolve, reject, site, tries: 0 });
      this.#dispatch();
    });
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
    await Promise.all(Array.from({ length: this.#window }, work));
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
        while (!over && pending.length < this.#window) {
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

  get #window(): number {
    return this.#size * this.#concurrency * AHEAD;
  }

  /** Counters, for monitoring and tests. */
  status(): PoolStatus {
    return {
      size: this.#seats.size,
      running: this.#running,
      waiting: this.#waiting,
      completed: this.#completed,
      failed: this.#failed,
      retried: this.#retried,
      replaced: this.#replaced,
    };
  }

  /** Takes no more tasks, waits for those that it has, and ends the processes. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#waiting > 0 || this.#running > 0) await new Promise<void>((resolve) => this.#idle = resolve);
    for (const seat of [...this.#seats]) this.#retire(seat);
    await Promise.all(this.#leaving);
  }

  /** Ends the processes at once. Tasks that wait or are worked on fail. */
  async terminate(): Promise<void> {
    this.#closing = true;
    while (this.#waiting > 0) {
      this.#failed++;
      this.#next().reject(new DisconnectError(`${this.#name} was terminated`));
    }
    await Promise.all([...this.#seats].map((seat) => this.#lost(seat, undefined)));
    await Promise.all(this.#leaving);
  }

  /** As `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

type Source<T> = Iterator<T, unknown, undefined> | AsyncIterator<T, unknown, undefined>;

function iterate<T>(items: Iterable<T> | AsyncIterable<T>): Source<T> {
  if (Symbol.asyncIterator in items) return items[Symbol.asyncIterator]();
  return items[Symbol.iterator]();
}

/**
 * Makes a pool of long-lived processes, or of workers, in which functions run.
 *
 * @param size How many.
 * @param options What they are like, and what becomes of tasks.
 * @throws {TypeError} If an option is unknown or makes no sense.
 * @throws {RangeError} If a number is none that is possible.
 *
 * @example
 * ```ts
 * import { pool } from "@x/across/objects";
 * import { assertEquals } from "@std/assert";
 *
 * await using workers = pool(2, { worker: true });
 * assertEquals(await workers.run((a: number, b: number) => a * b, 6, 7), 42);
 * assertEquals(await workers.map((n: number) => n * n, [1, 2, 3]), [1, 4, 9]);
 * ```
 */
export function pool(size: number, options: PoolOptions = {}): Pool {
  return new Pool(size, options);
}
