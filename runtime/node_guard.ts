/**
 * What `stdio_guard.ts` does, for the modules of Node: `process`, `node:fs` and `node:child_process`.
 *
 * @module
 */

import { deno } from "./host.ts";

type AnyFunction = (...args: unknown[]) => unknown;
type Functions = Record<string, AnyFunction>;

/** What is used of `process`, whosever it is. */
interface Process {
  readonly stderr: unknown;
  getBuiltinModule?(name: string): unknown;
}

/**
 * Says what a child gets instead of what it would inherit.
 *
 * @param stdio As in the options of `spawn()`: a word for all, or one entry for each descriptor.
 * @returns the same, without our stdin and stdout
 */
export function redirect(stdio: unknown): unknown {
  if (stdio === "inherit") stdio = [stdio, stdio, stdio];
  if (!Array.isArray(stdio)) return stdio;
  return stdio.map((entry, index) => {
    const fd = entry === "inherit" ? index : (entry as { fd?: unknown } | null)?.fd ?? entry;
    return fd === 0 ? "ignore" : fd === 1 ? 2 : entry;
  });
}

const options = (it: unknown): unknown => {
  const { stdio } = Object(it) as { stdio?: unknown };
  return stdio ? { ...it as object, stdio: redirect(stdio) } : it;
};

/** Replaces functions of a module by what is made of their arguments. */
function wrap(module: Functions, names: string, change: (args: unknown[]) => void): void {
  for (const name of names.split(" ")) {
    const original = module[name];
    if (!original) continue;
    const wrapped = function (this: unknown, ...args: unknown[]) {
      change(args);
      return original.apply(this, args);
    };
    module[name] = Object.defineProperties(
      wrapped,
      Object.getOwnPropertyDescriptors(original) as PropertyDescriptorMap,
    );
  }
}

let pending = false;

/** Has Node's modules guarded as soon as somebody asks for one: in Deno this loads them, which takes too long to do it for nothing. */
export function guardNodeLater(): void {
  pending = true;
}

/** To be called before one of Node's modules, or a package that may use them, is imported for the program. */
export function nodeIsWanted(): void {
  if (pending) guardNode();
  pending = false;
}

/** Keeps Node's modules off stdin and stdout. To be called once. */
export function guardNode(): void {
  const process = (globalThis as unknown as { process: Process }).process;
  const load = <T>(name: string) => process.getBuiltinModule?.(name) as T;
  const fs = load<Functions | undefined>("node:fs");
  if (!fs) return;
  let nothing: unknown;
  wrap(
    fs,
    "read readSync readv readvSync readFile readFileSync write writeSync writev writevSync writeFile writeFileSync",
    (args) => {
      if (args[0] === 0) args[0] = nothing ??= fs.openSync!("/dev/null", "r");
      if (args[0] === 1) args[0] = 2;
    },
  );
  const children = load<Functions>("node:child_process");
  type Spawner = { ChildProcess?: { prototype: Functions } };
  const { ChildProcess } = children as Spawner;
  // Deno's works otherwise.
  const method = !deno && ChildProcess?.prototype.spawn;
  if (method) wrap(ChildProcess!.prototype, "spawn", (args) => args[0] = options(args[0]));
  wrap(
    children,
    `${method ? "" : "spawn "}spawnSync execSync execFileSync`,
    (args) => args.forEach((arg, i) => args[i] = options(arg)),
  );
  if (!deno) {
    type Stream = { Readable: { from(list: unknown[]): object } };
    let stdin: object | undefined;
    Object.defineProperties(process, {
      stdout: { get: () => process.stderr, configurable: true },
      stdin: {
        get: () => stdin ??= Object.assign(load<Stream>("node:stream").Readable.from([]), { fd: 0 }),
        configurable: true,
      },
    });
  }
  try {
    load<Functions>("node:module").syncBuiltinESMExports!();
  } catch {
    // Not in Deno before 2.9: what was imported by name keeps its original.
  }
}
