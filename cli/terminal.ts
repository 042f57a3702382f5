/**
 * What the commands print: results on stdout, everything else on stderr; a line of progress and colours where there is a terminal that wants them.
 *
 * @module
 */

import process from "node:process";
import { inspect } from "node:util";

const wantsColor = !process.env.NO_COLOR && process.env.TERM !== "dumb";

/** Prints a result, or a part of one. */
export function printOut(text: string): void {
  process.stdout.write(text);
}

/** Prints for people, above the line of progress if there is one. */
export function printError(text: string): void {
  process.stderr.write(`${shown === "" ? "" : CLEAR}${text}${shown}`);
}

const CLEAR = "\r\x1b[K";
let shown = "";

/**
 * Replaces the line of progress. Nothing happens where stderr is no terminal.
 *
 * @param text The new line, or nothing to remove it.
 */
export function progress(text = ""): void {
  if (!process.stderr.isTTY || text === shown) return;
  const width = (process.stderr.columns ?? 80) - 1;
  process.stderr.write(`${shown === "" ? "" : CLEAR}${shown = text.slice(0, width)}`);
}

/** A heading, bold where stdout is a terminal. */
export function heading(text: string): string {
  return process.stdout.isTTY && wantsColor ? `\x1b[1m${text}\x1b[22m` : text;
}

/** A warning or an error, red where stderr is a terminal. */
export function alarm(text: string): string {
  return process.stderr.isTTY && wantsColor ? `\x1b[31m${text}\x1b[39m` : text;
}

/** A value for people: strings as they are, the rest as a console shows it. */
export function forPeople(value: unknown): string {
  if (typeof value === "string") return value;
  return inspect(value, { colors: Boolean(process.stdout.isTTY && wantsColor), depth: 8, maxArrayLength: 1000 });
}

/** What JSON has no notation for: maps and sets as arrays, bytes in base64, errors as objects, big integers as strings. */
function plain(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Map || value instanceof Set) return [...value];
  if (value instanceof Error) {
    return {
      ...value,
      name: value.name,
      message: value.message,
      ...(value.cause !== undefined && { cause: value.cause }),
    };
  }
  if (value instanceof ArrayBuffer) return plain(new Uint8Array(value));
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return btoa(text);
  }
  return value;
}

/** A value for machines: one line of JSON. */
export function forMachines(value: unknown): string {
  return JSON.stringify(value, (_key, it) => plain(it));
}

/**
 * A stream for what a target prints: whole lines, each with the target's name before it, on our stderr.
 *
 * @param name The target's name.
 * @returns the stream
 */
export function labelled(name: string): WritableStream<Uint8Array> {
  const decoder = new TextDecoder();
  let rest = "";
  const print = (text: string): void => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > 8192) lines.push(rest), rest = ""; // somebody prints without ever ending a line
    for (const line of lines) printError(`${name}: ${line}\n`);
  };
  return new WritableStream({
    write: (chunk) => print(decoder.decode(chunk, { stream: true })),
    close: () => print(rest === "" ? "" : "\n"),
  });
}
