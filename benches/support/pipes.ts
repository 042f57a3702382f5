/**
 * The pipes to a child and those of the child itself, by the fastest means that Deno and Node have for it; and the same with latency added. What is
 * said over them is the business of those who use them.
 *
 * @module
 */

// deno-lint-ignore-file no-explicit-any -- both runtimes' streams

import type { Duplex } from "../../tests/support/relay.ts";
import { relay } from "../../tests/support/relay.ts";

/** Deno, where this is Deno: there are no types for both. */
export const deno: typeof Deno | undefined = (globalThis as any).Deno;
const process: any = (globalThis as any).process;

/** A two-way stream of bytes. */
export interface Pipes {
  write(bytes: Uint8Array): Promise<unknown> | void;
  /** Says who takes what arrives; chunks are valid during the call only. */
  read(data: (chunk: Uint8Array) => void): void;
  /** Ends the way out, and waits for the child where there is one. */
  close(): Promise<unknown>;
}

/** The arguments of this program, or thread: in a thread, `Deno.args` are those of the program. */
export const args: readonly string[] = process.argv.slice(2);

/** A command that runs this very program with other arguments, in the runtime that we are in. */
export function selfCommand(...args: string[]): string[] {
  return deno
    ? [deno.execPath(), "run", "-A", "--quiet", decodeURIComponent(new URL(deno.mainModule).pathname), ...args]
    : [process.execPath, process.argv[1], ...args];
}

/** A command that runs a piece of JavaScript in the runtime that we are in. */
export function evalCommand(script: string): string[] {
  return deno ? [deno.execPath(), "eval", "--no-config", script] : [process.execPath, "-e", script];
}

/** Reads a web stream with one buffer over and over. */
async function readStream(readable: ReadableStream<Uint8Array>, data: (chunk: Uint8Array) => void): Promise<void> {
  const reader = readable.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(1 << 16);
  for (;;) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) return;
    data(value);
    buffer = value.buffer;
  }
}

async function readChunks(readable: ReadableStream<Uint8Array>, data: (chunk: Uint8Array) => void): Promise<void> {
  for await (const chunk of readable as any) data(chunk);
}

/** A child whose pipes are web streams, and how to wait for its end. */
export interface Child extends Duplex {
  ended(): Promise<unknown>;
}

/** Starts a program; its pipes as web streams. */
export async function startChild([program = "", ...args]: readonly string[]): Promise<Child> {
  if (deno) {
    const child = new deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
    return { readable: child.stdout, writable: child.stdin, ended: () => child.status };
  }
  const { spawn } = await import("node:child_process");
  const { Readable, Writable } = await import("node:stream");
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const exit = new Promise((resolve) => child.on("exit", resolve));
  return {
    readable: Readable.toWeb(child.stdout) as any,
    writable: Writable.toWeb(child.stdin) as any,
    ended: () => exit,
  };
}

/**
 * Starts a program.
 *
 * @param command The program and its arguments.
 * @param latency Milliseconds that everything takes each way.
 */
export async function startPipes(command: readonly string[], latency = 0): Promise<Pipes> {
  if (deno || latency > 0) {
    const child = await startChild(command);
    const { readable, writable } = latency > 0 ? relay(child, { latency }) : child;
    const writer = writable.getWriter();
    return {
      write: (bytes) => writer.write(bytes),
      read: (data) => void (latency > 0 ? readChunks(readable, data) : readStream(readable, data)),
      close: () => writer.close().then(child.ended),
    };
  }
  const { spawn } = await import("node:child_process");
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const { stdin, stdout } = child as any;
  return {
    write: (bytes) => stdin.write(bytes) ? undefined : new Promise((resolve) => stdin.once("drain", resolve)),
    read: (data) => void stdout.on("data", data),
    close: () => new Promise((resolve) => stdin.end(() => child.on("exit", resolve))),
  };
}

/** Standard input and output of this process. */
export function ownPipes(): Pipes {
  if (deno) {
    const { stdin, stdout } = deno;
    return {
      write(bytes) {
        while (bytes.length) bytes = bytes.subarray(stdout.writeSync(bytes));
      },
      async read(data) {
        const buffer = new Uint8Array(1 << 16);
        for (let size; (size = await stdin.read(buffer)) !== null;) data(buffer.subarray(0, size));
        deno!.exit();
      },
      close: () => Promise.resolve(),
    };
  }
  return {
    write: (bytes) => void process.stdout.write(bytes),
    read: (data) => void process.stdin.on("data", data).on("end", () => process.exit()),
    close: () => Promise.resolve(),
  };
}

/** Messages that are lines of text. */
export interface Lines {
  send(line: string): void;
  receive(take: (line: string) => void): void;
}

/** Makes bytes lines, and of all lines of a turn one write. */
export function linesOver(pipes: Pipes): Lines {
  const encoder = new TextEncoder(), decoder = new TextDecoder();
  let out = "", rest = "";
  const flush = () => {
    const bytes = encoder.encode(out);
    out = "";
    pipes.write(bytes);
  };
  return {
    send(line) {
      if (!out) queueMicrotask(flush);
      out += line + "\n";
    },
    receive(take) {
      pipes.read((chunk) => {
        const lines = decoder.decode(chunk, { stream: true }).split("\n");
        lines[0] = rest + lines[0];
        rest = lines.pop()!;
        for (const line of lines) take(line);
      });
    },
  };
}
