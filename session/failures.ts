/**
 * What operations of the peer throw, which may be anything. How it is answered is in `callee.ts`.
 *
 * @module
 */

import { OperationError } from "../protocol/errors.ts";

/** What is left of the texts of an error that cannot travel. */
const TEXT_LIMIT = 10_000;

/** Whether what was thrown is one of ours. It may be anything, also a proxy whose traps throw. */
export function isOperationError(error: unknown): error is OperationError {
  try {
    return error instanceof OperationError;
  } catch {
    return false;
  }
}

/** An error with nothing but the beginnings of its texts, where it cannot travel as it is. */
export function withoutFields(error: unknown): Error {
  let texts: { name?: unknown; message?: unknown; stack?: unknown } = {};
  try {
    const { name, message, stack } = Object(error);
    texts = { name, message, stack };
  } catch { /* a getter that throws: then there are no texts */ }
  const plain = new Error(
    typeof texts.message === "string"
      ? texts.message.slice(0, TEXT_LIMIT)
      : "The call threw something that cannot travel",
  );
  for (const key of ["name", "stack"] as const) {
    if (typeof texts[key] === "string") {
      Object.defineProperty(plain, key, {
        value: texts[key].slice(0, TEXT_LIMIT),
        configurable: true,
        writable: true,
      });
    }
  }
  return plain;
}
