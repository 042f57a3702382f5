/**
 * Errors by value: which class they are made of over there and which of their properties travel. How values are written is not known here.
 *
 * @module
 */

import { builtinClass } from "./builtins.ts";

/** The classes that every runtime has; their places in this list are what is sent. */
const CLASSES: readonly string[] =
  "Error EvalError RangeError ReferenceError SyntaxError TypeError URIError AggregateError DOMException SuppressedError"
    .split(" ");

/** Properties that travel although they are not enumerable, and are not enumerable over there. */
const HIDDEN: readonly string[] = ["name", "message", "stack", "cause", "errors", "error", "suppressed"];

/** `DOMException`, whose name and message can be given to its constructor only. */
export const DOM_EXCEPTION = 8;

/** The number of the built-in class that an error's class is or extends; `derived` is called with each prototype below it until it returns true. */
export function errorKind(error: Error, derived: (prototype: object) => boolean): number {
  let found = false;
  for (let prototype = Object.getPrototypeOf(error); prototype; prototype = Object.getPrototypeOf(prototype)) {
    const kind = CLASSES.indexOf(prototype.constructor?.name);
    if (kind >= 0 && builtinClass(CLASSES[kind]!)?.prototype === prototype) return kind;
    found ||= derived(prototype);
  }
  return 0;
}

/** The keys of the properties of an error that travel. */
export function errorKeys(error: Error, kind: number): string[] {
  const keys = HIDDEN.filter((key) =>
    key === "name"
      ? kind !== DOM_EXCEPTION &&
        error.name !== (builtinClass(CLASSES[kind]!) as ErrorConstructor | undefined)?.prototype.name
      : Object.hasOwn(error, key) || key === "message" && error.message // Bun's are not always errors' own
  );
  return keys.concat(Object.keys(error).filter((key) => !HIDDEN.includes(key)));
}

/** Makes an error of that kind; `undefined` if there is none. */
export function makeError(kind: number, name: string, message: string): Error | undefined {
  const known = CLASSES[kind];
  if (!known) return undefined;
  if (kind === DOM_EXCEPTION) return new DOMException(message, name);
  const Class = builtinClass(known) as ErrorConstructor | undefined;
  if (known === "AggregateError") return new AggregateError([]);
  const error = new (Class ?? Error)();
  if (!Class) defineErrorProperty(error, "name", known);
  return error;
}

/** Gives an error a property, as hidden as it is on errors that were made here. */
export function defineErrorProperty(error: Error, key: string, value: unknown): void {
  const place = HIDDEN.indexOf(key);
  // Name, message and stack are text to everyone who reads them.
  if (place >= 0 && place < 3 && typeof value !== "string" || key === "name" && error.name === value) return;
  Object.defineProperty(error, key, { value, writable: true, configurable: true, enumerable: place < 0 });
}
