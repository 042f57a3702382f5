/**
 * Functions and classes that travel by their source: telling which can, and making them again over there.
 *
 * @module
 */

import { IMPORTER, originalText } from "../modules/source.ts";
import type { ScriptImporter } from "./execute.ts";
import { OperationError } from "../protocol/errors.ts";

const NATIVE = /\{\s*\[native code\]\s*\}\s*$/;
const toString = Function.prototype.toString;

/** Whether a function is a class, or one of the built-in functions that are constructed (`Map`, `Date`). */
export function isClass(fn: unknown): boolean {
  if (typeof fn !== "function") return false;
  let known = classes.get(fn);
  if (known === undefined) {
    const source = toString.call(fn);
    known = /^class\b/.test(source) ||
      NATIVE.test(source) && Object.hasOwn(fn, "prototype") && fn !== Symbol && fn !== BigInt;
    classes.set(fn, known);
  }
  return known;
}

const classes = new WeakMap<object, boolean>();

/**
 * The source of a function or class as an expression.
 *
 * @throws {OperationError} If it has none that means anything elsewhere.
 */
export function sourceOf(fn: object): string {
  const source = originalText(toString.call(fn));
  const name = (fn as { name?: unknown }).name;
  const called = typeof name === "string" && name ? `function "${name}"` : "an anonymous function";
  if (NATIVE.test(source)) {
    throw new OperationError(
      `Cannot send ${called} as it is native or bound and has no public name: pass a function that calls it`,
    );
  }
  try {
    new Function(`return (${source}\n)`);
  } catch {
    // Methods, getters and setters are no expressions. A program that may not compile code gets the answer from the peer.
    throw new OperationError(
      `Cannot send ${called} by its source as it is a method or an accessor: pass a function that calls it, or export() its module`,
    );
  }
  return source;
}

/** Whether source that travels may import modules, or across. */
export function imports(source: string): boolean {
  return source.includes(IMPORTER) || source.includes("@x/across");
}

/**
 * Makes a function or class from its source. It sees nothing but globals.
 *
 * @param importer Serves its dynamic imports.
 */
export function fromSource(source: string, importer: ScriptImporter): unknown {
  const make = `"use strict";${IMPORTER}=>(${source}\n)\n//# sourceURL=across:function`;
  // deno-lint-ignore no-eval -- to run what the peer sent is what it is for, where calls are accepted
  return ((0, eval)(make) as (importer: unknown) => unknown)(importer);
}

/**
 * Says more when a function failed because its source does not carry the variables around it.
 *
 * @param error What it failed with.
 * @param source Its source.
 */
export function explainReference(error: unknown, source: string): void {
  if (!(error instanceof ReferenceError)) return;
  const name = /^(?:Can't find variable: )?([\w$]+)(?: is not defined)?$/.exec(error.message)?.[1];
  if (!name || !source.includes(name)) return;
  error.message += name in globalThis
    ? `: "${name}" exists here, but not in the peer's runtime`
    : `: the function was sent by its source, without the variables around it: pass "${name}" as a parameter, or export() its module`;
}
