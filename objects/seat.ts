/**
 * A process or worker of a pool, and the tasks that it was given. What it does with them is `runner.ts`; who gets which is the business of `pool.ts`.
 *
 * @module
 */

import type { AnyFunction } from "../mod.ts";
import { DisconnectError, ship } from "../mod.ts";
import { idleTimeout } from "../runtime/host.ts";
import { deferred } from "../runtime/waiting.ts";
import { explainReference, isClass, sourceOf } from "../session/source.ts";
import { sendingTo } from "./home.ts";
import type { Member } from "./member.ts";
import { startMember } from "./member.ts";
import type { PoolOptions } from "./pool_options.ts";
import type { Runner } from "./runner.ts";
import { RUNNER, TASK } from "./runner.ts";

/** What a pool has to do. */
export interface Task {
  readonly fn: AnyFunction;
  readonly args: readonly unknown[];
  /** Takes its result. */
  readonly resolve: (value: unknown) => void;
  /** Takes its error. */
  readonly reject: (error: unknown) => void;
  /** Where it was asked for, if that was noted. */
  readonly site: Error | undefined;
  /** Aborted when it is given up; absent where it cannot be. */
  readonly signal: AbortSignal | undefined;
  /** How often it failed with its process. */
  tries: number;
}

/** A task that a seat was given. */
interface Given {
  readonly task: Task;
  readonly slot: number;
}

/** What a seat tells. */
export interface Pit {
  /** A task has its result, or failed by itself. */
  settled(task: Task, result: { readonly value: unknown } | { readonly error: unknown }): void;
  /** It can take more than before. */
  eased(seat: Seat): void;
  /** Its process is gone, or never came. */
  lost(seat: Seat, error: unknown): void;
}

/**
 * Tasks that a worker is sent before it is done with what it works on, so that it finds the next one at once. They can be taken back as long as they
 * were not begun, however busy it is. Of a process they could not, which is why it gets none.
 */
export const AHEAD = 3;
/** With more tasks at a time it makes no difference any more. */
const MOST = 1_000;
/** How long what was given up may go on until its process is ended with it, in milliseconds. */
const GRACE = 1_000;

/** How functions go to the runners: as code. */
const shipped = new WeakMap<AnyFunction, AnyFunction>();

function shippedOnce(fn: AnyFunction): AnyFunction {
  let standIn = shipped.get(fn);
  if (!standIn) shipped.set(fn, standIn = ship(fn));
  return standIn;
}

/** A process or worker, and what it has to do. */
export class Seat {
  readonly name: string;
  readonly member: Member;
  /** Settles when nothing is read for it any more. */
  readonly exported: Promise<void> | undefined;
  readonly #pit: Pit;
  readonly #concurrency: number;
  /** What becomes of the tasks that it was given, by their slots; absent where nothing can be taken back. */
  readonly #states: Int32Array | undefined;
  /** Slots that are free, of those that were used. */
  readonly #slots: number[] = [];
  #lastSlot = -1;
  readonly #given = new Set<Given>();
  /** Tasks that were given up and have not ended. */
  readonly #stuck = new Set<number>();
  #overdue = false;
  /** Whether its process has ended. */
  #ended = false;
  /** Gives the error for its end. */
  readonly #gone = deferred<() => Error>();
  #runner: Runner | undefined;
  /** Whether functions with names go by their source, too. */
  readonly #named: boolean;
  /** Tasks that it may be given before it is replaced. */
  #left: number;
  /** Whether its pool knows that it can take a task. */
  offered = false;
  /** Whether it is not to be given any more. */
  closed = false;

  /**
   * Starts it.
   *
   * @throws {Error} If it cannot be started, where that is known at once.
   */
  constructor(name: string, options: PoolOptions, pit: Pit) {
    const { modules = [], concurrency = 1, maxTasksPerProcess = Infinity } = options;
    const memory = options.worker && concurrency <= MOST ? new SharedArrayBuffer(4 * (concurrency + AHEAD)) : undefined;
    this.name = name;
    this.#pit = pit;
    this.#concurrency = concurrency;
    this.#named = modules.length === 0;
    this.#left = maxTasksPerProcess;
    this.#states = memory && new Int32Array(memory);
    this.member = startMember(options, memory);
    const { connection, exit } = this.member;
    // What it answered before it ended is still read; the end of its wire fails what it did not answer.
    exit?.then(() => {
      this.#ended = true;
      if (this.load === 0) pit.lost(this, undefined);
    });
    this.exported = modules.length > 0 ? connection.export(modules) : undefined;
    const runner = connection.callRef(RUNNER, concurrency);
    Promise.all([runner, this.exported]).then(([runner]) => {
      this.#runner = runner as unknown as Runner;
      pit.eased(this);
    }, (error) => pit.lost(this, error));
  }

  /** Whether it came up. */
  get ready(): boolean {
    return this.#runner !== undefined;
  }

  /** What it has to do, and what it has not stopped doing. */
  get load(): number {
    return this.#given.size + this.#stuck.size;
  }

  /** How many of its tasks wait for others. */
  get waiting(): number {
    return Math.max(0, this.load - this.#concurrency);
  }

  /** Whether it has done its share, or is closed. */
  get over(): boolean {
    return this.closed || this.#ended || this.#overdue || this.#left <= 0;
  }

  /** Whether it would begin with a task at once. */
  get free(): boolean {
    return this.ready && !this.over && this.load < this.#concurrency;
  }

  /** Whether it can take a task that it is to begin with later. */
  get roomy(): boolean {
    const states = this.#states;
    return !!states && this.ready && !this.over && this.load < states.length && this.#hasSlot(states.length);
  }

  /** Those of tasks that were taken back are free only when it has passed them over. */
  #hasSlot(most: number): boolean {
    return this.#slots.length > 0 || this.#lastSlot < most - 1;
  }

  /**
   * Notes that it has ended.
   *
   * @param error How, for who waits for something of it.
   */
  ended(error: unknown = new Error(`Process "${this.name}" has ended`)): void {
    this.#gone.resolve(() => error as Error);
  }

  /** Gives it a task. */
  give(task: Task): void {
    const slot = this.#slots.pop() ?? ++this.#lastSlot;
    const given: Given = { task, slot };
    this.#given.add(given);
    this.#left--;
    if (this.#states) Atomics.store(this.#states, slot, TASK.waits);
    const { fn, args, signal } = task;
    const runner = signal
      ? this.member.connection.with({ signal }).on(this.#runner! as never) as Runner
      : this.#runner!;
    // Who waits for an object among the arguments to be served waits for us, then.
    sendingTo(this.#gone.promise);
    try {
      runner(...args, shippedOnce(fn), isClass(fn), slot).then(
        (value) => this.#answered(given, { value }),
        (error) => this.#failed(given, error),
      );
    } finally {
      sendingTo(undefined);
    }
  }

  #answered(given: Given, result: { readonly value: unknown } | { readonly error: unknown }): void {
    this.#slots.push(given.slot);
    // It may have been taken back, or lost.
    if (this.#given.delete(given)) this.#pit.settled(given.task, result);
    this.#eased();
  }

  #failed(given: Given, error: unknown): void {
    const { connection } = this.member;
    const { task: { fn, signal }, slot } = given;
    if (error instanceof DisconnectError && !connection.isConnected()) return this.#pit.lost(this, error);
    if (signal?.aborted && this.#given.delete(given)) {
      this.#await(slot);
      this.#pit.settled(given.task, { error });
      return;
    }
    // What has no name is no export, so that it went by its source.
    if (error instanceof ReferenceError && (this.#named || !fn.name)) explain(error, fn);
    this.#answered(given, { error });
  }

  /** Waits until a task that was given up has ended, and ends the process where it does not. */
  #await(slot: number): void {
    this.#stuck.add(slot);
    const timer = idleTimeout(() => {
      this.#overdue = true;
      this.#eased();
    }, GRACE);
    this.#runner!(null, false, slot).then(() => {
      clearTimeout(timer);
      this.#stuck.delete(slot);
      this.#slots.push(slot);
      this.#eased();
    }, (error) => {
      clearTimeout(timer);
      this.#pit.lost(this, error);
    });
  }

  #eased(): void {
    if (this.#overdue && this.#stuck.size > 0 && !this.#busy) this.#pit.lost(this, undefined);
    else this.#pit.eased(this);
  }

  /** Whether it works on anything that was not given up. */
  get #busy(): boolean {
    const states = this.#states;
    for (const { slot } of this.#given) if (!states || Atomics.load(states, slot) === TASK.begun) return true;
    return false;
  }

  /** Takes back what was given last and was not begun, if anything. */
  takeBack(): Task | undefined {
    const states = this.#states;
    if (!states) return undefined;
    for (const given of [...this.#given].reverse()) {
      if (Atomics.compareExchange(states, given.slot, TASK.waits, TASK.takenBack) !== TASK.waits) continue;
      this.#given.delete(given);
      this.#left++;
      return given.task;
    }
    return undefined;
  }

  /** Takes what it was given, when it is gone: first what it has begun with, as far as one knows, then what it has not. */
  abandon(): [begun: Task[], waiting: Task[]] {
    const waiting: Task[] = [];
    for (let task = this.takeBack(); task; task = this.takeBack()) waiting.unshift(task);
    const begun = [...this.#given].map(({ task }) => task);
    this.#given.clear();
    this.#stuck.clear();
    return [begun, waiting];
  }
}

function explain(error: ReferenceError, fn: AnyFunction): void {
  try {
    explainReference(error, sourceOf(fn));
  } catch {
    // It has none.
  }
}
