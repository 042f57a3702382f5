/**
 * The error of an operation on an object that nobody serves: how it is made, and told from what objects themselves throw, wherever it comes from.
 *
 * @module
 */

import { DisconnectError } from "../mod.ts";

/** Stays with the error when it crosses connections. */
const CODE = "NOT_SERVED";

/**
 * The error for an operation that nobody takes.
 *
 * @param what What it was done to.
 */
export function notServed(what: string): Error {
  return Object.assign(
    new Error(`Cannot reach ${what} as nobody listens: call listen() where it lives, or pass a default to get()`),
    { code: CODE },
  );
}

/** Whether an operation failed because nobody was there to take it. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof DisconnectError || error instanceof Error && (error as { code?: unknown }).code === CODE;
}
