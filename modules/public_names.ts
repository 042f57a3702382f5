/**
 * Names of functions and classes that a runtime has by itself: globals (`Math.max`) and exports of built-in modules (`node:os#hostname`).
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { ALIASES, importBuiltin, newModules, SPACES } from "../runtime/builtins.ts";
import { runtime, runtimeVersion } from "../runtime/host.ts";
import { resolveExport, splitName } from "./exported_names.ts";

/** Steps that no name contains. */
const HIDDEN = /[.#]|^(?:prototype|constructor|__proto__)$/;
const names = new WeakMap<object, string>();
/** Functions of the built-in modules that were looked through. */
const exported = new WeakMap<object, string>();

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null || typeof value === "function";

/** An own property, unless it is an accessor: in Deno these load things, and warn. */
const own = (holder: object, key: string): unknown =>
  HIDDEN.test(key) ? undefined : Object.getOwnPropertyDescriptor(holder, key)?.value;

/** The public name of a function or class, if it has one. */
export function publicName(fn: object): string | undefined {
  let name = names.get(fn);
  if (name === undefined) names.set(fn, name = globalName(fn) ?? builtinName(fn) ?? "");
  return name || undefined;
}

/** Looks for a function where it would be by its name: that takes microseconds, and to look at all globals loads 40 ms of code in Node. */
function globalName(fn: object): string | undefined {
  const { name } = fn as { name?: unknown };
  if (typeof name !== "string" || HIDDEN.test(name)) return;
  // What a script declares at its top is among the globals, too, and no other process has it.
  if (Object.getOwnPropertyDescriptor(globalThis, name)?.configurable && value(globalThis, name) === fn) return name;
  for (const space of SPACES) {
    const [top, inner] = space.split(".") as [string, string?];
    let holder = own(globalThis, top);
    if (inner && isObject(holder)) holder = own(holder, inner);
    if (!isObject(holder)) continue;
    if (value(holder, name) === fn) return `${space}.${name}`;
    // `Deno.env.get` is called otherwise.
    const other = inner && Object.getOwnPropertyNames(holder).find((key) => own(holder, key) === fn);
    if (other) return `${space}.${other}`;
  }
  return undefined;
}

/** A property under a function's own name: if it is one that loads when it is first used, that happened already, or nobody would have the function. */
function value(holder: object, name: string): unknown {
  if (!Object.hasOwn(holder, name)) return;
  try {
    return (holder as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

function builtinName(fn: object): string | undefined {
  for (const [module, exports] of newModules(fn)) {
    const add = (holder: object, path: string, deeper: boolean) => {
      for (const key of Object.getOwnPropertyNames(holder)) {
        const value = own(holder, key);
        if (typeof value === "function" && !exported.has(value)) exported.set(value, path + key);
        // `fs.promises`, `path.posix`, `util.types`
        if (deeper && value && typeof value === "object") add(value, `${path}${key}.`, false);
      }
    };
    if (typeof exports === "function") exported.set(exports, `${module}#default`);
    add(exports, `${module}#`, true);
    if (exported.has(fn)) break;
  }
  return exported.get(fn);
}

/**
 * Finds what a public name stands for here.
 *
 * @returns It, or a promise of it
 * @throws {OperationError} when this runtime has no such thing; also by rejection
 */
export function resolvePublic(name: string): unknown {
  const missing = (cause: unknown): never => {
    const here = `${runtime[0]!.toUpperCase()}${runtime.slice(1)} ${runtimeVersion}`;
    throw new OperationError(`"${name}" is not available in ${here}, where it was to be used`, { cause });
  };
  const [module, path] = splitName(name);
  try {
    if (!path) return resolveExport(globalThis, module, "");
    if (!module.startsWith("node:")) missing(undefined);
    return importBuiltin(module).then((exports) => resolveExport(exports, path, module)).catch(missing);
  } catch (error) {
    const alias = ALIASES.get(name);
    return alias ? resolvePublic(alias) : missing(error);
  }
}
