/**
 * What the rarer operations of a peer do: changing and looking for properties, iterating, disposing. The others are in `perform.ts`. And what it gets
 * where it may not ask for any, which an end that was booted has no need of.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";
import { ACTION } from "../protocol/messages.ts";
import { ownerOf } from "./lookup.ts";

/** What is shown of a name that the peer sent. */
const NAME_LIMIT = 100;

/**
 * Sets, deletes or looks for a public property.
 *
 * @throws {TypeError} If there is none to be changed.
 */
function change(holder: unknown, name: string | undefined, action: number, args: readonly unknown[]): unknown {
  if (name === undefined || Object(holder) !== holder) {
    throw new TypeError("Only properties of objects can be changed or looked for");
  }
  const object = holder as Record<string, unknown>;
  const owner = ownerOf(object, name);
  if (action === ACTION.HAS) return owner !== undefined;
  if (action === ACTION.DELETE) return Reflect.deleteProperty(object, name);
  if (!Reflect.set(object, name, args[0])) throw new TypeError(`Cannot assign "${name}"`);
  return undefined;
}

/** Runs the dispose method of something, if it has one. */
async function dispose(value: unknown): Promise<void> {
  if (Object(value) !== value) return;
  const object = value as Partial<AsyncDisposable & Disposable>;
  if (typeof object[Symbol.asyncDispose] === "function") await object[Symbol.asyncDispose]!();
  else if (typeof object[Symbol.dispose] === "function") object[Symbol.dispose]!();
}

/**
 * Makes, for a peer that iterates (`iteration.ts`), something that travels as a stream of items of what can be iterated over, arrays and the like included.
 *
 * @throws {TypeError} If it cannot be iterated over.
 */
function iterable(value: unknown): AsyncIterable<unknown> {
  const object = Object(value);
  const make = object[Symbol.asyncIterator] ?? object[Symbol.iterator];
  if (typeof make !== "function") throw new TypeError("The target of the iteration is not iterable");
  // Here, so that what this throws is what the operation throws.
  const iterator = make.call(value);
  return { [Symbol.asyncIterator]: () => iterator };
}

/**
 * What the peer gets for asking what it may not.
 *
 * @param name The public name of a class, if it is one that a value is an instance of, or that is a value itself.
 */
function refuse(name?: string): OperationError {
  return new OperationError(
    name
      ? `Cannot take class "${
        name.slice(0, NAME_LIMIT)
      }" where calls are not accepted, as only those of exported modules are` +
        " looked up there: pass ref() of what has it or a plain object instead, or set the option acceptCalls on that side"
      : "Cannot run this as the peer does not accept calls: it would have to set the option acceptCalls, or expose an object",
  );
}

/** The rarer actions. */
export interface Actions {
  change: typeof change;
  dispose: typeof dispose;
  iterable: typeof iterable;
  refuse: typeof refuse;
}

/** What carries them out. */
export const actions: Actions = { change, dispose, iterable, refuse };
