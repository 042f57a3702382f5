/**
 * What `ref()` and `ship()` make: marks that say how a value is to travel. They are understood in `references.ts`.
 *
 * @module
 */

/** What {@linkcode ref} makes: a value that is to be passed as a proxy. */
export class Referred {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}

/** Stands for the object that an operation started from, in its answer. */
export const ITSELF: Referred = new Referred(undefined);

/** What `ship` makes: stands for a function that is to be passed as code. */
const shipped = new WeakMap<object, object>();

/** The function that is to be passed as code; undefined for everything that {@linkcode shipFunction} did not make. */
export function shippedFunction(standIn: object): object | undefined {
  return shipped.get(standIn);
}

/** Marks a function to be passed as code, by a stand-in that behaves the same here. */
export function shipFunction<F extends object>(fn: F): F {
  const standIn = new Proxy(fn, {});
  shipped.set(standIn, fn);
  return standIn;
}

/** A name for people. */
export function nameOf(value: unknown): string {
  if (typeof value === "function") return value.name || "function";
  if (typeof value !== "object" || value === null) return typeof value;
  const name = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === "string" && name ? name : "Object";
}
