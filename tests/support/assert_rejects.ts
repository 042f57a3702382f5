/**
 * `assertRejects()` of `@std/assert` for results of calls, which are functions to JavaScript and no promises to that function therefore.
 *
 * @module
 */

import { assertRejects as assertPromiseRejects } from "@std/assert";

/** Any class of errors. */
// deno-lint-ignore no-explicit-any -- as in @std/assert
type ErrorClass<E> = abstract new (...args: any[]) => E;

/**
 * Asserts that what `body` returns rejects with an error of a class, with a text in its message; gives the error. To be awaited, but not at once:
 * until then a failure is not reported as an unhandled one, which would end all tests of the file.
 */
export function assertRejects<E extends Error = Error>(
  body: () => PromiseLike<unknown>,
  errorClass: ErrorClass<E> = Error as unknown as ErrorClass<E>,
  message?: string,
): Promise<E> {
  const asserted = assertPromiseRejects(async () => await body(), errorClass, message);
  asserted.catch(() => {});
  return asserted;
}
