/**
 * The runtime's built-in modules, looked through for a function without loading more of them than need be.
 *
 * @module
 */

import { deno, nodeProcess, runtime } from "./host.ts";
import { nodeIsWanted } from "./node_guard.ts";

/** What is used of Node's, Bun's and Deno's `process`. */
interface Host {
  getBuiltinModule?(name: string): object | undefined;
  readonly moduleLoadList?: readonly string[];
}

/** Globals that have functions. There are more, but some of them load when they are looked at. */
export const SPACES: readonly string[] =
  "Deno Deno.env Deno.errors Math JSON Object Array Number String Date Promise Reflect Symbol BigInt Intl Atomics WebAssembly Temporal URL console Bun process ArrayBuffer Map Error RegExp AbortSignal"
    .split(" ");

/** Names of things that have another one as well, which is known more widely. Deno takes the first one, as `process` is slow to load there. */
export const ALIASES: ReadonlyMap<string, string> = new Map([["Deno.cwd", "node:process#cwd"]]);

/** Where functions that people hand over come from, the ones that load fast first. */
const LIKELY =
  "process os path fs url util querystring child_process fs/promises timers/promises zlib dns crypto buffer events assert perf_hooks stream readline net http https tls string_decoder v8 vm"
    .split(" ");

const textOf = (fn: object): string => Function.prototype.toString.call(fn);
/** What the text of a function begins with where built-in modules are minified, and hardly anywhere else. */
const MINIFIED = /^(?:async )?(?:function\b\*? ?[\w$]*\([^]*?\)\{|class\b[^{]*[^ {]\{)/;
let minified: boolean | undefined;

/**
 * Whether a function may come from a built-in module. To look through these takes 40 ms in Deno and 60 in Bun, which the functions of the program should
 * not pay for: they look different.
 */
function plausible(fn: object): boolean {
  const text = textOf(fn);
  if (!/^(?:async )?(?:function|class|\w+\()/.test(text)) return false;
  if (runtime === "bun") return !Object.hasOwn(fn, "prototype") && !/^async function \w/.test(text);
  if (!deno) return true;
  minified ??= !textOf(fetch).includes("\n");
  return !minified || MINIFIED.test(text) && !text.slice(0, 200).includes(") {");
}

const seen = new Set<string>();

/** Built-in modules that may export a function, one after the other; each only once, whatever the function. */
export function* newModules(fn: object): Generator<readonly [name: string, exports: object]> {
  if (!plausible(fn)) return;
  const host = (deno ? (globalThis as { process?: unknown }).process : nodeProcess) as Host | undefined;
  // What was not loaded yet cannot have given anyone a function. Only Node tells.
  const loaded = host?.moduleLoadList?.length ? new Set(host.moduleLoadList) : undefined;
  for (const name of LIKELY) {
    if (seen.has(name) || loaded && name !== "process" && !loaded.has(`NativeModule ${name}`)) continue;
    seen.add(name);
    const exports = host?.getBuiltinModule?.(`node:${name}`);
    if (exports) yield [`node:${name}`, exports];
  }
}

/** Imports a built-in module; rejects where there is none of that name. */
export function importBuiltin(name: string): Promise<object> {
  nodeIsWanted();
  return import(name);
}
