/**
 * Turns of the event loop.
 *
 * @module
 */

type Immediate = (callback: () => void) => unknown;

const immediate: Immediate = (globalThis as { setImmediate?: Immediate }).setImmediate ??
  ((callback) => setTimeout(callback, 0));

/** Waits until the event loop has come round: what has arrived meanwhile was taken in. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void immediate(resolve));
}
