/**
 * What a prototype tells about its objects: whether the codec knows how they travel, and whether there may be more to them than their
 * properties. Classes that the peer knows by name are the session's business.
 *
 * @module
 */

import { builtinClass, builtinNumber } from "./builtins.ts";

/** What can be told about the objects of one prototype. */
export interface Traits {
  /** The number of the nearest built-in class above or at it; -1 for arrays, `undefined` for objects that are nothing but their properties. */
  readonly base: number | undefined;
  /** Whether it is that built-in class itself. */
  readonly exact: boolean;
  /** Whether a class of the platform is above or at it: its objects hold what no property shows. */
  readonly platform: boolean;
}

const known = new WeakMap<object, Traits>();
// Objects of one class mostly come in rows.
let last: object | undefined;
let lastTraits: Traits;

/** Finds out about a prototype. */
export function traitsOf(prototype: object): Traits {
  if (prototype !== last) {
    let traits = known.get(prototype);
    if (!traits) known.set(prototype, traits = examine(prototype));
    last = prototype;
    lastTraits = traits;
  }
  return lastTraits;
}

function examine(prototype: object): Traits {
  let platform = false;
  for (let at = prototype; at; at = Object.getPrototypeOf(at)) {
    const base = at === Array.prototype ? -1 : builtinNumber(at);
    if (base !== undefined) return { base, exact: at === prototype, platform };
    platform ||= at !== Object.prototype && isPlatform(at);
  }
  return { base: undefined, exact: false, platform };
}

/** Whether a prototype belongs to a class of the language or the runtime, as far as one can tell from outside. */
function isPlatform(prototype: object): boolean {
  const { constructor } = prototype;
  const tag = (prototype as Record<symbol, string>)[Symbol.toStringTag];
  return typeof constructor !== "function"
    ? !!tag
    : /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(constructor)) ||
      tag === constructor.name && builtinClass(tag) as unknown === constructor;
}
