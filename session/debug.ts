/**
 * What across says about itself: nothing by default, on stderr unless the program says otherwise, and never a payload. Traces of messages are written
 * elsewhere (`trace.ts`); here is where they are told of them.
 *
 * @module
 */

import { pid, writeStderr } from "../runtime/host.ts";

/** 0: nothing, 1: what happens to connections, 2: each message, too. */
let level: 0 | 1 | 2 = 0;
let say: (text: string) => void = writeStderr;

/** Where an end that is booted finds who gets all lines, see `debug_output.ts`. */
export const ALSO_SAY: symbol = Symbol.for("across.debug");
/** Gets all lines, whatever the level. */
let also: ((text: string) => void) | undefined = (globalThis as unknown as Record<symbol, typeof also>)[ALSO_SAY];

/** Has all lines, whatever the level, handed to `wanted`, too. */
export function alsoSay(wanted: (text: string) => void): void {
  also = wanted;
}

/**
 * Sets how much across says about itself. Ends that are booted from now on do the same.
 *
 * @param wanted 0: nothing, 1: what happens to connections, warnings and errors, 2: each message with its kind and size, too.
 * @param sink Gets each line, without its end, instead of stderr.
 * @throws {RangeError} If it is something else.
 */
export function setDebugLevel(wanted: 0 | 1 | 2, sink?: (line: string) => void): void {
  if (wanted !== 0 && wanted !== 1 && wanted !== 2) {
    throw new RangeError(`Cannot use ${String(wanted)} as debug level: it takes 0, 1 or 2`);
  }
  level = wanted;
  say = sink ? (text) => sink(text.slice(0, -1)) : writeStderr;
}

/** The current level. */
export function debugLevel(): 0 | 1 | 2 {
  return level;
}

/** Says something, if the level is high enough. */
export function debug(at: 1 | 2, text: () => string): void {
  if (level < at && !also) return;
  const line = `across ${pid() ?? ""}: ${text()}\n`;
  also?.(line);
  if (level >= at) say(line);
}

/** Is told of each message: which session it belongs to, whether we sent it, and where it stands. */
export type Observer = (session: object, sent: boolean, bytes: Uint8Array, start: number, end: number) => void;

let observer: Observer | undefined;

/** Has each message of each connection told to `wanted`, too. */
export function observeMessages(wanted: Observer): void {
  observer = wanted;
}

/** Whether anybody wants to know of messages. */
export function isObserved(): boolean {
  return observer !== undefined || level === 2 || also !== undefined;
}

/** Tells of a message that begins with its kind at `start`, if anybody wants to know. */
export function observe(session: object, sent: boolean, bytes: Uint8Array, start: number, end: number): void {
  debug(2, () => `${sent ? "sent" : "received"} message of kind ${bytes[start]}, ${end - start} bytes`);
  observer?.(session, sent, bytes, start, end);
}
