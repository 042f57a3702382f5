/**
 * Running many functions in a few long-lived processes or workers: {@linkcode pool}. What one asks of a pool is in `tasks.ts`, what one of its processes
 * does in `seat.ts`; one function in a process of its own is `spawn.ts`.
 *
 * @module
 */

import type { AnyFunction, CallLimits } from "../mod.ts";
import { DisconnectError } from "../mod.ts";
import { endedEarly, withSite } from "./outcome.ts";
import type { PoolOptions, PoolStatus } from "./pool_options.ts";
import { checkLimits, checkPool } from "./pool_options.ts";
import { Queue } from "./queue.ts";
import type { Pit, Task } from "./seat.ts";
import { AHEAD, Seat } from "./seat.ts";
import type { Windows } from "./tasks.ts";
import { limited, PoolScope } from "./tasks.ts";
import { nextTurn } from "./turns.ts";

/** Processes in a row that end before they did anything, until tasks fail with that. */
const MOST_FAILURES = 3;
/** Items that `imap()` keeps under way, for each that can be worked on. */
const READ_AHEAD = 2;

let pools = 0;

/** Runs functions in a few long-lived processes or workers. Made by {@linkcode pool}. */
export class Pool extends PoolScope implements AsyncDisposable {
  readonly #options: PoolOptions;
  readonly #size: number;
  readonly #concurrency: number;
  readonly #limit: number;
  readonly #windows: Windows;
  readonly #name: string = `pool-${++pools}`;
  readonly #pit: Pit;
  readonly #seats = new Set<Seat>();
  /** Those that would begin with a task at once, those that got one last at the end; and some that would have. */
  readonly #free: Seat[] = [];
  /** Ends of those that were retired. */
  readonly #leaving = new Set<Promise<void>>();
  readonly #queue = new Queue<Task>();
  /** Whether it is going to be looked whether some have nothing to do while others have too much. */
  #leveling = false;
  #started = 0;
  #failures = 0;
  #closing = false;
  #terminated = false;
  #idle: (() => void) | undefined;
  #completed = 0;
  #failed = 0;
  #retried = 0;
  #replaced = 0;

  /** Made by {@linkcode pool}. */
  constructor(size: number, options: PoolOptions) {
    const { concurrency, queue } = checkPool(size, options);
    const windows = { map: size * (concurrency + AHEAD), imap: size * concurrency * READ_AHEAD };
    super((fn, args, bounded) => this.#submit(fn, args, bounded, undefined), windows);
    this.#windows = windows;
    this.#size = size;
    this.#options = options;
    this.#concurrency = concurrency;
    this.#limit = queue;
    this.#pit = {
      settled: (task, result) => this.#settled(task, result),
      eased: (seat) => this.#eased(seat),
      lost: (seat, error) => void this.#lost(seat, error),
    };
    this.#fill();
  }

  /** Starts processes until there are enough. */
  #fill(): void {
    if (this.#closing && this.#queue.size === 0) return;
    while (this.#seats.size < this.#size && !this.#terminated && this.#failures < MOST_FAILURES) {
      this.#seats.add(new Seat(`${this.#name}-${++this.#started}`, this.#options, this.#pit));
    }
  }

  #offer(seat: Seat): void {
    if (seat.offered || !seat.free) return;
    seat.offered = true;
    this.#free.push(seat);
  }

  #takeFree(): Seat | undefined {
    for (;;) {
      const seat = this.#free.shift();
      if (!seat) return;
      seat.offered = false;
      if (seat.free && seat.member.connection.isConnected()) return seat;
      // Of a worker that ends nobody hears before.
      if (seat.free) void this.#lost(seat, undefined);
    }
  }

  /** The one with the least to do that can take a task for later. */
  #takeRoomy(): Seat | undefined {
    let found: Seat | undefined;
    for (const seat of this.#seats) if (seat.roomy && !(found && found.load <= seat.load)) found = seat;
    return found;
  }

  #dispatch(): void {
    const queue = this.#queue;
    while (queue.size > 0) {
      // What can be given up is not sent before it can begin: it could not be kept from that over there.
      const seat = this.#takeFree() ?? (queue.first!.signal ? undefined : this.#takeRoomy());
      if (!seat) return;
      seat.give(queue.take()!);
      this.#offer(seat);
    }
    if (this.#free.length > 0 && !this.#leveling) void this.#level();
    if (this.#idle && this.#load === 0) this.#idle();
  }

  /** Lets those that have nothing to do have what waits for others. */
  async #level(): Promise<void> {
    if (this.#waitingThere === 0) return;
    this.#leveling = true;
    await nextTurn(); // there may be more to do at once
    this.#leveling = false;
    while (this.#queue.size === 0) {
      const seat = this.#takeFree();
      if (!seat) return;
      let busiest: Seat | undefined;
      for (const other of this.#seats) if (other.waiting > (busiest?.waiting ?? 0)) busiest = other;
      const task = busiest?.takeBack();
      if (task) seat.give(task);
      this.#offer(seat);
      if (!task) return;
    }
  }

  /** Tasks that were sent to a process and wait there. */
  get #waitingThere(): number {
    let count = 0;
    for (const seat of this.#seats) count += seat.waiting;
    return count;
  }

  /** Tasks that processes have. */
  get #load(): number {
    let count = 0;
    for (const seat of this.#seats) count += seat.load;
    return count;
  }

  #settled(task: Task, result: { readonly value: unknown } | { readonly error: unknown }): void {
    this.#failures = 0;
    if ("value" in result) {
      this.#completed++;
      return task.resolve(result.value);
    }
    this.#failed++;
    task.reject(task.site ? withSite(result.error, task.site) : result.error);
  }

  #eased(seat: Seat): void {
    if (seat.over && seat.load === 0) this.#retire(seat);
    else this.#offer(seat);
    this.#dispatch();
  }

  #leave(seat: Seat): void {
    seat.closed = true;
    const { member: { connection }, exported } = seat;
    const left = Promise.allSettled([connection.close(), exported]).then(() => void this.#leaving.delete(left));
    this.#leaving.add(left);
  }

  /** Lets go of a process that has done its share. */
  #retire(seat: Seat): void {
    if (!this.#seats.delete(seat)) return;
    this.#leave(seat);
    seat.ended();
    if (!this.#closing) this.#replaced++;
    this.#fill();
  }

  /** A process is gone: its tasks fail, or are tried again, and it is replaced. */
  async #lost(seat: Seat, cause: unknown): Promise<void> {
    if (!this.#seats.has(seat) || seat.closed) return;
    seat.member.connection.cancel();
    this.#leave(seat);
    const ended = await seat.member.exit;
    this.#seats.delete(seat);
    // What kept it from coming up says more than that it did not.
    const told = cause !== undefined && !(cause instanceof DisconnectError);
    const error = told ? cause : endedEarly(seat.name, ended, cause);
    seat.ended(error);
    const [begun, waiting] = seat.abandon();
    for (const task of waiting.reverse()) this.#queue.putBack(task);
    for (const task of begun) {
      if (task.tries++ < (this.#options.retries ?? 0) && !this.#closing && !task.signal?.aborted) {
        this.#retried++;
        this.#queue.put(task);
      } else {
        this.#failed++;
        task.reject(error);
      }
    }
    if (!this.#closing) this.#replaced++;
    // One that never comes up would be replaced for ever.
    if (!seat.ready && ++this.#failures >= MOST_FAILURES) this.#refuse(error);
    this.#fill();
    this.#dispatch();
  }

  #refuse(error: unknown): void {
    for (let task = this.#queue.take(); task; task = this.#queue.take()) {
      this.#failed++;
      task.reject(error);
    }
  }

  #submit(
    fn: AnyFunction,
    args: readonly unknown[],
    bounded: boolean,
    limits: CallLimits | undefined,
  ): Promise<unknown> {
    if (typeof fn !== "function") throw new TypeError(`Cannot run a ${typeof fn}: pass a function`);
    if (this.#closing) return Promise.reject(new Error("Cannot run anything in a pool that is closed"));
    if (limits?.signal?.aborted) return Promise.reject(limits.signal.reason);
    if (bounded && this.#queue.size + this.#waitingThere >= this.#limit && !this.#free.some(({ free }) => free)) {
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
      const task: Task = { fn, args, resolve, reject, site, signal: undefined, tries: 0 };
      this.#queue.put(
        limits
          ? limited(task, limits, (task, reason) => {
            if (!this.#queue.remove(task)) return;
            this.#failed++;
            task.reject(reason);
            this.#dispatch();
          })
          : task,
      );
      this.#dispatch();
    });
  }

  /**
   * The same under a signal, a deadline, or both: a task that is given up rejects at once. Over there its `getCallSignal()` is aborted; if it has not
   * ended a second later, its process is ended with it, and replaced.
   *
   * @param limits What bounds each task, see {@linkcode CallLimits}; the time that it waits counts.
   * @throws {TypeError} If an option is unknown or of the wrong type.
   * @throws {RangeError} If the timeout is no number of milliseconds.
   *
   * @example
   * ```ts
   * import { pool } from "@x/across/objects";
   * import { assertRejects } from "@std/assert";
   *
   * await using members = pool(1);
   * const slow = () => new Promise<void>(() => {});
   * await assertRejects(() => members.with({ timeout: 50 }).run(slow), DOMException, "longer than 50 ms");
   * ```
   */
  with(limits: CallLimits): PoolScope {
    checkLimits(limits);
    return new PoolScope((fn, args, bounded) => this.#submit(fn, args, bounded, limits), this.#windows);
  }

  /** Counters, for monitoring and tests. */
  status(): PoolStatus {
    const waiting = this.#waitingThere;
    return {
      size: this.#seats.size,
      running: this.#load - waiting,
      waiting: this.#queue.size + waiting,
      completed: this.#completed,
      failed: this.#failed,
      retried: this.#retried,
      replaced: this.#replaced,
    };
  }

  /** Takes no more tasks, waits for those that it has, and ends the processes. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#queue.size > 0 || this.#load > 0) await new Promise<void>((resolve) => this.#idle = resolve);
    for (const seat of [...this.#seats]) this.#retire(seat);
    await Promise.all(this.#leaving);
  }

  /** Ends the processes at once. Tasks that wait or are worked on fail. */
  async terminate(): Promise<void> {
    this.#closing = this.#terminated = true;
    const error = new DisconnectError(`${this.#name} was terminated`);
    this.#refuse(error);
    await Promise.all([...this.#seats].map((seat) => this.#lost(seat, undefined)));
    this.#refuse(error);
    await Promise.all(this.#leaving);
  }

  /** As `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
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
