/**
 * Finding what a path leads to, among the properties that a peer may see. What is done to it then is in `perform.ts`.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { anyFace, isHidden } from "./face.ts";
import { Referred } from "./marks.ts";

/** What `ref()` may have been wrapped around, for going on from there. */
export function plain(value: unknown): unknown {
  return value instanceof Referred ? value.value : value;
}

/** Looks a public name up, on the object or its class, but nothing that every object or function has. */
export function member(holder: unknown, name: string): unknown {
  if (anyFace(holder)) return (holder as Record<string, unknown>)[name];
  if (holder === null || holder === undefined) {
    throw new TypeError(`Cannot read properties of ${holder} (reading "${name}")`);
  }
  if (typeof holder === "function" && (name === "name" || name === "length")) return holder[name];
  const owner = ownerOf(Object(holder), name);
  return owner && Reflect.get(owner, name, holder);
}

/** Who has a public name: the object or what it inherits from, but not what every object or function inherits from. */
export function ownerOf(holder: object, name: string): object | undefined {
  let at: object | null = holder;
  while (at !== null && !Object.hasOwn(at, name)) at = Object.getPrototypeOf(at);
  if (isHidden(name) || at === Object.prototype || at === Function.prototype) {
    throw new OperationError(`Cannot reach "${name}": the name is not public`);
  }
  return at ?? undefined;
}

/** Follows a path. Parts may be promises, which are awaited on the way. */
export function follow(base: unknown, path: readonly string[]): unknown {
  let value = base;
  for (let i = 0; i < path.length; i++) {
    if (value instanceof Promise) return value.then((value) => follow(value, path.slice(i)));
    value = member(plain(value), path[i]!);
  }
  return value;
}
