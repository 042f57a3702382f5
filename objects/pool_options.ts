/**
 * What pools are told, and what they tell: the options of {@linkcode pool}, their checks, and counters.
 *
 * @module
 */

import type { CallLimits } from "../mod.ts";
import type { MemberOptions } from "./process_options.ts";
import { checkOptions, MEMBER_OPTIONS } from "./process_options.ts";

/** What a pool is like. */
export interface PoolOptions extends MemberOptions {
  /** Tasks of `run()` that may wait; more are refused. 10,000 by default. */
  readonly queue?: number;
  /** How often a task is tried again when its process dies. 0, which lets it fail, by default. */
  readonly retries?: number;
  /** After how many tasks a process is replaced by a new one. Never by default. */
  readonly maxTasksPerProcess?: number;
  /** Tasks that a process works on at a time: more than 1 makes sense for those that wait. 1 by default. */
  readonly concurrency?: number;
}

/** Counters of a pool. */
export interface PoolStatus {
  /** Processes that it has. */
  readonly size: number;
  /** Tasks that are worked on. */
  readonly running: number;
  /** Tasks that wait. */
  readonly waiting: number;
  /** Tasks that gave a result. */
  readonly completed: number;
  /** Tasks that failed. */
  readonly failed: number;
  /** Tasks that were tried again. */
  readonly retried: number;
  /** Processes that were replaced: they died, or had done their share. */
  readonly replaced: number;
}

const OPTIONS = [...MEMBER_OPTIONS, "queue", "retries", "maxTasksPerProcess", "concurrency"];

/**
 * Checks what a pool is told.
 *
 * @returns The options that it takes as they are, with their defaults.
 * @throws {TypeError} If an option is unknown or makes no sense.
 * @throws {RangeError} If a number is none that is possible.
 */
export function checkPool(size: number, options: PoolOptions): Required<Pick<PoolOptions, "concurrency" | "queue">> {
  checkOptions(options, OPTIONS);
  const { concurrency = 1, queue = 10_000, retries = 0, maxTasksPerProcess = Infinity } = options;
  checkCount("number of processes", size, 1);
  checkCount("option concurrency", concurrency, 1);
  checkCount("option queue", queue, 0);
  checkCount("option retries", retries, 0);
  checkCount("option maxTasksPerProcess", maxTasksPerProcess, 1);
  return { concurrency, queue };
}

/**
 * Checks what bounds tasks.
 *
 * @throws {TypeError} If an option is unknown or of the wrong type.
 * @throws {RangeError} If the timeout is no number of milliseconds.
 */
export function checkLimits(limits: CallLimits): void {
  checkOptions(limits, ["signal", "timeout"]);
  const { signal, timeout } = limits;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError("Cannot use this as option signal: it takes an AbortSignal");
  }
  if (timeout !== undefined && typeof timeout !== "number") {
    throw new TypeError(`Cannot use a ${typeof timeout} as option timeout: it takes milliseconds`);
  }
  if (timeout !== undefined && !(timeout >= 0)) {
    throw new RangeError(`Cannot use ${timeout} as option timeout: it takes milliseconds from 0 on`);
  }
}

function checkCount(what: string, value: number, least: number): void {
  if (value === Infinity || Number.isInteger(value) && value >= least) return;
  throw new RangeError(`Cannot use ${value} as ${what}: it takes a whole number from ${least} on`);
}
