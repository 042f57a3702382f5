/**
 * What across says about itself, on stderr: nothing by default, and never a payload.
 *
 * @module
 */

import { pid, writeStderr } from "../runtime/host.ts";

/** 0: nothing, 1: what happens to connections, 2: each message, too. */
let level: 0 | 1 | 2 = 0;

/**
 * Sets how much across says about itself on stderr.
 *
 * @param wanted 0: nothing, 1: what happens to connections, warnings and errors, 2: each message with its kind and size, too.
 * @throws {RangeError} If it is something else.
 */
export function setDebugLevel(wanted: 0 | 1 | 2): void {
  if (wanted !== 0 && wanted !== 1 && wanted !== 2) {
    throw new RangeError(`Cannot use ${String(wanted)} as debug level: it takes 0, 1 or 2`);
  }
  level = wanted;
}

/** The current level. */
export function debugLevel(): 0 | 1 | 2 {
  return level;
}

/** Says something, if the level is high enough. */
export function debug(at: 1 | 2, text: () => string): void {
  if (level >= at) writeStderr(`across ${pid() ?? ""}: ${text()}\n`);
}
