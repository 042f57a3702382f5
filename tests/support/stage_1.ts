/**
 * Starts an interpreter with stage 1 and speaks to it as a dialler does, but sends a small core of its own, so that the BIOS is tested without the
 * library that it boots.
 *
 * @module
 */

import { deflateRawSync } from "node:zlib";

/**
 * A core that says what it was given in a line of JSON, does what `then` says, reads to the end, and says how much that was.
 *
 * @param then Statements, in which `say()` writes a line of JSON to the wire, and `D` is Deno's namespace or undefined.
 * @returns the text of the core
 */
export function reportingCore(then = ""): string {
  return `"use strict";
const D = globalThis.Deno, { payload, input, output } = init;
(async () => {
  const fs = D ?? await import("node:fs");
  const from = !D ? input : input ? D.openSync("/dev/fd/" + input) : D.stdin;
  const to = !D ? output : output > 2 ? D.openSync("/dev/fd/" + output, { write: true }) : D.stdout;
  const say = (value) => {
    let bytes = new TextEncoder().encode(JSON.stringify(value) + "\\n");
    while (bytes.length) bytes = bytes.subarray(D ? to.writeSync(bytes) : fs.writeSync(to, bytes));
  };
  const pid = D ? D.pid : process.pid;
  say({ payload: payload.length, input, output, pid });
  ${then}
  let length = 0, sum = 0;
  const buffer = new Uint8Array(65536);
  for (let n; n = D ? from.readSync(buffer) : fs.readSync(from, buffer); length += n) {
    for (let i = 0; i < n; i++) sum = (sum * 31 + buffer[i]) >>> 0;
  }
  say({ length, sum });
})();`;
}

/** The sum that {@linkcode reportingCore} says. */
export function sumOf(bytes: Uint8Array): number {
  let sum = 0;
  for (const byte of bytes) sum = (sum * 31 + byte) >>> 0;
  return sum;
}

/** What a dialler sends before it has seen the greeting. */
export const SUPERBLOCK: Uint8Array = new TextEncoder().encode("\0across\0~1.0~~~~");

/** A core as it is sent: its length, and itself. */
export function packCore(core: string): Uint8Array {
  const packed = deflateRawSync(core);
  return joinBytes(new TextEncoder().encode(String(packed.length).padStart(8, "0")), packed);
}

export function joinBytes(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** How an end behaved. */
export interface Booted {
  /** What it said before the first line of JSON, the greeting first of all. */
  readonly greeting: string;
  /** The lines of JSON. */
  readonly said: readonly Record<string, unknown>[];
  readonly stderr: string;
  readonly code: number;
  readonly pid: number;
}

/** What is sent, and in what surroundings. */
export interface BootInit {
  /** The core; `false` to end the input without one. */
  readonly core?: string | false;
  /** Bytes in place of superblock and core. */
  readonly bytes?: Uint8Array;
  /** What follows the core at once. */
  readonly behind?: Uint8Array;
  /** Milliseconds before anything is sent. */
  readonly delay?: number;
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly clearEnv?: boolean;
}

const GREETING = /^~across1 (?:deno|node|bun) \d+\.\d+\.\d+\S*~$/;

/** Whether a text is a greeting and nothing else. */
export const isGreeting = (text: string): boolean => GREETING.test(text);

/**
 * Starts a program, sends it a core, and waits for its end. It is killed after a minute.
 *
 * @param args Program and arguments.
 * @param init What to send.
 */
export async function bootWith([program = "", ...args]: readonly string[], init: BootInit = {}): Promise<Booted> {
  const { core = reportingCore(), behind = new Uint8Array(), delay = 0, cwd, env, clearEnv } = init;
  const child = new Deno.Command(program, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    ...(cwd === undefined ? {} : { cwd }),
    env: { NO_COLOR: "1", ...env },
    clearEnv: !!clearEnv,
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  const output = child.output();
  const writer = child.stdin.getWriter();
  if (delay) await new Promise((resolve) => setTimeout(resolve, delay));
  // Programs that end early do not read all of it.
  const all = init.bytes ?? (core === false ? new Uint8Array() : joinBytes(SUPERBLOCK, packCore(core), behind));
  if (all.length) await writer.write(all).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await output;
  clearTimeout(timer);
  const text = new TextDecoder().decode(stdout);
  const at = text.search(/\{/);
  const greeting = at < 0 ? text : text.slice(0, at);
  const said = at < 0 ? [] : text.slice(at).trim().split("\n").map((line) => JSON.parse(line));
  return { greeting, said, stderr: new TextDecoder().decode(stderr), code, pid: child.pid };
}
