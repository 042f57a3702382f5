/**
 * Running a function in a process of its own, as if it were an ordinary call: {@linkcode spawn}. What it gives is in `process.ts`.
 *
 * @module
 */

import type { AnyFunction, SendableAll } from "../mod.ts";
import { Process } from "./process.ts";
import type { ResultOf, YieldOf } from "./process.ts";
import type { ProcessOptions } from "./process_options.ts";
import { checkOptions, MEMBER_OPTIONS } from "./process_options.ts";
import { homeOf, Served } from "./served.ts";

/** Starts functions in processes of their own. */
export interface Spawn {
  /**
   * Starts a function.
   *
   * @param fn It travels as with `Connection.call()`: by its exported name, if its module is among `modules`, or by its source.
   * @param args Its arguments.
   */
  <F extends AnyFunction>(fn: F, ...args: SendableAll<Parameters<F>>): Process<ResultOf<F>, YieldOf<F>>;
  /**
   * The same with options.
   *
   * @param options What the process is like.
   * @throws {TypeError} If one is unknown or makes no sense.
   */
  with(options: ProcessOptions): Spawn;
}

const OPTIONS = ["name", ...MEMBER_OPTIONS, "signal", "daemon"];
/** Names of functions whose processes were counted, at most. */
const MOST = 10_000;
const counts = new Map<string, number>();

function nextName(fn: AnyFunction): string {
  const name = fn.name || "function";
  const count = (counts.get(name) ?? 0) + 1;
  if (counts.size < MOST || counts.has(name)) counts.set(name, count);
  return `${name}-${count}`;
}

function makeSpawn(options: ProcessOptions): Spawn {
  const start = (fn: AnyFunction, ...args: unknown[]) => {
    if (typeof fn !== "function") throw new TypeError(`Cannot spawn a ${typeof fn}: pass a function`);
    const process = new Process(options.name ?? nextName(fn), fn, args, options, new Error());
    for (const served of servedIn(args)) homeOf(served).follow(process.lost);
    return process;
  };
  return Object.assign(start as unknown as Spawn, {
    with(more: ProcessOptions): Spawn {
      checkOptions(more, OPTIONS);
      const all = { ...options, ...more };
      checkOptions(all, OPTIONS);
      return makeSpawn(all);
    },
  });
}

/** How deep arguments are looked into. */
const DEPTH = 4;
/** At how many values. */
const LOOKS = 1_000;

/** What of arguments is served, as far as one finds it without effort: in fields of fields. */
function servedIn(args: readonly unknown[]): Set<Served<object>> {
  const found = new Set<Served<object>>(), seen = new Set<unknown>();
  const look = (value: unknown, depth: number): void => {
    if (typeof value !== "object" || value === null || seen.has(value) || seen.size > LOOKS) return;
    seen.add(value);
    if (value instanceof Served) found.add(value);
    else if (depth > 0 && !ArrayBuffer.isView(value)) {
      for (const { value: inner } of Object.values(Object.getOwnPropertyDescriptors(value))) look(inner, depth - 1);
    }
  };
  look(args, DEPTH);
  return found;
}

/**
 * Runs a function in a process of its own, which is booted for it and ends with it.
 *
 * What the process prints goes to our stderr. It dies with the program, and by default does not keep it alive.
 *
 * @example
 * ```ts
 * import { spawn } from "@x/across/objects";
 * import { assertEquals } from "@std/assert";
 *
 * await using p = spawn((a: number, b: number) => a * b, 6, 7);
 * assertEquals(await p.result, 42);
 * ```
 *
 * @example What a generator yields, while it runs
 * ```ts
 * import { spawn } from "@x/across/objects";
 * import { assertEquals } from "@std/assert";
 *
 * await using p = spawn.with({ name: "squares" })(function* (n: number) {
 *   for (let i = 1; i <= n; i++) yield i * i;
 * }, 3);
 * const squares = [];
 * for await (const square of p) squares.push(square);
 * assertEquals(squares, [1, 4, 9]);
 * ```
 */
export const spawn: Spawn = makeSpawn({});
