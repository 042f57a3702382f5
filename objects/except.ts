/**
 * Errors in groups: blocks of code whose errors are collected, and looked at, or thrown, later.
 *
 * @module
 */

import type { Reference, Remote } from "../mod.ts";
import { isProxy, ref } from "../mod.ts";

/** A class of errors. */
// deno-lint-ignore no-explicit-any -- constructors of errors take all kinds of arguments, and only `instanceof` is asked
export type ErrorClass = abstract new (...args: any[]) => Error;

/** What is collected, and how. */
export interface ExceptOptions {
  /** Errors of these classes are recorded; everything that is thrown, where there are none. */
  readonly types?: readonly ErrorClass[];
  /** Whether errors are thrown on after they were recorded. By default those of named groups are, and those of the default group are not. */
  readonly raises?: boolean;
}

/** How one block differs. */
export interface CatchOptions {
  /** Whether its errors are thrown on after they were recorded. */
  readonly raises?: boolean;
}

/** The name of a group; null for the default one. */
export type Group = string | null;

/** What travels of an {@linkcode Except}. */
interface Parts {
  readonly types: readonly ErrorClass[];
  readonly raises: boolean | undefined;
}

interface Recorded {
  readonly group: Group;
  readonly error: unknown;
}

/** In a table, as no constructor runs where a copy is made. */
const records = new WeakMap<object, Recorded[]>();

function recordsOf(except: object): Recorded[] {
  let list = records.get(except);
  if (!list) records.set(except, list = []);
  return list;
}

/** Errors that one group of errors may hold; older ones make room. */
const MOST = 10_000;

function record(except: object, group: Group, error: unknown): void {
  const list = recordsOf(except);
  if (list.push({ group, error }) > MOST) list.shift();
}

/**
 * Collects errors in groups, within one process. {@linkcode Except} can be passed to others, too.
 *
 * @example
 * ```ts
 * import { LocalExcept } from "@x/across/objects";
 * import { assertEquals, assertThrows } from "@std/assert";
 *
 * const exc = new LocalExcept(RangeError);
 * await exc.catch(() => {
 *   throw new RangeError("Too far");
 * });
 * assertEquals(exc.all().length, 1);
 * assertThrows(() => exc.raiseAny(), RangeError, "Too far");
 * ```
 */
export class LocalExcept {
  /** For the types alone. */
  declare private readonly types: readonly ErrorClass[];

  /**
   * Makes an empty collection.
   *
   * @param types Classes of errors that are recorded, as a list or among options; everything that is thrown, if there are none.
   */
  constructor(...types: readonly ErrorClass[] | readonly [ExceptOptions]) {
    const [first] = types;
    const { types: classes = [], raises } = typeof first === "object"
      ? first
      : { types: types as readonly ErrorClass[] };
    for (const type of classes) {
      if (typeof type !== "function") throw new TypeError(`Cannot collect errors of a ${typeof type}: pass classes`);
    }
    Object.assign(this, { types: [...classes], raises });
  }

  /**
   * Runs a block of code, and records what it throws in a group.
   *
   * @param group The group; the default one where it is left out.
   * @param block What is run.
   * @param options Whether the error is thrown on.
   * @returns What the block returns; undefined if its error was recorded and not thrown on.
   */
  catch<R>(group: Group, block: () => R, options?: CatchOptions): Promise<Awaited<R> | undefined>;
  /** Records in the default group. */
  catch<R>(block: () => R, options?: CatchOptions): Promise<Awaited<R> | undefined>;
  async catch(...args: readonly unknown[]): Promise<unknown> {
    const [group, block, options = {}] = (typeof args[0] === "function" ? [null, ...args] : args) as [
      Group,
      () => unknown,
      CatchOptions?,
    ];
    if (typeof block !== "function") throw new TypeError("Cannot run the block: pass a function");
    try {
      return await block();
    } catch (error) {
      const { types, raises: usually } = this as unknown as Parts;
      if (types.length > 0 && !types.some((type) => isOf(error, type))) throw error;
      record(this, group, error);
      await report(this, group, error);
      if (options.raises ?? usually ?? group !== null) throw error;
      return undefined;
    }
  }

  /**
   * The last error that was recorded.
   *
   * @param group Of which group; null for the default one; of any, where it is left out.
   * @returns It, or undefined if there is none.
   */
  get(group?: Group): unknown {
    return this.all(group).at(-1);
  }

  /**
   * The errors that were recorded, in order.
   *
   * @param group Of which group; null for the default one; of all, where it is left out.
   */
  all(group?: Group): unknown[] {
    const list = recordsOf(this);
    return (group === undefined ? list : list.filter((it) => it.group === group)).map(({ error }) => error);
  }

  /**
   * Throws the last error that was recorded, and does nothing if there is none.
   *
   * @param group Of which group; null for the default one; of any, where it is left out.
   * @throws {Error} That error.
   */
  raiseAny(group?: Group): void {
    const errors = this.all(group);
    if (errors.length > 0) throw errors.at(-1);
  }

  /** Forgets what was recorded. */
  clear(): void {
    recordsOf(this).length = 0;
  }
}

function isOf(error: unknown, type: ErrorClass): boolean {
  if (!isProxy(type)) return error instanceof type;
  throw new TypeError(`Cannot tell errors of ${type}, which is not known here: export its module to this process`, {
    cause: error,
  });
}

/** What copies tell the original by. */
interface Collector {
  /** Takes an error that was recorded over there. */
  add(group: Group, error: unknown): void;
}

/** Tells the original what a copy records. When it is done, the error is there, whatever becomes of this process. */
async function report(except: object, group: Group, error: unknown): Promise<void> {
  const origin = Object.getOwnPropertyDescriptor(except, "origin")?.value;
  if (!isProxy(origin)) return;
  const { add } = origin as Remote<Collector>;
  try {
    await add(group, error);
  } catch {
    // As much of it as travels in any case; where there is nobody to tell, who waits for this process hears of that.
    await add(group, plain(error)).catch(() => {});
  }
}

function plain(error: unknown): Error {
  const { name, message, stack } = Object(error) as Partial<Error>;
  return Object.defineProperties(new Error(String(message ?? error)), {
    name: { value: String(name ?? "Error"), configurable: true, writable: true },
    stack: { value: String(stack ?? ""), configurable: true, writable: true },
  });
}

/**
 * Collects errors in groups, also those of other processes: passed to one, it collects there, and is read here, while that runs and after it has
 * died.
 *
 * @example
 * ```ts
 * import { Except, spawn } from "@x/across/objects";
 * import { assertEquals } from "@std/assert";
 *
 * const exc = new Except(RangeError);
 * await using p = spawn(async (exc: Except) => {
 *   await exc.catch("init", () => {
 *     throw new RangeError("Too far");
 *   }, { raises: false });
 * }, exc);
 * await p.join();
 * assertEquals((exc.get("init") as Error).message, "Too far");
 * ```
 */
export class Except extends LocalExcept {
  /** How the class is called where it travels. */
  static readonly acrossName: string = "@x/across/objects#Except";

  /** Makes an empty collection; see {@linkcode LocalExcept}. */
  constructor(...types: readonly ErrorClass[] | readonly [ExceptOptions]) {
    super(...types);
    const collector: Collector = { add: (group, error) => record(this, group, error) };
    Object.defineProperty(this, "origin", { enumerable: true, get: (): Reference<Collector> => ref(collector) });
  }
}
