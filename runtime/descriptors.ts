/**
 * Descriptors that this process was started with (stdin, stdout, or others that a shell moved the wire to) as something to read from and write
 * to, by the fastest means of each runtime. How they are used is the business of `transports/stdio.ts`.
 *
 * @module
 */

import type { FileFunctions } from "./host.ts";
import { builtin, bun, deno } from "./host.ts";

/** A file, pipe or connection of Deno, or what stands for one elsewhere. */
export interface ByteFile {
  /**
   * Reads what there is, waiting for at least one byte.
   *
   * @returns how many bytes it read, or null at the end
   */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes a part at least, and says how many bytes that were. */
  write(chunk: Uint8Array): Promise<number>;
  /** The same at once: it blocks, or throws, when it has to wait. */
  writeSync?(chunk: Uint8Array): number;
  /** Frees it. A read that is under way need not end. */
  close(): unknown;
}

/** What is used of a `net.Socket`. */
export interface Socket {
  on(event: string, listener: (value: never) => void): unknown;
  emit(event: string, value: unknown): unknown;
  write(chunk: Uint8Array, callback: (error?: Error | null) => void): boolean;
  end(callback?: () => void): unknown;
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
}

/** A descriptor to read from: one of these is there. */
export interface Input {
  readonly file?: Pick<ByteFile, "read" | "close">;
  readonly socket?: Socket;
  readonly stream?: ReadableStream<Uint8Array>;
}

/** A descriptor to write to: a file or a socket is there. */
export interface Output {
  readonly file?: Pick<ByteFile, "write" | "writeSync" | "close">;
  readonly socket?: Socket;
  /** Writes what goes without waiting to the socket's descriptor, or throws. */
  readonly writeSync?: (chunk: Uint8Array) => number;
}

type Net = { Socket: new (options: object) => Socket };

/** A socket of Node's making over a descriptor. Not in Deno before 2.7, and not for files. */
function openSocket({ Socket }: Net, fd: number, readable: boolean): Socket {
  const socket: Socket = new Socket({
    fd,
    readable,
    writable: !readable,
    // Node reads into one buffer then. Deno's imitation does not know it and emits "data" by itself.
    onread: readable && {
      buffer: new Uint8Array(65536),
      callback: (size: number, buffer: Uint8Array) => socket.emit("data", buffer.subarray(0, size)),
    },
  });
  if (fd < 3) socket.on("close", () => plug(fd));
  return socket;
}

/** Puts something harmless in the place of a standard descriptor, or the next file to be opened would get what programs print. */
function plug(fd: number): void {
  type Files = { openSync(path: string, mode: string): unknown };
  try {
    if (deno) deno.openSync("/dev/null", { read: !fd, write: !!fd });
    else (builtin("node:fs") as Files).openSync("/dev/null", fd ? "w" : "r");
  } catch {
    // No permission then, for other files neither.
  }
}

/** Closes stdout of Deno, which has a copy of the descriptor, and no means of its own for the original. */
async function closeStdout(): Promise<void> {
  deno!.stdout.close();
  try {
    openSocket(await builtin<Net>("node:net"), 1, false).destroy();
  } catch {
    // Too old, or a file: then the peer sees the end when the process ends.
  }
}

/** A path that opens a descriptor once more. */
const path = (fd: number) => `/dev/fd/${fd}`;

/**
 * Opens a descriptor for reading.
 *
 * @param fd Its number. In Deno it must be stdin, a pipe or a file.
 * @returns what to read from
 */
export function openInput(fd: number): Input {
  if (bun) return { stream: (bun as unknown as { file(fd: number): Blob }).file(fd).stream() };
  if (!deno) return { socket: openSocket(builtin("node:net") as Net, fd, true) };
  const { stdin } = deno;
  return { file: fd ? deno.openSync(path(fd)) : { read: stdin.read.bind(stdin), close() {} } };
}

/**
 * Opens a descriptor for writing.
 *
 * @param fd Its number. In Deno it must be stdout, a pipe or a file.
 * @returns what to write to
 */
export function openOutput(fd: number): Output {
  if (deno) {
    const { stdout } = deno;
    if (fd !== 1) return { file: deno.openSync(path(fd), { write: true }) };
    const write = stdout.write.bind(stdout);
    return { file: { write, writeSync: stdout.writeSync.bind(stdout), close: closeStdout } };
  }
  const fs = builtin("node:fs") as FileFunctions & {
    write(fd: number, chunk: Uint8Array, callback: (error: Error | null, size: number) => void): void;
  };
  // These are going to be patched, in the interest of the wire.
  const { write, writeSync: writeFileSync, closeSync } = fs;
  const writeSync = (chunk: Uint8Array) => writeFileSync(fd, chunk);
  if (!bun) return { socket: openSocket(builtin("node:net") as Net, fd, false), writeSync };
  // Bun's sockets do not take descriptors.
  return {
    file: {
      writeSync,
      write: (chunk) =>
        new Promise((resolve, reject) => write(fd, chunk, (error, size) => error ? reject(error) : resolve(size))),
      close() {
        closeSync(fd);
        if (fd < 3) plug(fd);
      },
    },
  };
}
