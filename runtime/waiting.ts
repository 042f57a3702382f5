/**
 * Promises that are settled from outside, and waiting for a limited time. Of no runtime in particular: here, every layer can have it.
 *
 * @module
 */

/** A promise and what settles it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: unknown) => void;
}

/** Makes a promise that is settled from outside. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void, reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** The longest time that a timer can wait for, in milliseconds. */
export const LONGEST_TIMER: number = 2 ** 31 - 1;

/** Does nothing: for promises whose failure is told elsewhere. */
export const ignore = (): void => {};

/**
 * Waits for a promise that never rejects, but not for ever.
 *
 * @returns Whether it settled in time.
 */
export async function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), ms));
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer!);
  }
}
