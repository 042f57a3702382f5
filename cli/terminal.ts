/**
 * What the commands print: results on stdout, everything else on stderr; a line of progress and colours where there is a terminal that wants them.
 *
 * @module
 */

import process from "node:process";
import { inspect } from "node:util";

const wantsColor = !process.env.NO_COLOR && process.env.TERM !== "dumb";

/** The exit code of who writes to a pipe that nobody reads: 128 and the number of SIGPIPE. */
const BROKEN_PIPE = 141;

/** What is done when nothing can be written any more. A reader that has seen enough, such as `head -1`, is told nothing, as is the custom. */
function broken(error: Error & { code?: unknown }): never {
  if (error.code === "EPIPE") process.exit(BROKEN_PIPE);
  try {
    process.stderr.write(`error: Cannot write: ${error.message}\n`);
  } finally {
    process.exit(1);
  }
}

type Output = typeof process.stdout | typeof process.stderr;
const watched = new Set<Output>();

/** Writes. Files tell at once what is wrong, pipes later. Which are used is known then only: stdout may be a connection's. */
function write(stream: Output, text: string): void {
  if (!watched.has(stream)) stream.on("error", broken);
  watched.add(stream);
  try {
    stream.write(text);
  } catch (error) {
    broken(error as Error);
  }
}

/** Prints a result, or a part of one. */
export function printOut(text: string): void {
  write(process.stdout, text);
}

/** Prints for people, above the line of progress if there is one. */
export function printError(text: string): void {
  write(process.stderr, `${shown === "" ? "" : CLEAR}${text}${shown}`);
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

/** Bytes in base64. */
function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/**
 * What JSON has a notation for: maps and sets become arrays, bytes base64, errors objects, big integers, proxies and what contains itself text.
 *
 * @param value Anything that came over a connection.
 * @param around The objects that it is in.
 * @returns a copy
 */
function plain(value: unknown, around: ReadonlySet<unknown> = new Set()): unknown {
  if (typeof value === "bigint" || typeof value === "function") return String(value);
  if (typeof value !== "object" || value === null) return value;
  if (around.has(value)) return "[Circular]";
  if (value instanceof ArrayBuffer) return base64(new Uint8Array(value));
  if (ArrayBuffer.isView(value)) return base64(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return value.valueOf();
  // Dates and addresses know better; what the peer calls so is a name like any other.
  if ("toJSON" in value && !Object.hasOwn(value, "toJSON")) return value;
  const inside = new Set(around).add(value);
  if (Array.isArray(value) || value instanceof Map || value instanceof Set) {
    return Array.from(value as Iterable<unknown>, (it) => plain(it, inside));
  }
  const fields = Object.entries(value);
  if (value instanceof Error) {
    const { name, message, cause } = value;
    fields.push(["name", name], ["message", message]);
    if (cause !== undefined) fields.push(["cause", cause]);
  }
  return Object.fromEntries(fields.map(([key, it]) => [key, plain(it, inside)]));
}

/** A value for machines: one line of JSON. */
export function forMachines(value: unknown): string {
  return JSON.stringify(plain(value));
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
