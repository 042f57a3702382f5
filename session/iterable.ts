/**
 * What is done for a peer that iterates over something of ours: the other end is `iteration.ts`.
 *
 * @module
 */

/**
 * Makes something that travels as a stream of items of what can be iterated over, arrays and the like included.
 *
 * @throws {TypeError} If it cannot be iterated over.
 */
export function iterable(value: unknown): AsyncIterable<unknown> {
  const object = Object(value);
  const make = object[Symbol.asyncIterator] ?? object[Symbol.iterator];
  if (typeof make !== "function") throw new TypeError("The target of the iteration is not iterable");
  // Here, so that what this throws is what the operation throws.
  const iterator = make.call(value);
  return { [Symbol.asyncIterator]: () => iterator };
}
